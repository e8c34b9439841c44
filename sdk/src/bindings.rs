//! The guest's side of `wit/`, generated. Never written by hand, never used by a skill directly.

wit_bindgen::generate!({
    path: "../wit",
    world: "skill",
    pub_export_macro: true,
    default_bindings_module: "venom_sdk::bindings",
    generate_all,
});
