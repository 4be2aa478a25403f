//! The command line of PonyCloud: its client of the REST API, and what the subcommands of `pony` do with it.
//!
//! Nothing here knows the tables' columns or paths but the friendly verbs ([`cmd`]) and the lists for people
//! ([`overview`], [`why`]); all else follows from `GET /v1/schema`. Whatever comes from the server and goes to
//! a terminal passes [`escape`]: names are written by strangers.

pub mod apply;
pub mod browse;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod cmd;
pub mod credentials;
pub mod escape;
pub mod explain;
pub mod fallout;
pub mod leaving;
mod names;
pub mod overview;
mod plain;
pub mod row;
pub mod session;
pub mod terminal;
pub mod text;
pub mod wait;
pub mod why;
pub mod yaml;
