//! The derives of `pony-state`: `Entity`, `Part` and `Enum`.
//!
//! They turn a declaration into data (`TableSchema`, `ColumnSchema`) and into the conversions between a row's
//! Rust types and the engine's values. What they accept is described in `pony-state`'s crate documentation; they
//! check what can be seen in one declaration, the schema's own check the rest.

mod column;
mod entity;
mod part;
mod words;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Declares a table: a struct of key fields and of `desired: Option<…>`, `current: Option<…>`, either or both.
#[proc_macro_derive(Entity, attributes(entity))]
pub fn derive_entity(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    entity::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Declares the columns of one part of a table's rows.
#[proc_macro_derive(Part, attributes(part))]
pub fn derive_part(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    part::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes an enum without fields a column type: its words are the variants' names in kebab-case, or what
/// `#[value = "…"]` says.
#[proc_macro_derive(Enum, attributes(value))]
pub fn derive_enum(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    words::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
