//! The `#[skill]` attribute of `venom-sdk`; its documentation is at `venom_sdk::skill`. Expands, never runs, anything.

mod expand;
mod method;
mod options;

use proc_macro::TokenStream;

/// Turns an `impl` block into a skill; see `venom_sdk::skill`.
#[proc_macro_attribute]
pub fn skill(arguments: TokenStream, block: TokenStream) -> TokenStream {
    expand::skill(arguments.into(), block.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
