//! The part of a constraint's message that programs read: `… [unique instance 0]`, after the part that people
//! read. SQLite gives nothing but the message of a trigger or the name of a check, so both end in this.

use std::fmt;

/// What a broken constraint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag<'a> {
    /// References are not enforced on the connection.
    ForeignKeys,
    /// A row of this key is there.
    Key { table: &'a str },
    /// The columns of a unique set.
    Unique { table: &'a str, number: usize },
    /// A condition over one row.
    Check { table: &'a str, number: usize },
    /// The type of a column.
    Type { table: &'a str, column: &'a str },
    /// A column that does not change.
    Immutable { table: &'a str, column: &'a str },
    /// Overlapping ranges.
    Overlap { table: &'a str, number: usize },
    /// Not an address.
    Inet,
    /// Not an address range.
    Cidr,
    /// An address outside of its range.
    Inside,
    /// More than a limit of the owner admits; the table is the one whose rows count.
    Quota { table: &'a str, number: usize },
}

impl<'a> Tag<'a> {
    /// The message for people with this tag at its end.
    pub(crate) fn message(&self, words: &str) -> String {
        format!("{words} [{self}]")
    }

    /// The tag at the end of a message.
    pub(crate) fn parse(message: &'a str) -> Option<Self> {
        let (_, tag) = message.strip_suffix(']')?.rsplit_once('[')?;
        let mut words = tag.split(' ');
        let kind = words.next()?;
        let mut word = || words.next();
        Some(match kind {
            "foreign-keys" => Self::ForeignKeys,
            "key" => Self::Key { table: word()? },
            "unique" => Self::Unique { table: word()?, number: word()?.parse().ok()? },
            "check" => Self::Check { table: word()?, number: word()?.parse().ok()? },
            "type" => Self::Type { table: word()?, column: word()? },
            "immutable" => Self::Immutable { table: word()?, column: word()? },
            "overlap" => Self::Overlap { table: word()?, number: word()?.parse().ok()? },
            "inet" => Self::Inet,
            "cidr" => Self::Cidr,
            "inside" => Self::Inside,
            "quota" => Self::Quota { table: word()?, number: word()?.parse().ok()? },
            _ => return None,
        })
    }
}

impl fmt::Display for Tag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignKeys => write!(f, "foreign-keys"),
            Self::Key { table } => write!(f, "key {table}"),
            Self::Unique { table, number } => write!(f, "unique {table} {number}"),
            Self::Check { table, number } => write!(f, "check {table} {number}"),
            Self::Type { table, column } => write!(f, "type {table} {column}"),
            Self::Immutable { table, column } => write!(f, "immutable {table} {column}"),
            Self::Overlap { table, number } => write!(f, "overlap {table} {number}"),
            Self::Inet => write!(f, "inet"),
            Self::Cidr => write!(f, "cidr"),
            Self::Inside => write!(f, "inside"),
            Self::Quota { table, number } => write!(f, "quota {table} {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        let all = [
            Tag::ForeignKeys,
            Tag::Key { table: "a" },
            Tag::Unique { table: "a", number: 3 },
            Tag::Check { table: "a", number: 0 },
            Tag::Type { table: "a", column: "b" },
            Tag::Immutable { table: "a", column: "b" },
            Tag::Overlap { table: "a", number: 1 },
            Tag::Inet,
            Tag::Cidr,
            Tag::Inside,
            Tag::Quota { table: "a", number: 2 },
        ];
        for tag in all {
            assert_eq!(Tag::parse(&tag.message("some [words]")), Some(tag));
        }
        assert_eq!(Tag::parse("some words"), None);
        assert_eq!(Tag::parse("some [words]"), None);
    }
}
