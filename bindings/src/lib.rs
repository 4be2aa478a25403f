//! The Python module `ponycloud._native`: the dynamic door of `pony-state`, as little as Python needs of it.
//!
//! It knows tables, rows and JSON values, and nothing of clouds. It opens no socket. What Python itself can say (declarations,
//! rows, exceptions, context managers, sockets, who may write when) lies in `python/ponycloud`. The interpreter is given away
//! (`detach`) for loads, for look-ups that may have to walk a table, for commits, for messages, and while waiting.

mod convert;
mod declare;
mod draft;
mod error;
mod feed;
mod names;
mod rows;
mod session;
mod take;
mod view;
mod write;

use pyo3::prelude::*;

/// Without the interpreter's lock nothing of this was ever run: builds that have none take it back for this module.
#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::draft::{Committed, Draft, Engine};
    #[pymodule_export]
    use crate::feed::Feed;
    #[pymodule_export]
    use crate::rows::Rows;
    #[pymodule_export]
    use crate::session::Exchange;
    #[pymodule_export]
    use crate::view::View;
}
