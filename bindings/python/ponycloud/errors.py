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


class NotOne(PonyError, LookupError):
    """Not one row was found, but none or several."""


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


class KeyFileError(PonyError):
    """A file of keys cannot be used."""


class CloudError(PonyError):
    """The cloud cannot be asked, or says no."""


class Unreachable(CloudError, ConnectionError):
    """There is no connection to Sparkle, or it broke. What was being written may or may not have been taken."""


class TimedOut(CloudError, TimeoutError):
    """It took too long. What was ordered stands."""


class ProtocolError(CloudError):
    """What answered is no Sparkle."""


class ApiError(CloudError):
    """Sparkle says no: ``code`` names what is wrong, ``message`` says so to people, ``path`` says where in the document, if
    that is known, ``status`` is that of HTTP."""

    def __init__(self, code: str, message: str, path: str | None = None, status: int = 0) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.code = code
        self.message = message
        self.path = path
        self.status = status


class InvalidData(ApiError, ValueError):
    """What was ordered does not fit the tables."""


class InvalidPatch(ApiError, ValueError):
    """That is no patch."""


class Unauthenticated(ApiError, PermissionError):
    """Credentials are needed, or those given are wrong."""


class AccessDenied(ApiError, PermissionError):
    """The caller may not do that."""


class QuotaExceeded(ApiError):
    """The tenant would have more than it may."""


class NotFound(ApiError, LookupError):
    """There is nothing at that place, or nothing that the caller may see."""


class Conflict(ApiError):
    """It contradicts what is there: a test failed, a name is taken, something is in use."""


class PreconditionFailed(ApiError):
    """The entity is not what it was."""


class Unavailable(ApiError):
    """Not now: the database is away, or there were too many requests. Try again."""


#: By the code that the API gives.
BY_CODE: dict[str, type[ApiError]] = {
    "invalid-data": InvalidData,
    "invalid-patch": InvalidPatch,
    "unauthenticated": Unauthenticated,
    "access-denied": AccessDenied,
    "quota-exceeded": QuotaExceeded,
    "path-not-found": NotFound,
    "conflict": Conflict,
    "precondition-failed": PreconditionFailed,
    "database-unavailable": Unavailable,
    "too-many-requests": Unavailable,
}
