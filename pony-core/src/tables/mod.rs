//! All tables of the cloud, each declared once. Nothing else in the code states what is declared here.
//!
//! The declarations carry no behaviour: what a row means to a host is the Agent's affair, who may touch it is
//! decided by [`crate::document`] from the mounts, what keeps it whole is enforced by the database from the rules.

// A table is mounted at several places with the same access: that is no mistake.
#![allow(clippy::duplicated_attributes)]

mod hosts;
mod identity;
mod instances;
mod networks;
mod storage;

pub use hosts::*;
pub use identity::*;
pub use instances::*;
pub use networks::*;
pub use storage::*;

use pony_state::{Entity, SchemaError, State, TableSchema};

/// Calls another macro with the types of all tables, referenced ones mostly before those that reference them:
/// `for_each_table!(my_macro)` becomes `my_macro! { User, Tenant, … }`.
#[macro_export]
macro_rules! for_each_table {
    ($($macro:tt)::+) => {
        $($macro)::+! {
            User, TokenKey, Tenant, Member, Config,
            Host, CpuProfile, HostCpuProfile, Bond, Nic, Vlan, NetRole,
            StoragePool, HostStoragePool, Disk, HostDisk, Image, HostImage, Volume, HostVolume, Extent, HostExtent,
            Switch, HostSwitch, SwitchTenant, Network, Route,
            Quota, Metering,
            Instance, HostInstance, Pin, Vdisk, Vnic, SwitchPort, Address, AffinityGroup, AffinityGroupInstance, Event,
        }
    };
}

macro_rules! table_schemas {
    ($($table:ident),* $(,)?) => { vec![$($table::schema()),*] };
}

/// The declarations of all tables.
#[must_use]
pub fn table_schemas() -> Vec<TableSchema> {
    crate::for_each_table!(table_schemas)
}

macro_rules! build_state {
    ($($table:ident),* $(,)?) => { State::builder()$(.table::<$table>())*.build() };
}

/// A state without rows, of all tables.
///
/// # Errors
/// [`SchemaError`], if the declarations above contradict each other; a test proves that they do not.
pub fn new_state() -> Result<State, SchemaError> {
    crate::for_each_table!(build_state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Tree;
    use pony_state::{Read, Stored};
    use std::sync::Arc;

    #[test]
    fn the_declarations_make_a_schema_and_a_tree() {
        let state = new_state().unwrap();
        assert_eq!(state.schema().tables().len(), table_schemas().len());
        Tree::new(Arc::clone(state.schema())).unwrap();
    }

    #[test]
    fn everything_is_documented() {
        for table in table_schemas() {
            assert!(!table.doc.is_empty(), "{}", table.name);
            for column in table.key.iter().chain(&table.desired).chain(&table.current) {
                assert!(!column.doc.is_empty(), "{}.{}", table.name, column.name);
            }
        }
    }

    /// What a host reports of itself must never go into the database, and what users order must.
    /// How hosts are reached, and by which keys, is for operators. A table of images told tenants once.
    #[test]
    fn tenants_are_not_told_how_hosts_are_reached() {
        let mut seen = 0;
        for table in
            table_schemas().iter().filter(|it| it.mounts.iter().any(|it| it.path.starts_with("/tenant")))
        {
            for column in table.desired.iter().chain(&table.current) {
                if ["way", "origin", "migration"].contains(&column.name.as_str()) {
                    assert!(column.secret, "{}.{} is shown to tenants", table.name, column.name);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 4, "of moves and of images");
    }

    #[test]
    fn virtual_tables_have_no_desired_part_and_others_are_stored() {
        for table in table_schemas() {
            assert_eq!(table.stored == Stored::Database, table.has_desired, "{}", table.name);
            assert!(table.read_only || table.has_desired, "{}", table.name);
        }
    }

    /// A database cannot enforce a reference to a table that it does not have.
    #[test]
    fn references_to_virtual_tables_are_soft_and_so_are_those_of_current_parts() {
        let tables = table_schemas();
        let stored = |name: &str| tables.iter().any(|it| it.name == name && it.stored == Stored::Database);
        for table in &tables {
            for column in &table.current {
                assert!(column.references.is_none() || column.soft, "{}.{}", table.name, column.name);
            }
            for column in table.key.iter().chain(&table.desired).filter(|column| !column.soft) {
                let references = column.references.as_deref();
                assert!(references.is_none_or(stored), "{}.{}", table.name, column.name);
                assert!(references.is_none() || table.has_desired, "{}.{}", table.name, column.name);
            }
        }
    }
}
