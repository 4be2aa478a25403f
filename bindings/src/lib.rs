//! The Python module `ponycloud._native`: the dynamic door of `pony-state`, as little as Python needs of it.
//!
//! It knows tables, rows and JSON values, and nothing of clouds. What Python itself can say (declarations, rows,
//! exceptions, context managers, who may write when) lies in `python/ponycloud`. The interpreter is given away (`detach`)
//! for look-ups that may have to walk a table, for commits, and while waiting.

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

use pyo3::prelude::*;

#[pymodule]
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
