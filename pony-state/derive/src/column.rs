//! A field that is a column: its attributes, and the expressions that read, write and describe it.

use crate::attribute::{Given, at, option_of, path, require_name, text, word};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Ident, Lit, LitStr, Path, Result,
    Token, Type,
};

/// One column, as its field declares it.
pub(crate) struct Column<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) ty: &'a Type,
    /// Its name; lies where that was given.
    pub(crate) name: LitStr,
    /// Where it is said to be a key.
    pub(crate) key: Option<Span>,
    /// What stands for its type's own `Column`.
    with: Option<Path>,
    attrs: &'a [Attribute],
    /// Calls that complete its `ColumnSchema`.
    properties: Vec<TokenStream>,
    /// The table that it references.
    references: Option<LitStr>,
    needs_reference: Option<Span>,
    given: Given,
}

impl<'a> Column<'a> {
    /// Reads the field's attributes of that name.
    pub(crate) fn parse(field: &'a Field, attribute: &str) -> Result<Self> {
        let ident = field.ident.as_ref().ok_or_else(|| Error::new(field.span(), "columns need names"))?;
        let mut column = Self {
            ident,
            ty: &field.ty,
            name: LitStr::new(&ident.unraw().to_string(), ident.span()),
            key: None,
            with: None,
            attrs: &field.attrs,
            properties: Vec::new(),
            references: None,
            needs_reference: None,
            given: Given::default(),
        };
        for attr in field.attrs.iter().filter(|attr| attr.path().is_ident(attribute)) {
            attr.parse_nested_meta(|meta| column.property(&meta))?;
        }
        match column.needs_reference {
            Some(span) if column.references.is_none() => {
                Err(Error::new(span, "this needs `references = \"table\"` beside it"))
            }
            _ => Ok(column),
        }
    }

    /// Whether the field has attributes that only columns have.
    pub(crate) fn attribute(&self) -> Option<Span> {
        self.given.first()
    }

    fn property(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let known = self.given.once(meta)?;
        let tokens = match known.as_str() {
            "key" => {
                self.key = Some(meta.path.span());
                return Ok(());
            }
            "name" => {
                self.name = text(meta)?;
                return Ok(());
            }
            "with" => {
                self.with = Some(path(&text(meta)?)?);
                return Ok(());
            }
            "references" => {
                let table = text(meta)?;
                self.references = Some(table.clone());
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
                let scopes = [
                    ("follows", "Follows"),
                    ("follows-or-all", "FollowsOrAll"),
                    ("follows-widely", "FollowsWidely"),
                    ("brings", "Brings"),
                    ("brings-widely", "BringsWidely"),
                ];
                let scope = word(meta, &scopes)?;
                quote!(.scope(::pony_state::Scope::#scope))
            }
            "index" => quote!(.indexed()),
            "immutable" => quote!(.immutable()),
            "secret" => quote!(.secret()),
            "range" => {
                // Not as an expression: those with dots take all of syn.
                let input = meta.value()?;
                let (low, to, high): (Lit, Token![..=], Lit) =
                    (input.parse()?, input.parse()?, input.parse()?);
                quote_spanned!(low.span()=> .range(#low #to #high))
            }
            "default" | "default_json" => self.default(meta, &known)?,
            _ => {
                return Err(meta.error(
                    "unknown; a column takes key, name, with, references, soft, on_delete, scope, index, immutable, \
                     secret, range, default, default_json",
                ));
            }
        };
        self.properties.push(tokens);
        Ok(())
    }

    fn default(&self, meta: &ParseNestedMeta<'_>, kind: &str) -> Result<TokenStream> {
        if self.given.has("default") && self.given.has("default_json") {
            return Err(meta.error("a column has one default"));
        }
        let (json, span) = if kind == "default" {
            let expr: Expr = meta.value()?.parse()?;
            (literal(&expr)?, expr.span())
        } else {
            let json = text(meta)?;
            (json.value(), json.span())
        };
        serde_json::from_str::<serde_json::Value>(&json)
            .map_err(|error| Error::new(span, format!("this is not JSON: {error}")))?;
        Ok(quote!(.default_json(#json)))
    }

    /// What must hold of the names that it gives, for the compiler to check.
    pub(crate) fn requirements(&self) -> TokenStream {
        let names = std::iter::once(&self.name).chain(&self.references).map(require_name);
        quote!(#(#names)*)
    }

    /// The expression that builds its `ColumnSchema`.
    pub(crate) fn schema(&self) -> TokenStream {
        let (ty, name, doc, properties) = (self.ty, &self.name, doc(self.attrs), &self.properties);
        let column = match &self.with {
            None => quote_spanned!(ty.span()=> ::pony_state::ColumnSchema::of::<#ty>(#name)),
            Some(with) => {
                let nullable = option_of(ty).map(|_| quote!(.nullable()));
                quote!(::pony_state::ColumnSchema::new(#name, #with::column_type()) #nullable)
            }
        };
        quote!(#column.doc(#doc) #(#properties)*)
    }

    /// The `Value` of a reference to the field's type.
    pub(crate) fn to_value(&self, it: &TokenStream) -> TokenStream {
        match &self.with {
            None => quote_spanned!(at(self.ty.span())=> ::pony_state::Column::to_value(#it)),
            Some(with) if option_of(self.ty).is_some() => {
                quote_spanned!(at(with.span())=> ::pony_state::derived::optional_to_value(#it, |it| #with::to_value(it)))
            }
            Some(with) => quote_spanned!(at(with.span())=> #with::to_value(#it)),
        }
    }

    /// A reference to the field of `self`.
    pub(crate) fn of_self(&self) -> TokenStream {
        let ident = self.ident;
        quote_spanned!(at(self.ty.span())=> &self.#ident)
    }

    /// Whether what a reference refers to has the value that another one refers to.
    pub(crate) fn is(&self, it: &TokenStream, value: &TokenStream) -> TokenStream {
        if self.with.is_none() {
            return quote_spanned!(at(self.ty.span())=> ::pony_state::Column::is(#it, #value));
        }
        let it = self.to_value(it);
        quote!(#it == *#value)
    }

    /// What a reference refers to, where that is a `K`; `None` where this crate does not know that.
    pub(crate) fn typed(&self, it: &TokenStream) -> Option<TokenStream> {
        let typed = quote_spanned!(at(self.ty.span())=> ::pony_state::Column::typed(#it));
        self.with.is_none().then_some(typed)
    }

    /// The field's value, or an error, from its place among `values`.
    pub(crate) fn read(&self, place: usize) -> TokenStream {
        let ty = self.ty;
        match &self.with {
            None => quote_spanned!(at(ty.span())=> ::pony_state::read_column::<#ty>(values, #place)),
            Some(with) => {
                let read = match option_of(ty) {
                    Some(_) => quote!(read_optional_with),
                    None => quote!(read_with),
                };
                let read = quote_spanned!(at(with.span())=> ::pony_state::derived::#read);
                quote_spanned!(at(with.span())=> #read(values, #place, |value| #with::from_value(value)))
            }
        }
    }

    /// Whether the field equals what a reference to its type refers to, as [`Column::cmp`] says.
    pub(crate) fn eq(&self, it: &TokenStream, other: &TokenStream) -> TokenStream {
        if self.with.is_none() {
            return quote_spanned!(at(self.ty.span())=> ::core::cmp::PartialEq::eq(#it, #other));
        }
        let cmp = self.cmp(it, other);
        quote!((#cmp).is_eq())
    }

    /// The rank of what a reference refers to, for a key column.
    pub(crate) fn rank(&self, it: &TokenStream) -> TokenStream {
        match self.with {
            None => quote_spanned!(at(self.ty.span())=> ::pony_state::Column::rank(#it)),
            Some(_) => quote!(0),
        }
    }

    /// How the field compares with a reference to its type: as [`Column::to_value`]s do.
    pub(crate) fn cmp(&self, it: &TokenStream, other: &TokenStream) -> TokenStream {
        if self.with.is_none() {
            return quote_spanned!(at(self.ty.span())=> ::core::cmp::Ord::cmp(#it, #other));
        }
        let (it, other) = (self.to_value(it), self.to_value(other));
        quote!(::core::cmp::Ord::cmp(&#it, &#other))
    }
}

/// Refuses a second column of one name, at its name.
pub(crate) fn check_names(columns: &[Column<'_>]) -> Result<()> {
    for (place, column) in columns.iter().enumerate() {
        let name = column.name.value();
        if columns.iter().take(place).any(|other| other.name.value() == name) {
            return Err(Error::new(column.name.span(), format!("there is another column `{name}`")));
        }
    }
    Ok(())
}

/// The named fields of a struct.
pub(crate) fn fields<'a>(input: &'a DeriveInput, derive: &str) -> Result<Vec<&'a Field>> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, format!("{derive} takes no generic types")));
    }
    match &input.data {
        Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => Ok(data.fields.iter().collect()),
        Data::Enum(_) => {
            let message = format!("{derive} needs a struct with named fields; an enum derives Enum");
            Err(Error::new(input.ident.span(), message))
        }
        _ => Err(Error::new(input.ident.span(), format!("{derive} needs a struct with named fields"))),
    }
}

/// A Rust literal as JSON text.
fn literal(expr: &Expr) -> Result<String> {
    let wrong =
        || Error::new_spanned(expr, "this must be a literal; other defaults go into `default_json = \"…\"`");
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
