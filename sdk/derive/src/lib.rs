//! The macros of `tidemill-sdk`, where they are documented and from where they are used.

mod columns;
mod derive;
mod doc;
mod function;

use proc_macro::TokenStream;

/// Makes a struct the input of a transform: each field is one column.
///
/// The struct has named fields and at most one lifetime, from which it borrows text and lists. A field's doc comment
/// is carried in the component, and `#[field(min = 0.0, max = 1.0, rename = "type")]` says more: the range of a
/// number, both ends included, which callers must keep, and another name for the column.
#[proc_macro_derive(Input, attributes(field))]
pub fn input(item: TokenStream) -> TokenStream {
    derive::expand(item.into(), derive::Side::Input).into()
}

/// Makes a struct the output of a transform: each field is one feature.
///
/// As for `Input`: named fields, at most one lifetime, doc comments, `#[field(…)]`. Here `min` and `max` are a
/// promise that the transform makes, and the host holds it to it.
#[proc_macro_derive(Output, attributes(field))]
pub fn output(item: TokenStream) -> TokenStream {
    derive::expand(item.into(), derive::Side::Output).into()
}

/// Makes a function a transform: one argument that is an `Input`, and an `Output` or a `Result` of one back.
///
/// The function stays as it is. Beside it stands a type of the same name, for `tidemill_sdk::testing::run`, and, in a
/// build for WebAssembly, the exports of the component: so one transform a crate there.
///
/// Name and version are those of the package, unless `#[transform(name = "…", version = "…")]` says otherwise; the
/// doc comment is the description. The function must be pure: equal rows, equal answers.
#[proc_macro_attribute]
pub fn transform(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(options.into(), item.into()).into()
}
