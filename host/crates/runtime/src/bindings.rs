//! The generated glue of `wit/`: the one place where the interface becomes Rust. No logic.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "venom:skill/skill",
    imports: {
        "venom:skill/progress.emit": async,
        "venom:skill/command.run": async,
        "venom:skill/cache.get": async,
        "venom:skill/cache.set": async,
        "venom:skill/cache.delete": async,
        "venom:skill/cache.ttl": async,
        "venom:skill/hive.submit": async,
        "venom:skill/hive.await-tasks": async,
        "venom:skill/hive.status": async,
        "venom:skill/lan.links": async,
        "venom:skill/lan.neighbours": async,
        "venom:skill/lan.reverse": async,
        "venom:skill/lan.browse": async,
        "venom:skill/lan.discover": async,
        "venom:skill/lan.peek-tls": async,
        "venom:skill/lan.get-https": async,
        default: trappable,
    },
    exports: { default: async },
});

pub(crate) use exports::venom::skill::api::Description as ApiDescription;
pub(crate) use venom::skill::errors::{Error as GuestError, Refusal as GuestRefusal};
