//! Look-ups by several columns: the smallest posting list is walked, the other filters are asked of each row.

use crate::engine::id_set::Ids;
use crate::schema::ColumnPlaces;
use crate::table::TableOps;
use crate::value::{Key, Value};

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

/// A posting list with at least this part of the rows, one in so many, is not sorted: it costs less to look through the
/// rows in the order of their keys, and a reader who stops early has not paid for the rest.
const SORTED_PART: usize = 8;

/// The ids of the rows for which all filters hold, in no order; all rows where there is none.
pub(crate) fn filter<'a>(
    table: &'a dyn TableOps,
    filters: &[(&str, Value)],
) -> Result<Ids<'a>, UnknownColumn> {
    let mut asked = resolve(table, filters)?;
    let Some((best, _)) = cheapest(table, &asked) else { return Ok(table.all_ids()) };
    let (places, value) = asked.swap_remove(best);
    let ids = table.ids_with(places, &value);
    Ok(those_that_pass(table, ids, asked))
}

/// The same in the order of keys, beginning beyond `after`.
pub(crate) fn filter_in_order<'a>(
    table: &'a dyn TableOps,
    filters: &[(&str, Value)],
    after: Option<&Key>,
) -> Result<Ids<'a>, UnknownColumn> {
    let asked = resolve(table, filters)?;
    let few = cheapest(table, &asked).filter(|(_, rows)| *rows < table.len() / SORTED_PART);
    if few.is_none() {
        return Ok(those_that_pass(table, table.ids_after_any(after), asked));
    }
    let mut ids: Vec<u32> = filter(table, filters)?.collect();
    table.sort_ids(&mut ids);
    let is_before =
        |id: &u32| after.is_some_and(|after| table.row(*id).is_some_and(|it| it.any_key() <= *after));
    let first = ids.partition_point(is_before);
    Ok(Ids::Boxed(Box::new(ids.into_iter().skip(first))))
}

type Asked = Vec<(ColumnPlaces, Value)>;

fn resolve(table: &dyn TableOps, filters: &[(&str, Value)]) -> Result<Asked, UnknownColumn> {
    let place = |(column, value): &(&str, Value)| match table.def().places(column) {
        Some(places) => Ok((places, value.clone())),
        None => Err(UnknownColumn { table: table.def().name().to_owned(), column: (*column).to_owned() }),
    };
    filters.iter().map(place).collect()
}

/// Which filter leaves the fewest rows to look at, and how many.
fn cheapest(table: &dyn TableOps, asked: &Asked) -> Option<(usize, usize)> {
    let costs = asked.iter().map(|(places, value)| table.cost(*places, value));
    costs.enumerate().min_by_key(|(_, rows)| *rows)
}

fn those_that_pass<'a>(table: &'a dyn TableOps, ids: Ids<'a>, asked: Asked) -> Ids<'a> {
    if asked.is_empty() {
        return ids;
    }
    let all = move |id: &u32| asked.iter().all(|(places, value)| table.holds(*id, *places, value));
    Ids::Boxed(Box::new(ids.filter(all)))
}
