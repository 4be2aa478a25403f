//! Functions and triggers.
//!
//! *The feed.* A sequence counts in the order in which it is asked, not in which transactions commit; a reader that goes
//! by it would miss those that commit late. So nothing asks it before the transaction is about to commit: changes are
//! written into the outbox by deferred triggers, under a lock that is held until the commit is visible. Whoever sees a
//! number in the outbox therefore sees all smaller ones that there will ever be. A transaction that was begun and left
//! open holds up nobody, for it has no number yet.
//!
//! *What depends on other rows* is checked there too. Under the lock a check sees everything committed before, and
//! nothing is committed beside it: two transactions that fit each but not both cannot both pass. That takes READ
//! COMMITTED, whose every statement looks anew; other isolation levels are refused.

use super::{COMMIT_LOCK, ident, literal, qualified};
use crate::ddl::plan::{Column, Inside, Plan, Table};
use pony_state::OnDelete;

/// The channel on which readers are woken.
pub(crate) const CHANNEL: &str = "pony_desired";

/// The SQLSTATE of a changed column that must not change. (All three are integrity violations to those who know
/// classes only.)
pub(crate) const STATE_IMMUTABLE: &str = "23PY1";
/// The SQLSTATE of an address outside of its range.
pub(crate) const STATE_INSIDE: &str = "23PY2";

/// The functions that all tables share.
pub(super) fn shared(schema: &str) -> Vec<String> {
    let order = function(
        &qualified(schema, "_order"),
        "()",
        "void",
        &format!(
            "BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'desired state is written in READ COMMITTED transactions only, not in %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = '25001', HINT = 'What others have committed meanwhile could not be checked against.';
  END IF;
  PERFORM pg_advisory_xact_lock({COMMIT_LOCK});
END"
        ),
    );
    let truncate = function(
        &qualified(schema, "_no_truncate"),
        "()",
        "trigger",
        "BEGIN
  RAISE EXCEPTION '%: cannot be truncated: nobody would be told; use DELETE', TG_TABLE_NAME USING ERRCODE = '0A000';
END",
    );
    // The last thing in a transaction of Sparkle's: refused once somebody else leads. Under the lock, which a new
    // leader takes as well, so that it is never late.
    let fence = function(
        &qualified(schema, "_fence"),
        "(leader bigint, OUT txn bigint, OUT newest bigint)",
        "record",
        &format!(
            "DECLARE epoch bigint;
BEGIN
  PERFORM {order}();
  SELECT it.epoch INTO epoch FROM {meta} AS it;
  IF epoch <> leader THEN
    RAISE EXCEPTION 'epoch % is over: epoch % has begun', leader, epoch USING ERRCODE = '{STATE_FENCED}';
  END IF;
  SELECT greatest(coalesce(max(it.seq), 0), (SELECT trimmed FROM {meta})) INTO newest FROM {outbox} AS it;
  txn := pg_current_xact_id()::text::bigint;
END",
            order = qualified(schema, "_order"),
            meta = qualified(schema, "_meta"),
            outbox = qualified(schema, "_outbox"),
        ),
    );
    let mut all = vec![order, truncate, fence, lead(schema)];
    all.extend(forget(schema));
    all
}

/// Whoever removes entries of the feed, and how: it says up to where, so that readers who have not seen them load.
fn forget(schema: &str) -> Vec<String> {
    let (meta, outbox) = (qualified(schema, "_meta"), qualified(schema, "_outbox"));
    let (deleted, truncated) = (qualified(schema, "_forget"), qualified(schema, "_forget_all"));
    let raise = |last: &str| {
        format!(
            "BEGIN\n  UPDATE {meta} SET trimmed = it.last FROM {last} AS it WHERE it.last > trimmed;\n  RETURN NULL;\nEND"
        )
    };
    let last = format!("(SELECT last_value AS last FROM {})", qualified(schema, "_outbox_seq"));
    vec![
        function(&deleted, "()", "trigger", &raise("(SELECT max(seq) AS last FROM gone)")),
        function(&truncated, "()", "trigger", &raise(&last)),
        format!(
            "CREATE TRIGGER \"forget\" AFTER DELETE ON {outbox} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION {deleted}()"
        ),
        format!(
            "CREATE TRIGGER \"forget all\" AFTER TRUNCATE ON {outbox} FOR EACH STATEMENT EXECUTE FUNCTION {truncated}()"
        ),
    ]
}

/// Takes the lead where nobody has it, or whoever had it is not heard of any more: by the database's clock, under the
/// lock of those who commit. Without it, `epoch` is null and `leader` says who leads.
fn lead(schema: &str) -> String {
    let body = format!(
        "BEGIN
  PERFORM {order}();
  UPDATE {meta} AS it SET epoch = it.epoch + 1, holder = claimant, holder_name = name, expires = clock_timestamp() + ttl_ms * interval '1 ms'
    WHERE it.holder IS NULL OR it.holder = claimant OR it.expires < clock_timestamp()
    RETURNING it.epoch INTO epoch;
  SELECT it.holder_name INTO leader FROM {meta} AS it;
END",
        order = qualified(schema, "_order"),
        meta = qualified(schema, "_meta"),
    );
    let arguments = "(claimant uuid, name text, ttl_ms bigint, OUT epoch bigint, OUT leader text)";
    function(&qualified(schema, "_lead"), arguments, "record", &body)
}

/// The SQLSTATE of a writer that leads no longer.
pub(crate) const STATE_FENCED: &str = "23PY9";

pub(super) fn function(name: &str, arguments: &str, returns: &str, body: &str) -> String {
    let returns = if arguments.contains("OUT ") { String::new() } else { format!(" RETURNS {returns}") };
    format!("CREATE FUNCTION {name}{arguments}{returns} LANGUAGE plpgsql AS $body$\n{body}\n$body$")
}

pub(super) fn statements(schema: &str, plan: &Plan, table: &Table) -> Vec<String> {
    let on = qualified(schema, &table.name);
    let mut all = feed(schema, table);
    all.push(format!(
        "CREATE TRIGGER \"no truncate\" BEFORE TRUNCATE ON {on} EXECUTE FUNCTION {}()",
        qualified(schema, "_no_truncate")
    ));
    all.extend(keep(schema, table));
    for (place, inside) in table.insides.iter().enumerate() {
        all.extend(check_inside(schema, table, place, inside));
    }
    for &(child, place) in &table.encloses {
        let child = &plan.tables[child];
        all.extend(check_encloses(schema, table, child, place));
    }
    all
}

/// A trigger at the end of the transaction.
pub(super) fn deferred(
    schema: &str,
    name: &str,
    event: &str,
    table: &str,
    when: &str,
    function: &str,
) -> String {
    format!(
        "CREATE CONSTRAINT TRIGGER {} AFTER {event} ON {} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW {when}EXECUTE FUNCTION {function}()",
        ident(name),
        qualified(schema, table)
    )
}

/// `jsonb_build_array(NEW."a", NEW."b")`.
pub(super) fn key_array(table: &Table, row: &str) -> String {
    let columns: Vec<String> =
        table.key().iter().map(|column| format!("{row}.{}", ident(&column.name))).collect();
    format!("jsonb_build_array({})", columns.join(", "))
}

/// Every change goes into the outbox, at the end of its transaction. An update that changes nothing (by the bytes of
/// the row: `1.0` in JSON is not `1`) is no change.
fn feed(schema: &str, table: &Table) -> Vec<String> {
    let function_name = qualified(schema, &format!("_feed_{}", table.name));
    let body = format!(
        "BEGIN
  PERFORM {order}();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO {outbox} VALUES (nextval({sequence}), pg_current_xact_id()::text::bigint, {name}, {old}, NULL);
  ELSE
    INSERT INTO {outbox} VALUES (nextval({sequence}), pg_current_xact_id()::text::bigint, {name}, {new}, to_jsonb(NEW));
  END IF;
  PERFORM pg_notify({channel}, '');
  RETURN NULL;
END",
        order = qualified(schema, "_order"),
        outbox = qualified(schema, "_outbox"),
        sequence = literal(&qualified(schema, "_outbox_seq")),
        name = literal(&table.name),
        old = key_array(table, "OLD"),
        new = key_array(table, "NEW"),
        channel = literal(CHANNEL),
    );
    let trigger = |name, event, when| deferred(schema, name, event, &table.name, when, &function_name);
    vec![
        function(&function_name, "()", "trigger", &body),
        trigger("feed", "INSERT OR DELETE", ""),
        trigger("feed update", "UPDATE", "WHEN (OLD.* *<> NEW.*) "),
    ]
}

/// Columns that keep their first value, the key's among them.
fn keep(schema: &str, table: &Table) -> Vec<String> {
    let kept = table.columns.iter().enumerate().filter(|(at, it)| *at < table.key_len || it.immutable);
    let (mut changed, mut refusals) = (Vec::new(), String::new());
    for (_, column) in kept {
        let name = ident(&column.name);
        changed.push(format!("OLD.{name} IS DISTINCT FROM NEW.{name}"));
        refusals.push_str(&refuse_change(schema, table, column));
    }
    let function_name = qualified(schema, &format!("_keep_{}", table.name));
    let body = format!("BEGIN\n{refusals}  RETURN NEW;\nEND");
    vec![
        function(&function_name, "()", "trigger", &body),
        format!(
            "CREATE TRIGGER \"keep\" BEFORE UPDATE ON {} FOR EACH ROW WHEN ({}) EXECUTE FUNCTION {function_name}()",
            qualified(schema, &table.name),
            changed.join(" OR ")
        ),
    ]
}

/// A reference that becomes null because the referenced row went is no change of the user's.
fn refuse_change(schema: &str, table: &Table, column: &Column) -> String {
    let name = ident(&column.name);
    let mut condition = format!("OLD.{name} IS DISTINCT FROM NEW.{name}");
    if let Some(reference) = &column.reference
        && reference.on_delete == OnDelete::SetNull
    {
        condition.push_str(&format!(
            " AND (NEW.{name} IS NOT NULL OR EXISTS (SELECT FROM {} AS it WHERE it.{} = OLD.{name}))",
            qualified(schema, &reference.table),
            ident(&reference.column)
        ));
    }
    format!(
        "  IF {condition} THEN\n    RAISE EXCEPTION {words} USING ERRCODE = '{STATE_IMMUTABLE}', TABLE = {table_name}, COLUMN = {column_name};\n  END IF;\n",
        words = literal(&format!("{}.{}: cannot be changed", table.name, column.name)),
        table_name = literal(&table.name),
        column_name = literal(&column.name),
    )
}

/// Raises where `query`, which gives the key of a row, finds one.
fn refuse_found(schema: &str, query: &str, words: &str, (table, column): (&str, &str)) -> String {
    format!(
        "DECLARE broken jsonb;
BEGIN
  PERFORM {order}();
  {query};
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION {words} USING ERRCODE = '{STATE_INSIDE}', TABLE = {table}, COLUMN = {column}, DETAIL = broken::text;
  END IF;
  RETURN NULL;
END",
        order = qualified(schema, "_order"),
        words = literal(words),
        table = literal(table),
        column = literal(column),
    )
}

/// Whether `child`'s address lies outside of `parent`'s range; only the address counts, not its own prefix.
fn lies_outside(inside: &Inside) -> String {
    let (column, range) = (ident(&inside.column), ident(&inside.range));
    format!(
        "NOT set_masklen(child.{column}, CASE family(child.{column}) WHEN 4 THEN 32 ELSE 128 END) <<= parent.{range}"
    )
}

/// An address lies in its range: looked at as rows are when the transaction ends.
fn check_inside(schema: &str, table: &Table, place: usize, inside: &Inside) -> Vec<String> {
    let function_name = qualified(schema, &format!("_inside_{}_{place}", table.name));
    let same: Vec<String> =
        table.key().iter().map(|it| ident(&it.name)).map(|it| format!("child.{it} = NEW.{it}")).collect();
    let query = format!(
        "SELECT {key} INTO broken FROM {child} AS child JOIN {parent} AS parent ON parent.{id} = child.{via}\n    WHERE {same} AND {outside}",
        key = key_array(table, "child"),
        child = qualified(schema, &table.name),
        parent = qualified(schema, &inside.parent.table),
        id = ident(&inside.parent.column),
        via = ident(&inside.via),
        same = same.join(" AND "),
        outside = lies_outside(inside),
    );
    let words = format!(
        "{}.{}: lies outside of the {} of its {}",
        table.name, inside.column, inside.range, inside.via
    );
    let event = format!("INSERT OR UPDATE OF {}, {}", ident(&inside.column), ident(&inside.via));
    vec![
        function(
            &function_name,
            "()",
            "trigger",
            &refuse_found(schema, &query, &words, (&table.name, &inside.column)),
        ),
        deferred(schema, &format!("inside {place}"), &event, &table.name, "", &function_name),
    ]
}

/// The same from the other side: the range changes.
fn check_encloses(schema: &str, table: &Table, child: &Table, place: usize) -> Vec<String> {
    let inside = &child.insides[place];
    let function_name = qualified(schema, &format!("_encloses_{}_{place}", child.name));
    let query = format!(
        "SELECT {key} INTO broken FROM {children} AS child JOIN {parent} AS parent ON parent.{id} = child.{via}\n    WHERE parent.{id} = NEW.{id} AND {outside} LIMIT 1",
        key = key_array(table, "parent"),
        children = qualified(schema, &child.name),
        parent = qualified(schema, &table.name),
        id = ident(&inside.parent.column),
        via = ident(&inside.via),
        outside = lies_outside(inside),
    );
    let words = format!(
        "{}.{}: a {} that refers to it has an address outside of it",
        table.name, inside.range, child.name
    );
    let event = format!("UPDATE OF {}", ident(&inside.range));
    vec![
        function(
            &function_name,
            "()",
            "trigger",
            &refuse_found(schema, &query, &words, (&table.name, &inside.range)),
        ),
        deferred(
            schema,
            &format!("encloses {}.{place}", child.name),
            &event,
            &table.name,
            "",
            &function_name,
        ),
    ]
}
