//! The whole block: the `impl` as written, an implementation of `venom_sdk::Skill`, and, in a sandbox, the exports.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{ImplItem, ItemImpl, Type};

use crate::method::Method;
use crate::options::{Options, docs};

pub(crate) fn skill(arguments: TokenStream, block: TokenStream) -> syn::Result<TokenStream> {
    let options = Options::parse(arguments)?;
    let mut block: ItemImpl = syn::parse2(block).map_err(|cause| {
        syn::Error::new(
            cause.span(),
            format!("#[skill] belongs on the `impl` block with the methods: {cause}"),
        )
    })?;
    let ty = skill_type(&block)?.clone();
    let methods = read_methods(&mut block)?;
    let name = name_of(&options, &ty)?;
    let summary = match docs(&block.attrs) {
        text if text.is_empty() => quote!(::std::option_env!("CARGO_PKG_DESCRIPTION").unwrap_or_default()),
        text => quote!(#text),
    };
    let new = options.new.as_ref().map_or_else(|| quote!(#ty), |new| quote!(#new));
    let described = methods.iter().map(Method::describe);
    let arms = methods.iter().map(|method| method.invoke(&new));
    Ok(quote! {
        #block

        impl ::venom_sdk::Skill for #ty {
            fn describe() -> ::venom_sdk::Description {
                let mut methods = ::std::vec::Vec::new();
                #(#described)*
                ::venom_sdk::Description {
                    name: ::std::string::String::from(#name),
                    summary: ::std::string::String::from(#summary),
                    methods,
                }
            }

            fn invoke(method: &str, params: &str) -> ::venom_sdk::Result<::std::string::String> {
                match method {
                    #(#arms)*
                    _ => ::std::result::Result::Err(::venom_sdk::Error::UnknownMethod(::std::string::String::from(method))),
                }
            }
        }

        #[cfg(target_family = "wasm")]
        ::venom_sdk::bindings::export!(#ty with_types_in ::venom_sdk::bindings);
    })
}

fn skill_type(block: &ItemImpl) -> syn::Result<&Type> {
    if let Some((_, path, _)) = &block.trait_ {
        return Err(syn::Error::new(
            path.span(),
            "#[skill] belongs on an `impl` block of the type itself, not of a trait",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(syn::Error::new(
            block.generics.span(),
            "a skill cannot be generic: a component is one skill",
        ));
    }
    Ok(&block.self_ty)
}

fn read_methods(block: &mut ItemImpl) -> syn::Result<Vec<Method>> {
    let mut methods: Vec<Method> = Vec::new();
    let mut errors: Option<syn::Error> = None;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else { continue };
        match Method::read(function) {
            Ok(method) => methods.push(method),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    if methods.is_empty() {
        return Err(syn::Error::new(
            block.self_ty.span(),
            "a skill needs at least one method",
        ));
    }
    Ok(methods)
}

fn name_of(options: &Options, ty: &Type) -> syn::Result<String> {
    if let Some(name) = &options.name {
        return Ok(name.value());
    }
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
    .ok_or_else(|| syn::Error::new(ty.span(), "this type has no name; write #[skill(name = \"...\")]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: TokenStream, block: TokenStream) -> String {
        match skill(arguments, block) {
            Ok(tokens) => tokens.to_string(),
            Err(error) => panic!("{error}"),
        }
    }

    fn complaint(block: TokenStream) -> String {
        match skill(TokenStream::new(), block) {
            Ok(tokens) => panic!("expected a complaint, got {tokens}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_block_stays_without_what_only_this_macro_understands() {
        let tokens = expanded(
            TokenStream::new(),
            quote! { impl A { /// Doc.
            fn m(&self, /// Param.
                #[default(3)] p: u32) {} } },
        );
        let file: syn::File = syn::parse_str(&tokens).unwrap();
        let syn::Item::Impl(block) = &file.items[0] else {
            panic!("{tokens}")
        };
        let ImplItem::Fn(function) = &block.items[0] else {
            panic!("{tokens}")
        };
        let attributes: Vec<_> = function
            .sig
            .inputs
            .iter()
            .flat_map(|input| match input {
                syn::FnArg::Typed(typed) => typed.attrs.clone(),
                syn::FnArg::Receiver(_) => Vec::new(),
            })
            .collect();
        assert!(attributes.is_empty(), "{tokens}");
        assert_eq!(docs(&function.attrs), "Doc.");
        assert!(tokens.contains("defaulted :: < u32 > (\"p\" , \"Param.\""), "{tokens}");
    }

    #[test]
    fn names_come_from_the_type_or_the_attribute() {
        let block = quote! { impl some::Thing { fn r#type(&self) {} } };
        let tokens = expanded(TokenStream::new(), block.clone());
        assert!(tokens.contains("String :: from (\"Thing\")"), "{tokens}");
        assert!(tokens.contains("\"type\" =>"), "{tokens}");
        let tokens = expanded(quote! { name = "Other", new = some::Thing::new(3) }, block);
        assert!(tokens.contains("String :: from (\"Other\")"), "{tokens}");
        assert!(tokens.contains("(some :: Thing :: new (3)) . r#type ()"), "{tokens}");
    }

    #[test]
    fn what_cannot_be_a_method_is_explained() {
        for (block, text) in [
            (quote! { impl A {} }, "at least one method"),
            (quote! { impl A { async fn m() {} } }, "cannot be async"),
            (quote! { impl A { unsafe fn m() {} } }, "cannot be unsafe"),
            (quote! { impl A { fn m<T>(t: T) {} } }, "cannot be generic"),
            (quote! { impl<T> A<T> { fn m() {} } }, "a skill cannot be generic"),
            (quote! { impl Trait for A { fn m() {} } }, "not of a trait"),
            (quote! { impl A { fn m(self) {} } }, "takes `&self`"),
            (quote! { impl A { fn m(&mut self) {} } }, "takes `&self`"),
            (quote! { impl A { fn m(text: &str) {} } }, "write `String`"),
            (quote! { impl A { fn m(bytes: &[u8]) {} } }, "write `Vec<...>`"),
            (quote! { impl A { fn m(thing: impl Read) {} } }, "concrete type"),
            (quote! { impl A { fn m((a, b): (u32, u32)) {} } }, "plain name"),
            (
                quote! { impl A { fn m(#[default(1)] a: Option<u32>) {} } },
                "contradict each other",
            ),
            (
                quote! { impl A { fn m(#[default] a: u32) {} } },
                "write #[default(expression)]",
            ),
            (
                quote! { impl A { fn m(#[cfg(test)] a: u32) {} } },
                "cannot be conditional",
            ),
            (
                quote! { impl A { fn m() -> std::fmt::Result {} } },
                "must name what it carries",
            ),
            (quote! { struct A; }, "belongs on the `impl` block"),
        ] {
            let complaint = complaint(block.clone());
            assert!(complaint.contains(text), "{block}: {complaint}");
        }
    }

    #[test]
    fn all_complaints_come_at_once() {
        let error = skill(
            TokenStream::new(),
            quote! { impl A { async fn m() {} fn n(t: &str) {} } },
        )
        .unwrap_err();
        assert_eq!(error.into_iter().count(), 2);
    }

    #[test]
    fn unknown_settings_are_named() {
        let error = skill(quote! { nmae = "x" }, quote! { impl A { fn m() {} } }).unwrap_err();
        assert!(error.to_string().contains("known: name"));
    }
}
