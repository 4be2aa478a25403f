//! Who may read and write what: the access modes of mounts, as a pure decision.
//!
//! Whether a row lies where the path says is [`super::resolve`]'s affair; who the caller is, the HTTP layer's.

use crate::host::{SourceScheme, SourceUri};
use crate::tables::{Member, MemberRole, Tenant, User};
use pony_state::{Read, Text, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Columns that only alicorns write, though the mount lets others write the row: (table, column). Without this a
/// user could make an operator of himself.
const ALICORN_COLUMNS: &[(&str, &str)] = &[("user", "alicorn"), ("tenant", "approved")];

/// Whether only alicorns write that column.
pub(super) fn is_alicorn_column(table: &str, column: &str) -> bool {
    ALICORN_COLUMNS.contains(&(table, column))
}

/// Whether only alicorns write that value. A source that is not on the web is read on a host with the agent's
/// rights: any file of the host. (What is no source at all, nobody may write.)
pub(super) fn is_alicorn_value(table: &str, column: &str, value: &str) -> bool {
    (table, column) == ("image", "source_uri")
        && SourceUri::parse(value).is_ok_and(|source| source.scheme == SourceScheme::File)
}

/// Somebody who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Without credentials.
    Nobody,
    /// Signed in.
    User {
        /// Who.
        email: Text,
        /// Whether an operator, who may do everything.
        alicorn: bool,
        /// The tenants that the user is a member of.
        memberships: BTreeMap<Uuid, MemberRole>,
    },
    /// Signed in for the sake of one tenant: nothing but that tenant's is within reach, not even the user's own row.
    InTenant {
        /// Who.
        email: Text,
        /// Where.
        tenant: Uuid,
        /// What the user may do there.
        role: MemberRole,
    },
}

impl Caller {
    /// An operator.
    #[must_use]
    pub fn alicorn(email: &str) -> Self {
        Self::User { email: email.into(), alicorn: true, memberships: BTreeMap::new() }
    }

    /// What a user may do, as things stand; `None` where there is no such user.
    #[must_use]
    pub fn user(view: &impl Read, email: &str) -> Option<Self> {
        let email = Text::from(email);
        let alicorn = view.get::<User>(&email)?.desired.as_ref()?.alicorn;
        let member = |row: &Member| row.desired.as_ref().map(|it| (it.tenant, it.role));
        let memberships = view.table::<Member>().find("user", email.as_str()).filter_map(member).collect();
        Some(Self::User { email, alicorn, memberships })
    }

    /// What a user may do in one tenant, as things stand: what a member's role says, an operator as an owner. `None`
    /// where there is no such tenant, or no place in it for the user.
    #[must_use]
    pub fn in_tenant(view: &impl Read, email: &str, tenant: Uuid) -> Option<Self> {
        let user = Self::user(view, email)?;
        view.get::<Tenant>(&tenant)?.desired.as_ref()?;
        let role = if user.is_alicorn() { Some(MemberRole::Owner) } else { user.role(tenant) };
        Some(Self::InTenant { email: email.into(), tenant, role: role? })
    }

    /// Whether an operator.
    #[must_use]
    pub const fn is_alicorn(&self) -> bool {
        matches!(self, Self::User { alicorn: true, .. })
    }

    /// What the caller may do in a tenant.
    #[must_use]
    pub fn role(&self, tenant: Uuid) -> Option<MemberRole> {
        match self {
            Self::User { memberships, .. } => memberships.get(&tenant).copied(),
            Self::InTenant { tenant: own, role, .. } => (*own == tenant).then_some(*role),
            Self::Nobody => None,
        }
    }

    fn is(&self, user: &str) -> bool {
        matches!(self, Self::User { email, .. } if **email == *user)
    }
}

/// What somebody may do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Nothing, not even know of it.
    None,
    /// Look at it.
    Read,
    /// Change it.
    Write,
}

/// The access mode of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// Alicorns only.
    Protected,
    /// Everyone reads, alicorns write.
    Shared,
    /// The tenant's members read, its owners write.
    TenantOwner,
    /// The tenant's members read, its admins and owners write.
    TenantUser,
    /// The user reads and writes.
    UserRw,
    /// The user reads.
    UserRo,
}

impl AccessMode {
    /// The mode of a word in a mount.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "protected" => Self::Protected,
            "shared" => Self::Shared,
            "tenant/owner" => Self::TenantOwner,
            "tenant/user" => Self::TenantUser,
            "user/rw" => Self::UserRw,
            "user/ro" => Self::UserRo,
            _ => return None,
        })
    }

    /// What `caller` may do with rows below `root`, the key of the path's first entity.
    #[must_use]
    pub fn grant(self, caller: &Caller, root: &Value) -> Grant {
        if caller.is_alicorn() {
            return Grant::Write;
        }
        let role = root.as_uuid().and_then(|tenant| caller.role(tenant));
        let user = root.as_text().is_some_and(|user| caller.is(user));
        match (self, role) {
            (Self::Shared, _) | (Self::TenantOwner, Some(MemberRole::Admin | MemberRole::Operator)) => {
                Grant::Read
            }
            (Self::TenantUser, Some(MemberRole::Operator)) => Grant::Read,
            (Self::TenantOwner | Self::TenantUser, Some(_)) => Grant::Write,
            (Self::UserRw, _) if user => Grant::Write,
            (Self::UserRo, _) if user => Grant::Read,
            _ => Grant::None,
        }
    }

    /// What `caller` may do with a collection at the root of the document, before its rows are looked at: each of
    /// them still has its own [`AccessMode::grant`].
    #[must_use]
    pub const fn grant_root(self, caller: &Caller) -> Grant {
        match (self, caller) {
            (_, Caller::User { alicorn: true, .. }) => Grant::Write,
            (Self::Shared, _) => Grant::Read,
            (Self::Protected, _) | (_, Caller::Nobody) => Grant::None,
            (_, Caller::User { .. } | Caller::InTenant { .. }) => Grant::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every mode against every kind of caller: r(ead), w(rite) or `-`.
    #[test]
    fn the_table_of_modes() {
        const TABLE: &str = "
            mode          nobody stranger operator admin owner self alicorn
            protected     -      -        -        -     -     -    w
            shared        r      r        r        r     r     r    w
            tenant/owner  -      -        r        r     w     -    w
            tenant/user   -      -        r        w     w     -    w
            user/rw       -      -        -        -     -     w    w
            user/ro       -      -        -        -     -     r    w
        ";
        let tenant = Uuid::from_u128(1);
        let member = |role| Caller::User {
            email: "m@x".into(),
            alicorn: false,
            memberships: BTreeMap::from([(tenant, role)]),
        };
        let user =
            |email: &str| Caller::User { email: email.into(), alicorn: false, memberships: BTreeMap::new() };
        let callers = [
            Caller::Nobody,
            user("stranger"),
            member(MemberRole::Operator),
            member(MemberRole::Admin),
            member(MemberRole::Owner),
            user("self"),
            Caller::alicorn("a@x"),
        ];
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()).skip(1) {
            let mut words = line.split_whitespace();
            let word = words.next().unwrap();
            let mode = AccessMode::parse(word).unwrap();
            let root = if word.starts_with("user") { Value::from("self") } else { Value::from(tenant) };
            for (caller, expected) in callers.iter().zip(words) {
                let found = match mode.grant(caller, &root) {
                    Grant::None => "-",
                    Grant::Read => "r",
                    Grant::Write => "w",
                };
                assert_eq!(found, expected, "{word} for {caller:?}");
            }
        }
    }

    #[test]
    fn a_member_of_one_tenant_is_a_stranger_to_another() {
        let caller = Caller::User {
            email: "m@x".into(),
            alicorn: false,
            memberships: BTreeMap::from([(Uuid::from_u128(1), MemberRole::Owner)]),
        };
        assert_eq!(AccessMode::TenantUser.grant(&caller, &Value::from(Uuid::from_u128(2))), Grant::None);
    }
}
