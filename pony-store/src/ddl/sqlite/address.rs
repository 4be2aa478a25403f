//! Addresses in SQL alone. SQLite has no type for them, and functions registered by this program would lock out
//! everybody who writes to the file by other means; so a view with an INSTEAD OF trigger serves as a procedure:
//! a table's trigger inserts the address into the view, and is refused where it is not in its one right form,
//! which is that of [`pony_state::Inet`] and [`pony_state::Cidr`] (RFC 5952 for IPv6).

use super::Tag;

/// The procedures `_inet(value)`, `_cidr(value)` and `_inside(address, range)`.
pub(super) fn statements() -> Vec<String> {
    vec![
        r#"CREATE VIEW "_inet" ("value") AS SELECT NULL WHERE 0"#.to_owned(),
        r#"CREATE VIEW "_cidr" ("value") AS SELECT NULL WHERE 0"#.to_owned(),
        r#"CREATE VIEW "_inside" ("address", "range") AS SELECT NULL, NULL WHERE 0"#.to_owned(),
        form_trigger("_inet", &Tag::Inet.message(INET_WORDS), INET_PREFIX),
        form_trigger("_cidr", &Tag::Cidr.message(CIDR_WORDS), CIDR_PREFIX),
        inside_trigger(),
    ]
}

const INET_WORDS: &str = "not an address in its shortest form, as 10.0.0.1, 10.0.0.1/24 or fd00::1/64";
const CIDR_WORDS: &str = "not an address range in its shortest form, as 10.0.0.0/24 or fd00::/64";
const INSIDE_WORDS: &str = "the address lies outside of its range";

/// Over `h` (the address in hexadecimal) and `p` (the prefix length as it is written, or null).
const INET_PREFIX: &str = "p IS NULL OR (p = CAST(CAST(p AS INTEGER) AS TEXT)
        AND CAST(p AS INTEGER) BETWEEN 0 AND length(h) * 4 - 1)";

/// The same, and no bit is set beyond the prefix.
const CIDR_PREFIX: &str =
    "p = CAST(CAST(p AS INTEGER) AS TEXT) AND CAST(p AS INTEGER) BETWEEN 0 AND length(h) * 4
        AND (instr('0123456789abcdef', substr(h, p / 4 + 1, 1)) - 1) & (15 >> p % 4) = 0
        AND ltrim(substr(h, p / 4 + 2), '0') = ''";

/// Refuses a value that does not look as it would be printed.
fn form_trigger(view: &str, message: &str, prefix: &str) -> String {
    let decoded = decoded("", "NEW.\"value\"");
    let runs = runs();
    format!(
        r#"CREATE TRIGGER "{view}.insert" INSTEAD OF INSERT ON "{view}" BEGIN
  SELECT RAISE(ABORT, '{message}')
  WHERE NEW."value" IS NOT NULL AND NOT EXISTS (
    WITH {decoded},
    spelt AS MATERIALIZED (
      SELECT a, p, four, h, {groups} AS s FROM hexed
      WHERE h NOT GLOB '*[^0-9a-f]*' AND length(h) = CASE WHEN a = four THEN 8 ELSE 32 END
    ),
    squeezed AS MATERIALIZED (SELECT a, p, four, h, {runs} AS s FROM spelt),
    shown AS MATERIALIZED (
      SELECT a, p, h, CASE
        WHEN four = a THEN {dotted}
        WHEN four IS NOT NULL THEN '::ffff:' || {dotted}
        WHEN h NOT GLOB '{MAPPED}*' THEN {stripped}
      END AS t FROM squeezed
    )
    SELECT 1 FROM shown WHERE t = a AND ({prefix})
  );
END"#,
        groups = groups(),
        dotted = dotted(),
        stripped = stripped(),
    )
}

fn inside_trigger() -> String {
    let message = Tag::Inside.message(INSIDE_WORDS);
    let address = decoded("address_", "NEW.\"address\"");
    let range = decoded("range_", "NEW.\"range\"");
    format!(
        r#"CREATE TRIGGER "_inside.insert" INSTEAD OF INSERT ON "_inside" BEGIN
  SELECT RAISE(ABORT, '{message}')
  WHERE NOT EXISTS (
    WITH {address},
    {range}
    SELECT 1 FROM address_hexed AS a, range_hexed AS r
    WHERE length(a.h) = length(r.h)
      AND substr(a.h, 1, r.p / 4) = substr(r.h, 1, r.p / 4)
      AND (instr('0123456789abcdef', substr(a.h, r.p / 4 + 1, 1)) - 1) >> (4 - r.p % 4)
        = (instr('0123456789abcdef', substr(r.h, r.p / 4 + 1, 1)) - 1) >> (4 - r.p % 4)
  );
END"#
    )
}

/// The first 96 bits of an IPv4 address written as IPv6.
const MAPPED: &str = "00000000000000000000ffff";

/// Common table expressions that end in `hexed(a, p, four, j, h)`: the address as text, the prefix length as
/// text, its dotted part where it has one, its parts as a JSON array, and its bits in hexadecimal. They take
/// any text, and yield a null or nonsense for what is no address: whoever needs to know prints `h` again and
/// compares. Materialized, or else SQLite would put each expression into all places that use it, and calculate
/// it there.
fn decoded(prefix: &str, value: &str) -> String {
    let hex4 = format!("printf('%02x%02x%02x%02x', {})", parts(4));
    let hex6: Vec<String> =
        (0..8).map(|part| format!("substr('0000' || json_extract(j, '$[{part}]'), -4)")).collect();
    let hex6 = hex6.join(" || ");
    format!(
        r#"{prefix}slashed AS MATERIALIZED (
      SELECT CASE WHEN instr(v, '/') THEN substr(v, 1, instr(v, '/') - 1) ELSE v END AS a,
        CASE WHEN instr(v, '/') THEN substr(v, instr(v, '/') + 1) END AS p
      FROM (SELECT {value} AS v)
    ),
    {prefix}parted AS MATERIALIZED (
      SELECT a, p, trim(replace(a, '::', ':*:'), ':') AS b,
        CASE WHEN instr(a, ':') = 0 THEN a WHEN a GLOB '::ffff:*.*' THEN substr(a, 8) END AS four
      FROM {prefix}slashed
    ),
    {prefix}listed AS MATERIALIZED (
      SELECT a, p, four, CASE
        WHEN four IS NOT NULL THEN '[' || replace(four, '.', ',') || ']'
        ELSE '["' || replace(replace(b, '*',
          substr('0:0:0:0:0:0:0:0', 1, 15 - 2 * (length(b) - length(replace(b, ':', ''))))), ':', '","') || '"]'
      END AS j FROM {prefix}parted
    ),
    {prefix}hexed AS MATERIALIZED (
      SELECT a, p, four, j, CASE
        WHEN NOT json_valid(j) THEN NULL
        WHEN four = a THEN {hex4}
        WHEN four IS NOT NULL THEN '{MAPPED}' || {hex4}
        ELSE {hex6}
      END AS h FROM {prefix}listed
    )"#
    )
}

/// The first `count` items of `j`.
fn parts(count: usize) -> String {
    let parts: Vec<String> = (0..count).map(|part| format!("json_extract(j, '$[{part}]')")).collect();
    parts.join(", ")
}

/// The dotted form of `h`'s last 32 bits.
fn dotted() -> String {
    let digit = |place: i32| format!("instr('0123456789abcdef', substr(h, {place}, 1)) - 1");
    let octet = |place: i32| format!("(({}) * 16 + {})", digit(place), digit(place + 1));
    format!("({} || '.' || {} || '.' || {} || '.' || {})", octet(-8), octet(-6), octet(-4), octet(-2))
}

/// The groups of `h` without leading zeros, with a colon before, between and after them.
fn groups() -> String {
    let groups: Vec<String> = (0..8)
        .map(|group| format!("ifnull(nullif(ltrim(substr(h, {}, 4), '0'), ''), '0')", group * 4 + 1))
        .collect();
    format!("':' || {} || ':'", groups.join(" || ':' || "))
}

/// `s` with its first longest run of two zero groups or more replaced by `::`.
fn runs() -> String {
    let mut cases = String::from("CASE");
    for length in (2..=8).rev() {
        let run = format!(":{}", "0:".repeat(length));
        let bytes = run.len();
        cases.push_str(&format!(
            "\n        WHEN instr(s, '{run}') THEN substr(s, 1, instr(s, '{run}') - 1) || '::' || substr(s, instr(s, '{run}') + {bytes})"
        ));
    }
    cases.push_str("\n        ELSE s END");
    cases
}

/// `s` without a single colon at either end.
fn stripped() -> &'static str {
    "substr(s, CASE WHEN s GLOB '::*' THEN 1 ELSE 2 END, \
     length(s) - CASE WHEN s GLOB '::*' THEN 0 ELSE 1 END - CASE WHEN s GLOB '*::' THEN 0 ELSE 1 END)"
}
