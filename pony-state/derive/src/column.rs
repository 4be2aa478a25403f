//! A field that is a column: its attributes, and the expression that builds its `ColumnSchema`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Ident, Lit, LitStr, Result};

/// One column, as its field declares it.
pub(crate) struct Column<'a> {
    pub(crate) field: &'a Field,
    pub(crate) ident: &'a Ident,
    pub(crate) key: bool,
    name: String,
    properties: Vec<TokenStream>,
    references: bool,
    needs_reference: Option<Span>,
}

impl<'a> Column<'a> {
    /// Reads the field's attributes of that name.
    pub(crate) fn parse(field: &'a Field, attribute: &str) -> Result<Self> {
        let ident = field.ident.as_ref().ok_or_else(|| Error::new(field.span(), "columns need names"))?;
        let mut column = Self {
            field,
            ident,
            key: false,
            name: ident.unraw().to_string(),
            properties: Vec::new(),
            references: false,
            needs_reference: None,
        };
        for attr in field.attrs.iter().filter(|attr| attr.path().is_ident(attribute)) {
            attr.parse_nested_meta(|meta| column.property(&meta))?;
        }
        match column.needs_reference {
            Some(span) if !column.references => {
                Err(Error::new(span, "this needs `references = \"table\"` beside it"))
            }
            _ => Ok(column),
        }
    }

    fn property(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let known = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let tokens = match known.as_str() {
            "key" => {
                self.key = true;
                return Ok(());
            }
            "name" => {
                self.name = text(meta)?.value();
                return Ok(());
            }
            "references" => {
                self.references = true;
                let table = text(meta)?;
                quote!(.references(#table))
            }
            "soft" => {
                self.needs_reference = Some(meta.path.span());
                quote!(.soft())
            }
            "on_delete" => {
                self.needs_reference = Some(meta.path.span());
                let action =
                    word(meta, &[("restrict", "Restrict"), ("cascade", "Cascade"), ("set-null", "SetNull")])?;
                quote!(.on_delete(::pony_state::OnDelete::#action))
            }
            "scope" => {
                self.needs_reference = Some(meta.path.span());
                let scope = word(meta, &[("follows", "Follows"), ("brings", "Brings")])?;
                quote!(.scope(::pony_state::Scope::#scope))
            }
            "index" => quote!(.indexed()),
            "immutable" => quote!(.immutable()),
            "secret" => quote!(.secret()),
            "default" => {
                let expr: Expr = meta.value()?.parse()?;
                let json = literal(&expr)?;
                check_json(&json, expr.span())?;
                quote!(.default_json(#json))
            }
            "default_json" => {
                let json = text(meta)?;
                check_json(&json.value(), json.span())?;
                quote!(.default_json(#json))
            }
            _ => {
                return Err(meta.error(
                    "unknown; a column takes key, name, references, soft, on_delete, scope, index, immutable, secret, \
                     default, default_json",
                ));
            }
        };
        self.properties.push(tokens);
        Ok(())
    }

    /// The expression that builds its `ColumnSchema`.
    pub(crate) fn schema(&self) -> TokenStream {
        let (ty, name, doc, properties) =
            (&self.field.ty, &self.name, doc(&self.field.attrs), &self.properties);
        let column = quote_spanned!(ty.span()=> ::pony_state::ColumnSchema::of::<#ty>(#name));
        quote!(#column.doc(#doc) #(#properties)*)
    }
}

/// The named fields of a struct.
pub(crate) fn fields<'a>(input: &'a DeriveInput, derive: &str) -> Result<Vec<&'a Field>> {
    if !input.generics.params.is_empty() {
        return Err(Error::new(input.generics.span(), format!("{derive} takes no generic types")));
    }
    match &input.data {
        Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => Ok(data.fields.iter().collect()),
        _ => Err(Error::new(input.ident.span(), format!("{derive} needs a struct with named fields"))),
    }
}

/// `… = "text"`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    meta.value()?.parse()
}

/// `… = "word"`, one of a few, each standing for a Rust name.
pub(crate) fn word(meta: &ParseNestedMeta<'_>, words: &[(&str, &str)]) -> Result<Ident> {
    let given = text(meta)?;
    let known = words.iter().find(|(word, _)| *word == given.value());
    known.map(|(_, name)| Ident::new(name, given.span())).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        Error::new(given.span(), format!("this must be one of {}", words.join(", ")))
    })
}

/// A Rust literal as JSON text.
fn literal(expr: &Expr) -> Result<String> {
    let wrong =
        || Error::new(expr.span(), "this must be a literal; other defaults go into `default_json = \"…\"`");
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            Ok(serde_json::Value::from(text.value()).to_string())
        }
        Expr::Lit(ExprLit { lit: Lit::Bool(it), .. }) => Ok(it.value.to_string()),
        Expr::Lit(ExprLit { lit: Lit::Int(it), .. }) => Ok(it.base10_digits().to_owned()),
        Expr::Lit(ExprLit { lit: Lit::Float(it), .. }) => Ok(it.base10_digits().to_owned()),
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Neg(_)) => match &*unary.expr {
            Expr::Lit(ExprLit { lit: Lit::Int(_) | Lit::Float(_), .. }) => {
                Ok(format!("-{}", literal(&unary.expr)?))
            }
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn check_json(json: &str, span: Span) -> Result<()> {
    let parsed = serde_json::from_str::<serde_json::Value>(json);
    parsed.map(drop).map_err(|error| Error::new(span, format!("this is not JSON: {error}")))
}

/// The doc comment, one paragraph per paragraph.
pub(crate) fn doc(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter(|attr| attr.path().is_ident("doc")).filter_map(|attr| {
        let value = &attr.meta.require_name_value().ok()?.value;
        match value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value().trim().to_owned()),
            _ => None,
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.trim().split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}
