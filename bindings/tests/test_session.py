"""The state exchange with a real Sparkle, and between two engines without one."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import WAIT_S, Dev
from test_cloud import INSTANCE, status
from test_examples import EXAMPLES

from ponycloud import Cloud, Keys, Session, State, errors
from ponycloud.cloud import Entity

#: Lines that the double of a Twilight may have.
DOUBLE_LINES_MAX = 40
#: More memory than a simulated host has, so that an instance goes to the double, MiB.
MUCH_MIB = 1 << 19


@pytest.fixture
def host(cloud: Cloud) -> Iterator[Entity]:
    host = cloud.host[uuid.uuid4()]
    host.merge()
    yield host
    host.delete()
    host.wait_gone(WAIT_S)


@pytest.fixture
def server_key(dev: Dev) -> str:
    return Keys.load_or_create(dev.directory / "state" / "sparkle.key").public


def test_a_double_of_twilight(dev: Dev, cloud: Cloud, tenant: Entity, host: Entity, server_key: str, tmp_path: Path) -> None:
    double = EXAMPLES / "twilight.py"
    assert len(double.read_text().splitlines()) <= DOUBLE_LINES_MAX
    command = [sys.executable, str(double), host.key, f"tcp://{dev.zmq}", str(tmp_path / "keys" / "host.key"), server_key]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=dev.environment, stdout=out, stderr=out)
    try:
        host.wait_for(lambda row: (row.current or {}).get("hostname") == "double", WAIT_S)
        web = tenant.instance.post({**INSTANCE, "mem": MUCH_MIB})
        web.wait_for(lambda row: status(row) == "running", WAIT_S)
        assert (web.current or {})["host"] == host.key
        web.merge(state="stopped")
        web.wait_for(lambda row: status(row) == "stopped", WAIT_S)
        assert cloud.host[host].instance.one(instance=web).key == web.key
        web.delete()
        web.wait_gone(WAIT_S)
        # The host has to let go of it.
        cloud.host[host].instance[web].wait_gone(WAIT_S)
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(30)


def carry_on(session: Session, done: object) -> None:
    end = time.monotonic() + WAIT_S
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end, session.events
        session.step(0.1)


def test_both_sides_agree(dev: Dev, cloud: Cloud, host: Entity, server_key: str, tmp_path: Path) -> None:
    state, keys = State(cloud.tables()), Keys.load_or_create(tmp_path / "key")
    with Session(state, host.key, f"tcp://{dev.zmq}", keys, server_key) as session:
        carry_on(session, lambda: session.is_synchronized)
        assert session.epoch > 0 and not session.is_missing
        row = state.get("host", host.key)
        assert row is not None and row.current is None and row.desired is not None and row.desired["state"] == "present"
        host.merge(name="renamed")
        changes = (change for commit in session for change in commit.changes)
        renamed = {"name": "renamed"}
        for change in changes:
            row = change.after
            if row is not None and row.table == "host" and renamed.items() <= (row.desired or {}).items():
                break
        with state.transaction() as tx:
            tx.set_current("host", host.key, {"status": "present", "cpus": 3})
        carry_on(session, lambda: (host.current or {}).get("cpus") == 3)
        session.notify("test-happened", {"x": 1})
        carry_on(session, lambda: any((row.desired or row.current or {}).get("type") == "test-happened" for row in host.event.list()))
        # A host that forgot everything: what Sparkle holds of it goes.
    with Session(State(cloud.tables()), host.key, f"tcp://{dev.zmq}", keys, server_key, epoch=session.epoch) as session:
        carry_on(session, lambda: session.is_synchronized)
        carry_on(session, lambda: "cpus" not in (host.current or {}))


def test_another_key_is_not_let_in(dev: Dev, cloud: Cloud, host: Entity, server_key: str) -> None:
    state = State(cloud.tables())
    with Session(state, host.key, f"tcp://{dev.zmq}", Keys.generate(), server_key) as session:
        carry_on(session, lambda: session.is_synchronized)
    impostor = State(cloud.tables())
    with Session(impostor, host.key, f"tcp://{dev.zmq}", Keys.generate(), server_key) as session:
        session.step(2)
        assert not session.is_synchronized and impostor.count("host") == 0


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    keys = Keys.load_or_create(path)
    assert Keys.load_or_create(path) == keys != Keys.generate()
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(path.parent) == ["key"]
    assert keys.secret not in repr(keys)
    path.chmod(0o640)
    with pytest.raises(errors.KeyFileError, match="others may have read it"):
        Keys.load_or_create(path)
    path.chmod(0o600)
    path.write_text("public-key x\n")
    with pytest.raises(errors.KeyFileError, match="damaged"):
        Keys.load_or_create(path)


def test_plain_sessions_stay_on_the_machine() -> None:
    state = State([{"name": "host", "key": {"uuid": "uuid"}, "desired": {}}])
    with pytest.raises(ValueError, match="loopback"):
        Session(state, uuid.uuid4(), "tcp://192.0.2.1:9850")
    with pytest.raises(ValueError, match="both"):
        Session(state, uuid.uuid4(), "tcp://127.0.0.1:9850", Keys.generate())
