//! What a component imports and exports, read from its outermost sections, and whether that is the shape of a
//! skill. The code inside is not looked at here (the compiler validates it) and never run.

use semver::Version;
use wasmparser::{Chunk, Encoding, Parser, Payload};

/// The interface every skill exports.
const API: &str = "venom:skill/api@0.1.0";
/// Most imports and exports together; a real skill has under 100.
const MAX_NAMES: usize = 1_000;

/// The outside of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentShape {
    /// Names of its imports, for example `venom:skill/log@0.1.0`, in file order.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
}

/// Why bytes are no component this host could run as a skill.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// Not WebAssembly.
    #[error(
        "the file is no WebAssembly component (it does not begin with the WebAssembly magic bytes): build with `cargo build --target wasm32-wasip2`"
    )]
    NotWasm,
    /// A core module.
    #[error(
        "the file is a core WebAssembly module, not a component: build with `--target wasm32-wasip2` (wasm32-wasip1 and wasm32-unknown-unknown make modules)"
    )]
    CoreModule,
    /// Compiled machine code.
    #[error(
        "the file is precompiled machine code (.cwasm or ELF), which cannot be verified: give the .wasm component it was compiled from"
    )]
    Precompiled,
    /// Damaged.
    #[error("the component is malformed: {0}")]
    Malformed(String),
    /// An absurd number of names.
    #[error("the component has more than {MAX_NAMES} imports and exports")]
    TooManyNames,
    /// More than any compiler should be given.
    #[error(
        "the component has more {what} than any real one ({found}, at most {limit} are taken): if it is no attempt to keep the compiler busy, split it into several skills"
    )]
    TooComplex {
        /// What was counted.
        what: &'static str,
        /// How many there are, or were when counting ended.
        found: u64,
        /// Most that are taken.
        limit: u64,
    },
    /// Imports of WASI 0.3.
    #[error("the component imports WASI 0.3 ({}), this host runs WASI 0.2: build it for WASI 0.2 (target wasm32-wasip2)", .imports.join(", "))]
    Wasi03 {
        /// Which.
        imports: Vec<String>,
    },
    /// Imports that no host of skills offers.
    #[error(
        "the component imports what no skill is given ({}): only venom:skill/*@0.1, wasi:{{io,clocks,random,filesystem,sockets,cli,http}}@0.2 may be imported",
        .imports.join(", ")
    )]
    UndeclaredImports {
        /// Which.
        imports: Vec<String>,
    },
    /// No skill.
    #[error(
        "the component does not export `{API}`, so it is no skill: use the `#[skill]` macro, or export the world `venom:skill/skill`"
    )]
    MissingApi,
}

/// Reads the outside of a component. Refuses core modules, compiled code and WASI 0.3.
pub fn inspect_component(bytes: &[u8]) -> Result<ComponentShape, ShapeError> {
    if bytes.starts_with(b"\x7fELF") {
        return Err(ShapeError::Precompiled);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(ShapeError::NotWasm);
    }
    let shape = read_outermost(bytes)?;
    let new: Vec<_> = shape.imports.iter().filter(|name| is_wasi_03(name)).cloned().collect();
    if new.is_empty() {
        Ok(shape)
    } else {
        Err(ShapeError::Wasi03 { imports: new })
    }
}

impl ComponentShape {
    /// Whether this is the outside of a skill: exports the api, imports nothing but what skills are given.
    pub fn check_skill(&self) -> Result<(), ShapeError> {
        let undeclared: Vec<_> = self.imports.iter().filter(|name| !is_offered(name)).cloned().collect();
        if !undeclared.is_empty() {
            return Err(ShapeError::UndeclaredImports { imports: undeclared });
        }
        if self.exports.iter().any(|name| name == API) {
            Ok(())
        } else {
            Err(ShapeError::MissingApi)
        }
    }

    /// Whether it imports an interface, whatever the version; `interface` like `venom:skill/command`.
    #[must_use]
    pub fn imports_interface(&self, interface: &str) -> bool {
        self.imports
            .iter()
            .any(|name| name.split('@').next() == Some(interface))
    }
}

fn read_outermost(mut bytes: &[u8]) -> Result<ComponentShape, ShapeError> {
    let mut shape = ComponentShape {
        imports: Vec::new(),
        exports: Vec::new(),
    };
    let mut parser = Parser::new(0);
    loop {
        let chunk = parser.parse(bytes, true).map_err(malformed)?;
        let Chunk::Parsed { consumed, payload } = chunk else {
            return Err(ShapeError::Malformed("it ends too soon".to_owned()));
        };
        let mut nested = 0;
        match payload {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } => return Err(ShapeError::CoreModule),
            Payload::ComponentImportSection(section) => {
                for import in section {
                    push(&mut shape.imports, import.map_err(malformed)?.name.name)?;
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    push(&mut shape.exports, export.map_err(malformed)?.name.name)?;
                }
            }
            // What is nested has its own imports, satisfied inside: none of this host's business.
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                nested = unchecked_range.len();
            }
            Payload::End(_) => return Ok(shape),
            _ => {}
        }
        bytes = bytes
            .get(consumed + nested..)
            .ok_or_else(|| ShapeError::Malformed("it ends too soon".to_owned()))?;
    }
}

fn push(names: &mut Vec<String>, name: &str) -> Result<(), ShapeError> {
    if names.len() == MAX_NAMES {
        return Err(ShapeError::TooManyNames);
    }
    names.push(name.to_owned());
    Ok(())
}

fn malformed(error: wasmparser::BinaryReaderError) -> ShapeError {
    ShapeError::Malformed(error.to_string())
}

/// `namespace:package/interface@version`.
fn split(name: &str) -> Option<(&str, &str)> {
    let (path, version) = name.split_once('@')?;
    let (package, _interface) = path.split_once('/')?;
    Some((package, version))
}

fn is_wasi_03(name: &str) -> bool {
    split(name).is_some_and(|(package, version)| {
        package.starts_with("wasi:") && (version == "0.3" || version.starts_with("0.3.") || version.starts_with("0.3-"))
    })
}

fn is_offered(name: &str) -> bool {
    let Some((package, version)) = split(name) else {
        return false;
    };
    let Ok(version) = Version::parse(version) else {
        return false;
    };
    let minor = match package {
        "venom:skill" => 1,
        "wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:filesystem" | "wasi:sockets" | "wasi:cli" | "wasi:http" => 2,
        _ => return false,
    };
    version.major == 0 && version.minor == minor && version.pre.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    fn importing(names: &[&str]) -> Result<ComponentShape, ShapeError> {
        let imports: String = names
            .iter()
            .map(|name| format!("(import \"{name}\" (instance))"))
            .collect();
        inspect_component(&component(&format!("(component {imports})")))
    }

    #[test]
    fn the_outermost_names_are_read_and_nested_ones_are_not() {
        let shape = inspect_component(&component(
            r#"(component
                (import "venom:skill/log@0.1.0" (instance))
                (core module (import "inner" "function" (func)))
                (component (import "nested:one/x@1.0.0" (instance)))
                (import "wasi:io/poll@0.2.6" (instance $poll))
                (export "venom:skill/api@0.1.0" (instance $poll)))"#,
        ))
        .unwrap();
        assert_eq!(shape.imports, ["venom:skill/log@0.1.0", "wasi:io/poll@0.2.6"]);
        assert_eq!(shape.exports, ["venom:skill/api@0.1.0"]);
        shape.check_skill().unwrap();
        assert!(shape.imports_interface("venom:skill/log") && !shape.imports_interface("venom:skill/lo"));
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        assert!(matches!(
            inspect_component(&component("(module)")),
            Err(ShapeError::CoreModule)
        ));
        assert!(matches!(
            inspect_component(b"\x7fELF\x02\x01\x01"),
            Err(ShapeError::Precompiled)
        ));
        for text in [b"(component)".as_slice(), b"", b"\0as", b"#!/bin/sh"] {
            assert!(matches!(inspect_component(text), Err(ShapeError::NotWasm)));
        }
        let whole = component("(component (core module) (import \"a\" (instance)))");
        for length in 4..whole.len() {
            let result = inspect_component(&whole[..length]);
            // A component may end after any section; cut inside one, it must be refused.
            assert!(
                matches!(result, Ok(_) | Err(ShapeError::Malformed(_))),
                "{length}: {result:?}"
            );
        }
        assert!(matches!(inspect_component(&whole[..9]), Err(ShapeError::Malformed(_))));
    }

    #[test]
    fn wasi_03_is_listed_and_its_neighbours_are_not() {
        for name in [
            "wasi:cli/run@0.3.0",
            "wasi:http/types@0.3.0-rc-2025-09-16",
            "wasi:io/streams@0.3.1",
        ] {
            let Err(ShapeError::Wasi03 { imports }) = importing(&["wasi:io/poll@0.2.0", name]) else {
                panic!("{name}")
            };
            assert_eq!(imports, [name]);
        }
        let text = importing(&["wasi:cli/run@0.3.0"]).unwrap_err().to_string();
        assert!(
            text.contains("wasi:cli/run@0.3.0") && text.contains("WASI 0.2"),
            "{text}"
        );
        importing(&["wasi:cli/run@0.30.0", "venom:skill/log@0.3.0"]).unwrap();
    }

    #[test]
    fn only_the_listed_packages_may_be_imported() {
        for good in [
            "venom:skill/cache@0.1.0",
            "venom:skill/log@0.1.7",
            "wasi:http/types@0.2.12",
            "wasi:sockets/tcp@0.2.0",
        ] {
            let shape = importing(&[good]).unwrap();
            assert!(matches!(shape.check_skill(), Err(ShapeError::MissingApi)), "{good}");
        }
        for bad in [
            "venom:skill/log@0.2.0",
            "venom:skill/log@1.1.0",
            "venom:skill/log@0.1.0-dev",
            "venom:skill/log",
            "wasi:keyvalue/store@0.2.0",
            "wasi:io/poll@0.1.0",
            "wasi:io/poll@1.2.0",
            "evil:skill/log@0.1.0",
            "plain-name",
        ] {
            let Err(ShapeError::UndeclaredImports { imports }) = importing(&[bad]).unwrap().check_skill() else {
                panic!("{bad}")
            };
            assert_eq!(imports, [bad]);
        }
    }

    #[test]
    fn an_absurd_number_of_imports_is_refused() {
        let imports: String = (0..=MAX_NAMES)
            .map(|n| format!("(import \"a{n}\" (instance))"))
            .collect();
        let result = inspect_component(&component(&format!("(component {imports})")));
        assert!(matches!(result, Err(ShapeError::TooManyNames)));
    }
}
