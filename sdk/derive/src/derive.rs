//! `#[derive(Input)]` and `#[derive(Output)]`.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Expr, GenericParam, Generics, Ident, Lifetime, Result, Type};

use crate::columns::{self, Column};

#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Input,
    Output,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Input => "Input",
            Side::Output => "Output",
        }
    }
}

pub fn expand(item: TokenStream, side: Side) -> TokenStream {
    let implementation = syn::parse2(item).and_then(|item| implementation(&item, side));
    implementation.unwrap_or_else(Error::into_compile_error)
}

fn implementation(item: &DeriveInput, side: Side) -> Result<TokenStream> {
    let lifetime = lifetime(&item.generics, side)?;
    let columns = columns::read(columns::named(&item.data, &item.ident, side.name())?)?;
    if side == Side::Input {
        columns
            .iter()
            .try_for_each(|column| borrowed(&column.r#type))?;
    }
    let implementations = match side {
        Side::Input => input(&item.ident, lifetime, &columns),
        Side::Output => output(&item.ident, lifetime, &columns),
    };
    let checks = checks(&columns);
    Ok(quote! {
        const _: () = {
            #implementations
            #checks
        };
    })
}

/// The SDK's door for macros. Whole paths throughout: the author may have a `Field` or a `Slot` of their own.
fn private() -> TokenStream {
    quote!(::tidemill_sdk::__private)
}

/// The one lifetime a struct may have, from which it borrows.
fn lifetime(generics: &Generics, side: Side) -> Result<Option<Lifetime>> {
    let mut found = None;
    for parameter in &generics.params {
        match parameter {
            GenericParam::Lifetime(parameter) if found.is_none() => {
                found = Some(parameter.lifetime.clone())
            }
            GenericParam::Lifetime(parameter) => {
                let message = format!(
                    "an {} has at most one lifetime: that of the block it borrows from",
                    side.name()
                );
                return Err(Error::new(parameter.span(), message));
            }
            GenericParam::Type(_) | GenericParam::Const(_) => {
                let message = format!(
                    "an {} cannot be generic: each column has one type",
                    side.name()
                );
                return Err(Error::new(parameter.span(), message));
            }
        }
    }
    Ok(found)
}

/// Says what to write instead of `&'static str`, where the compiler would only speak of lifetimes.
fn borrowed(r#type: &Type) -> Result<()> {
    match r#type {
        Type::Reference(reference)
            if reference
                .lifetime
                .as_ref()
                .is_some_and(|life| life.ident == "static") =>
        {
            let message =
                "an Input borrows from the block: give the struct a lifetime, and write `&'a …`";
            Err(Error::new(reference.span(), message))
        }
        _ => Ok(()),
    }
}

fn input(name: &Ident, lifetime: Option<Lifetime>, columns: &[Column]) -> TokenStream {
    let private = private();
    // `<'a>` for a struct that borrows, nothing for one that does not.
    let arguments = lifetime.as_ref().map(|lifetime| quote!(<#lifetime>));
    let block = lifetime.unwrap_or_else(|| Lifetime::new("'block", Span::call_site()));
    let constants = constants(columns, quote!(FromColumn));
    let (mut opens, mut reads) = (Vec::new(), Vec::new());
    for (position, column) in columns.iter().enumerate() {
        let (member, local) = (&column.member, format_ident!("column_{position}"));
        let slot = quote!(const { #private::Slot::of(Self::SHAPES, #position) });
        let open = column.item(quote!(FromColumn), quote!(open(reader, #slot)));
        let read = column.item(quote!(FromColumn), quote!(read(&#local, row)));
        opens.push(quote!(let #local = #open;));
        reads.push(quote!(#member: #read));
    }
    quote! {
        #[automatically_derived]
        impl<#block> #private::Input<#block> for #name #arguments {
            #constants

            #[inline]
            fn rows(reader: #private::Reader<#block>) -> impl ::core::ops::Fn(usize) -> Self {
                #(#opens)*
                move |row| Self { #(#reads),* }
            }
        }
    }
}

fn output(name: &Ident, lifetime: Option<Lifetime>, columns: &[Column]) -> TokenStream {
    let private = private();
    let arguments = lifetime.map(|lifetime| quote!(<#lifetime>));
    let constants = constants(columns, quote!(IntoColumn));
    let (mut opens, mut writes, mut skips) = (Vec::new(), Vec::new(), Vec::new());
    for (position, column) in columns.iter().enumerate() {
        let (member, local) = (&column.member, format_ident!("column_{position}"));
        let item = |item| column.item(quote!(IntoColumn), item);
        let (open, skip) = (item(quote!(open(pools))), item(quote!(skip(&mut #local))));
        let write = item(quote!(write(output.#member, &mut #local, row)));
        opens.push(quote!(let mut #local = #open;));
        writes.push(quote!(#write;));
        skips.push(quote!(#skip;));
    }
    quote! {
        #[automatically_derived]
        impl #arguments #private::Output for #name #arguments {
            #constants

            #[inline]
            fn fill(
                pools: &mut #private::Pools<'_>,
                rows: usize,
                mut next: impl ::core::ops::FnMut(usize) -> ::core::option::Option<Self>,
            ) {
                #(#opens)*
                for row in 0..rows {
                    match next(row) {
                        ::core::option::Option::Some(output) => { #(#writes)* }
                        ::core::option::Option::None => { #(#skips)* }
                    }
                }
            }
        }

        #[automatically_derived]
        impl #arguments #private::Outcome for #name #arguments {
            type Output = Self;

            #[inline]
            fn into_result(self) -> ::core::result::Result<Self, ::tidemill_sdk::Refusal> {
                ::core::result::Result::Ok(self)
            }
        }
    }
}

impl Column {
    /// A use of a trait's item for the field's type. For the compiler all its tokens lie where the author wrote the type:
    /// so does what it has to say of them, and what it says twice is told once.
    fn item(&self, of: TokenStream, item: TokenStream) -> TokenStream {
        let r#type = &self.r#type;
        let first = r#type.span();
        let last = r#type.to_token_stream().into_iter().last();
        let last = last.map_or(first, |token| token.span());
        let open = quote_spanned!(first=> <);
        let rest = located(quote!(as ::tidemill_sdk::__private::#of>::#item), last);
        quote!(#open #r#type #rest)
    }
}

fn located(tokens: TokenStream, span: Span) -> TokenStream {
    let located = tokens.into_iter().map(|token| match token {
        TokenTree::Group(group) => {
            let inner = located(group.stream(), span);
            let mut group = Group::new(group.delimiter(), inner);
            group.set_span(span);
            group.into()
        }
        mut token => {
            token.set_span(span);
            token
        }
    });
    located.collect()
}

fn constants(columns: &[Column], of: TokenStream) -> TokenStream {
    let private = private();
    let shape = |column: &Column| column.item(of.clone(), quote!(SHAPE));
    let shapes = columns.iter().map(shape);
    let fields = columns.iter().map(|column| {
        let bound = |bound: &Option<Expr>| match bound {
            Some(bound) => quote!(::core::option::Option::Some(#bound)),
            None => quote!(::core::option::Option::None),
        };
        let (name, doc) = (&column.name, &column.doc);
        let (minimum, maximum) = (bound(&column.minimum), bound(&column.maximum));
        quote!(#private::Field { name: #name, doc: #doc, minimum: #minimum, maximum: #maximum })
    });
    quote! {
        const SHAPES: &'static [#private::Shape] = &[#(#shapes),*];
        const FIELDS: &'static [#private::Field] = &[#(#fields),*];
    }
}

/// Checks of ranges, each pointing at the author's own tokens.
fn checks(columns: &[Column]) -> TokenStream {
    let private = private();
    let mut checks = TokenStream::new();
    for Column {
        r#type,
        minimum,
        maximum,
        ..
    } in columns
    {
        if let (Some(minimum), Some(maximum)) = (minimum, maximum) {
            checks.extend(quote_spanned! {minimum.span()=>
                const _: () = ::tidemill_sdk::__private::ascending(#minimum, #maximum);
            });
        }
        if minimum.is_some() || maximum.is_some() {
            let ranged = quote_spanned!(r#type.span()=> ranged::<#r#type>());
            checks.extend(quote! {
                const _: fn() = || {
                    fn ranged<T: #private::Ranged>() {}
                    #ranged
                };
            });
        }
    }
    checks
}
