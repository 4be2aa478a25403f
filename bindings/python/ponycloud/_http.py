"""HTTP/1.1 over any stream of bytes: as much of it as Sparkle speaks, within bounds.

All of it is written once, as coroutines. Over sockets of asyncio they wait as coroutines do; over blocking sockets they never
wait at all, and :func:`run` carries them out. Nothing in here knows what is asked.
"""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from .errors import ProtocolError, TimedOut, Unreachable

if TYPE_CHECKING:
    from ssl import SSLContext

T = TypeVar("T")

#: The longest head of an answer, bytes: Sparkle's have some hundred.
HEAD_BYTES_MAX = 64 << 10
#: The longest body that is held in memory, bytes: the list of some hundred thousand instances.
BODY_BYTES_MAX = 512 << 20
#: What is read at once, bytes.
READ_BYTES = 64 << 10


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Carries out a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine over blocking sockets waited")


class Stream(Protocol):
    """A connection."""

    async def read(self, timeout_s: float) -> bytes:
        """What comes next; nothing at the end."""
        ...

    async def write(self, data: bytes, timeout_s: float) -> None: ...
    def close(self) -> None: ...


class Io(Protocol):
    """How connections are made, and how time passes."""

    async def connect(self, host: str, port: int, tls: SSLContext | None, timeout_s: float) -> Stream: ...
    async def sleep(self, seconds: float) -> None: ...


class BlockingStream:
    """A blocking socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def read(self, timeout_s: float) -> bytes:
        self._socket.settimeout(max(timeout_s, 0.001))
        return self._socket.recv(READ_BYTES)

    async def write(self, data: bytes, timeout_s: float) -> None:
        self._socket.settimeout(max(timeout_s, 0.001))
        self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()


class Blocking:
    """Blocking sockets."""

    async def connect(self, host: str, port: int, tls: SSLContext | None, timeout_s: float) -> Stream:
        connection = socket.create_connection((host, port), timeout_s)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return BlockingStream(tls.wrap_socket(connection, server_hostname=host) if tls else connection)
        except BaseException:
            connection.close()
            raise

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Head(NamedTuple):
    """The beginning of an answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def keeps(self) -> bool:
        """Whether the connection can be used again."""
        return self.headers.get("connection", "").lower() != "close"


class Exchange:
    """A connection on which requests go out and answers come in, one after the other."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ahead = b""

    def close(self) -> None:
        self._stream.close()

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Head:
        """Sends a request, and reads the head of its answer."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header or a path cannot contain line breaks")
        lines.append(f"content-length: {len(body)}")
        with _told():
            await self._stream.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body, timeout_s)
            head = await self._until(b"\r\n\r\n", timeout_s)
        return _head(head)

    async def body(self, head: Head, timeout_s: float) -> AsyncIterator[bytes]:
        """The pieces of the body."""
        length = head.headers.get("content-length")
        if head.status in (204, 304):
            return
        if head.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := _number(await self._line(timeout_s), 16):
                async for piece in self._bytes(size, timeout_s):
                    yield piece
                await self._line(timeout_s)
            while await self._line(timeout_s):
                pass
        elif length is not None:
            async for piece in self._bytes(_number(length, 10), timeout_s):
                yield piece
        else:
            raise ProtocolError("an answer without a length")

    async def _line(self, timeout_s: float) -> str:
        with _told():
            return (await self._until(b"\r\n", timeout_s)).decode("latin-1").split(";")[0]

    async def _bytes(self, count: int, timeout_s: float) -> AsyncIterator[bytes]:
        while count:
            if not self._ahead:
                await self._more(timeout_s)
            piece, self._ahead = self._ahead[:count], self._ahead[count:]
            count -= len(piece)
            yield piece

    async def _until(self, mark: bytes, timeout_s: float) -> bytes:
        while mark not in self._ahead:
            if len(self._ahead) > HEAD_BYTES_MAX:
                raise ProtocolError(f"a line or head of more than {HEAD_BYTES_MAX} bytes")
            await self._more(timeout_s)
        found, _, self._ahead = self._ahead.partition(mark)
        return found

    async def _more(self, timeout_s: float) -> None:
        with _told():
            data = await self._stream.read(timeout_s)
        if not data:
            raise Unreachable("the connection was closed in the middle of an answer")
        self._ahead += data


class _told:
    """Errors of sockets as those of this package."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, (Unreachable, TimedOut)):
            return
        if isinstance(error, TimeoutError):
            raise TimedOut("Sparkle did not answer in time") from error
        if isinstance(error, OSError):
            raise Unreachable(f"cannot reach Sparkle: {error}") from error


async def connect(io: Io, host: str, port: int, tls: SSLContext | None, timeout_s: float) -> Exchange:
    """A new connection."""
    with _told():
        return Exchange(await io.connect(host, port, tls, timeout_s))


def _number(text: str, base: int) -> int:
    try:
        number = int(text.strip(), base)
    except ValueError:
        number = -1
    if not 0 <= number <= BODY_BYTES_MAX:
        raise ProtocolError(f"`{text[:40]}` is no length up to {BODY_BYTES_MAX} bytes")
    return number


def _head(text: bytes) -> Head:
    first, *lines = text.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ProtocolError(f"`{first[:80]}` is no answer of HTTP/1.1")
    pairs = (line.partition(":") for line in lines)
    return Head(int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs})
