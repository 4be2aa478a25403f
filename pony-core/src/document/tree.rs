//! The tree of endpoints, computed from the mounts of the tables: which collections there are below which rows.
//!
//! It says what paths exist, not what rows do; it holds no data and is made once.

use super::access::AccessMode;
use pony_state::{Schema, TableDef, TableId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why mounts do not make a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The access is none of the known modes.
    #[error("mount {path}: `{access}` is no access mode")]
    Access {
        /// The mount.
        path: String,
        /// What it says.
        access: String,
    },
    /// There is no mount above.
    #[error("mount {path}: nothing is mounted above it")]
    NoParent {
        /// The mount.
        path: String,
    },
    /// Two tables at one path.
    #[error("mount {path}: two tables are mounted there")]
    Twice {
        /// The mount.
        path: String,
    },
    /// No column, or several, could point at the parent.
    #[error("mount {path}: name the column that references {parent} as `via` (candidates: {})", .candidates.join(", "))]
    Via {
        /// The mount.
        path: String,
        /// The parent's table.
        parent: String,
        /// The columns that reference it.
        candidates: Vec<String>,
    },
}

/// An endpoint's number in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(usize);

/// A collection of rows of one table: at the root, or below each row of its parent.
#[derive(Debug)]
pub struct Endpoint {
    /// Its number.
    pub id: EndpointId,
    /// The last step of its path, with hyphens.
    pub name: String,
    /// Mount names from the root: `/tenant/instance`.
    pub path: String,
    /// Its table.
    pub table: Arc<TableDef>,
    /// Who may do what.
    pub mode: AccessMode,
    /// The endpoint above.
    pub parent: Option<EndpointId>,
    /// The column that points at the parent's row.
    pub via: Option<String>,
    /// Only rows whose column of this name is null appear.
    pub only_null: Option<String>,
    /// The endpoints below, by name.
    pub children: BTreeMap<String, EndpointId>,
}

impl Endpoint {
    /// Places of the key columns that the path gives besides the parent's row, in key order.
    pub fn open_key_places(&self) -> impl Iterator<Item = usize> + '_ {
        let fixed = self.fixed_key_place();
        (0..self.table.schema().key.len()).filter(move |place| Some(*place) != fixed)
    }

    /// The place in the key of the column that points at the parent, if it is one of the key.
    #[must_use]
    pub fn fixed_key_place(&self) -> Option<usize> {
        self.table.places(self.via.as_deref()?)?.key
    }

    /// For a join table below one of its two sides: the column that points at the other side.
    #[must_use]
    pub fn join_column(&self) -> Option<&str> {
        let (left, right) = self.table.schema().join.as_ref()?;
        match self.via.as_deref()? {
            via if via == left => Some(right),
            via if via == right => Some(left),
            _ => None,
        }
    }

    /// Whether users can change anything there.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.table.schema().read_only && self.table.schema().has_desired
    }
}

/// All endpoints.
#[derive(Debug)]
pub struct Tree {
    schema: Arc<Schema>,
    endpoints: Vec<Endpoint>,
    roots: BTreeMap<String, EndpointId>,
    by_table: Vec<Vec<EndpointId>>,
}

impl Tree {
    /// Makes the tree of a schema's mounts.
    ///
    /// # Errors
    /// [`TreeError`], the first thing that does not fit.
    pub fn new(schema: Arc<Schema>) -> Result<Self, TreeError> {
        let mut mounts: Vec<_> = schema
            .tables()
            .iter()
            .flat_map(|table| {
                table.schema().mounts.iter().map(move |mount| (mount.clone(), Arc::clone(table)))
            })
            .collect();
        // Parents come before their children: they have fewer steps.
        mounts.sort_by_key(|(mount, _)| (mount.path.matches('/').count(), mount.path.clone()));
        let by_table = vec![Vec::new(); schema.tables().len()];
        let mut tree = Self { schema, endpoints: Vec::new(), roots: BTreeMap::new(), by_table };
        let mut by_path = BTreeMap::new();
        for (mount, table) in mounts {
            let id = tree.add(&mount, table, &by_path)?;
            if by_path.insert(mount.path.clone(), id).is_some() {
                return Err(TreeError::Twice { path: mount.path });
            }
        }
        Ok(tree)
    }

    fn add(
        &mut self,
        mount: &pony_state::Mount,
        table: Arc<TableDef>,
        by_path: &BTreeMap<String, EndpointId>,
    ) -> Result<EndpointId, TreeError> {
        let path = || mount.path.clone();
        let mode = AccessMode::parse(&mount.access)
            .ok_or_else(|| TreeError::Access { path: path(), access: mount.access.clone() })?;
        let (above, name) = mount.path.rsplit_once('/').unwrap_or_default();
        let parent = match above {
            "" => None,
            above => Some(*by_path.get(above).ok_or_else(|| TreeError::NoParent { path: path() })?),
        };
        let via = match parent {
            None => None,
            Some(parent) => Some(via_column(mount, &table, self.get(parent).table.name())?),
        };
        let id = EndpointId(self.endpoints.len());
        if let Some(endpoints) = self.by_table.get_mut(table.id().index()) {
            endpoints.push(id);
        }
        let siblings = match parent.and_then(|parent| self.endpoints.get_mut(parent.0)) {
            Some(parent) => &mut parent.children,
            None => &mut self.roots,
        };
        siblings.insert(name.to_owned(), id);
        self.endpoints.push(Endpoint {
            id,
            name: name.to_owned(),
            path: path(),
            table,
            mode,
            parent,
            via,
            only_null: mount.only_null.clone(),
            children: BTreeMap::new(),
        });
        Ok(id)
    }

    /// The schema that it was made from.
    #[must_use]
    pub const fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// An endpoint of this tree.
    ///
    /// # Panics
    /// With an id of another tree.
    #[must_use]
    pub fn get(&self, id: EndpointId) -> &Endpoint {
        &self.endpoints[id.0]
    }

    /// All endpoints, parents before their children.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter()
    }

    /// The endpoints at the root, by name.
    #[must_use]
    pub const fn roots(&self) -> &BTreeMap<String, EndpointId> {
        &self.roots
    }

    /// Where a table is mounted.
    pub fn endpoints_of(&self, table: TableId) -> impl Iterator<Item = &Endpoint> {
        self.by_table.get(table.index()).into_iter().flatten().map(|id| self.get(*id))
    }

    /// Whether a column of a table points at the parent at some mount: such columns change by `move` only.
    #[must_use]
    pub fn is_parent_column(&self, table: TableId, column: &str) -> bool {
        self.endpoints_of(table).any(|endpoint| endpoint.via.as_deref() == Some(column))
    }
}

/// The column through which rows at a mount point at their parents.
fn via_column(mount: &pony_state::Mount, table: &TableDef, parent: &str) -> Result<String, TreeError> {
    let schema = table.schema();
    let mut candidates: Vec<String> = schema
        .key
        .iter()
        .chain(&schema.desired)
        .chain(&schema.current)
        .filter(|column| column.references.as_deref() == Some(parent))
        .map(|column| column.name.clone())
        .collect();
    candidates.sort();
    candidates.dedup();
    match (&mount.via, candidates.as_slice()) {
        (Some(via), _) if candidates.contains(via) => Ok(via.clone()),
        (None, [only]) => Ok(only.clone()),
        _ => Err(TreeError::Via { path: mount.path.clone(), parent: parent.to_owned(), candidates }),
    }
}
