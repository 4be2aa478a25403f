//! The command line's grammar: what can be said. What is done about it stands in [`crate::cmd`].

mod account;

pub use account::*;

use clap::builder::{NonEmptyStringValueParser, RangedI64ValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use pony_core::tables::{Instance, Volume};
use pony_state::Entity;
use std::path::PathBuf;

/// A number that is ordered: what it may be is declared with its column, and nowhere else.
fn number<T: Entity>(column: &str) -> RangedI64ValueParser {
    let declared = T::schema().desired.into_iter().find(|it| it.name == column).and_then(|it| it.range);
    let (least, most) = declared.unwrap_or((i64::MIN, i64::MAX));
    RangedI64ValueParser::new().range(least..=most)
}

/// The command line of PonyCloud.
///
/// Exit codes: 0 done; 1 refused, failed or not in time; 2 the command line is wrong; 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "pony",
    version,
    max_term_width = 110,
    after_help = "PONY_AUTH=email:password signs in, or PONY_TOKEN with a token, else what `pony login` stored."
)]
pub struct Cli {
    // The environment is read by hand: clap takes what it says for something that was written, and shows it in usage lines.
    /// Where Sparkle is [env: PONY_URL] [default: what `pony login` stored, else http://127.0.0.1:9860]
    #[arg(long, global = true)]
    pub url: Option<String>,
    /// Trust servers that this certificate (PEM) vouches for, besides those that the system trusts [env: PONY_CACERT]
    #[arg(long, value_name = "FILE", global = true)]
    pub cacert: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The command line, with what the environment says where it says nothing.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        let said = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        self.url = self.url.or_else(|| said("PONY_URL").map(|url| url.to_string_lossy().into_owned()));
        self.cacert = self.cacert.or_else(|| said("PONY_CACERT").map(PathBuf::from));
        self
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in, and store the URL and the credentials for later commands
    Login(LoginArgs),
    /// Show the rows of a table, or one row: what was ordered, what is, and why
    Get(GetArgs),
    /// Merge documents (YAML or JSON) into the cloud, in one transaction
    Apply(ApplyArgs),
    /// Remove rows of a table, and what belongs to them, in one transaction
    Delete(DeleteArgs),
    /// Create, start, stop, pause, move, delete instances; open their consoles
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Say whether hosts may have instances
    #[command(subcommand)]
    Host(HostCommand),
    /// Add and delete images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Add and delete volumes
    #[command(subcommand)]
    Volume(VolumeCommand),
    /// Say why a row is not as it was ordered, down to the last cause
    Explain(ExplainArgs),
    /// Add users, change their passwords
    #[command(subcommand)]
    User(UserCommand),
    /// Add tenants, approve them
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Say who the members of tenants are
    #[command(subcommand)]
    Member(MemberCommand),
    /// Limit what tenants may have
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Get a token, to sign in with instead of a password for an hour
    Token(TokenArgs),
    /// Write the completion script of a shell to standard output
    Completion(CompletionArgs),
    /// Run a whole cloud on this machine: Sparkle on an embedded database, and Twilight
    Dev(Box<DevArgs>),
}

/// `pony dev`
#[derive(Debug, Args)]
pub struct DevArgs {
    /// The controller.
    #[command(flatten)]
    pub sparkle: sparkle::Config,
    /// This machine as a host.
    #[command(flatten)]
    pub host: twilight::RealHost,
    /// Run so many simulated hosts instead of this machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub sim: Option<u32>,
    /// What simulated hosts and their faults are drawn from
    #[arg(long, default_value_t = 1)]
    pub sim_seed: u64,
    /// Seconds that a guest may take to shut down before its plug is pulled
    #[arg(long, default_value_t = twilight::STOP_GRACE.as_secs())]
    pub stop_grace: u64,
    /// Order an instance of this disk image (a file, or a URI), and show it coming up
    #[arg(long, value_name = "IMAGE")]
    pub demo: Option<String>,
}

/// `pony login`
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Whom to be [default: what PONY_AUTH says, else asked for]
    #[arg(long)]
    pub email: Option<String>,
    /// Read the password (or email:password) from standard input instead of asking
    #[arg(long)]
    pub password_stdin: bool,
}

/// How to show rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: desired and current side by side, and why
    Table,
    /// As the API answers
    Json,
    /// The same as YAML
    Yaml,
}

/// `pony get`
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The table: instance, volume, storage-pool…, also in the plural
    pub table: String,
    /// The row: a name, a UUID, or the beginning of one
    pub key: Option<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Show it again whenever it changes, until interrupted
    #[arg(short, long)]
    pub watch: bool,
}

/// `pony apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The file; - for standard input
    ///
    /// A document holds a piece of the cloud: {tenant: {acme: {desired: {…}, children: {instance: {web: {desired: {…}}}}}}}.
    /// Where a UUID should stand, a name will do: of what is there, else of what is made now. null removes.
    #[arg(short, long)]
    pub file: PathBuf,
    /// Show the patch instead of sending it
    #[arg(long)]
    pub dry_run: bool,
}

/// `pony delete`
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The table
    pub table: String,
    /// The rows.
    #[command(flatten)]
    pub rows: KeysArgs,
    /// How.
    #[command(flatten)]
    pub removal: RemovalArgs,
}

/// Which rows of a table to remove, and how.
#[derive(Debug, Args)]
pub struct DeleteRowsArgs {
    /// The rows.
    #[command(flatten)]
    pub rows: KeysArgs,
    /// How.
    #[command(flatten)]
    pub removal: RemovalArgs,
}

/// How to remove.
#[derive(Debug, Clone, Copy, Args)]
pub struct RemovalArgs {
    /// Do not ask, whoever loses something by it
    #[arg(short, long, visible_alias = "force")]
    pub yes: bool,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Which rows.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// The rows: names, UUIDs, or beginnings of some
    #[arg(required = true)]
    pub keys: Vec<String>,
}

/// Waiting for an order to be carried out.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitArgs {
    /// Wait until it is as ordered, showing progress (Ctrl-C leaves; the order stands)
    #[arg(long)]
    pub wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

/// `pony instance`
#[derive(Debug, Subcommand)]
pub enum InstanceCommand {
    /// Order a new instance with its disks and cards, in one transaction
    Create(Box<CreateArgs>),
    /// Order instances to run
    Start(InstancesArgs),
    /// Order instances to be off
    Stop(InstancesArgs),
    /// Order instances to stand still
    Pause(InstancesArgs),
    /// Remove instances; their volumes stay (`pony volume delete`)
    Delete(DeleteInstancesArgs),
    /// Order an instance to be on a host, as long as that host can have it; one that runs moves there while it runs
    Move(MoveArgs),
    /// Use an instance's serial console, whichever host it is on (Ctrl-] leaves)
    Console(ConsoleArgs),
}

/// `pony instance create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Boot from a new volume filled from this image
    #[arg(long, conflicts_with = "volume")]
    pub image: Option<String>,
    /// Use these volumes, in this order
    #[arg(long)]
    pub volume: Vec<String>,
    /// Size of the new volume, MiB [default: the image's own]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true, value_parser = number::<Volume>("size"))]
    pub size: Option<i64>,
    /// Where to make the volume [default: the only pool, else one that holds the image]
    #[arg(long)]
    pub pool: Option<String>,
    /// Virtual CPUs
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = number::<Instance>("vcpu"))]
    pub vcpu: i64,
    /// Memory, MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, allow_negative_numbers = true, value_parser = number::<Instance>("mem"))]
    pub mem: i64,
    /// Plug a card into this switch; may be repeated
    #[arg(long)]
    pub switch: Vec<String>,
    /// Whose it is [default: the only tenant; where there is none, `default` is made]
    #[arg(long)]
    pub tenant: Option<String>,
    /// Do not start it
    #[arg(long)]
    pub stopped: bool,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Some instances.
#[derive(Debug, Args)]
pub struct InstancesArgs {
    /// Names, UUIDs, or beginnings of some
    #[arg(required = true)]
    pub instances: Vec<String>,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `pony instance delete`
#[derive(Debug, Args)]
pub struct DeleteInstancesArgs {
    /// Names, UUIDs, or beginnings of some
    #[arg(required = true)]
    pub instances: Vec<String>,
    /// Also delete their volumes, but those that other instances use
    #[arg(long)]
    pub volumes: bool,
    /// How.
    #[command(flatten)]
    pub removal: RemovalArgs,
}

/// `pony instance move`
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// A name, a UUID, or the beginning of one
    pub instance: String,
    /// The host, likewise
    #[arg(required_unless_present = "anywhere")]
    pub host: Option<String>,
    /// It may be anywhere again, and stays where it is
    #[arg(long, conflicts_with = "host")]
    pub anywhere: bool,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `pony host`
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Order hosts to have no instances: those that run move to others while they run, where that can be
    Evacuate(HostsArgs),
    /// Let hosts have instances again
    Return(HostsArgs),
}

/// Some hosts.
#[derive(Debug, Args)]
pub struct HostsArgs {
    /// Names, UUIDs, or beginnings of some
    #[arg(required = true)]
    pub hosts: Vec<String>,
}

/// `pony instance console`
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// A name, a UUID, or the beginning of one
    pub instance: String,
}

/// `pony image`
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Make an image from a URI, with a backing volume in each pool
    Add(ImageAddArgs),
    /// Delete images
    Delete(DeleteRowsArgs),
}

/// `pony image add`
#[derive(Debug, Args)]
pub struct ImageAddArgs {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Where its bytes come from: http:, https:, or file: on the host
    pub uri: String,
    /// Where to keep it; may be repeated [default: the only pool]
    #[arg(long)]
    pub pool: Vec<String>,
    /// Whose it is [default: everybody's]
    #[arg(long)]
    pub tenant: Option<String>,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `pony volume`
#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// Make a volume, empty or filled from an image
    Add(VolumeAddArgs),
    /// Delete volumes and what is on them
    Delete(DeleteRowsArgs),
}

/// `pony volume add`
#[derive(Debug, Args)]
pub struct VolumeAddArgs {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Its size, MiB [default: the image's own]
    #[arg(long, value_name = "MIB", required_unless_present = "image", allow_negative_numbers = true, value_parser = number::<Volume>("size"))]
    pub size: Option<i64>,
    /// Fill it from this image
    #[arg(long)]
    pub image: Option<String>,
    /// Where to make it [default: the only pool, else one that holds the image]
    #[arg(long)]
    pub pool: Option<String>,
    /// raw or qcow2 [default: the pool's choice]
    #[arg(long)]
    pub format: Option<String>,
    /// Whose it is [default: the only tenant; where there is none, `default` is made]
    #[arg(long)]
    pub tenant: Option<String>,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `pony explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The row: its path, with names or keys (/tenant/acme/instance/web), or the table and the row (instance web)
    #[arg(required = true, num_args = 1..=2, value_names = ["PATH", "ROW"])]
    pub place: Vec<String>,
}

/// `pony completion`
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn mistakes_are_told() {
        for bad in [
            "pony instance create web --image a --volume b",
            "pony instance create web --mem 0",
            "pony volume add data",
            "pony delete instance",
            "pony image add  file:/a",
            "pony get instance -o xml",
        ] {
            assert!(Cli::try_parse_from(bad.split(' ')).is_err(), "{bad}");
        }
        assert!(Cli::try_parse_from("pony volume add data --image a".split(' ')).is_ok());
    }

    #[test]
    fn numbers_have_the_bounds_of_their_columns() {
        let said = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap_err().to_string();
        for (line, bounds) in [
            ("pony instance create web --mem 0", "1..=16777216"),
            ("pony instance create web --vcpu 256", "1..=255"),
            ("pony instance create web --size -1", "1..=2147483648"),
            ("pony volume add data --size 2147483649", "1..=2147483648"),
        ] {
            assert!(said(line).contains(bounds), "{}", said(line));
        }
    }
}
