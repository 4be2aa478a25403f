//! The grammar of who may use the cloud, and how much of it.

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Args, Subcommand};
use pony_core::tables::{MemberRole, ResourceType};

/// `pony user`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user; the password is asked for
    Add(UserAddArgs),
    /// Change a user's password
    Password(UserPasswordArgs),
}

/// `pony user add`
#[derive(Debug, Args)]
pub struct UserAddArgs {
    /// The name to sign in with
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub email: String,
    /// An operator of the cloud, who may do everything
    #[arg(long)]
    pub alicorn: bool,
    /// Read the password from standard input instead of asking
    #[arg(long)]
    pub password_stdin: bool,
}

/// `pony user password`
#[derive(Debug, Args)]
pub struct UserPasswordArgs {
    /// Whose
    pub email: String,
    /// Read the password from standard input instead of asking
    #[arg(long)]
    pub password_stdin: bool,
}

/// `pony tenant`
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Make a tenant, approved
    Add(TenantAddArgs),
    /// Let tenants change what is theirs
    Approve(TenantsArgs),
    /// Let tenants only look; what they have goes on
    Suspend(TenantsArgs),
}

/// `pony tenant add`
#[derive(Debug, Args)]
pub struct TenantAddArgs {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Make this user its owner; may be repeated
    #[arg(long, value_name = "EMAIL")]
    pub owner: Vec<String>,
}

/// Some tenants.
#[derive(Debug, Args)]
pub struct TenantsArgs {
    /// Names, UUIDs, or beginnings of some
    #[arg(required = true)]
    pub tenants: Vec<String>,
}

/// What somebody may be in a tenant, in the words of the API.
fn roles() -> PossibleValuesParser {
    PossibleValuesParser::new(MemberRole::ALL.map(|role| role.as_str()))
}

/// What is limited, in the words of the API.
fn resources() -> PossibleValuesParser {
    PossibleValuesParser::new(ResourceType::ALL.map(|resource| resource.as_str()))
}

/// `pony member`
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Make a user a member of a tenant, or change the role
    Set(MemberSetArgs),
    /// End a membership
    Remove(MemberArgs),
}

/// `pony member set`
#[derive(Debug, Args)]
pub struct MemberSetArgs {
    /// Who and where.
    #[command(flatten)]
    pub member: MemberArgs,
    /// What the user may do there
    #[arg(value_parser = roles())]
    pub role: String,
}

/// A member.
#[derive(Debug, Args)]
pub struct MemberArgs {
    /// The tenant: a name, a UUID, or the beginning of one
    pub tenant: String,
    /// The user
    pub email: String,
}

/// `pony quota`
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Set a limit
    Set(QuotaSetArgs),
    /// Take a limit away
    Remove(QuotaArgs),
}

/// `pony quota set`
#[derive(Debug, Args)]
pub struct QuotaSetArgs {
    /// Whose and of what.
    #[command(flatten)]
    pub quota: QuotaArgs,
    /// How much there may be; MiB of storage and mem
    pub limit: f64,
}

/// A limit.
#[derive(Debug, Args)]
pub struct QuotaArgs {
    /// The tenant: a name, a UUID, or the beginning of one
    pub tenant: String,
    /// What is limited
    #[arg(value_parser = resources())]
    pub resource: String,
    /// Only in this storage pool
    #[arg(long)]
    pub pool: Option<String>,
    /// Only with this CPU profile
    #[arg(long)]
    pub cpu_profile: Option<String>,
}

/// `pony token`
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Good for this tenant only
    #[arg(long)]
    pub tenant: Option<String>,
}
