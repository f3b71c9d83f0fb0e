//! `#[derive(Input)]` and `#[derive(Output)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, GenericParam, Generics, Index, Lifetime, Result, Type};

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
    let (constants, checks) = (constants(&columns, side), checks(&columns));
    let (name, private) = (&item.ident, private());
    // `<'a>` for a struct that borrows, nothing for one that does not.
    let arguments = lifetime.as_ref().map(|lifetime| quote!(<#lifetime>));
    let implementations = match side {
        Side::Input => {
            let block = lifetime.unwrap_or_else(|| Lifetime::new("'block", Span::call_site()));
            let read = read(&columns, &block);
            quote! {
                #[automatically_derived]
                impl<#block> #private::Input<#block> for #name #arguments {
                    #constants
                    #read
                }
            }
        }
        Side::Output => {
            let write = write(&columns);
            quote! {
                #[automatically_derived]
                impl #arguments #private::Output for #name #arguments {
                    #constants
                    #write
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
    };
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

fn constants(columns: &[Column], side: Side) -> TokenStream {
    let private = private();
    let shapes = columns.iter().map(|Column { r#type, .. }| match side {
        Side::Input => quote_spanned!(r#type.span()=> <#r#type as #private::FromColumn<'_>>::SHAPE),
        Side::Output => quote_spanned!(r#type.span()=> <#r#type as #private::IntoColumn>::SHAPE),
    });
    let fields = columns.iter().map(
        |Column {
             name,
             doc,
             minimum,
             maximum,
             ..
         }| {
            let bound = |bound: &Option<syn::Expr>| match bound {
                Some(bound) => quote!(::core::option::Option::Some(#bound)),
                None => quote!(::core::option::Option::None),
            };
            let (minimum, maximum) = (bound(minimum), bound(maximum));
            quote!(#private::Field { name: #name, doc: #doc, minimum: #minimum, maximum: #maximum })
        },
    );
    quote! {
        const SHAPES: &'static [#private::Shape] = &[#(#shapes),*];
        const FIELDS: &'static [#private::Field] = &[#(#fields),*];
    }
}

/// Checks of ranges, each pointing at the author's own tokens.
fn checks(columns: &[Column]) -> TokenStream {
    let private = private();
    let checks = columns.iter().filter_map(|Column { r#type, minimum, maximum, .. }| {
        let bound = minimum.as_ref().or(maximum.as_ref())?;
        let ascending = minimum.as_ref().zip(maximum.as_ref()).map(|(minimum, maximum)| {
            quote_spanned! {bound.span()=>
                const _: () = assert!(#minimum <= #maximum, "the range of a field goes from `min` up to `max`");
            }
        });
        let ranged = quote_spanned!(r#type.span()=> ranged::<#r#type>());
        Some(quote! {
            #ascending
            const _: fn() = || {
                fn ranged<T: #private::Ranged>() {}
                #ranged
            };
        })
    });
    quote!(#(#checks)*)
}

fn read(columns: &[Column], block: &Lifetime) -> TokenStream {
    let private = private();
    let types = columns.iter().map(|Column { r#type, .. }| {
        quote_spanned!(r#type.span()=> <#r#type as #private::FromColumn<#block>>::Column)
    });
    let opens = columns
        .iter()
        .enumerate()
        .map(|(position, Column { r#type, .. })| {
            let open = quote_spanned!(r#type.span()=> <#r#type as #private::FromColumn<'_>>::open);
            quote!(#open(reader, const { #private::Slot::of(Self::SHAPES, #position) }))
        });
    let reads = columns
        .iter()
        .enumerate()
        .map(|(position, Column { member, r#type, .. })| {
            let read = quote_spanned!(r#type.span()=> <#r#type as #private::FromColumn<'_>>::read);
            let column = Index::from(position);
            quote!(#member: #read(&columns.#column, row))
        });
    quote! {
        type Columns = (#(#types,)*);

        #[inline]
        fn open(reader: &#private::Reader<#block>) -> Self::Columns {
            (#(#opens,)*)
        }

        #[inline]
        fn read(columns: &Self::Columns, row: usize) -> Self {
            Self { #(#reads),* }
        }
    }
}

fn write(columns: &[Column]) -> TokenStream {
    let private = private();
    let types = columns.iter().map(|Column { r#type, .. }| {
        quote_spanned!(r#type.span()=> <#r#type as #private::IntoColumn>::Column<'pools>)
    });
    let opens = columns.iter().map(|Column { r#type, .. }| {
        let open = quote_spanned!(r#type.span()=> <#r#type as #private::IntoColumn>::open);
        quote!(#open(pools))
    });
    let writes = columns
        .iter()
        .enumerate()
        .map(|(position, Column { member, r#type, .. })| {
            let write = quote_spanned!(r#type.span()=> <#r#type as #private::IntoColumn>::write);
            let column = Index::from(position);
            quote!(#write(self.#member, &mut columns.#column, row))
        });
    let skips = columns
        .iter()
        .enumerate()
        .map(|(position, Column { r#type, .. })| {
            let skip = quote_spanned!(r#type.span()=> <#r#type as #private::IntoColumn>::skip);
            let column = Index::from(position);
            quote!(#skip(&mut columns.#column))
        });
    quote! {
        type Columns<'pools> = (#(#types,)*);

        #[inline]
        fn open<'pools>(pools: &mut #private::Pools<'pools>) -> Self::Columns<'pools> {
            (#(#opens,)*)
        }

        #[inline]
        fn write(self, columns: &mut Self::Columns<'_>, row: usize) {
            #(#writes;)*
        }

        fn skip(columns: &mut Self::Columns<'_>) {
            #(#skips;)*
        }
    }
}
