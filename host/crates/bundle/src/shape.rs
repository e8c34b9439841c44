//! What a component imports and exports, read from its outermost sections. It is not validated as code here (the
//! compiler does that) and never run.

/// The outside of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentShape {
    /// Names of its imports, for example `venom:skill/log@0.1.0`, in file order.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
}

/// Why bytes are no component this host could run.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// Not WebAssembly.
    #[error("not a WebAssembly file")]
    NotWasm,
    /// A core module.
    #[error("a core module")]
    CoreModule,
    /// Compiled code.
    #[error("precompiled")]
    Precompiled,
    /// Imports of WASI 0.3.
    #[error("WASI 0.3")]
    Wasi03 {
        /// Which.
        imports: Vec<String>,
    },
}

/// Reads the outside of a component.
pub fn inspect_component(_bytes: &[u8]) -> Result<ComponentShape, ShapeError> {
    todo!()
}
