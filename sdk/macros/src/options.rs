//! `#[skill(name = "...", new = expression)]`, and reading doc comments.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, Lit, LitStr, Meta, Token};

/// What the attribute's brackets say.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) new: Option<Expr>,
}

enum Setting {
    Name(LitStr),
    New(Box<Expr>),
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        match key.to_string().as_str() {
            "name" => Ok(Self::Name(input.parse()?)),
            "new" => Ok(Self::New(Box::new(input.parse()?))),
            _ => Err(syn::Error::new(
                key.span(),
                "unknown setting; known: name = \"...\", new = expression",
            )),
        }
    }
}

impl Options {
    pub(crate) fn parse(arguments: TokenStream) -> syn::Result<Self> {
        let settings = Punctuated::<Setting, Token![,]>::parse_terminated.parse2(arguments)?;
        let mut options = Self::default();
        for setting in settings {
            match setting {
                Setting::Name(name) if name.value().is_empty() => {
                    return Err(syn::Error::new(name.span(), "a skill needs a name"));
                }
                Setting::Name(name) => options.name = Some(name),
                Setting::New(new) => options.new = Some(*new),
            }
        }
        Ok(options)
    }
}

/// The text of doc comments: lines joined, paragraphs kept.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let mut text = String::new();
    for line in lines.flat_map(|text| text.split('\n').map(|line| line.trim().to_owned()).collect::<Vec<_>>()) {
        if line.is_empty() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push_str("\n\n");
            }
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(&line);
        }
    }
    text.trim().to_owned()
}
