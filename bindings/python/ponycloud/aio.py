"""The cloud, for asyncio: the same as :mod:`ponycloud.cloud`, with ``await``.

    async with Cloud("https://sparkle.example.org:9860", auth="me@example.org:secret") as cloud:
        web = await cloud.tenant[t].instance.post({"name": "web", "state": "running", …})
        await web.wait_for(lambda row: row.current and row.current["status"] == "running", timeout=60)
        print(await web.desired)

Everything that waits can be cancelled. (Nothing of it runs in a thread.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._endpoint import Place
from ._http import READ_BYTES, Stream
from ._node import CloudNode, CollectionNode, EntityNode, Event
from .changes import Changes
from .state import Row, only

if TYPE_CHECKING:
    from ssl import SSLContext


async def _within(work: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
    try:
        return await asyncio.wait_for(work, timeout_s)
    except asyncio.TimeoutError as error:
        # Before Python 3.11 these are different.
        raise TimeoutError from error


class _WaitingStream:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, timeout_s: float) -> bytes:
        data: bytes = await _within(self._reader.read(READ_BYTES), timeout_s)
        return data

    async def write(self, data: bytes, timeout_s: float) -> None:
        self._writer.write(data)
        await _within(self._writer.drain(), timeout_s)

    def close(self) -> None:
        # Nothing is under way, or nobody wants it any more.
        self._writer.transport.abort()


class _Waiting:
    async def connect(self, host: str, port: int, tls: SSLContext | None, timeout_s: float) -> Stream:
        return _WaitingStream(*await _within(asyncio.open_connection(host, port, ssl=tls), timeout_s))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Collection(CollectionNode):
    """The entities at a place, by their keys: ``cloud.tenant[key]``."""

    def __getitem__(self, key: object) -> Entity:
        return self._at(Entity, key)

    async def list(self, filters: Mapping[str, object] | None = None, /, **columns: object) -> list[Row]:
        """See :meth:`ponycloud.cloud.Collection.list`."""
        return await self._client.list(self._endpoint, self._place, {**(filters or {}), **columns})

    async def one(self, filters: Mapping[str, object] | None = None, /, **columns: object) -> Row:
        """See :meth:`ponycloud.cloud.Collection.one`."""
        wanted = {**(filters or {}), **columns}
        return only(await self.list(wanted), self._endpoint.table, wanted)

    async def post(self, desired: Mapping[str, object], *, children: Mapping[str, object] | None = None) -> Entity:
        """See :meth:`ponycloud.cloud.Collection.post`."""
        entity = {"desired": desired} if children is None else {"desired": desired, "children": children}
        return self[await self._client.post(self._endpoint, self._place, entity)]

    async def patch(self, operations: Iterable[Mapping[str, object]]) -> dict[str, str]:
        """See :meth:`ponycloud.cloud.Collection.patch`."""
        return await self._client.patch(self._place, operations)

    def watch(self) -> AsyncGenerator[Event, None]:
        """What changes here; see :meth:`ponycloud.Cloud.watch`."""
        return self._client.watch(self._place, self._endpoint.table)


class Entity(EntityNode[Collection]):
    """An entity. What is below it are attributes: ``instance.vnic``."""

    _collection = Collection

    async def read(self) -> Row:
        """Both parts, of one moment."""
        return await self._client.read(self._endpoint, self._place)

    @property
    def desired(self) -> Coroutine[Any, Any, dict[str, Any] | None]:
        """What was ordered: ``await entity.desired``."""
        return self._part(0)

    @property
    def current(self) -> Coroutine[Any, Any, dict[str, Any] | None]:
        """What is: ``await entity.current``."""
        return self._part(1)

    async def _part(self, place: int) -> dict[str, Any] | None:
        row = await self.read()
        return (row.desired, row.current)[place]

    async def merge(self, desired: Mapping[str, object] | None = None, /, **columns: object) -> None:
        """See :meth:`ponycloud.cloud.Entity.merge`."""
        part = {**(desired or {}), **columns}
        await self.patch([{"op": "x-merge", "path": "", "value": {"desired": part}}])

    async def patch(self, operations: Iterable[Mapping[str, object]]) -> dict[str, str]:
        """See :meth:`ponycloud.cloud.Entity.patch`."""
        return await self._client.patch(self._place, operations)

    async def delete(self) -> None:
        """Removes it, and what belongs to it."""
        await self._client.write("DELETE", self._place.url)

    async def wait_for(self, is_so: Callable[[Row], object], timeout: float) -> Row:
        """See :meth:`ponycloud.cloud.Entity.wait_for`."""
        return await self._client.looks(self._endpoint, self._place, is_so, timeout)

    async def wait_gone(self, timeout: float) -> None:
        """See :meth:`ponycloud.cloud.Entity.wait_gone`."""
        await self._client.until_gone(self._endpoint, self._place, timeout)

    def watch(self) -> AsyncGenerator[Event, None]:
        """What changes of it; see :meth:`ponycloud.Cloud.watch`."""
        return self._client.watch(self._place, self._endpoint.table)


class Cloud(CloudNode[Collection]):
    """A cloud, within ``async with``. Its collections are attributes: ``cloud.tenant``, ``cloud.storage_pool``.

    What is not given is taken from the environment; see :class:`ponycloud.Cloud`.
    """

    _collection = Collection
    _io = _Waiting

    async def __aenter__(self) -> Cloud:
        await self._client.open()
        return self

    async def __aexit__(self, kind: object, error: object, traceback: TracebackType | None) -> None:
        self._client.close()

    async def patch(self, operations: Iterable[Mapping[str, object]]) -> dict[str, str]:
        """See :meth:`ponycloud.Cloud.patch`."""
        return await self._client.patch(Place(), operations)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Changes, None]:
        """See :meth:`ponycloud.Cloud.transaction`; for ``async with``. Nothing within it waits but its end."""
        changes = Changes(self._client.children)
        try:
            yield changes
            if changes.operations:
                changes._end(await self.patch(changes.operations))
        finally:
            changes._end()

    def watch(self, table: str | None = None) -> AsyncGenerator[Event, None]:
        """See :meth:`ponycloud.Cloud.watch`; for ``async for``."""
        return self._client.watch(Place(), table)
