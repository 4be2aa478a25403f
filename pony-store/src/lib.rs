//! DesiredStore: the authoritative database of desired state.
