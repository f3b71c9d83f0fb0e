//! The fields of a struct as columns: name, doc, range.

use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, ExprUnary, Field, Fields, FieldsNamed, Ident, Lit, LitFloat,
    LitStr, Result, Type, UnOp,
};

/// One field of the author's struct.
pub struct Column {
    pub member: Ident,
    pub r#type: Type,
    pub name: String,
    pub doc: String,
    pub minimum: Option<Expr>,
    pub maximum: Option<Expr>,
}

/// Reads every field, and tells all that is wrong with them at once.
pub fn read(fields: &FieldsNamed) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    let mut errors: Option<Error> = None;
    for field in &fields.named {
        let column = column(field).and_then(|column| {
            match columns.iter().find(|other| other.name == column.name) {
                Some(_) => Err(Error::new(
                    column.member.span(),
                    format!("there is another column `{}`", column.name),
                )),
                None => Ok(column),
            }
        });
        match (column, &mut errors) {
            (Ok(column), _) => columns.push(column),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), none) => *none = Some(error),
        }
    }
    errors.map_or(Ok(columns), Err)
}

/// The named fields of a struct, or what is wrong with it.
pub fn named<'a>(data: &'a syn::Data, whole: &Ident, what: &str) -> Result<&'a FieldsNamed> {
    let wrong = |found: &str| {
        let message =
            format!("an {what} is a struct with named fields, one a column; this is {found}");
        Err(Error::new(whole.span(), message))
    };
    match data {
        syn::Data::Enum(_) => wrong("an enum"),
        syn::Data::Union(_) => wrong("a union"),
        syn::Data::Struct(data) => match &data.fields {
            Fields::Unnamed(_) => wrong("a tuple struct"),
            Fields::Named(named) if !named.named.is_empty() => Ok(named),
            Fields::Named(_) | Fields::Unit => wrong("a struct without fields"),
        },
    }
}

fn column(field: &Field) -> Result<Column> {
    let member = field.ident.clone().expect("a named field");
    let options = options(&field.attrs)?;
    Ok(Column {
        name: options.rename.unwrap_or_else(|| member.unraw().to_string()),
        member,
        r#type: field.ty.clone(),
        doc: crate::doc::text(&field.attrs),
        minimum: options.minimum,
        maximum: options.maximum,
    })
}

#[derive(Default)]
struct Options {
    rename: Option<String>,
    minimum: Option<Expr>,
    maximum: Option<Expr>,
}

fn options(attributes: &[Attribute]) -> Result<Options> {
    let mut options = Options::default();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("field"))
    {
        attribute.parse_nested_meta(|meta| {
            let twice = || Err(Error::new(meta.path.span(), "said twice"));
            if meta.path.is_ident("min") {
                options
                    .minimum
                    .replace(float(meta.value()?.parse()?))
                    .map_or(Ok(()), |_| twice())
            } else if meta.path.is_ident("max") {
                options
                    .maximum
                    .replace(float(meta.value()?.parse()?))
                    .map_or(Ok(()), |_| twice())
            } else if meta.path.is_ident("rename") {
                let name = column_name(&meta.value()?.parse()?)?;
                options.rename.replace(name).map_or(Ok(()), |_| twice())
            } else {
                Err(meta.error("no such option; there are `min = …`, `max = …`, `rename = \"…\"`"))
            }
        })?;
    }
    Ok(options)
}

/// An integer literal as a float, so that `min = 0` may be said of a float. Anything else must be an `f64` as it is.
fn float(mut bound: Expr) -> Expr {
    let literal = match &mut bound {
        Expr::Unary(ExprUnary {
            expr,
            op: UnOp::Neg(_),
            ..
        }) => expr,
        expr => expr,
    };
    if let Expr::Lit(ExprLit { lit, .. }) = literal
        && let Lit::Int(integer) = lit
        && integer.suffix().is_empty()
    {
        *lit = LitFloat::new(&format!("{}.0", integer.base10_digits()), integer.span()).into();
    }
    bound
}

/// A dot would read as `view.column` in a feature service.
fn column_name(literal: &LitStr) -> Result<String> {
    let name = literal.value();
    let good = !name.is_empty()
        && name
            .chars()
            .all(|char| char.is_alphanumeric() || "_-".contains(char));
    match good {
        true => Ok(name),
        false => Err(Error::new(
            literal.span(),
            "a column's name is made of letters, digits, `_` and `-`",
        )),
    }
}
