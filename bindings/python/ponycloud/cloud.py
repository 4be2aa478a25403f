"""The cloud, for callers that block: a client of Sparkle's REST API. What there is, it learns from the cloud.

    cloud = Cloud("https://sparkle.example.org:9860", auth="me@example.org:secret")
    web = cloud.tenant[t].instance.post({"name": "web", "state": "running", …})
    web.wait_for(lambda row: row.current and row.current["status"] == "running", timeout=60)

For asyncio there is the same in :mod:`ponycloud.aio`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ._client import Client, Event, Settings
from ._endpoint import Endpoint, Place, find, tables, text_of_key
from ._http import Blocking, run
from .changes import Changes
from .schema import Table
from .state import Row, only

#: How long each wait for an answer may take, where nobody says, seconds.
TIMEOUT_S = 60.0


def _watch(client: Client, place: Place, table: str | None) -> Iterator[Event]:
    events = client.watch(place, table)
    try:
        while True:
            yield run(anext(events))
    finally:
        run(events.aclose())


class Cloud:
    """A cloud. Its collections are attributes: ``cloud.tenant``, ``cloud.storage_pool``.

    What is not given is taken from the environment: ``PONY_URL``, ``PONY_AUTH`` (``email:password``), ``PONY_TOKEN``,
    ``PONY_CACERT`` (a file of certificates to trust). Threads may share it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        auth: str | None = None,
        token: str | None = None,
        cafile: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        self._client = Client(Blocking(), Settings.of(url, auth, token, cafile, timeout))
        run(self._client.open())

    def __enter__(self) -> Cloud:
        return self

    def __exit__(self, kind: object, error: object, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are kept. It can still be used."""
        self._client.close()

    def __getattr__(self, name: str) -> Collection:
        if name.startswith("_"):
            raise AttributeError(name)
        endpoint = find(self._client.children, name, "in the cloud")
        return Collection(self._client, endpoint, Place((endpoint.name,)))

    def __getitem__(self, name: str) -> Collection:
        return self.__getattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._client.children})

    def tables(self) -> list[Table]:
        """The declarations of all tables, for a :class:`ponycloud.State` of one's own."""
        return tables(self._client.children)

    def patch(self, operations: Iterable[Mapping[str, object]]) -> dict[str, str]:
        """A JSON Patch (RFC 6902, with ``x-merge`` and ``x-verify``) on the whole document, in one transaction. Gives the
        UUIDs of placeholders."""
        return run(self._client.patch(Place(), operations))

    @contextmanager
    def transaction(self) -> Generator[Changes, None, None]:
        """What is ordered in the ``with`` block is sent as one patch at its end; nothing is, where an exception leaves it."""
        changes = Changes(self._client.children)
        try:
            yield changes
            if changes.operations:
                changes._end(self.patch(changes.operations))
        finally:
            changes._end()

    def watch(self, table: str | None = None) -> Iterator[Event]:
        """Every change that the caller may see, as it happens, for ever. The first event is a reset: read what you want to
        know after it, and nothing is missed."""
        return _watch(self._client, Place(), table)


class Collection:
    """The entities at a place, by their keys: ``cloud.tenant[key]``."""

    def __init__(self, client: Client, endpoint: Endpoint, place: Place) -> None:
        self._client = client
        self._endpoint = endpoint
        self._place = place
        self.__doc__ = endpoint.doc

    def __repr__(self) -> str:
        return f"<Collection {self._place}>"

    def __getitem__(self, key: object) -> Entity:
        plain = getattr(key, "__pony_key__", key)
        return Entity(self._client, self._endpoint, self._place.below(text_of_key(plain)))

    def __iter__(self) -> Iterator[Entity]:
        return (self[row.key] for row in self.list())

    def list(self, filters: Mapping[str, object] | None = None, /, **columns: object) -> list[Row]:
        """The rows for which every filter holds, in the order of their keys. ``limit`` and ``after`` (a key) give one page."""
        return run(self._client.list(self._endpoint, self._place, {**(filters or {}), **columns}))

    def one(self, filters: Mapping[str, object] | None = None, /, **columns: object) -> Row:
        """The one row for which every filter holds; :class:`ponycloud.errors.NotOne` where there is none, or several."""
        return only(self.list(filters, **columns), self._endpoint.table, {**(filters or {}), **columns})

    def post(self, desired: Mapping[str, object], *, children: Mapping[str, object] | None = None) -> Entity:
        """A new entity, with what is below it."""
        entity = {"desired": desired} if children is None else {"desired": desired, "children": children}
        return self[run(self._client.post(self._endpoint, self._place, entity))]

    def patch(self, operations: Iterable[Mapping[str, object]]) -> dict[str, str]:
        """A JSON Patch whose paths begin here, in one transaction. Gives the UUIDs of placeholders."""
        return run(self._client.patch(self._place, operations))

    def watch(self) -> Iterator[Event]:
        """What changes here; see :meth:`Cloud.watch`."""
        return _watch(self._client, self._place, self._endpoint.table)


class Entity:
    """An entity. What is below it are attributes: ``instance.vnic``."""

    def __init__(self, client: Client, endpoint: Endpoint, place: Place) -> None:
        self._client = client
        self._endpoint = endpoint
        self._place = place
        self.key = place.parts[-1]
        """The text of its key."""

    @property
    def __pony_key__(self) -> str:
        return self.key

    def __repr__(self) -> str:
        return f"<Entity {self._place}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and (self._client, self._place) == (other._client, other._place)

    def __hash__(self) -> int:
        return hash(self._place)

    def __getattr__(self, name: str) -> Collection:
        if name.startswith("_"):
            raise AttributeError(name)
        endpoint = find(self._endpoint.children, name, f"below `{self._endpoint.name}`")
        return Collection(self._client, endpoint, self._place.below(endpoint.name))

    def __getitem__(self, name: str) -> Collection:
        return self.__getattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._endpoint.children})

    def read(self) -> Row:
        """Both parts, of one moment."""
        return run(self._client.read(self._endpoint, self._place))

    @property
    def desired(self) -> dict[str, Any] | None:
        """What was ordered. Asks the cloud each time."""
        return self.read().desired

    @property
    def current(self) -> dict[str, Any] | None:
        """What is. Asks the cloud each time."""
        return self.read().current

    def merge(self, desired: Mapping[str, object] | None = None, /, **columns: object) -> None:
        """Changes columns of the desired part; ``None`` removes a value. Creates the entity where there is none."""
        part = {**(desired or {}), **columns}
        self.patch([{"op": "x-merge", "path": "", "value": {"desired": part}}])

    def patch(self, operations: Iterable[Mapping[str, object]]) -> dict[str, str]:
        """A JSON Patch whose paths begin here, in one transaction. Gives the UUIDs of placeholders."""
        return run(self._client.patch(self._place, operations))

    def delete(self) -> None:
        """Removes it, and what belongs to it."""
        run(self._client.write("DELETE", self._place.url))

    def wait_for(self, is_so: Callable[[Row], object], timeout: float) -> Row:
        """Looks now, and whenever it changes, until it is so, and gives the row. Raises
        :class:`ponycloud.errors.TimedOut`, and :class:`ponycloud.errors.NotFound` where there is no such entity (any more)."""
        return run(self._client.looks(self._endpoint, self._place, is_so, timeout))

    def wait_gone(self, timeout: float) -> None:
        """Waits until it is gone. Raises :class:`ponycloud.errors.TimedOut`."""
        run(self._client.until_gone(self._endpoint, self._place, timeout))

    def watch(self) -> Iterator[Event]:
        """What changes of it; see :meth:`Cloud.watch`."""
        return _watch(self._client, self._place, self._endpoint.table)
