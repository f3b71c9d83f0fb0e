//! `#[transform]`.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericParam, ItemFn, LitStr, Result, ReturnType, Signature, Type};

pub fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        let error =
            Error::new(Span::call_site(), "`#[transform]` goes on a function").into_compile_error();
        return quote!(#item #error);
    };
    // The function stays, also beside an error, so that one mistake is told once.
    let made = transform(options, &function).unwrap_or_else(Error::into_compile_error);
    // Kept a function of its own in the component, so that a trap names it; the call costs 2 to 8 ns a row.
    quote!(#[cfg_attr(target_family = "wasm", inline(never))] #function #made)
}

fn transform(options: TokenStream, function: &ItemFn) -> Result<TokenStream> {
    let options = Options::read(options)?;
    let (input, output) = types(&function.sig)?;
    let doc = crate::doc::text(&function.attrs);
    if doc.is_empty() {
        let message = "say in a doc comment what this transform computes, in which units: it is shown in the registry";
        return Err(Error::new(function.sig.ident.span(), message));
    }
    let (name, version) = (options.name()?, options.version()?);
    let (ident, vis) = (&function.sig.ident, &function.vis);
    let private = quote!(::tidemill_sdk::__private);
    let type_doc = format!("The transform [`{}`](fn@{ident}) as a type.", name);

    // The types are written out, so that a mistake in one is told where the author wrote it.
    let (input, output) = (inferred(quote!(#input)), inferred(quote!(#output)));
    Ok(quote! {
        #[doc = #type_doc]
        #[allow(non_camel_case_types, dead_code)]
        #vis struct #ident {}

        const _: () = {
            #[automatically_derived]
            impl #private::Function for #ident {
                const ABOUT: #private::About = #private::About {
                    name: #name,
                    version: #version,
                    doc: #doc,
                    package: ::core::concat!(
                        ::core::env!("CARGO_PKG_NAME"), " ", ::core::env!("CARGO_PKG_VERSION")
                    ),
                };

                #[inline]
                fn enter<'block, V: #private::Visitor<'block>>(visitor: V) -> V::Given {
                    visitor.visit::<#input, #output>(#ident)
                }
            }

            #[cfg(target_family = "wasm")]
            #private::bindings::export_transform!(#ident);
        };
    })
}

/// A type with its lifetimes left to be inferred: those of the author's function have no name elsewhere.
fn inferred(r#type: TokenStream) -> TokenStream {
    let mut after_quote = false;
    let infer = |token| match token {
        TokenTree::Ident(ident) if std::mem::take(&mut after_quote) && ident != "static" => {
            Ident::new("_", ident.span()).into()
        }
        TokenTree::Group(group) => {
            let mut inner = Group::new(group.delimiter(), inferred(group.stream()));
            inner.set_span(group.span());
            inner.into()
        }
        token => {
            after_quote = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
            token
        }
    };
    r#type.into_iter().map(infer).collect()
}

/// The function's one argument and what it gives, or what is wrong with its signature.
fn types(signature: &Signature) -> Result<(&Type, &Type)> {
    let refuse = |span: Span, message: &str| Err(Error::new(span, message));
    if let Some(token) = &signature.asyncness {
        return refuse(
            token.span(),
            "a transform is not async: it has nothing to wait for",
        );
    }
    if let Some(token) = &signature.unsafety {
        return refuse(
            token.span(),
            "a transform is not unsafe: the host calls it with any row",
        );
    }
    if let Some(abi) = &signature.abi {
        return refuse(
            abi.span(),
            "a transform is an ordinary Rust function; the attribute makes the exports",
        );
    }
    for parameter in &signature.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            return refuse(
                parameter.span(),
                "a transform cannot be generic: each column has one type",
            );
        }
    }
    let mut arguments = signature.inputs.iter();
    let input = match (arguments.next(), arguments.next()) {
        (Some(FnArg::Typed(argument)), None) => &*argument.ty,
        (Some(FnArg::Receiver(receiver)), _) => {
            return refuse(
                receiver.span(),
                "a transform is a free function, not a method",
            );
        }
        (Some(_), Some(second)) => {
            let message = "a transform takes one argument: put all columns into one struct with `#[derive(Input)]`";
            return refuse(second.span(), message);
        }
        (None, _) => {
            let message = "a transform takes one argument: a struct with `#[derive(Input)]`";
            return refuse(signature.ident.span(), message);
        }
    };
    match (input, &signature.output) {
        (Type::Reference(reference), _) => refuse(
            reference.span(),
            "a transform takes its row by value, without `&`",
        ),
        (_, ReturnType::Default) => {
            let message = "a transform returns a struct with `#[derive(Output)]`, or `Result<…, Refusal>` of it";
            refuse(signature.ident.span(), message)
        }
        (_, ReturnType::Type(_, output)) => Ok((input, output)),
    }
}

#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    version: Option<LitStr>,
}

impl Options {
    fn read(tokens: TokenStream) -> Result<Options> {
        let mut options = Options::default();
        let parser = syn::meta::parser(|meta| {
            let option = match meta.path.get_ident().map(IdentExt::unraw) {
                Some(ident) if ident == "name" => &mut options.name,
                Some(ident) if ident == "version" => &mut options.version,
                _ => {
                    return Err(meta
                        .error("no such option; there are `name = \"…\"` and `version = \"…\"`"));
                }
            };
            *option = Some(meta.value()?.parse()?);
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(options)
    }

    fn name(&self) -> Result<String> {
        let (name, span) = match &self.name {
            Some(literal) => (literal.value(), literal.span()),
            None => (
                package("CARGO_PKG_NAME")?.replace('_', "-"),
                Span::call_site(),
            ),
        };
        let mut chars = name.chars();
        let good = chars.next().is_some_and(|first| first.is_ascii_lowercase())
            && chars.all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-');
        let message = format!(
            "`{name}` cannot be the name of a transform, which is made of lower-case letters, digits and hyphens \
             and starts with a letter; write `#[transform(name = \"…\")]`"
        );
        good.then_some(name)
            .ok_or_else(|| Error::new(span, message))
    }

    fn version(&self) -> Result<String> {
        let Some(literal) = &self.version else {
            return package("CARGO_PKG_VERSION");
        };
        let version = literal.value();
        let core = version.split(['-', '+']).next().unwrap_or_default();
        let numbers = core
            .split('.')
            .map(|part| part.parse::<u64>().is_ok())
            .collect::<Vec<_>>();
        match numbers == [true; 3] {
            true => Ok(version),
            false => Err(Error::new(
                literal.span(),
                "a version is semantic, like `1.0.0`",
            )),
        }
    }
}

/// What Cargo tells of the author's package.
fn package(variable: &str) -> Result<String> {
    std::env::var(variable).map_err(|_| {
        let message = format!(
            "Cargo did not set {variable}; write `#[transform(name = \"…\", version = \"…\")]`"
        );
        Error::new(Span::call_site(), message)
    })
}
