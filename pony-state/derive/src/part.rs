//! `#[derive(Part)]`.

use crate::attribute::{Given, path, text};
use crate::column::{Column, check_names, fields};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Ident, Path, Result};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let remote = remote(input)?;
    let fields = fields(input, "Part")?;
    let columns = fields.iter().map(|field| Column::parse(field, "part")).collect::<Result<Vec<_>>>()?;
    if let Some(span) = columns.iter().find_map(|column| column.key) {
        return Err(Error::new(span, "key columns belong into the entity, not into its parts"));
    }
    check_names(&columns)?;
    let idents: Vec<_> = columns.iter().map(|column| column.ident).collect();
    let conversions = remote.map(|remote| conversions(name, &remote, &idents));
    let (names, schemas) = (columns.iter().map(|column| &column.name), columns.iter().map(Column::schema));
    let requirements = columns.iter().map(Column::requirements);
    let values = columns.iter().enumerate().map(|(place, column)| value_arm(place, column));
    let is = columns.iter().enumerate().map(|(place, column)| {
        let is = column.is(&column.of_self(), &quote!(value));
        quote!(#place => #is)
    });
    let typed = columns.iter().enumerate().filter_map(|(place, column)| {
        let typed = column.typed(&column.of_self())?;
        Some(quote!(#place => #typed))
    });
    let same = idents.iter().enumerate().map(|(place, ident)| quote!(#place => self.#ident == other.#ident));
    let reads = columns.iter().enumerate().map(|(place, column)| {
        let (ident, read) = (column.ident, column.read(place));
        quote!(#ident: #read?)
    });
    Ok(quote! {
        impl ::pony_state::PartValues for #name {
            fn value(&self, column: usize) -> ::pony_state::Value {
                match column { #(#values,)* _ => ::pony_state::Value::Null }
            }

            fn is(&self, column: usize, value: &::pony_state::Value) -> bool {
                match column { #(#is,)* _ => ::pony_state::Value::Null == *value }
            }

            #[inline]
            fn typed<K: ::core::any::Any>(&self, column: usize) -> ::core::option::Option<&K> {
                match column { #(#typed,)* _ => ::core::option::Option::None }
            }

            fn same(&self, other: &Self, column: usize) -> bool {
                match column { #(#same,)* _ => true }
            }

            fn from_values(
                values: &[::pony_state::Value],
            ) -> ::core::result::Result<Self, ::pony_state::ColumnError> {
                ::core::result::Result::Ok(Self { #(#reads),* })
            }
        }

        impl ::pony_state::Part for #name {
            const NAMES: &'static [&'static str] = &[#(#names),*];

            fn columns() -> ::std::vec::Vec<::pony_state::ColumnSchema> {
                ::std::vec![#(#schemas),*]
            }
        }

        #conversions
        #(#requirements)*
    })
}

/// The struct of another crate that this one mirrors.
fn remote(input: &DeriveInput) -> Result<Option<Path>> {
    let (mut remote, mut given) = (None, Given::default());
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("part")) {
        attr.parse_nested_meta(|meta| match given.once(&meta)?.as_str() {
            "remote" => {
                remote = Some(path(&text(&meta)?)?);
                Ok(())
            }
            _ => Err(meta.error("unknown; a part takes remote")),
        })?;
    }
    Ok(remote)
}

/// To the mirrored struct and back, field by field: the compiler sees to it that none is forgotten.
fn conversions(name: &Ident, remote: &Path, fields: &[&Ident]) -> TokenStream {
    quote_spanned! {remote.span()=>
        impl ::core::convert::From<#remote> for #name {
            fn from(it: #remote) -> Self {
                let #remote { #(#fields),* } = it;
                Self { #(#fields),* }
            }
        }

        impl ::core::convert::From<#name> for #remote {
            fn from(it: #name) -> Self {
                let #name { #(#fields),* } = it;
                #remote { #(#fields),* }
            }
        }
    }
}

fn value_arm(place: usize, column: &Column<'_>) -> TokenStream {
    let value = column.to_value(&column.of_self());
    quote!(#place => #value)
}
