//! How much there is in a component for a compiler to do, counted without compiling, and the most that is taken. It keeps
//! out what is absurd at a glance; what is small and still takes long is ended by the host that compiles it.

use wasmparser::{BinaryReaderError, Parser, Payload};

use crate::ShapeError;

/// Functions of all modules together. CPython has 13,400.
const MAX_FUNCTIONS: u64 = 200_000;
/// Bytes of one function. The largest of CPython, its interpreter loop, has 427 KB.
const MAX_FUNCTION_BYTES: u64 = 1 << 20;
/// Core modules. CPython and its libraries are 14.
const MAX_MODULES: u64 = 256;
/// Components within components within components; tools make two.
const MAX_NESTING: u64 = 16;
/// Instances made of modules and components. CPython makes 72; each can multiply those within it.
const MAX_INSTANCES: u64 = 1_000;

#[derive(Debug, Default)]
struct Counts {
    functions: u64,
    largest_function: u64,
    modules: u64,
    nesting: u64,
    deepest: u64,
    instances: u64,
}

/// Refuses a component with more of anything than real ones have.
pub(crate) fn check_complexity(component: &[u8]) -> Result<(), ShapeError> {
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(component) {
        counts.add(&payload.map_err(malformed)?);
        counts.check()?;
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, payload: &Payload<'_>) {
        match payload {
            Payload::Version { .. } => {
                self.nesting += 1;
                self.deepest = self.deepest.max(self.nesting);
            }
            Payload::End(_) => self.nesting = self.nesting.saturating_sub(1),
            Payload::ModuleSection { .. } => self.modules += 1,
            Payload::CodeSectionStart { count, .. } => self.functions += u64::from(*count),
            Payload::CodeSectionEntry(body) => {
                self.largest_function = self.largest_function.max(body.range().len() as u64);
            }
            Payload::InstanceSection(section) => self.instances += u64::from(section.count()),
            Payload::ComponentInstanceSection(section) => self.instances += u64::from(section.count()),
            _ => {}
        }
    }

    fn check(&self) -> Result<(), ShapeError> {
        let counted = [
            ("functions", self.functions, MAX_FUNCTIONS),
            ("bytes in one function", self.largest_function, MAX_FUNCTION_BYTES),
            ("modules", self.modules, MAX_MODULES),
            ("levels of nesting", self.deepest, MAX_NESTING),
            ("instances", self.instances, MAX_INSTANCES),
        ];
        match counted.into_iter().find(|(_, found, limit)| found > limit) {
            Some((what, found, limit)) => Err(ShapeError::TooComplex { what, found, limit }),
            None => Ok(()),
        }
    }
}

fn malformed(error: BinaryReaderError) -> ShapeError {
    ShapeError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<&'static str> {
        match check_complexity(&wat::parse_str(text).unwrap()) {
            Ok(()) => None,
            Err(ShapeError::TooComplex { what, .. }) => Some(what),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn as_much_as_the_limit_is_taken_and_one_more_is_not() {
        let most = |limit: u64| usize::try_from(limit).unwrap();
        let modules = |count: usize| format!("(component {})", "(core module)".repeat(count));
        assert_eq!(refused(&modules(most(MAX_MODULES))), None);
        assert_eq!(refused(&modules(most(MAX_MODULES) + 1)), Some("modules"));
        let nested = |depth: usize| format!("{}{}", "(component ".repeat(depth), ")".repeat(depth));
        assert_eq!(refused(&nested(most(MAX_NESTING))), None);
        assert_eq!(refused(&nested(most(MAX_NESTING) + 1)), Some("levels of nesting"));
        let instances = |count: usize| {
            let (core, rest) = (count / 2, count - count / 2);
            let core = "(core instance (instantiate 0))".repeat(core);
            let rest = "(instance (instantiate 0))".repeat(rest);
            format!("(component (core module) (component) {core} {rest})")
        };
        assert_eq!(refused(&instances(most(MAX_INSTANCES))), None);
        assert_eq!(refused(&instances(most(MAX_INSTANCES) + 1)), Some("instances"));
        let functions = |count: usize| format!("(component (core module {}))", "(func)".repeat(count));
        assert_eq!(refused(&functions(most(MAX_FUNCTIONS))), None);
        assert_eq!(refused(&functions(most(MAX_FUNCTIONS) + 1)), Some("functions"));
        // a body is a count of locals, its instructions and an end
        let long = |bytes: usize| format!("(component (core module (func {})))", "nop ".repeat(bytes - 2));
        assert_eq!(refused(&long(most(MAX_FUNCTION_BYTES))), None);
        assert_eq!(
            refused(&long(most(MAX_FUNCTION_BYTES) + 1)),
            Some("bytes in one function")
        );
    }
}
