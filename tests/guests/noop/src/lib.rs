//! `NoopSkill`: the smallest skill there is, for benchmarks. Bindings straight from `wit/`, no SDK, no capability.
//! Outside a sandbox it is empty.

#[cfg(target_family = "wasm")]
mod skill {
    #![expect(
        unsafe_code,
        reason = "the component ABI is raw pointers; the generator is its one author"
    )]

    wit_bindgen::generate!({ path: "../../../wit", world: "skill", generate_all });

    use exports::venom::skill::api::{Description, Guest, Method};
    use venom::skill::errors::Error;

    struct NoopSkill;

    impl Guest for NoopSkill {
        fn describe() -> Description {
            let method = |name: &str, summary: &str| Method {
                name: name.into(),
                summary: summary.into(),
                params_schema: r#"{"type":"object"}"#.into(),
                result_schema: String::new(),
            };
            Description {
                name: "NoopSkill".into(),
                summary: "Does nothing, quickly.".into(),
                methods: vec![
                    method("noop", "Answers null."),
                    method("echo", "Answers its parameters, unread."),
                ],
            }
        }

        fn invoke(method: String, params: String) -> Result<String, Error> {
            match method.as_str() {
                "noop" => Ok("null".into()),
                "echo" => Ok(params),
                _ => Err(Error::UnknownMethod(method)),
            }
        }
    }

    export!(NoopSkill);
}
