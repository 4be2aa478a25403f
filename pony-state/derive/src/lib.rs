//! The derives of `pony-state`: `Entity`, `Part` and `Enum`.
