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
