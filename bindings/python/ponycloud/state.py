"""The state, its snapshots, transactions and commits.

Keys and values are what JSON has: UUIDs and addresses are ``str`` (``uuid.UUID`` and ``ipaddress`` objects are taken, too),
a composite key is a tuple.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from . import _native, errors
from .schema import Table

#: The changes that may wait for a subscriber, where it says nothing else: some MiB of rows.
CAPACITY = 65_536


class Row(NamedTuple):
    """A row. A part that is absent is ``None``."""

    table: str
    key: Any
    desired: dict[str, Any] | None
    current: dict[str, Any] | None


class Change(NamedTuple):
    """One row before and after a transaction; ``None`` where it did not exist."""

    table: str
    key: Any
    before: Row | None
    after: Row | None


class Commit(NamedTuple):
    """What a transaction changed, each row once; ``version`` is the state's from then on."""

    version: int
    changes: list[Change]


def _row(row: tuple[str, Any, Any, Any] | None) -> Row | None:
    return None if row is None else Row._make(row)


def _commit(commit: tuple[int, list[Any]]) -> Commit:
    version, changes = commit
    return Commit(version, [Change(table, key, _row(old), _row(new)) for table, key, old, new in changes])


class _Reads:
    """Reading: the same of a state, a snapshot and a transaction."""

    def _view(self) -> _native.View:
        raise NotImplementedError

    @property
    def version(self) -> int:
        """How many transactions changed something so far."""
        return self._view().version

    def count(self, table: str) -> int:
        """How many rows there are."""
        return self._view().count(table)

    def get(self, table: str, key: object) -> Row | None:
        """The row of a key."""
        return _row(self._view().get(table, key))

    def find(self, table: str, column: str, value: object) -> list[Row]:
        """The rows whose key, desired or current part has that value there, in the order of their keys."""
        return self.filter(table, {column: value})

    def filter(
        self,
        table: str,
        filters: Mapping[str, object] | None = None,
        /,
        *,
        after: object = None,
        limit: int | None = None,
        **columns: object,
    ) -> list[Row]:
        """The rows for which every filter holds, in the order of their keys; all rows where there is none.

        ``after`` (a key) and ``limit`` give one page. Columns of these two names are for ``filters``.
        """
        wanted = {**(filters or {}), **columns}
        return [Row._make(row) for row in self._view().filter(table, wanted, after, limit)]

    def join(self, table: str, column: str, key: object) -> list[tuple[Row, Row]]:
        """Follows a join table from one side to the other: its rows with ``key`` in ``column``, each with its target."""
        return [(Row._make(row), Row._make(target)) for row, target in self._view().join(table, column, key)]


class Snapshot(_Reads):
    """A state at one moment. It never changes."""

    def __init__(self, view: _native.View) -> None:
        self._fixed = view

    def _view(self) -> _native.View:
        return self._fixed


class State(_Reads):
    """Tables of rows with a desired and a current part; any number of threads may use it.

    References are not enforced: the state knows of them for joins.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._engine = _native.Engine(tables)
        self._writing = threading.Lock()
        self._writer: int | None = None

    def _view(self) -> _native.View:
        return self._engine.view()

    def snapshot(self) -> Snapshot:
        """What the state is now, for as long as anybody wants to look at it. Costs next to nothing."""
        return Snapshot(self._engine.view())

    def transaction(self) -> Transaction:
        """A transaction, for ``with``."""
        return Transaction(self)

    def subscribe(self, capacity: int = CAPACITY) -> Subscription:
        """The commits from now on, of which up to ``capacity`` changes may wait."""
        return Subscription(*self._engine.subscribe(capacity))


class Transaction(_Reads):
    """All or nothing: what was written in the ``with`` block is committed at its end, or forgotten where an exception
    leaves it. Reads see its own writes; nobody else does before the commit. One runs at a time, others wait."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._running: _native.Draft | None = None
        self.committed: Commit | None = None
        """What was committed, once it was."""

    def __enter__(self) -> Transaction:
        if self._state._writer == threading.get_ident():
            raise errors.TransactionError("this thread is in a transaction already; it would wait for itself")
        self._state._writing.acquire()
        self._state._writer = threading.get_ident()
        self._running = self._state._engine.draft()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        draft, self._running = self._draft(), None
        try:
            if kind is None:
                self.committed = _commit(draft.commit())
        finally:
            self._state._writer = None
            self._state._writing.release()

    def _draft(self) -> _native.Draft:
        if self._running is None:
            raise errors.TransactionError("the transaction does not run; use it within its `with` block")
        return self._running

    def _view(self) -> _native.View:
        return self._draft().view()

    def set_desired(self, table: str, key: object, part: Mapping[str, object]) -> bool:
        """Gives a row a desired part, in place of the one that it had. Says whether that changed anything."""
        return self._draft().set(table, key, "desired", _plain(part))

    def set_current(self, table: str, key: object, part: Mapping[str, object]) -> bool:
        """Gives a row a current part, in place of the one that it had. Says whether that changed anything."""
        return self._draft().set(table, key, "current", _plain(part))

    def update_desired(self, table: str, key: object, /, **columns: object) -> bool:
        """Changes columns of a desired part that is there; ``None`` removes a value."""
        return self._draft().patch(table, key, "desired", columns)

    def update_current(self, table: str, key: object, /, **columns: object) -> bool:
        """Changes columns of a current part that is there; ``None`` removes a value."""
        return self._draft().patch(table, key, "current", columns)

    def remove_desired(self, table: str, key: object) -> bool:
        """Removes a row's desired part. Says whether there was one."""
        return self._draft().remove(table, key, "desired")

    def remove_current(self, table: str, key: object) -> bool:
        """Removes a row's current part. Says whether there was one."""
        return self._draft().remove(table, key, "current")

    def remove(self, table: str, key: object) -> bool:
        """Removes both parts of a row. Says whether there was one."""
        return self._draft().remove(table, key, None)


def _plain(part: Mapping[str, object]) -> object:
    return dict(part) if isinstance(part, Mapping) else part


class Subscription:
    """The commits of a state since it was subscribed to, in order. Iterating waits for the next one."""

    def __init__(self, view: _native.View, feed: _native.Feed) -> None:
        self.snapshot = Snapshot(view)
        """What the state was before the first of them."""
        self._feed = feed

    def next(self, timeout: float | None = None) -> Commit | None:
        """The next commit; ``None`` where there was none within ``timeout`` seconds.

        Raises :class:`errors.Lagged` once after changes were dropped, :class:`errors.Closed` after the last commit.
        """
        commit = self._feed.next(timeout)
        return None if commit is None else _commit(commit)

    def skip_to(self, version: int) -> None:
        """Drops the waiting commits that a snapshot of ``version`` contains already."""
        self._feed.skip_to(version)

    def __iter__(self) -> Iterator[Commit]:
        """Ends when the state is gone."""
        try:
            while True:
                commit = self.next()
                if commit is not None:
                    yield commit
        except errors.Closed:
            return
