//! The keeper on a simulated host, in virtual time.

mod behaviour;
mod later_order;
mod random;
mod rig;
mod volumes;
