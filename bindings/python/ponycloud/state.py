"""The state, its snapshots, transactions and commits.

Keys and values are what JSON has: UUIDs and addresses are ``str`` (``uuid.UUID`` and ``ipaddress`` objects are taken, too),
a composite key is a tuple. A table is named by its name, and rows are :class:`Row` then; or by the dataclass that declares
it, and rows are objects of that (:mod:`ponycloud.typed`).
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, overload

from . import _native, errors
from .schema import Table

if TYPE_CHECKING:
    from .typed import Typed

T = TypeVar("T")

#: The changes that may wait for a subscriber, where it says nothing else: some MiB of rows.
CAPACITY = 65_536


class Row(NamedTuple):
    """A row. A part that is absent is ``None``."""

    table: str
    key: Any
    desired: dict[str, Any] | None
    current: dict[str, Any] | None


_Pairs = list[tuple[Row, Row]]


class Rows(Sequence[T]):
    """What a look-up answers: rows of one moment, in the order of their keys. A row crosses into Python when it is looked at."""

    @abstractmethod
    def keys(self) -> list[Any]:
        """The keys of all of them."""

    @abstractmethod
    def column(self, part: str, column: str) -> list[Any]:
        """One column of a part of all of them, which costs much less than the rows; ``None`` where a row has none."""


Rows.register(_native.Rows)


class _Listed(list[T], Rows[T]):
    """Rows that are in Python already."""

    def __init__(self, rows: list[Any], make: Callable[[Any], T]) -> None:
        super().__init__(map(make, rows))
        self._given = rows

    def keys(self) -> list[Any]:
        return [key for _, key, _, _ in self._given]

    def column(self, part: str, column: str) -> list[Any]:
        place = {"desired": 2, "current": 3}[part]
        return [row[place] and row[place].get(column) for row in self._given]


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


_make_row: Callable[[Any], Row] = Row._make


def _row(row: tuple[str, Any, Any, Any] | None) -> Row | None:
    return None if row is None else _make_row(row)


def _commit(commit: tuple[int, list[Any]]) -> Commit:
    version, changes = commit
    return Commit(version, [Change(table, key, _row(old), _row(new)) for table, key, old, new in changes])


def only(rows: Sequence[T], table: str, wanted: Mapping[str, object]) -> T:
    """The one row of a list. Raises :class:`errors.NotOne`."""
    if len(rows) != 1:
        raise errors.NotOne(f"table `{table}`: {len(rows)} rows with {dict(wanted)}, where one was expected", table)
    return rows[0]


class _Tables:
    """The tables that a state was declared with, by what names them."""

    def __init__(self, declared: Iterable[Table | Mapping[str, Any] | type[Any]]) -> None:
        self.tables: list[Table] = []
        self._typed: dict[type[Any], Typed[Any]] = {}
        for one in declared:
            self.tables.append(self._declare(one))

    def _declare(self, declared: Table | Mapping[str, Any] | type[Any]) -> Table:
        if isinstance(declared, Table):
            return declared
        if isinstance(declared, Mapping):
            return Table.of(declared)
        from .typed import Typed

        typed = self._typed[declared] = Typed(declared)
        return typed.table

    def find(self, table: str | type[T]) -> tuple[str, Callable[[Any], Any]]:
        """Its name, and what makes rows of what the engine gives."""
        if isinstance(table, str):
            return table, _make_row
        typed = self._typed.get(table)
        if typed is None:
            raise errors.UnknownTable(f"{table!r} is no table of this state")
        return typed.table.name, typed.make

    def name(self, table: str | type[Any]) -> str:
        return table if isinstance(table, str) else self.find(table)[0]


class _View(Protocol):
    """What the native parts that can be read have in common."""

    @property
    def version(self) -> int: ...
    def count(self, table: str, /) -> int: ...
    def get(self, table: str, key: object, /) -> Any: ...
    def page(self, table: str, filters: dict[str, Any], after: object, limit: int | None, /) -> list[Any]: ...
    def join(self, table: str, column: str, key: object, /) -> list[Any]: ...


class _Reads:
    """Reading: the same of a state, a snapshot and a transaction."""

    _tables: _Tables

    def _view(self) -> _View:
        raise NotImplementedError

    def _all(self, name: str, filters: dict[str, Any], make: Callable[[Any], Any]) -> Rows[Any]:
        raise NotImplementedError

    @property
    def version(self) -> int:
        """How many transactions changed something so far."""
        return self._view().version

    def count(self, table: str | type[Any]) -> int:
        """How many rows there are."""
        return self._view().count(self._tables.name(table))

    @overload
    def get(self, table: str, key: object) -> Row | None: ...
    @overload
    def get(self, table: type[T], key: object) -> T | None: ...
    def get(self, table: str | type[Any], key: object) -> Any:
        """The row of a key."""
        name, make = self._tables.find(table)
        row = self._view().get(name, key)
        return None if row is None else make(row)

    @overload
    def list(
        self, table: str, filters: Mapping[str, object] | None = None, /, *,
        after: object = None, limit: int | None = None, **columns: object,
    ) -> Rows[Row]: ...
    @overload
    def list(
        self, table: type[T], filters: Mapping[str, object] | None = None, /, *,
        after: object = None, limit: int | None = None, **columns: object,
    ) -> Rows[T]: ...
    def list(
        self,
        table: str | type[Any],
        filters: Mapping[str, object] | None = None,
        /,
        *,
        after: object = None,
        limit: int | None = None,
        **columns: object,
    ) -> Rows[Any]:
        """The rows for which every filter holds (the key, the desired or the current part has that value in the column), in
        the order of their keys; all rows where there is no filter.

        ``after`` (a key) and ``limit`` give one page. Columns of these two names are for ``filters``.
        """
        name, make = self._tables.find(table)
        wanted = {**filters, **columns} if filters else columns
        if after is None and limit is None:
            return self._all(name, wanted, make)
        return _Listed(self._view().page(name, wanted, after, limit), make)

    @overload
    def one(self, table: str, filters: Mapping[str, object] | None = None, /, **columns: object) -> Row: ...
    @overload
    def one(self, table: type[T], filters: Mapping[str, object] | None = None, /, **columns: object) -> T: ...
    def one(self, table: str | type[Any], filters: Mapping[str, object] | None = None, /, **columns: object) -> Any:
        """The one row for which every filter holds. Raises :class:`errors.NotOne` where there is none, or several."""
        name, make = self._tables.find(table)
        wanted = {**(filters or {}), **columns}
        return only(self._all(name, wanted, make), name, wanted)

    def join(self, table: str | type[Any], column: str, key: object) -> _Pairs:
        """Follows a join table from one side to the other: its rows with ``key`` in ``column``, each with its target."""
        pairs = self._view().join(self._tables.name(table), column, key)
        return [(_make_row(row), _make_row(target)) for row, target in pairs]


class _Target(Protocol):
    """What the native parts that can be written to have in common."""

    def set(self, table: str, key: object, part: str, columns: object, /) -> bool: ...
    def patch(self, table: str, key: object, part: str, columns: object, /) -> bool: ...
    def patch_all(self, table: str, part: str, rows: dict[Any, Any], /) -> int: ...
    def remove(self, table: str, key: object, part: str | None, /) -> bool: ...


class _Writes:
    """Writing: the same of a transaction, and of a state, where each is a transaction of its own."""

    _tables: _Tables

    def _writes(self) -> _Target:
        raise NotImplementedError

    def set_desired(self, table: str | type[Any], key: object, part: object) -> bool:
        """Gives a row a desired part (a dictionary, or the dataclass of the part), in place of the one that it had. Says
        whether that changed anything."""
        return self._writes().set(self._tables.name(table), key, "desired", _plain(part))

    def set_current(self, table: str | type[Any], key: object, part: object) -> bool:
        """The same for the current part."""
        return self._writes().set(self._tables.name(table), key, "current", _plain(part))

    def update_desired(self, table: str | type[Any], key: object, /, **columns: object) -> bool:
        """Changes columns of a desired part that is there; ``None`` removes a value. Says whether that changed anything."""
        return self._writes().patch(self._tables.name(table), key, "desired", columns)

    def update_current(self, table: str | type[Any], key: object, /, **columns: object) -> bool:
        """The same for the current part."""
        return self._writes().patch(self._tables.name(table), key, "current", columns)

    def update_all_desired(self, table: str | type[Any], rows: Mapping[Any, Mapping[str, object]]) -> int:
        """Changes columns of the desired parts of many rows, by their keys. Says how many changed."""
        return self._writes().patch_all(self._tables.name(table), "desired", dict(rows))

    def update_all_current(self, table: str | type[Any], rows: Mapping[Any, Mapping[str, object]]) -> int:
        """The same for current parts."""
        return self._writes().patch_all(self._tables.name(table), "current", dict(rows))

    def remove_desired(self, table: str | type[Any], key: object) -> bool:
        """Removes a row's desired part. Says whether there was one."""
        return self._writes().remove(self._tables.name(table), key, "desired")

    def remove_current(self, table: str | type[Any], key: object) -> bool:
        """Removes a row's current part. Says whether there was one."""
        return self._writes().remove(self._tables.name(table), key, "current")

    def remove(self, table: str | type[Any], key: object) -> bool:
        """Removes both parts of a row. Says whether there was one."""
        return self._writes().remove(self._tables.name(table), key, None)


class Snapshot(_Reads):
    """A state at one moment. It never changes."""

    def __init__(self, tables: _Tables, view: _native.View) -> None:
        self._tables = tables
        self._fixed = view

    def _view(self) -> _native.View:
        return self._fixed

    def _all(self, name: str, filters: dict[str, Any], make: Callable[[Any], Any]) -> Rows[Any]:
        return self._fixed.rows(name, filters, make)


class State(_Reads, _Writes):
    """Tables of rows with a desired and a current part; any number of threads may use it.

    References are not enforced: the state knows of them for joins.
    """

    def __init__(self, tables: Iterable[Table | Mapping[str, Any] | type[Any]]) -> None:
        self._tables = _Tables(tables)
        self._engine = _native.Engine(self._tables.tables)
        self._writing = threading.Lock()
        self._writer: int | None = None

    def _view(self) -> _native.View:
        return self._engine.view()

    def _all(self, name: str, filters: dict[str, Any], make: Callable[[Any], Any]) -> Rows[Any]:
        return self._engine.rows(name, filters, make)

    def snapshot(self) -> Snapshot:
        """What the state is now, for as long as anybody wants to look at it. Costs next to nothing."""
        return Snapshot(self._tables, self._engine.view())

    def transaction(self) -> Transaction:
        """A transaction, for ``with``."""
        return Transaction(self)

    def load(self, tables: Mapping[Any, str | bytes]) -> int:
        """Sets many rows at once, quickly: for each table (its name, or the dataclass) a JSON text of its rows by their keys, as the API lists them
        (``{key: {"desired": {…}, "current": {…}}}``, values of a composite key with commas between them). They are whole rows:
        a part that is not there is removed. All or nothing. Gives how many rows there were. Subscribers are not told of each, but have to start over (:class:`errors.Lagged`).

        >>> from ponycloud import State
        >>> state = State([{"name": "lamp", "key": {"room": "text"}, "desired": {"percent": "int"}}])
        >>> state.load({"lamp": '{"attic": {"desired": {"percent": 80}}, "hall": {"desired": {"percent": 20}}}'})
        2
        """
        texts = [
            (self._tables.name(table), text.encode() if isinstance(text, str) else text)
            for table, text in tables.items()
        ]
        self._begin()
        try:
            return self._engine.load(texts)
        finally:
            self._end()

    def subscribe(self, capacity: int = CAPACITY) -> Subscription:
        """The commits from now on, of which up to ``capacity`` changes may wait."""
        view, feed = self._engine.subscribe(capacity)
        return Subscription(Snapshot(self._tables, view), feed)

    def check_invariants(self) -> None:
        """Recomputes all indexes from the rows, and raises :class:`AssertionError` where one deviates: for tests."""
        self._engine.view().check()

    def _writes(self) -> _native.Engine:
        if self._writer == threading.get_ident():
            raise errors.TransactionError("this thread is in a transaction already; it would wait for itself")
        return self._engine

    def _begin(self) -> None:
        """Waits for other transactions, so that it can be interrupted."""
        self._writes()
        self._writing.acquire()
        self._writer = threading.get_ident()

    def _end(self) -> None:
        self._writer = None
        self._writing.release()


class Transaction(_Reads, _Writes):
    """All or nothing: what was written in the ``with`` block is committed at its end, or forgotten where an exception
    leaves it. Reads see its own writes; nobody else does before the commit. One runs at a time, others wait."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tables = state._tables
        self._running: _native.Draft | None = None
        self._done: _native.Committed | None = None

    @property
    def committed(self) -> Commit | None:
        """What was committed, once it was."""
        return None if self._done is None else _commit(self._done.changes())

    def __enter__(self) -> Transaction:
        self._state._begin()
        try:
            self._running = self._state._engine.draft()
        except BaseException:
            self._state._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        draft, self._running = self._draft(), None
        try:
            if kind is None:
                self._done = draft.commit()
            else:
                draft.drop()
        finally:
            self._state._end()

    def _draft(self) -> _native.Draft:
        if self._running is None:
            raise errors.TransactionError("the transaction does not run; use it within its `with` block")
        return self._running

    def _view(self) -> _native.Draft:
        return self._draft()

    def _writes(self) -> _native.Draft:
        return self._draft()

    def _all(self, name: str, filters: dict[str, Any], make: Callable[[Any], Any]) -> Rows[Any]:
        return _Listed(self._draft().page(name, filters, None, None), make)


def _plain(part: object) -> object:
    """A part as the engine takes it: a dictionary, not a dataclass."""
    names = getattr(type(part), "__dataclass_fields__", None)
    return part if names is None else {name: getattr(part, name) for name in names}


class Subscription:
    """The commits of a state since it was subscribed to, in order. Iterating waits for the next one."""

    def __init__(self, snapshot: Snapshot, feed: _native.Feed) -> None:
        self.snapshot = snapshot
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
