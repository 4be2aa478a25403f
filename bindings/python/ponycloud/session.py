"""The state exchange, for peers of Sparkle that are written in Python: desired parts come in, current parts go out.

    state = State(cloud.tables())
    with Session(state, machine, "tcp://127.0.0.1:9850", Keys.load_or_create("host.key"), server_key) as session:
        for commit in session:
            …                                 # what is ordered changed; write current parts to `state`, and they are sent

It speaks ZeroMQ by `pyzmq`, which is not installed with this package: `pip install ponycloud[session]`. What is said and when, and what is
believed, is decided by the engine, as in the daemons (see `pony_state::sync`).
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import zmq
from zmq.utils.monitor import recv_monitor_message

from . import _native
from .errors import KeyFileError
from .state import Commit, State, _commit

#: The longest wait between two looks at what this side has changed, seconds.
LOOK_S = 0.05
#: The longest message that is taken, bytes; the daemons' is shorter.
MESSAGE_BYTES_MAX = 64 << 20
#: Messages that wait for the network, and that wait to be read.
QUEUE_MAX = 1000
#: How often a connection is tried anew, and how it is seen that one is dead, milliseconds.
RECONNECT_MS, RECONNECT_MS_MAX, HEARTBEAT_MS, HEARTBEAT_MS_MAX = 100, 5_000, 5_000, 15_000


class Keys(NamedTuple):
    """A pair of CURVE keys (Z85). Sparkle knows a peer by the public one."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"Keys({self.public!r}, …)"

    @classmethod
    def generate(cls) -> Keys:
        """A new pair."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())

    @classmethod
    def load_or_create(cls, path: str | os.PathLike[str]) -> Keys:
        """The pair in a file as the daemons have it; a new one, where there is no file. Raises
        :class:`ponycloud.errors.KeyFileError` where others may read it, or it is damaged."""
        file = Path(path)
        if not file.exists():
            _create(file, cls.generate())
        return cls._load(file)

    @classmethod
    def _load(cls, file: Path) -> Keys:
        mode = file.stat().st_mode & 0o777
        if mode & 0o077:
            raise KeyFileError(f"the key file {file} has mode {mode:03o}: others may have read it; make a new one")
        lines = dict(line.partition(" ")[::2] for line in file.read_text().splitlines())
        if len(lines.get("public-key", "")) != 40 or len(lines.get("secret-key", "")) != 40:
            raise KeyFileError(f"the key file {file} is damaged: it should hold `public-key` and `secret-key`")
        return cls(lines["public-key"], lines["secret-key"])


def _create(file: Path, keys: Keys) -> None:
    """Complete or not at all; of several who do this at once, one wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{uuid.uuid4()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(f"public-key {keys.public}\nsecret-key {keys.secret}\n")
        try:
            os.link(new, file)
        except FileExistsError:
            pass
    finally:
        new.unlink()


class SessionEvent(NamedTuple):
    """Something that is no commit: ``full`` (all that Sparkle has for this machine was taken), ``missing`` and ``back``
    (Sparkle is silent, talks again), ``epoch`` (another Sparkle leads), ``refused`` (a row does not fit the tables),
    ``dropped`` (a message was late or malformed), ``oversized`` (a row does not fit into a message)."""

    what: str
    why: str


class Session:
    """The exchange of a state with Sparkle. Iterating carries it on, and gives the commits that come in.

    One thread carries it on; others may write to the state meanwhile. Rows that do not concern the tables of the state are
    passed over. ``server_key`` is Sparkle's public key; without keys, connections are to loopback addresses only.
    """

    def __init__(
        self,
        state: State,
        machine: str | uuid.UUID,
        endpoint: str,
        keys: Keys | None = None,
        server_key: str | None = None,
        *,
        epoch: int = 0,
    ) -> None:
        if (keys is None) != (server_key is None):
            raise ValueError("CURVE needs both the own keys and the server's")
        if keys is None and not _is_loopback(endpoint):
            raise ValueError(f"{endpoint} is no loopback address: give keys")
        self.events: list[SessionEvent] = []
        """The last of what happened but commits."""
        self._exchange = _native.Exchange(state._engine, str(machine), str(uuid.uuid4()), epoch, _now())
        self._context = zmq.Context()
        try:
            self._socket = self._open(endpoint, keys, server_key)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._closed = threading.Event()

    def _open(self, endpoint: str, keys: Keys | None, server_key: str | None) -> zmq.Socket[bytes]:
        # Sparkle's is a ROUTER; to it, a DEALER with a name of its own is like one with only one to route to.
        it = self._context.socket(zmq.DEALER)
        options: dict[Any, Any] = {
            zmq.LINGER: 0, zmq.IMMEDIATE: 1, zmq.IPV6: 1, zmq.MAXMSGSIZE: MESSAGE_BYTES_MAX,
            zmq.SNDHWM: QUEUE_MAX, zmq.RCVHWM: QUEUE_MAX, zmq.PROBE_ROUTER: 1,
            zmq.RECONNECT_IVL: RECONNECT_MS, zmq.RECONNECT_IVL_MAX: RECONNECT_MS_MAX,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS, zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_MS_MAX,
        }
        it.setsockopt(zmq.IDENTITY, f"peer-{uuid.uuid4().hex}".encode())
        for option, value in options.items():
            it.setsockopt(option, value)
        if keys is not None and server_key is not None:
            it.curve_publickey, it.curve_secretkey = keys.public.encode(), keys.secret.encode()
            it.curve_serverkey = server_key.encode()
        self._monitor = it.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        it.connect(endpoint)
        return it

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: object, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends it; whoever iterates ends, too, but has to be the same thread or to be done before."""
        if not self._closed.is_set():
            self._closed.set()
            self._socket.disable_monitor()
            self._context.destroy(linger=0)

    @property
    def is_synchronized(self) -> bool:
        """Whether Sparkle has all of this side, and this side has what Sparkle told."""
        return self._exchange.is_synchronized

    @property
    def is_missing(self) -> bool:
        """Whether nothing was heard of Sparkle for too long."""
        return self._exchange.is_missing

    @property
    def epoch(self) -> int:
        """The highest epoch of a Sparkle that was ever accepted. To be remembered, and given to the next session."""
        return self._exchange.epoch

    def notify(self, kind: str, data: object, instance: str | uuid.UUID | None = None) -> None:
        """Tells of something that happened once."""
        self._exchange.notify(kind, data, None if instance is None else str(instance))

    def __iter__(self) -> Iterator[Commit]:
        while not self._closed.is_set():
            yield from self.step()

    def step(self, timeout: float = 1.0) -> list[Commit]:
        """Carries it on, until something came in or the time (in seconds) is over. Gives what came in."""
        end = time.monotonic() + timeout
        while True:
            commits = self._work()
            left = end - time.monotonic()
            if commits or left <= 0 or self._closed.is_set():
                return commits
            self._wait(min(left, LOOK_S))

    def _work(self) -> list[Commit]:
        while self._monitor.poll(0):
            recv_monitor_message(self._monitor, zmq.NOBLOCK)
            self._exchange.connected(_now())
        self._receive()
        commits = []
        for what, commit, why in self._exchange.poll(_now()):
            if commit is not None:
                commits.append(_commit(commit))
            else:
                self.events = [*self.events[-99:], SessionEvent(what, why)]
        self._send()
        return commits

    def _receive(self) -> None:
        for _ in range(QUEUE_MAX):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            # An empty one only says that the other side is there.
            if len(frames) == 2:
                self._exchange.handle(frames[0], frames[1], _now())

    def _send(self) -> None:
        while self._socket.poll(0, zmq.POLLOUT):
            message = self._exchange.transmit(_now())
            if message is None:
                return
            body, sent = message
            try:
                self._socket.send_multipart([body.encode(), str(sent).encode()], zmq.NOBLOCK)
            except zmq.Again:
                # It is lost, which the other side finds out.
                return

    def _wait(self, seconds: float) -> None:
        due = self._exchange.next_ms
        if due is not None:
            seconds = min(seconds, max(due - _now()[0], 0) / 1000)
        self._socket.poll(max(1, int(seconds * 1000)))


def _now() -> tuple[int, int]:
    """Milliseconds of a monotonic clock, and seconds since 1970."""
    return time.monotonic_ns() // 1_000_000, int(time.time())


def _is_loopback(endpoint: str) -> bool:
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    return host.startswith("127.") or host in ("[::1]", "localhost")


__all__ = ["Keys", "Session", "SessionEvent"]
