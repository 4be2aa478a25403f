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

/// Declares a table: a struct of key fields (`#[entity(key)]`, one or more, in order) and of `desired: Option<…>`,
/// `current: Option<…>`, either or both. The row type also needs `Debug`, `Clone` and `PartialEq`.
///
/// On the struct, `#[entity(…)]`, any number of times:
///
/// | attribute | meaning |
/// |---|---|
/// | `table = "nic"` | the table's name; the only one that is required |
/// | `user_key` | users choose keys themselves |
/// | `read_only` | users only read it |
/// | `stored = "nowhere"` | no database keeps its desired parts |
/// | `mount(path = "/host/nic", access = "protected", via = "host", only_null = "tenant", join = "vdisk")` | where rows appear; the last three are optional |
/// | `join("instance", "volume")` | it is a join table of these two reference columns |
/// | `unique("a", "b")`, `unique_nulls_equal("a", "b")` | no two rows agree in them |
/// | `check("rcpu <= vcpu", "rcpu must not exceed vcpu")` | an SQL condition, and what to tell who breaks it |
/// | `no_overlap(within = "disk", range = "range")` | ranges of one `within` never overlap |
/// | `inside(column = "ip", via = "network", range = "range")` | the address lies in the range of the row referenced |
///
/// Key fields take the attributes of [`Part`]'s columns.
///
/// What cannot be right is refused at the attribute:
///
/// ```compile_fail
/// # #[derive(Debug, Clone, PartialEq, pony_state::Part)] struct Desired {}
/// #[derive(Debug, Clone, PartialEq, pony_state::Entity)]
/// #[entity(table = "nic", unknown)]
/// struct Nic {
///     #[entity(key)]
///     id: i64,
///     desired: Option<Desired>,
/// }
/// ```
///
/// ```compile_fail
/// # #[derive(Debug, Clone, PartialEq, pony_state::Part)] struct Desired {}
/// #[derive(Debug, Clone, PartialEq, pony_state::Entity)]
/// #[entity(table = "nic")]
/// struct WithoutKey {
///     desired: Option<Desired>,
/// }
/// ```
#[proc_macro_derive(Entity, attributes(entity))]
pub fn derive_entity(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    entity::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Declares the columns of one part of a table's rows: the struct's fields, without the key's. The part also needs
/// `Debug`, `Clone` and `PartialEq`.
///
/// On a field, `#[part(…)]`:
///
/// | attribute | meaning |
/// |---|---|
/// | `references = "host"` | it holds the key of a row of that table; implies an index |
/// | `on_delete = "restrict"`, `"cascade"`, `"set-null"` | what the removal of that row does; the first is the default |
/// | `scope = "follows"`, `"brings"` | how replication follows the reference |
/// | `soft` | the reference is not enforced |
/// | `index` | look-ups by it are fast |
/// | `immutable` | it keeps its first value |
/// | `secret` | it is never shown |
/// | `default = 5`, `default_json = "[]"` | what a creation that leaves it out means |
/// | `name = "type"` | its name, where the field's is another (`r#` is dropped anyway) |
///
/// The doc comment becomes the column's documentation, `Option` makes it nullable.
///
/// ```compile_fail
/// #[derive(Debug, Clone, PartialEq, pony_state::Part)]
/// struct Desired {
///     #[part(scope = "follows")] // but references nothing
///     host: i64,
/// }
/// ```
///
/// ```compile_fail
/// #[derive(Debug, Clone, PartialEq, pony_state::Part)]
/// struct Desired {
///     no_column_type: std::time::Duration,
/// }
/// ```
#[proc_macro_derive(Part, attributes(part))]
pub fn derive_part(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    part::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes an enum without fields a column type: its words are the variants' names in kebab-case, or what
/// `#[value = "…"]` says. It also gets `ALL`, `as_str`, `Display` and `FromStr`, and needs `Debug`, `Clone`, `Copy`
/// and `PartialEq`.
///
/// ```
/// #[derive(Debug, Clone, Copy, PartialEq, pony_state::Enum)]
/// enum Mode {
///     ActiveBackup,
///     #[value = "802.3ad"]
///     Lacp,
/// }
/// assert_eq!(Mode::ALL.map(|mode| mode.as_str()), ["active-backup", "802.3ad"]);
/// assert!(matches!("802.3ad".parse(), Ok(Mode::Lacp)));
/// assert!("lacp".parse::<Mode>().is_err());
/// ```
///
/// ```compile_fail
/// #[derive(Debug, Clone, Copy, PartialEq, pony_state::Enum)]
/// enum Twice {
///     One,
///     #[value = "one"]
///     Uno,
/// }
/// ```
#[proc_macro_derive(Enum, attributes(value))]
pub fn derive_enum(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    words::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
