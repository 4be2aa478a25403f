//! ZeroMQ links between the daemons: a thread per ROUTER socket, CURVE keys, admission, bounded queues.
//!
//! Sparkle [binds](Server::bind), every peer daemon [connects](Client::connect). Both get the same things:
//! a [`Sender`] that never blocks, and [`Event`]s to await on Tokio. A message is a peer, a body and the
//! sender's clock; what the body says is not this crate's business: it neither parses JSON nor knows of
//! sequences, hosts or rows, and the time in a message is the caller's.
//!
//! **What can be relied on.** Nothing blocks and nothing grows without a bound (see [`Limits`]). What could not
//! be handed to a peer is told ([`Event::Undelivered`]), so that a session falls back to a full state; what
//! comes in faster than it is consumed waits in the network, not in memory. Under CURVE every message carries
//! the public key that its connection proved, and a key that loses its [admission](Admission) is cut off at
//! once. A peer that sends garbage is counted and reported, and harms nobody else.
//!
//! **What cannot.** That a message accepted by [`Sender::send`] arrives: the link may break a moment later.
//! A connection's end is noticed by the client at once, by the server only when it sends next.
//!
//! # Building with CURVE
//!
//! The `zmq` crate as published compiles a libzmq *without* CURVE. This workspace links the system's libzmq
//! instead, through a `links` override in `.cargo/config.toml`. Whoever embeds this crate elsewhere has to
//! do the same; without it everything that needs keys fails with an error that says so (see [`curve_available`]).

mod address;
mod admission;
mod client;
mod clock;
mod event;
mod frames;
mod key;
mod key_file;
mod limits;
mod link;
mod monitor;
mod options;
mod queue;
mod server;
mod stats;
mod wake;
mod worker;
mod z85;
mod zap;

pub use address::{Endpoint, EndpointError};
pub use admission::{Admission, AllowList};
pub use client::{Client, ClientSecurity, ConnectError};
pub use clock::Clock;
pub use event::{DownReason, Event, Malformation, Message, Peer, UndeliveredReason};
pub use key::{KeyError, KeyPair, PublicKey, PublicKeyError, curve_available};
pub use key_file::KeyFileError;
pub use limits::Limits;
pub use link::ShutdownError;
pub use queue::{Events, SendError, Sender};
pub use server::{BindError, SERVER_ROUTING_ID, Server, ServerSecurity};
pub use stats::Stats;
