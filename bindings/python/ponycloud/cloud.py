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

from ._client import Client
from ._endpoint import Place
from ._http import Blocking, run
from ._node import TIMEOUT_S, CloudNode, CollectionNode, EntityNode, Event
from .changes import Changes
from .state import Row, only


def _watch(client: Client, place: Place, table: str | None) -> Iterator[Event]:
    events = client.watch(place, table)
    try:
        while True:
            yield run(anext(events))
    finally:
        run(events.aclose())


class Collection(CollectionNode):
    """The entities at a place, by their keys: ``cloud.tenant[key]``."""

    def __getitem__(self, key: object) -> Entity:
        return self._at(Entity, key)

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


class Entity(EntityNode[Collection]):
    """An entity. What is below it are attributes: ``instance.vnic``."""

    _collection = Collection

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


class Cloud(CloudNode[Collection]):
    """A cloud. Its collections are attributes: ``cloud.tenant``, ``cloud.storage_pool``.

    What is not given is taken from the environment: ``PONY_URL``, ``PONY_AUTH`` (``email:password``), ``PONY_TOKEN``,
    ``PONY_CACERT`` (a file of certificates to trust). Threads may share it.
    """

    _collection = Collection
    _io = Blocking

    def __init__(
        self,
        url: str | None = None,
        *,
        auth: str | None = None,
        token: str | None = None,
        cafile: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        super().__init__(url, auth=auth, token=token, cafile=cafile, timeout=timeout)
        run(self._client.open())

    def __enter__(self) -> Cloud:
        return self

    def __exit__(self, kind: object, error: object, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are kept. It can still be used."""
        self._client.close()

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
