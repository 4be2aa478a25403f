//! The derives of `pony-state`: `Entity`, `Part` and `Enum`.
//!
//! They turn a declaration into data (`TableSchema`, `ColumnSchema`) and into the conversions between a row's
//! Rust types and the engine's values. What they accept is described in `pony-state`'s crate documentation; they
//! check what can be seen in one declaration, the schema's own check the rest.

#![forbid(unsafe_code)]

mod attribute;
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
/// | `everywhere` | replication takes its rows to every peer |
/// | `read_only` | users only read it |
/// | `stored = "nowhere"` | no database keeps its desired parts |
/// | `mount(path = "/host/nic", access = "protected", via = "host", only_null = "tenant", join = "vdisk")` | where rows appear; the last three are optional |
/// | `join("instance", "volume")` | it is a join table of these two reference columns |
/// | `unique("a", "b")`, `unique_nulls_equal("a", "b")` | no two rows agree in them |
/// | `check("rcpu <= vcpu", "rcpu must not exceed vcpu")` | an SQL condition, and what to tell who breaks it |
/// | `no_overlap(within = "disk", range = "range")` | ranges of one `within` never overlap |
/// | `inside(column = "ip", via = "network", range = "range")` | the address lies in the range of the row referenced |
/// | `quota(limits = "quota", kind = "ips", owner = "vnic.instance.tenant", amount = "size", when = "state", is = "present", by = "network")` | rows count against limits of their owner; the last four are optional |
///
/// Key fields take the attributes of [`macro@Part`]'s columns.
///
/// ```
/// use pony_state::{Entity, Part, Row, Text};
///
/// /// A disk in a machine.
/// #[derive(Debug, Clone, PartialEq, Entity)]
/// #[entity(table = "disk", unique("machine", "label"), check("slot >= 0", "slots are counted from 0"))]
/// struct Disk {
///     #[entity(key)]
///     machine: Text,
///     #[entity(key)]
///     slot: i64,
///     desired: Option<DiskDesired>,
/// }
///
/// #[derive(Debug, Clone, PartialEq, Part)]
/// struct DiskDesired {
///     label: Option<Text>,
/// }
///
/// // The key of two columns is a tuple.
/// let disk = Disk::new(("alpha".into(), 0));
/// assert_eq!((Disk::TABLE, disk.slot, disk.desired), ("disk", 0, None));
/// ```
///
/// What cannot be right is refused where it stands: here, a column that is not there.
///
/// ```compile_fail
/// # use pony_state::{Entity, Part};
/// # #[derive(Debug, Clone, PartialEq, Part)]
/// # struct DiskDesired {
/// #     label: Option<String>,
/// # }
/// #[derive(Debug, Clone, PartialEq, Entity)]
/// #[entity(table = "disk", unique("lable"))]
/// struct Disk {
///     #[entity(key)]
///     id: i64,
///     desired: Option<DiskDesired>,
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
/// | `scope = "follows"`, `"follows-or-all"`, `"follows-widely"`, `"brings"`, `"brings-widely"` | how replication follows the reference |
/// | `soft` | the reference is not enforced |
/// | `index` | look-ups by it are fast |
/// | `immutable` | it keeps its first value |
/// | `secret` | it is never shown |
/// | `range = 1..=9` | the least and the greatest value of a number, for the database to enforce |
/// | `default = 5`, `default_json = "[]"` | what a creation that leaves it out means |
/// | `name = "type"` | its name, where the field's is another (`r#` is dropped anyway) |
/// | `with = "module"` | functions that stand for the type's own `Column`: see below |
///
/// The doc comment becomes the column's documentation, `Option` makes it nullable.
///
/// ```
/// use pony_state::{Part, Text};
///
/// #[derive(Debug, Clone, PartialEq, Part)]
/// struct NicDesired {
///     /// The host that it sits in.
///     #[part(references = "host", on_delete = "cascade", scope = "follows")]
///     host: i64,
///     #[part(default = "ether")]
///     r#type: Text,
///     vlan: Option<u16>,
/// }
/// let [host, ty, vlan] = &NicDesired::columns()[..] else { unreachable!("three fields") };
/// assert_eq!((&*host.doc, &*ty.name, vlan.nullable), ("The host that it sits in.", "type", true));
/// ```
///
/// # Types of other crates
///
/// A field may be of any type that is `Clone`, `PartialEq`, `Debug`, `Send` and `Sync`, if `with` names a module (or a
/// type) with three functions: `column_type() -> ColumnType`, `to_value(&T) -> Value` and
/// `from_value(&Value) -> Result<T, ValueError>`. `pony_state::as_text` has them for all types that print and parse,
/// `pony_state::as_json` for all that serde knows. Of an `Option` they see what is in it. A key column `with` such is
/// compared by its values.
///
/// A whole struct of another crate becomes a part by a mirror: a struct with the same fields, told by
/// `#[part(remote = "path")]` what it mirrors. It converts both ways, and no field can be forgotten. Where not all
/// fields of the other struct are public, write the two `From`s by hand. An enum is mirrored by [`macro@Enum`].
///
/// ```
/// mod other_crate {
///     use std::time::Duration;
///
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct Limits {
///         pub burst: u32,
///         pub window: Duration,
///         pub mode: Mode,
///     }
///
///     #[derive(Debug, Clone, Copy, PartialEq)]
///     pub enum Mode {
///         Drop,
///         Delay,
///     }
/// }
/// use pony_state::{Enum, Part};
/// use std::time::Duration;
///
/// #[derive(Debug, Clone, Copy, PartialEq, Enum)]
/// #[value(remote = "other_crate::Mode")]
/// enum Mode {
///     Drop,
///     Delay,
/// }
///
/// #[derive(Debug, Clone, PartialEq, Part)]
/// #[part(remote = "other_crate::Limits")]
/// struct Limits {
///     burst: u32,
///     #[part(with = "pony_state::as_json")]
///     window: Duration,
///     #[part(with = "Mode")]
///     mode: other_crate::Mode,
/// }
///
/// let theirs = other_crate::Limits { burst: 5, window: Duration::from_secs(1), mode: other_crate::Mode::Delay };
/// let ours = Limits::from(theirs.clone());
/// assert_eq!(other_crate::Limits::from(ours), theirs);
/// ```
///
/// A struct that holds the key as well is taken apart by hand: `let other::Nic { mac, host } = nic;` and then
/// `tx.set_desired::<Nic>(&mac, NicDesired { host })`.
#[proc_macro_derive(Part, attributes(part))]
pub fn derive_part(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    part::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes an enum without fields a column type: its words are the variants' names in kebab-case, or what
/// `#[value = "…"]` says. It also gets `ALL`, `as_str`, `Display`, `FromStr` and a `From` to `Value`, and needs `Debug`,
/// `Clone`, `Copy` and `PartialEq`.
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
/// assert_eq!(pony_state::Value::from(Mode::Lacp), "802.3ad".into());
/// ```
///
/// `#[value(remote = "path")]` on the enum makes it the mirror of an enum of another crate with the same variants:
/// it converts both ways, and `#[part(with = "Mode")]` keeps the other one in a column. [`macro@Part`] has an example.
#[proc_macro_derive(Enum, attributes(value))]
pub fn derive_enum(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    words::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
