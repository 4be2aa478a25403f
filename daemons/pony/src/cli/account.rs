//! The grammar of who may use the cloud, and how much of it.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

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

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Everything, and say who the members are
    Owner,
    /// Read and write
    Admin,
    /// Read
    Operator,
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
    #[arg(value_enum)]
    pub role: Role,
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

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Resource {
    /// Space of volumes, MiB
    Storage,
    /// Virtual CPUs
    Vcpu,
    /// Physical CPUs' worth of computing
    Rcpu,
    /// Memory, MiB
    Mem,
    /// Instances
    Instances,
    /// IP addresses
    Ips,
    /// Switches
    Switches,
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
    #[arg(value_enum)]
    pub resource: Resource,
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
