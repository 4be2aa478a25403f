//! Look-ups by several columns: the smallest posting list is walked, the other filters are asked of each row.

use crate::engine::id_set::Ids;
use crate::table::TableOps;
use crate::value::Value;

/// A filter names a column that the table does not have.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// # let mut state = house()?;
/// let error = state.any("lamp").unwrap().find("percnet", &20.into()).err().unwrap();
/// assert_eq!(error.to_string(), "table `lamp` has no column `percnet`");
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table `{table}` has no column `{column}`")]
pub struct UnknownColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// The ids of the rows for which all filters hold; all rows where there is none.
pub(crate) fn filter<'a>(
    table: &'a dyn TableOps,
    filters: &[(&str, Value)],
) -> Result<Ids<'a>, UnknownColumn> {
    let unknown =
        |column: &str| UnknownColumn { table: table.def().name().to_owned(), column: column.to_owned() };
    if let Some((column, _)) = filters.iter().find(|(column, _)| table.def().places(column).is_none()) {
        return Err(unknown(column));
    }
    let cost = |place: &usize| filters.get(*place).map_or(0, |(column, value)| table.cost(column, value));
    let Some(best) = (0..filters.len()).min_by_key(cost) else { return Ok(table.all_ids()) };
    let mut rest = filters.to_vec();
    let (column, value) = rest.swap_remove(best);
    let ids = table.find_ids(column, &value).ok_or_else(|| unknown(column))?;
    if rest.is_empty() {
        return Ok(ids);
    }
    let rest: Vec<(String, Value)> =
        rest.into_iter().map(|(column, value)| (column.to_owned(), value)).collect();
    let all = move |id: &u32| rest.iter().all(|(column, value)| table.holds(*id, column, value));
    Ok(Ids::Boxed(Box::new(ids.filter(all))))
}
