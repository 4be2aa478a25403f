//! Who uses the cloud and what they may have: users, tenants, members, quotas, metering, options.

use pony_state::{Entity, Enum, Json, Part, Text};
use uuid::Uuid;

/// Somebody who signs in.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "user", user_key)]
#[entity(mount(path = "/user", access = "user/rw"))]
pub struct User {
    /// The name to sign in with.
    #[entity(key)]
    pub email: Text,
    /// What was ordered.
    pub desired: Option<UserDesired>,
}

/// What is ordered of a [`User`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct UserDesired {
    /// How the user signs in (`method`), with what (a password's hash). Can be written, is never shown.
    #[part(secret, default_json = "{}")]
    pub data: Json,
    /// An operator: unrestricted access.
    #[part(default = false)]
    pub alicorn: bool,
}

/// A key that tokens are signed with. The newest one signs; removing one ends all tokens that it signed.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "token_key")]
#[entity(mount(path = "/token-key", access = "protected"))]
pub struct TokenKey {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<TokenKeyDesired>,
}

/// What is ordered of a [`TokenKey`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct TokenKeyDesired {
    /// What it signs with; Sparkle draws it. Is never shown.
    #[part(secret, default = "")]
    pub secret: Text,
    /// Since when, Unix time in seconds; Sparkle says it.
    #[part(default = 0)]
    pub created: i64,
}

/// The owner of everything that a customer has.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "tenant")]
#[entity(mount(path = "/tenant", access = "tenant/user"))]
pub struct Tenant {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<TenantDesired>,
}

/// What is ordered of a [`Tenant`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct TenantDesired {
    /// For people.
    pub name: Text,
    /// Whether an operator admitted it. Until then its members can only look.
    #[part(default = false)]
    pub approved: bool,
}

/// A user's place in a tenant.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "member", unique("user", "tenant"))]
#[entity(
    mount(path = "/tenant/member", access = "tenant/owner"),
    mount(path = "/user/member", access = "user/ro")
)]
#[entity(join("user", "tenant"))]
pub struct Member {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<MemberDesired>,
}

/// What is ordered of a [`Member`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct MemberDesired {
    /// The user.
    #[part(references = "user", on_delete = "cascade")]
    pub user: Text,
    /// The tenant.
    #[part(references = "tenant", on_delete = "cascade")]
    pub tenant: Uuid,
    /// What the user may do there.
    pub role: MemberRole,
}

/// What a member of a tenant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum MemberRole {
    /// Everything, and say who the members are.
    Owner,
    /// Read and write.
    Admin,
    /// Read.
    Operator,
}

/// A limit on what a tenant may have, checked in the transaction that would exceed it.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "quota", unique_nulls_equal("tenant", "type", "storage_pool", "cpu_profile", "network"))]
#[entity(check("\"limit\" >= 0", "limit must not be negative"))]
#[entity(check(
    "\"storage_pool\" IS NULL OR \"type\" = 'storage'",
    "storage_pool narrows limits of storage only"
))]
#[entity(check(
    "\"cpu_profile\" IS NULL OR \"type\" IN ('vcpu', 'rcpu', 'mem', 'instances')",
    "cpu_profile narrows limits of vcpu, rcpu, mem and instances only"
))]
#[entity(check("\"network\" IS NULL OR \"type\" = 'ips'", "network narrows limits of ips only"))]
#[entity(mount(path = "/tenant/quota", access = "protected"))]
pub struct Quota {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<QuotaDesired>,
}

/// What is ordered of a [`Quota`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct QuotaDesired {
    /// Whom it limits.
    #[part(references = "tenant", on_delete = "cascade")]
    pub tenant: Uuid,
    /// What it limits.
    #[part(name = "type")]
    pub kind: ResourceType,
    /// How much there may be; MiB for `storage` and `mem`. Volumes count while they are ordered `present`, addresses once
    /// a card has them. A limit below what there is takes nothing away: it admits no more.
    pub limit: f64,
    /// Only in this pool.
    #[part(references = "storage_pool", on_delete = "cascade")]
    pub storage_pool: Option<Uuid>,
    /// Only with this CPU profile.
    #[part(references = "cpu_profile", on_delete = "cascade")]
    pub cpu_profile: Option<Uuid>,
    /// Only in this network.
    #[part(references = "network", on_delete = "cascade")]
    pub network: Option<Uuid>,
}

/// What is limited and metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum ResourceType {
    /// Space of volumes, MiB.
    Storage,
    /// Virtual CPUs.
    Vcpu,
    /// Physical CPUs' worth of computing.
    Rcpu,
    /// Memory, MiB.
    Mem,
    /// Instances.
    Instances,
    /// IP addresses.
    Ips,
    /// Switches.
    Switches,
}

/// What a tenant used and for how long. Written by Sparkle as resources come and go; never edited.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "metering", read_only)]
#[entity(check("\"end\" IS NULL OR \"end\" >= \"start\"", "end must not be before start"))]
#[entity(mount(path = "/tenant/metering", access = "tenant/user"))]
pub struct Metering {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was metered.
    pub desired: Option<MeteringDesired>,
}

/// What is recorded in a [`Metering`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct MeteringDesired {
    /// Who used it. Not enforced: an invoice is written from these rows after the tenant is gone, too.
    #[part(references = "tenant", soft)]
    pub tenant: Uuid,
    /// What was used.
    #[part(name = "type")]
    pub resource: ResourceType,
    /// Its kind, self-contained for an invoice.
    #[part(default_json = "{}")]
    pub kind: Json,
    /// How much; MiB for `storage` and `mem`.
    pub amount: f64,
    /// The row that it was used by.
    #[part(index)]
    pub target: Option<Uuid>,
    /// Since when, Unix time in seconds.
    pub start: i64,
    /// Until when, Unix time in seconds.
    pub end: Option<i64>,
}

/// A cloud-wide option.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "config", user_key)]
#[entity(mount(path = "/config", access = "protected"))]
pub struct Config {
    /// Its name, e.g. `host-redundancy`.
    #[entity(key)]
    pub key: Text,
    /// What was ordered.
    pub desired: Option<ConfigDesired>,
}

/// What is ordered of a [`Config`] option.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct ConfigDesired {
    /// Its value.
    pub value: Json,
}
