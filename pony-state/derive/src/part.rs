//! `#[derive(Part)]`.

use crate::column::{Column, fields};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Result};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let fields = fields(input, "Part")?;
    let columns = fields.iter().map(|field| Column::parse(field, "part")).collect::<Result<Vec<_>>>()?;
    if let Some(column) = columns.iter().find(|column| column.key) {
        return Err(Error::new(
            column.field.span(),
            "key columns belong into the entity, not into its parts",
        ));
    }
    let schemas = columns.iter().map(Column::schema);
    let places = 0..columns.len();
    let (values, same) =
        (places.clone().zip(&columns).map(value_arm), places.clone().zip(&columns).map(same_arm));
    let reads = places.zip(&columns).map(|(place, column)| {
        let ident = column.ident;
        quote_spanned!(column.field.ty.span()=> #ident: ::pony_state::read_column(values, #place)?)
    });
    Ok(quote! {
        impl ::pony_state::PartValues for #name {
            fn value(&self, column: usize) -> ::pony_state::Value {
                match column { #(#values,)* _ => ::pony_state::Value::Null }
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
            fn columns() -> ::std::vec::Vec<::pony_state::ColumnSchema> {
                ::std::vec![#(#schemas),*]
            }
        }
    })
}

fn value_arm((place, column): (usize, &Column<'_>)) -> TokenStream {
    let ident = column.ident;
    quote!(#place => ::pony_state::Column::to_value(&self.#ident))
}

fn same_arm((place, column): (usize, &Column<'_>)) -> TokenStream {
    let ident = column.ident;
    quote!(#place => self.#ident == other.#ident)
}
