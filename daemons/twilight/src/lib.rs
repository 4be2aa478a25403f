//! Twilight, the agent on each host.
