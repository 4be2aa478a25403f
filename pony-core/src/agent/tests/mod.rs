//! The keeper, and the whole agent, on a simulated host in virtual time.

mod behaviour;
mod exchange;
mod extents;
mod later_order;
mod machine;
mod networks;
mod random;
mod remotes;
mod rig;
mod rows;
mod uplinks;
mod volumes;
