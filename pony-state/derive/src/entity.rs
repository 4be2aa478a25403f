//! `#[derive(Entity)]`.

use crate::attribute::{Given, at, option_of, require, require_name, text, word, word_of};
use crate::column::{Column, check_names, doc, fields};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Field, Ident, LitStr, Result, Token, Type, parenthesized};

/// What the struct's own attributes say.
#[derive(Default)]
struct Table {
    name: Option<LitStr>,
    /// Statements that complete a `TableSchema` named `table`.
    properties: Vec<TokenStream>,
    /// Columns that are named and must be there.
    columns: Vec<LitStr>,
    /// What else the compiler must check.
    requirements: Vec<TokenStream>,
    given: Given,
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
    let requirements = requirements(name, &table, &columns);
    Ok(quote!(#row #entity #requirements))
}

impl Table {
    fn property(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        // Mounts and rules may be many.
        let known = match word_of(meta) {
            once if ["table", "user_key", "everywhere", "read_only", "stored", "join"].contains(&&*once) => {
                self.given.once(meta)?
            }
            other => other,
        };
        let tokens = match known.as_str() {
            "table" => {
                self.name = Some(text(meta)?);
                return Ok(());
            }
            "user_key" => quote!(table.user_key = true;),
            "everywhere" => quote!(table.everywhere = true;),
            "read_only" => quote!(table.read_only = true;),
            "stored" => {
                let stored = word(meta, &[("database", "Database"), ("nowhere", "Nowhere")])?;
                quote!(table.stored = ::pony_state::Stored::#stored;)
            }
            "mount" => self.mount(meta)?,
            "join" => {
                let [left, right] = texts(meta)?;
                self.columns.extend([left.clone(), right.clone()]);
                quote!(table.join = ::core::option::Option::Some((#left.into(), #right.into()));)
            }
            "unique" => self.columns_rule(meta, &quote!(Unique))?,
            "unique_nulls_equal" => self.columns_rule(meta, &quote!(UniqueNullsEqual))?,
            "check" => {
                let [sql, message] = texts(meta)?;
                rule(&quote!(Check { sql: #sql.into(), message: #message.into() }))
            }
            "no_overlap" => {
                let [within, range] = named(meta, ["within", "range"])?;
                self.columns.extend([within.clone(), range.clone()]);
                rule(&quote!(NoOverlap { within: #within.into(), range: #range.into() }))
            }
            "inside" => {
                let [column, via, range] = named(meta, ["column", "via", "range"])?;
                self.columns.extend([column.clone(), via.clone()]);
                rule(&quote!(Inside { column: #column.into(), via: #via.into(), range: #range.into() }))
            }
            "quota" => self.quota(meta)?,
            _ => {
                return Err(meta.error(
                    "unknown; an entity takes table, user_key, everywhere, read_only, stored, mount, join, unique, \
                     unique_nulls_equal, check, no_overlap, inside, quota",
                ));
            }
        };
        self.properties.push(tokens);
        Ok(())
    }

    fn quota(&mut self, meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
        let [limits, kind, owner, amount, when, is, by] =
            optional(meta, ["limits", "kind", "owner", "amount", "when", "is", "by"])?;
        let need = |value: Option<LitStr>, name: &str| {
            value.ok_or_else(|| meta.error(format!("`{name} = \"…\"` is missing")))
        };
        let (limits, kind, owner) = (need(limits, "limits")?, need(kind, "kind")?, need(owner, "owner")?);
        let path = owner.value();
        let path: Vec<LitStr> = path.split('.').map(|column| LitStr::new(column, owner.span())).collect();
        self.columns.extend(path.first().into_iter().chain(&amount).chain(&when).chain(&by).cloned());
        let some = |value: Option<LitStr>| match value {
            Some(value) => quote!(::core::option::Option::Some(#value.into())),
            None => quote!(::core::option::Option::None),
        };
        let when = match (when, is) {
            (Some(when), Some(is)) => quote!(::core::option::Option::Some((#when.into(), #is.into()))),
            (None, None) => quote!(::core::option::Option::None),
            _ => return Err(meta.error("`when` and `is` go together")),
        };
        let (amount, by) = (some(amount), some(by));
        Ok(rule(&quote!(Quota(::pony_state::QuotaRule {
            limits: #limits.into(),
            kind: #kind.into(),
            owner: ::std::vec![#(#path.into()),*],
            amount: #amount,
            when: #when,
            by: #by,
        }))))
    }

    fn columns_rule(&mut self, meta: &ParseNestedMeta<'_>, kind: &TokenStream) -> Result<TokenStream> {
        let columns = list(meta)?;
        if columns.is_empty() {
            return Err(meta.error("this needs the names of columns: `(\"a\", \"b\")`"));
        }
        self.columns.extend(columns.iter().cloned());
        Ok(rule(&quote!(#kind(::std::vec![#(#columns.into()),*]))))
    }

    fn mount(&mut self, meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
        let [path, access, only_null, via, join] =
            optional(meta, ["path", "access", "only_null", "via", "join"])?;
        let path = path.ok_or_else(|| meta.error("`path = \"/…\"` is missing"))?;
        let access = access.ok_or_else(|| meta.error("`access = \"…\"` is missing"))?;
        let message = format!("`{}` is not a mount path; one looks like `/tenant/instance`", path.value());
        self.requirements.push(require(
            &path,
            &quote!(::pony_state::derived::is_mount_path(#path)),
            &message,
        ));
        self.columns.extend(only_null.clone());
        // Through a join table, `via` is a column of that.
        self.columns.extend(via.clone().filter(|_| join.is_none()));
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
}

fn rule(rule: &TokenStream) -> TokenStream {
    quote!(table.rules.push(::pony_state::Rule::#rule);)
}

/// `…("a", "b")`.
fn list(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    if !meta.input.peek(syn::token::Paren) {
        return Err(meta.error("this takes texts in parentheses: `(\"…\", \"…\")`"));
    }
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
    if !meta.input.peek(syn::token::Paren) {
        return Err(meta.error(format!("this takes `({} = \"…\")`", names.join(" = \"…\", "))));
    }
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

impl<'a> Columns<'a> {
    fn parse(input: &'a DeriveInput) -> Result<Self> {
        let mut columns = Self { key: Vec::new(), desired: None, current: None };
        for field in fields(input, "Entity")? {
            let column = Column::parse(field, "entity")?;
            if column.key.is_some() {
                if option_of(column.ty).is_some() {
                    return Err(Error::new_spanned(
                        column.ty,
                        "a key column must not be absent: no `Option`",
                    ));
                }
                columns.key.push(column);
                continue;
            }
            let part = match column.ident {
                ident if ident == "desired" => &mut columns.desired,
                ident if ident == "current" => &mut columns.current,
                ident => {
                    let message =
                        "a field of an entity is `desired`, `current`, or a key column: `#[entity(key)]`";
                    return Err(Error::new(ident.span(), message));
                }
            };
            if let Some(span) = column.attribute() {
                return Err(Error::new(
                    span,
                    "a part takes no attributes here; its columns do, in its own struct",
                ));
            }
            *part = Some(part_type(field)?);
        }
        check_names(&columns.key)?;
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
    let message = "a part is an `Option` of a type that derives `Part`";
    option_of(&field.ty).ok_or_else(|| Error::new_spanned(&field.ty, message))
}

/// What must hold of names, for the compiler to check.
fn requirements(name: &LitStr, table: &Table, columns: &Columns<'_>) -> TokenStream {
    let (own, keys) = (require_name(name), columns.key.iter().map(Column::requirements));
    let others = &table.requirements;
    let key = columns.key.iter().map(|column| &column.name);
    let parts = [columns.desired, columns.current].into_iter().flatten();
    let parts: Vec<_> =
        parts.map(|ty| quote_spanned!(ty.span()=> <#ty as ::pony_state::Part>::NAMES)).collect();
    let apart = columns.key.iter().map(|column| {
        let (name, text) = (&column.name, column.name.value());
        let holds = quote_spanned!(name.span()=> !::pony_state::derived::is_among(#name, &PARTS));
        require(
            name,
            &holds,
            &format!("a part has a column `{text}`, too; names must be unique in key and part"),
        )
    });
    let there = table.columns.iter().map(|column| {
        let holds = quote_spanned!(column.span()=> ::pony_state::derived::is_among(#column, &COLUMNS));
        require(column, &holds, &format!("neither key nor parts have a column `{}`", column.value()))
    });
    quote! {
        #own #(#keys)* #(#others)*
        const _: () = {
            const PARTS: &[&[&str]] = &[#(#parts),*];
            const COLUMNS: &[&[&str]] = &[&[#(#key),*], #(#parts),*];
            #(#apart)* #(#there)*
        };
    }
}

/// How the generated code gets at one part.
struct PartCode {
    ty: TokenStream,
    get: TokenStream,
    get_mut: TokenStream,
    set: TokenStream,
    param: TokenStream,
    new: TokenStream,
}

fn part_code(field: &str, ty: Option<&Type>) -> PartCode {
    let ident = Ident::new(field, Span::call_site());
    match ty {
        Some(ty) => PartCode {
            ty: quote!(#ty),
            get: quote!(self.#ident.as_ref()),
            get_mut: quote!(self.#ident.as_mut()),
            set: quote!(self.#ident = part;),
            param: quote!(#ident),
            new: quote!(#ident,),
        },
        None => PartCode {
            ty: quote!(::pony_state::NoPart),
            get: quote!(::core::option::Option::None),
            get_mut: quote!(::core::option::Option::None),
            set: quote!(if let ::core::option::Option::Some(part) = part {
                match part {}
            }),
            param: quote!(_),
            new: quote!(),
        },
    }
}

/// The methods of a row that read and write a part.
fn part_accessors(field: &str, PartCode { ty, get, get_mut, set, .. }: &PartCode) -> TokenStream {
    let ident = |name: &str| Ident::new(name, Span::call_site());
    let (part, part_mut) = (ident(field), ident(&format!("{field}_mut")));
    let set_part = ident(&format!("set_{field}"));
    quote! {
        fn #part(&self) -> ::core::option::Option<&#ty> {
            #get
        }

        fn #part_mut(&mut self) -> ::core::option::Option<&mut #ty> {
            #get_mut
        }

        fn #set_part(&mut self, part: ::core::option::Option<#ty>) {
            #set
        }
    }
}

fn row_impl(name: &Ident, columns: &Columns<'_>) -> TokenStream {
    let (desired, current) = (part_code("desired", columns.desired), part_code("current", columns.current));
    let accessors = [part_accessors("desired", &desired), part_accessors("current", &current)];
    let (desired_ty, desired_param, desired_new) = (&desired.ty, &desired.param, &desired.new);
    let (current_ty, current_param, current_new) = (&current.ty, &current.param, &current.new);
    let key = key_code(&columns.key);
    let KeyCode { ty, new, own, cmp, has, rank, values, untyped, typed } = &key;
    quote! {
        impl ::pony_state::Row for #name {
            type Key = #ty;
            type Desired = #desired_ty;
            type Current = #current_ty;

            fn of(
                key: Self::Key,
                #desired_param: ::core::option::Option<Self::Desired>,
                #current_param: ::core::option::Option<Self::Current>,
            ) -> Self {
                Self { #new #desired_new #current_new }
            }

            fn key(&self) -> Self::Key {
                #own
            }

            fn cmp_key(&self, key: &Self::Key) -> ::core::cmp::Ordering {
                #cmp
            }

            fn has_key(&self, key: &Self::Key) -> bool {
                #has
            }

            fn rank(key: &Self::Key) -> u32 {
                #rank
            }

            fn key_value(&self, column: usize) -> ::pony_state::Value {
                match column { #(#values,)* _ => ::pony_state::Value::Null }
            }

            #(#accessors)*

            fn untyped_key(key: &Self::Key) -> ::pony_state::Key {
                ::pony_state::Key::of([#(#untyped),*])
            }

            fn key_of(
                values: &[::pony_state::Value],
            ) -> ::core::result::Result<Self::Key, ::pony_state::ColumnError> {
                #typed
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
    has: TokenStream,
    rank: TokenStream,
    values: Vec<TokenStream>,
    untyped: Vec<TokenStream>,
    typed: TokenStream,
}

/// A key of one column is that column's type; of several, a tuple.
fn key_code(columns: &[Column<'_>]) -> KeyCode {
    let idents: Vec<_> = columns.iter().map(|column| column.ident).collect();
    let types: Vec<_> = columns.iter().map(|column| column.ty).collect();
    let own = |column: &Column<'_>| {
        let ident = column.ident;
        quote_spanned!(at(column.ty.span())=> &self.#ident)
    };
    let values = columns.iter().enumerate();
    let values = values.map(|(place, column)| {
        let value = column.to_value(&own(column));
        quote!(#place => #value)
    });
    let reads = columns.iter().enumerate().map(|(place, column)| column.read(place));
    if let ([column], [ident], [ty]) = (columns, &*idents, &*types) {
        return KeyCode {
            ty: quote!(#ty),
            new: quote!(#ident: key,),
            own: quote!(::core::clone::Clone::clone(&self.#ident)),
            cmp: column.cmp(&own(column), &quote!(key)),
            has: column.eq(&own(column), &quote!(key)),
            rank: column.rank(&quote!(key)),
            values: values.collect(),
            untyped: vec![column.to_value(&quote!(key))],
            typed: quote!(#(#reads)*),
        };
    }
    let places: Vec<_> = (0..idents.len()).map(syn::Index::from).collect();
    let given: Vec<_> = places.iter().map(|place| quote!(&key.#place)).collect();
    let compared = columns.iter().zip(&given).map(|(column, given)| column.cmp(&own(column), given));
    let equal = columns.iter().zip(&given).map(|(column, given)| column.eq(&own(column), given));
    let rank =
        columns.first().zip(given.first()).map_or_else(|| quote!(0), |(column, given)| column.rank(given));
    KeyCode {
        ty: quote!((#(#types),*)),
        new: quote!(#(#idents: key.#places,)*),
        own: quote!((#(::core::clone::Clone::clone(&self.#idents)),*)),
        cmp: quote!(::core::cmp::Ordering::Equal #(.then_with(|| #compared))*),
        has: quote!(true #(&& #equal)*),
        rank,
        values: values.collect(),
        untyped: columns.iter().zip(&given).map(|(column, given)| column.to_value(given)).collect(),
        typed: quote!(::core::result::Result::Ok((#(#reads?),*))),
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

            fn hint() -> &'static ::pony_state::derived::TableHint {
                static HINT: ::pony_state::derived::TableHint = ::pony_state::derived::TableHint::new();
                &HINT
            }

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
