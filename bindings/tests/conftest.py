"""A cloud to test against: `pony dev --sim`, started once for all tests that want it."""

import os
import re
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ponycloud import Cloud
from ponycloud.cloud import Entity

#: How long it may take to start on a busy machine, seconds.
START_MAX_S = 120
#: How long anything may take there, seconds.
WAIT_S = 120


@dataclass
class Dev:
    """A running cloud."""

    url: str
    auth: str
    directory: Path
    zmq: str

    def connect(self) -> Cloud:
        return Cloud(self.url, auth=self.auth, timeout=WAIT_S)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PONY_URL": self.url, "PONY_AUTH": self.auth, "MPLCONFIGDIR": str(self.directory)}


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def await_url(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + START_MAX_S
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"is at (http://\S+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"pony dev did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def dev() -> Iterator[Dev]:
    binary = os.environ.get("PONY")
    if binary is None:
        pytest.skip("PONY does not say where the program `pony` is")
    with tempfile.TemporaryDirectory(prefix="pony-python-") as name:
        directory, zmq = Path(name), f"127.0.0.1:{free_port()}"
        log = directory / "log"
        command = [binary, "dev", "--sim", "3", "--dir", f"{name}/state", "--listen", "127.0.0.1:0", "--zmq", zmq]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            url = await_url(process, log)
            auth = (directory / "state" / "admin-credentials").read_text().strip()
            yield Dev(url, auth, directory, zmq)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def cloud(dev: Dev) -> Iterator[Cloud]:
    with dev.connect() as cloud:
        yield cloud


@pytest.fixture
def tenant(cloud: Cloud) -> Iterator[Entity]:
    """A tenant of one's own, which goes with everything that it has."""
    tenant = cloud.tenant.post({"name": f"test-{uuid.uuid4()}", "approved": True})
    yield tenant
    with cloud.transaction() as tx:
        for row in tenant.instance.list():
            tx.tenant[tenant].instance[row.key].delete()
    for entity in tenant.instance:
        entity.wait_gone(WAIT_S)
    tenant.delete()
