//! `#[derive(Entity)]`.

use crate::column::{Column, doc, fields, text, word};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    DeriveInput, Error, Field, GenericArgument, Ident, LitStr, PathArguments, Result, Token, Type,
    parenthesized,
};

/// What the struct's own attributes say.
#[derive(Default)]
struct Table {
    name: Option<LitStr>,
    /// Statements that complete a `TableSchema` named `table`.
    properties: Vec<TokenStream>,
}

/// The struct's fields.
struct Columns<'a> {
    key: Vec<Column<'a>>,
    desired: Option<&'a Type>,
    current: Option<&'a Type>,
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let mut table = Table::default();
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("entity")) {
        attr.parse_nested_meta(|meta| table.property(&meta))?;
    }
    let columns = Columns::parse(input)?;
    let name = table.name.as_ref().ok_or_else(|| {
        Error::new(input.ident.span(), "Entity needs the table's name: `#[entity(table = \"…\")]`")
    })?;
    let (row, entity) = (row_impl(&input.ident, &columns), entity_impl(input, name, &table, &columns));
    Ok(quote!(#row #entity))
}

impl Table {
    fn property(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let known = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let tokens = match known.as_str() {
            "table" => {
                self.name = Some(text(meta)?);
                return Ok(());
            }
            "user_key" => quote!(table.user_key = true;),
            "read_only" => quote!(table.read_only = true;),
            "stored" => {
                let stored = word(meta, &[("database", "Database"), ("nowhere", "Nowhere")])?;
                quote!(table.stored = ::pony_state::Stored::#stored;)
            }
            "mount" => mount(meta)?,
            "join" => {
                let [left, right] = texts(meta)?;
                quote!(table.join = ::core::option::Option::Some((#left.into(), #right.into()));)
            }
            "unique" => columns_rule(meta, &quote!(Unique))?,
            "unique_nulls_equal" => columns_rule(meta, &quote!(UniqueNullsEqual))?,
            "check" => {
                let [sql, message] = texts(meta)?;
                rule(&quote!(Check { sql: #sql.into(), message: #message.into() }))
            }
            "no_overlap" => {
                let [within, range] = named(meta, ["within", "range"])?;
                rule(&quote!(NoOverlap { within: #within.into(), range: #range.into() }))
            }
            "inside" => {
                let [column, via, range] = named(meta, ["column", "via", "range"])?;
                rule(&quote!(Inside { column: #column.into(), via: #via.into(), range: #range.into() }))
            }
            _ => {
                return Err(meta.error(
                    "unknown; an entity takes table, user_key, read_only, stored, mount, join, unique, \
                     unique_nulls_equal, check, no_overlap, inside",
                ));
            }
        };
        self.properties.push(tokens);
        Ok(())
    }
}

fn rule(rule: &TokenStream) -> TokenStream {
    quote!(table.rules.push(::pony_state::Rule::#rule);)
}

fn columns_rule(meta: &ParseNestedMeta<'_>, kind: &TokenStream) -> Result<TokenStream> {
    let columns = list(meta)?;
    if columns.is_empty() {
        return Err(meta.error("this needs the names of columns: `(\"a\", \"b\")`"));
    }
    Ok(rule(&quote!(#kind(::std::vec![#(#columns.into()),*]))))
}

/// `…("a", "b")`.
fn list(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    let content;
    parenthesized!(content in meta.input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

/// The same, with a fixed number of texts.
fn texts<const N: usize>(meta: &ParseNestedMeta<'_>) -> Result<[LitStr; N]> {
    list(meta)?.try_into().map_err(|_| meta.error(format!("this takes {N} texts: `(\"…\", \"…\")`")))
}

/// `…(a = "x", b = "y")`, every name exactly once.
fn named<const N: usize>(meta: &ParseNestedMeta<'_>, names: [&str; N]) -> Result<[LitStr; N]> {
    let optional = optional(meta, names)?;
    let mut missing = names.iter().zip(&optional).filter(|(_, value)| value.is_none());
    if let Some((name, _)) = missing.next() {
        return Err(meta.error(format!("`{name} = \"…\"` is missing")));
    }
    let values: Vec<LitStr> = optional.into_iter().flatten().collect();
    values.try_into().map_err(|_| meta.error("wrong number of values"))
}

/// `…(a = "x", b = "y")`, every name at most once.
fn optional<const N: usize>(meta: &ParseNestedMeta<'_>, names: [&str; N]) -> Result<[Option<LitStr>; N]> {
    let mut values = [const { None }; N];
    meta.parse_nested_meta(|inner| {
        let place = names.iter().position(|name| inner.path.is_ident(name));
        match place.and_then(|place| values.get_mut(place)) {
            Some(value @ None) => {
                *value = Some(text(&inner)?);
                Ok(())
            }
            Some(Some(_)) => Err(inner.error("this is given twice")),
            None => Err(inner.error(format!("unknown; this takes {}", names.join(", ")))),
        }
    })?;
    Ok(values)
}

fn mount(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let [path, access, only_null, via, join] =
        optional(meta, ["path", "access", "only_null", "via", "join"])?;
    let path = path.ok_or_else(|| meta.error("`path = \"/…\"` is missing"))?;
    let access = access.ok_or_else(|| meta.error("`access = \"…\"` is missing"))?;
    if !path.value().starts_with('/') {
        return Err(Error::new(path.span(), "a mount path starts with `/`"));
    }
    let [only_null, via, join] = [only_null, via, join].map(|it| match it {
        Some(it) => quote!(::core::option::Option::Some(#it.into())),
        None => quote!(::core::option::Option::None),
    });
    Ok(quote! {
        table.mounts.push(::pony_state::Mount {
            path: #path.into(),
            access: #access.into(),
            only_null: #only_null,
            via: #via,
            join: #join,
        });
    })
}

impl<'a> Columns<'a> {
    fn parse(input: &'a DeriveInput) -> Result<Self> {
        let mut columns = Self { key: Vec::new(), desired: None, current: None };
        for field in fields(input, "Entity")? {
            let column = Column::parse(field, "entity")?;
            if column.key {
                columns.key.push(column);
            } else if column.ident == "desired" {
                columns.desired = Some(part_type(field)?);
            } else if column.ident == "current" {
                columns.current = Some(part_type(field)?);
            } else {
                let message =
                    "a field of an entity is `desired`, `current`, or a key column: `#[entity(key)]`";
                return Err(Error::new(field.span(), message));
            }
        }
        if columns.key.is_empty() {
            return Err(Error::new(input.ident.span(), "an entity needs a key column: `#[entity(key)]`"));
        }
        if columns.desired.is_none() && columns.current.is_none() {
            return Err(Error::new(input.ident.span(), "an entity needs a field `desired` or `current`"));
        }
        Ok(columns)
    }
}

/// `T` of `Option<T>`.
fn part_type(field: &Field) -> Result<&Type> {
    let wrong = || Error::new(field.ty.span(), "a part is an `Option` of a type that derives `Part`");
    let Type::Path(path) = &field.ty else { return Err(wrong()) };
    let last = path.path.segments.last().filter(|it| it.ident == "Option").ok_or_else(wrong)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Err(wrong()) };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) => Ok(ty),
        _ => Err(wrong()),
    }
}

/// How the generated code gets at one part.
struct PartCode {
    ty: TokenStream,
    get: TokenStream,
    set: TokenStream,
    new: TokenStream,
}

fn part_code(field: &str, ty: Option<&Type>) -> PartCode {
    let ident = Ident::new(field, Span::call_site());
    match ty {
        Some(ty) => PartCode {
            ty: quote!(#ty),
            get: quote!(self.#ident.as_ref()),
            set: quote!(self.#ident = part;),
            new: quote!(#ident: ::core::option::Option::None,),
        },
        None => PartCode {
            ty: quote!(::pony_state::NoPart),
            get: quote!(::core::option::Option::None),
            set: quote!(if let ::core::option::Option::Some(part) = part {
                match part {}
            }),
            new: quote!(),
        },
    }
}

fn row_impl(name: &Ident, columns: &Columns<'_>) -> TokenStream {
    let PartCode { ty: desired, get: get_desired, set: set_desired, new: new_desired } =
        part_code("desired", columns.desired);
    let PartCode { ty: current, get: get_current, set: set_current, new: new_current } =
        part_code("current", columns.current);
    let key = key_code(&columns.key);
    let KeyCode { ty, new, own, cmp, values, untyped, typed } = &key;
    quote! {
        impl ::pony_state::Row for #name {
            type Key = #ty;
            type Desired = #desired;
            type Current = #current;

            fn new(key: Self::Key) -> Self {
                Self { #new #new_desired #new_current }
            }

            fn key(&self) -> Self::Key {
                #own
            }

            fn cmp_key(&self, key: &Self::Key) -> ::core::cmp::Ordering {
                #cmp
            }

            fn key_value(&self, column: usize) -> ::pony_state::Value {
                match column { #(#values,)* _ => ::pony_state::Value::Null }
            }

            fn desired(&self) -> ::core::option::Option<&Self::Desired> {
                #get_desired
            }

            fn current(&self) -> ::core::option::Option<&Self::Current> {
                #get_current
            }

            fn set_desired(&mut self, part: ::core::option::Option<Self::Desired>) {
                #set_desired
            }

            fn set_current(&mut self, part: ::core::option::Option<Self::Current>) {
                #set_current
            }

            fn untyped_key(key: &Self::Key) -> ::pony_state::Key {
                ::pony_state::Key::of([#(#untyped),*])
            }

            fn typed_key(
                key: &::pony_state::Key,
            ) -> ::core::result::Result<Self::Key, ::pony_state::ColumnError> {
                let values = key.values();
                ::core::result::Result::Ok(#typed)
            }
        }
    }
}

/// How the generated code handles keys.
struct KeyCode {
    ty: TokenStream,
    new: TokenStream,
    own: TokenStream,
    cmp: TokenStream,
    values: Vec<TokenStream>,
    untyped: Vec<TokenStream>,
    typed: TokenStream,
}

/// A key of one column is that column's type; of several, a tuple.
fn key_code(columns: &[Column<'_>]) -> KeyCode {
    let idents: Vec<_> = columns.iter().map(|column| column.ident).collect();
    let types: Vec<_> = columns.iter().map(|column| &column.field.ty).collect();
    let values = idents.iter().enumerate();
    let values =
        values.map(|(place, ident)| quote!(#place => ::pony_state::Column::to_value(&self.#ident))).collect();
    let reads = (0..types.len())
        .zip(&types)
        .map(|(place, ty)| quote_spanned!(ty.span()=> ::pony_state::read_column::<#ty>(values, #place)?));
    if let ([ident], [ty]) = (&*idents, &*types) {
        return KeyCode {
            ty: quote!(#ty),
            new: quote!(#ident: key,),
            own: quote!(::core::clone::Clone::clone(&self.#ident)),
            cmp: quote!(::core::cmp::Ord::cmp(&self.#ident, key)),
            values,
            untyped: vec![quote!(::pony_state::Column::to_value(key))],
            typed: quote!(#(#reads)*),
        };
    }
    let places: Vec<_> = (0..idents.len()).map(syn::Index::from).collect();
    KeyCode {
        ty: quote!((#(#types),*)),
        new: quote!(#(#idents: key.#places,)*),
        own: quote!((#(::core::clone::Clone::clone(&self.#idents)),*)),
        cmp: quote!(::core::cmp::Ordering::Equal #(.then_with(|| ::core::cmp::Ord::cmp(&self.#idents, &key.#places)))*),
        values,
        untyped: places.iter().map(|place| quote!(::pony_state::Column::to_value(&key.#place))).collect(),
        typed: quote!((#(#reads),*)),
    }
}

fn entity_impl(input: &DeriveInput, table: &LitStr, declared: &Table, columns: &Columns<'_>) -> TokenStream {
    let (name, doc, properties) = (&input.ident, doc(&input.attrs), &declared.properties);
    let keys = columns.key.iter().map(Column::schema);
    let part = |field: &str, ty: Option<&Type>| {
        let set = Ident::new(field, Span::call_site());
        ty.map(|ty| {
            let columns = quote_spanned!(ty.span()=> <#ty as ::pony_state::Part>::columns());
            quote!(table = table.#set(#columns);)
        })
    };
    let (desired, current) = (part("desired", columns.desired), part("current", columns.current));
    quote! {
        impl ::pony_state::Entity for #name {
            const TABLE: &'static str = #table;

            fn schema() -> ::pony_state::TableSchema {
                let mut table = ::pony_state::TableSchema::new(Self::TABLE);
                table.doc = ::std::string::String::from(#doc);
                #(table = table.key(#keys);)*
                #desired
                #current
                #(#properties)*
                table
            }
        }
    }
}
