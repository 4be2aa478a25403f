"""The client of Sparkle's REST API, once for blocking and waiting callers (:mod:`ponycloud._http`). It knows of places and JSON,
not of tables."""

from __future__ import annotations

import base64
import json
import os
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ._endpoint import Endpoint, Place, endpoints, query_value, text_of_key, with_query
from ._http import BODY_BYTES_MAX, Exchange, Head, Io, connect
from .errors import BY_CODE, ApiError, CloudError, NotFound, ProtocolError, TimedOut, Unavailable, Unreachable
from .state import Row

#: Where Sparkle is, where nobody says.
URL = "http://127.0.0.1:9860"
#: Connections that are kept for the next request.
IDLE_MAX = 8
#: The waits between two tries to watch again, seconds.
RETRY_S = (0.1, 10.0)
#: A stream in which nothing comes for so long is dead: Sparkle says something every 20 seconds.
SILENCE_S_MAX = 60.0
#: The longest event, bytes.
EVENT_BYTES_MAX = 64 << 20

PATCH_TYPE = "application/json-patch+json"


class Event(NamedTuple):
    """A row that changed in either part, as it is now: both parts are ``None`` where it is gone, or out of sight.

    ``reset`` says that changes were missed, and that what one wants to know has to be read anew; the rest is empty then.
    """

    table: str
    key: Any
    desired: dict[str, Any] | None
    current: dict[str, Any] | None
    reset: bool = False


class Settings(NamedTuple):
    """Whom to ask, and how."""

    host: str
    port: int
    prefix: str
    tls: Any
    authorization: str | None
    timeout_s: float

    @classmethod
    def of(
        cls, url: str | None, auth: str | None, token: str | None, cafile: str | None, timeout_s: float
    ) -> Settings:
        """What is not given is taken from ``PONY_URL``, ``PONY_AUTH``, ``PONY_TOKEN``, ``PONY_CACERT``."""
        url = url or os.environ.get("PONY_URL") or URL
        if auth is None and token is None:
            auth, token = os.environ.get("PONY_AUTH"), os.environ.get("PONY_TOKEN")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`{url}` is no URL of a Sparkle; one is like {URL}")
        tls = _tls(cafile or os.environ.get("PONY_CACERT")) if parts.scheme == "https" else None
        authorization = f"Bearer {token}" if token else _basic(auth)
        if authorization and tls is None and parts.hostname not in ("localhost", "::1") and not parts.hostname.startswith("127."):
            warnings.warn(f"credentials will cross a network unencrypted, to {url}; use https", stacklevel=4)
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname, port, parts.path.rstrip("/"), tls, authorization, timeout_s)

    def __repr__(self) -> str:
        return f"Settings({self.host}:{self.port})"


def _tls(cafile: str | None) -> Any:
    import ssl

    context = ssl.create_default_context()
    if cafile:
        context.load_verify_locations(cafile)
    return context


def _basic(auth: str | None) -> str | None:
    if not auth:
        return None
    if ":" not in auth:
        raise ValueError("`auth` is `email:password`")
    return "Basic " + base64.b64encode(auth.strip().encode()).decode()


class Client:
    """Asks. What it needs of the outside is :class:`Io`."""

    def __init__(self, io: Io, settings: Settings) -> None:
        self._io = io
        self.settings = settings
        self._idle: list[Exchange] = []
        self.children: dict[str, Endpoint] = {}

    def close(self) -> None:
        while (kept := self._kept()) is not None:
            kept.close()

    async def open(self) -> None:
        """Reads what there is."""
        self.children = endpoints(await self.get("/v1/schema"))

    def _headers(self) -> dict[str, str]:
        host, port = self.settings.host, self.settings.port
        headers = {"host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "accept": "application/json"}
        if self.settings.authorization:
            headers["authorization"] = self.settings.authorization
        return headers

    async def _connect(self) -> Exchange:
        it = self.settings
        return await connect(self._io, it.host, it.port, it.tls, it.timeout_s)

    async def get(self, url: str) -> Any:
        """Reads. A connection that was closed while nobody used it is replaced."""
        while (kept := self._kept()) is not None:
            try:
                return await self._once(kept, "GET", url, {}, b"")
            except Unreachable:
                continue
        return await self._once(await self._connect(), "GET", url, {}, b"")

    def _kept(self) -> Exchange | None:
        """A connection that nobody else takes."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    async def write(self, method: str, url: str, body: object = None, kind: str = "application/json") -> dict[str, str]:
        """Orders; gives the UUIDs of placeholders. On a new connection: were an old one to break, nobody could tell whether
        the order was taken."""
        data = b"" if body is None else json.dumps(body, default=_key_of).encode()
        answer = await self._once(await self._connect(), method, url, {"content-type": kind}, data)
        uuids = answer.get("uuids") if isinstance(answer, dict) else None
        if not isinstance(uuids, dict):
            raise ProtocolError(f"an order was answered by {str(answer)[:80]}, which names no UUIDs")
        return uuids

    async def _once(self, exchange: Exchange, method: str, url: str, extra: Mapping[str, str], data: bytes) -> Any:
        timeout_s, done = self.settings.timeout_s, False
        try:
            target = self.settings.prefix + url
            head = await exchange.ask(method, target, {**self._headers(), **extra}, data, timeout_s)
            answer = _json(head, await _whole(exchange, head, timeout_s))
            done = head.keeps
        finally:
            if done and len(self._idle) < IDLE_MAX:
                self._idle.append(exchange)
            else:
                exchange.close()
        if head.status >= 400:
            raise _refusal(head, answer)
        return answer

    async def read(self, endpoint: Endpoint, place: Place) -> Row:
        """An entity."""
        entity = await self.get(place.url)
        return Row(endpoint.table, place.parts[-1], entity.get("desired"), entity.get("current"))

    async def list(self, endpoint: Endpoint, place: Place, filters: Mapping[str, object]) -> list[Row]:
        """The entities of a collection, in the order of their keys."""
        query = [(name, query_value(_plain(value))) for name, value in filters.items()]
        found: Mapping[str, Mapping[str, Any]] = await self.get(with_query(place.url, query))
        return [Row(endpoint.table, key, it.get("desired"), it.get("current")) for key, it in found.items()]

    async def patch(self, place: Place, operations: Iterable[Mapping[str, object]]) -> dict[str, str]:
        """Operations on a place, as one transaction."""
        return await self.write("PATCH", place.url, list(operations), PATCH_TYPE)

    async def post(self, endpoint: Endpoint, place: Place, entity: Mapping[str, object]) -> str:
        """A new entity; gives the text of its key."""
        uuids = await self.write("POST", place.url, entity)
        if "POST" in uuids:
            return uuids["POST"]
        desired: Any = entity["desired"]
        return key_of_posted(endpoint, desired)

    async def watch(self, place: Place, table: str | None) -> AsyncGenerator[Event, None]:
        """What changes at and below a place, for ever. The first thing that it gives is a reset: from then on nothing is
        missed."""
        query = [("table", table)] if table else []
        if place.parts:
            query.append(("path", str(place)))
        url, last, delay_s, first = with_query("/v1/event-stream", query), "", RETRY_S[0], True
        while True:
            try:
                async with aclosing(self._stream(url, last)) as stream:
                    async for event in stream:
                        delay_s, last = RETRY_S[0], event.id or last
                        if first:
                            first = False
                            yield Event("", None, None, None, reset=True)
                        if event.shown is not None:
                            yield event.shown
            except (Unreachable, TimedOut, Unavailable):
                if first:
                    raise
            # It ended, which it does every hour, or broke: there is nothing to do but to go on where it was.
            await self._io.sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_S[1])

    async def _stream(self, url: str, last: str) -> AsyncGenerator[_Told, None]:
        exchange = await self._connect()
        try:
            headers = {**self._headers(), "accept": "text/event-stream"}
            if last:
                headers["last-event-id"] = last
            target, timeout_s = self.settings.prefix + url, self.settings.timeout_s
            head = await exchange.ask("GET", target, headers, b"", timeout_s)
            if head.status >= 400:
                raise _refusal(head, _json(head, await _whole(exchange, head, timeout_s)))
            ahead = b""
            async for piece in exchange.body(head, SILENCE_S_MAX):
                ahead += piece
                *blocks, ahead = ahead.split(b"\n\n")
                for block in blocks:
                    yield _event(block.decode())
                if len(ahead) > EVENT_BYTES_MAX:
                    raise ProtocolError(f"an event of more than {EVENT_BYTES_MAX} bytes")
        finally:
            exchange.close()

    async def looks(
        self, endpoint: Endpoint, place: Place, is_so: Callable[[Row], object], timeout_s: float
    ) -> Row:
        """Reads an entity now, and whenever it changes, until it is so."""
        deadline, row = time.monotonic() + timeout_s, None
        async with aclosing(self._signals(place, endpoint.table, deadline)) as signals:
            async for _ in signals:
                row = await self.read(endpoint, place)
                if is_so(row):
                    return row
        raise TimedOut(f"{place} is not so after {timeout_s} s; it is {row}")

    async def until_gone(self, endpoint: Endpoint, place: Place, timeout_s: float) -> None:
        """Reads an entity now, and whenever it changes, until it is gone."""
        try:
            await self.looks(endpoint, place, lambda row: False, timeout_s)
        except NotFound:
            return

    async def _signals(self, place: Place, table: str, deadline: float) -> AsyncGenerator[None, None]:
        """Something may have changed. Ends at the deadline."""
        limited = Client(_Deadline(self._io, deadline), self.settings)
        try:
            async with aclosing(limited.watch(place, table)) as events:
                async for _ in events:
                    yield
        except (TimedOut, _Over):
            return


class _Deadline:
    """Ends every wait at a time."""

    def __init__(self, io: Io, deadline: float) -> None:
        self._io = io
        self._deadline = deadline

    def left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Over("the time is over")
        return left

    async def connect(self, host: str, port: int, tls: Any, timeout_s: float) -> Any:
        return _Limited(await self._io.connect(host, port, tls, min(timeout_s, self.left())), self)

    async def sleep(self, seconds: float) -> None:
        await self._io.sleep(min(seconds, self.left()))


class _Over(CloudError):
    """The time of a wait is over. Unlike a time-out, no reason to try again."""


class _Limited:
    def __init__(self, stream: Any, limit: _Deadline) -> None:
        self._stream = stream
        self._limit = limit

    async def read(self, timeout_s: float) -> bytes:
        data: bytes = await self._stream.read(min(timeout_s, self._limit.left()))
        return data

    async def write(self, data: bytes, timeout_s: float) -> None:
        await self._stream.write(data, min(timeout_s, self._limit.left()))

    def close(self) -> None:
        self._stream.close()


class _Told(NamedTuple):
    id: str
    shown: Event | None


def _event(block: str) -> _Told:
    fields = [line.partition(":") for line in block.splitlines()]
    said = {name: value.removeprefix(" ") for name, _, value in fields if name}
    if said.get("event") == "reset":
        return _Told(said.get("id", ""), Event("", None, None, None, reset=True))
    if "data" not in said:
        return _Told(said.get("id", ""), None)
    data = json.loads(said["data"])
    shown = Event(data["type"], data["pkey"], data.get("desired"), data.get("current"))
    return _Told(said.get("id", ""), shown)


async def _whole(exchange: Exchange, head: Head, timeout_s: float) -> bytes:
    pieces, size = [], 0
    async for piece in exchange.body(head, timeout_s):
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise ProtocolError(f"an answer of more than {BODY_BYTES_MAX} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _json(head: Head, body: bytes) -> Any:
    if not body:
        return {}
    try:
        return json.loads(body)
    except ValueError as error:
        raise ProtocolError(f"an answer (status {head.status}) that is no JSON") from error


def _refusal(head: Head, answer: Any) -> ApiError:
    said = answer if isinstance(answer, dict) else {}
    code, message = str(said.get("error", "")), str(said.get("message", f"status {head.status}"))
    return BY_CODE.get(code, ApiError)(code, message, said.get("path"), head.status)


def _plain(value: object) -> object:
    """An entity, where the key of one is meant, is its key."""
    return _key_of(value) if hasattr(value, "__pony_key__") else value


def _key_of(value: object) -> object:
    """What is no JSON: an entity stands for its key; UUIDs and addresses for their text."""
    key = getattr(value, "__pony_key__", None)
    return str(value) if key is None else key


def key_of_posted(endpoint: Endpoint, desired: Mapping[str, object]) -> str:
    """The key of a row that names it itself."""
    return text_of_key([_plain(desired[column]) for column in endpoint.key])
