"""What can go wrong: one exception for each error of the engine."""

from __future__ import annotations


class PonyError(Exception):
    """The base of all; ``table`` and ``column`` say where, if that is known."""

    def __init__(self, message: str, table: str | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.table = table
        self.column = column


class SchemaError(PonyError, ValueError):
    """The declared tables do not fit together."""


class PartError(PonyError):
    """A key or a part is not one of its table."""


class UnknownTable(PartError, LookupError):
    """There is no such table."""


class UnknownColumn(PartError, LookupError):
    """The table has no such column."""


class NoPart(PartError, LookupError):
    """The table's rows have no such part."""


class Absent(PartError, LookupError):
    """This row does not have the part that should change."""


class NotAnObject(PartError, TypeError):
    """A part that is not a dictionary."""


class Missing(PartError, ValueError):
    """A column that must have a value has none."""


class WrongValue(PartError, ValueError):
    """A value does not fit its column."""


class WrongKey(PartError, ValueError):
    """A key does not fit its table."""


class KeyMismatch(PartError, ValueError):
    """A key column in a part is not that of the row's key."""


class NotAJoin(PonyError, LookupError):
    """The table does not join others by that column."""


class TransactionError(PonyError, RuntimeError):
    """A transaction was used outside of its ``with``, or within another one of the same thread."""


class FeedError(PonyError):
    """A subscription gives no commit."""


class Lagged(FeedError):
    """More changes waited than the capacity, and were dropped.

    Take a snapshot, start over from it, call :meth:`Subscription.skip_to` with its version, and go on.
    """


class Closed(FeedError):
    """The state is gone: there will be no more commits."""
