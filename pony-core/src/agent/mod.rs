//! The heart of Twilight: makes the host match what is ordered of it, for ever, and tells what is.
//!
//! It performs no I/O and reads no clock. Orders come in as messages, facts as answers to *looks*, and the
//! outcomes of *steps*; out go looks, steps and cancellations for the drivers, messages for Sparkle, and the
//! time at which to be called again.
//!
//! What it promises:
//!
//! - Without an accepted order it looks, tells, and does nothing. An order that is absent removes guests and
//!   links that this software made (they belong elsewhere, or nowhere), and never data: only a volume that is
//!   ordered `deleted` is deleted, and only once no guest can have it open.
//! - A later order wins in bounded time: what is under way and no longer serves is cancelled at once.
//! - A change of the host's uplinks under which Sparkle cannot be reached is taken back ([`UplinkRecord`]).
//! - Nothing else is remembered that matters: after a restart, what is found decides. What a step brought about that
//!   failed or was abandoned is looked for before anything is decided on it.
//! - An instance is told to be let go of (or, without an order, no longer told at all) only after a look found its
//!   guest gone, while nothing is under way that could bring it back, and its taps are gone: this is what lets
//!   Sparkle place it elsewhere. For the same reason nothing is told before the first complete look at guests.
//! - An `optional` volume is made as soon as something on this host would use it (a disk of an instance that is
//!   placed here shows it, or its image; or a volume here is still to be filled from its image, so that the
//!   image crosses the network once) and stays until it is ordered `deleted`.
//!
//! It does not decide where instances run, nor what a failure means for other hosts.
//!
//! [`Agent`] is the whole: the tables, the session with Sparkle, and within it the [`Keeper`], which knows neither.

mod alarms;
mod belief;
mod config;
mod connection;
mod driver;
mod facts;
mod index;
mod keeper;
mod looks;
mod memo;
mod news;
mod orders;
mod plan;
mod reach;
mod report;
mod rows;
mod step;
mod tell;
mod tell_machine;
mod tell_uplinks;
mod trial;

#[cfg(test)]
mod tests;

pub use config::{Config, Lane};
pub use connection::Refused;
pub use driver::{Agent, AgentEvent, AgentOptions};
pub use keeper::Keeper;
pub use news::Notification;
pub use orders::{
    DiskData, DiskOrder, Grant, Hardware, Hold, ImageOrder, InstanceOrder, LinkOrders, Moving, NicOrder,
    Order, OrderId, Orders, Placement, PoolOrder, SwitchOrder, Target, VolumeOrder, VolumeWish,
};
pub use report::{
    DataHealth, DataReport, InstanceHealth, InstanceReport, PoolHealth, PoolReport, Progress, Report,
    SwitchReport, Update, UplinkHealth, UplinkReport, VolumeReport,
};
pub use step::{Command, Found, Hint, Look, LookId, Output, ResourceId, Step, StepOutcome};
pub use trial::{RefusedUplinks, UplinkRecord};
