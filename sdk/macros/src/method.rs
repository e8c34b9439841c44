//! One function of the block as a method: what it takes, what it answers, and why it cannot be one.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ImplItemFn, Lit, Pat, PatType, PathArguments, PathSegment,
    ReturnType, Signature, Type,
};

use crate::options::docs;

/// A method and everything its two uses (describe, invoke) need.
pub(crate) struct Method {
    name: String,
    function: Ident,
    conditions: Vec<Attribute>,
    summary: String,
    parameters: Vec<Parameter>,
    takes_self: bool,
    answer: Answer,
}

struct Parameter {
    name: String,
    summary: String,
    ty: Type,
    presence: Presence,
}

enum Presence {
    Required,
    Optional(Box<Type>),
    Defaulted(Box<Expr>),
}

enum Answer {
    Always(Box<Type>),
    OrError(Box<Type>),
}

impl Method {
    /// Reads a function, and takes out of it the attributes that only this macro understands.
    pub(crate) fn read(function: &mut ImplItemFn) -> syn::Result<Self> {
        check_signature(&function.sig)?;
        let mut takes_self = false;
        let mut parameters = Vec::new();
        for argument in &mut function.sig.inputs {
            match argument {
                FnArg::Receiver(receiver) if receiver.reference.is_none() || receiver.mutability.is_some() => {
                    return Err(syn::Error::new(
                        receiver.span(),
                        "a method of a skill takes `&self` or no receiver: every call starts from a fresh value",
                    ));
                }
                FnArg::Receiver(_) => takes_self = true,
                FnArg::Typed(typed) => parameters.push(Parameter::read(typed)?),
            }
        }
        Ok(Self {
            name: plain(&function.sig.ident),
            function: function.sig.ident.clone(),
            conditions: function
                .attrs
                .iter()
                .filter(|attribute| attribute.path().is_ident("cfg"))
                .cloned()
                .collect(),
            summary: docs(&function.attrs),
            parameters,
            takes_self,
            answer: Answer::read(&function.sig.output)?,
        })
    }

    /// An expression that pushes the method's description onto `methods`.
    pub(crate) fn describe(&self) -> TokenStream {
        let Self {
            name,
            summary,
            conditions,
            ..
        } = self;
        let parameters = self.parameters.iter().map(Parameter::describe);
        let (Answer::Always(value) | Answer::OrError(value)) = &self.answer;
        quote! {
            #(#conditions)*
            methods.push(::venom_sdk::Method {
                name: ::std::string::String::from(#name),
                summary: ::std::string::String::from(#summary),
                params_schema: ::venom_sdk::private::ParamsSchema::default() #(#parameters)* .finish(),
                result_schema: {
                    #[allow(unused_imports, clippy::allow_attributes, clippy::allow_attributes_without_reason)]
                    use ::venom_sdk::private::{Published as _, Unpublished as _};
                    (&::venom_sdk::private::Maybe::<#value>::new()).result_schema()
                },
            });
        }
    }

    /// The arm of `match method` that runs it.
    pub(crate) fn invoke(&self, new: &TokenStream) -> TokenStream {
        let Self {
            name,
            function,
            conditions,
            ..
        } = self;
        let known = self.parameters.iter().map(|parameter| &parameter.name);
        let arguments = self.parameters.iter().map(Parameter::take);
        let params = if self.parameters.is_empty() {
            quote!(_)
        } else {
            quote!(params)
        };
        let run = if self.takes_self {
            quote!((#new).#function(#(#arguments),*))
        } else {
            quote!(Self::#function(#(#arguments),*))
        };
        let run = match &self.answer {
            Answer::Always(_) => run,
            Answer::OrError(_) => quote!(#run.map_err(::venom_sdk::Error::from)?),
        };
        quote! {
            #(#conditions)*
            #name => {
                let #params = ::venom_sdk::private::Params::parse(params, &[#(#known),*])?;
                let answer = #run;
                ::venom_sdk::private::answer(&answer)
            }
        }
    }
}

fn check_signature(signature: &Signature) -> syn::Result<()> {
    let complain = |span, text: &str| Err(syn::Error::new(span, text));
    if let Some(keyword) = &signature.asyncness {
        return complain(
            keyword.span(),
            "a method of a skill cannot be async: a call has a sandbox of its own, so blocking is fine",
        );
    }
    if let Some(keyword) = &signature.unsafety {
        return complain(
            keyword.span(),
            "a method of a skill cannot be unsafe: any caller may call it",
        );
    }
    if !signature.generics.params.is_empty() {
        return complain(
            signature.generics.span(),
            "a method of a skill cannot be generic: callers send JSON, so every type must be known",
        );
    }
    if let Some(variadic) = &signature.variadic {
        return complain(variadic.span(), "a method of a skill takes named parameters only");
    }
    Ok(())
}

impl Parameter {
    fn read(typed: &mut PatType) -> syn::Result<Self> {
        let Pat::Ident(pattern) = &*typed.pat else {
            return Err(syn::Error::new(
                typed.pat.span(),
                "a parameter needs a plain name, which callers write into their JSON object",
            ));
        };
        check_parameter_type(&typed.ty)?;
        let summary = docs(&typed.attrs);
        let mut presence =
            optional_value(&typed.ty).map_or(Presence::Required, |value| Presence::Optional(Box::new(value.clone())));
        for attribute in &typed.attrs {
            if attribute.path().is_ident("default") {
                let value: Expr = attribute.parse_args().map_err(|cause| {
                    syn::Error::new(attribute.span(), format!("write #[default(expression)]: {cause}"))
                })?;
                if let Presence::Optional(_) = presence {
                    return Err(syn::Error::new(
                        attribute.span(),
                        "a default and `Option` contradict each other; leave one out",
                    ));
                }
                presence = Presence::Defaulted(Box::new(value));
            } else if attribute.path().is_ident("cfg") {
                return Err(syn::Error::new(
                    attribute.span(),
                    "a parameter cannot be conditional; make two methods conditional instead",
                ));
            }
        }
        typed
            .attrs
            .retain(|attribute| !attribute.path().is_ident("default") && !attribute.path().is_ident("doc"));
        Ok(Self {
            name: plain(&pattern.ident),
            summary,
            ty: (*typed.ty).clone(),
            presence,
        })
    }

    fn describe(&self) -> TokenStream {
        let Self {
            name,
            summary,
            ty,
            presence,
        } = self;
        match presence {
            Presence::Required => quote_spanned!(ty.span()=> .required::<#ty>(#name, #summary)),
            Presence::Optional(_) => quote_spanned!(ty.span()=> .optional::<#ty>(#name, #summary)),
            Presence::Defaulted(value) => {
                let value = default_value(value, ty);
                quote_spanned!(ty.span()=> .defaulted::<#ty>(#name, #summary, &#value))
            }
        }
    }

    fn take(&self) -> TokenStream {
        let Self { name, ty, presence, .. } = self;
        match presence {
            Presence::Required => quote_spanned!(ty.span()=> params.required::<#ty>(#name)?),
            Presence::Optional(value) => quote_spanned!(ty.span()=> params.optional::<#value>(#name)?),
            Presence::Defaulted(value) => {
                let value = default_value(value, ty);
                quote_spanned!(ty.span()=> params.defaulted::<#ty>(#name, || #value)?)
            }
        }
    }
}

/// Text literals may stand for any type made from `&str`; everything else must have the parameter's type.
fn default_value(value: &Expr, ty: &Type) -> TokenStream {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => {
            quote_spanned!(value.span()=> <#ty as ::std::convert::From<&str>>::from(#value))
        }
        _ => quote_spanned!(value.span()=> { let value: #ty = #value; value }),
    }
}

fn check_parameter_type(ty: &Type) -> syn::Result<()> {
    match ty {
        Type::Reference(reference) => {
            let hint = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => "write `String`",
                Type::Slice(_) => "write `Vec<...>`",
                _ => "take it by value",
            };
            Err(syn::Error::new(
                ty.span(),
                format!("a parameter is read from JSON and must be owned: {hint}"),
            ))
        }
        Type::ImplTrait(_) => Err(syn::Error::new(
            ty.span(),
            "a parameter needs a concrete type: callers send JSON, so every type must be known",
        )),
        _ => Ok(()),
    }
}

impl Answer {
    fn read(output: &ReturnType) -> syn::Result<Self> {
        let ReturnType::Type(_, ty) = output else {
            return Ok(Self::Always(Box::new(syn::parse_quote!(()))));
        };
        let Some(segment) = last_segment(ty).filter(|segment| segment.ident == "Result") else {
            return Ok(Self::Always(ty.clone()));
        };
        match first_type_argument(segment) {
            Some(value) => Ok(Self::OrError(Box::new(value.clone()))),
            None => Err(syn::Error::new(
                ty.span(),
                "`Result` must name what it carries, for example `venom_sdk::Result<String>`",
            )),
        }
    }
}

/// `T` of a type written `Option<T>`.
fn optional_value(ty: &Type) -> Option<&Type> {
    last_segment(ty)
        .filter(|segment| segment.ident == "Option")
        .and_then(first_type_argument)
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

fn first_type_argument(segment: &PathSegment) -> Option<&Type> {
    match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        }),
        _ => None,
    }
}

/// `r#type` is `type` to callers.
fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}
