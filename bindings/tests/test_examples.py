"""The examples do what they say, against a cloud of simulated hosts."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import WAIT_S, Dev
from test_cloud import INSTANCE, is_running

from ponycloud import Cloud
from ponycloud.cloud import Entity

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"


def example(dev: Dev, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, env=dev.environment, capture_output=True, text=True, timeout=WAIT_S)


@pytest.fixture
def name(tenant: Entity) -> str:
    return str((tenant.desired or {})["name"])


def test_nightly_stop(dev: Dev, tenant: Entity, name: str) -> None:
    names = ["a", "b"]
    instances = [tenant.instance.post({**INSTANCE, "name": name}) for name in names]
    for instance in instances:
        instance.wait_for(is_running, WAIT_S)
    first = example(dev, "nightly_stop.py", name)
    assert (first.returncode, sorted(first.stdout.split(": ")[1].strip().split(", "))) == (0, names), first.stderr
    for instance in instances:
        assert (instance.current or {})["status"] == "stopped"
    assert "none was running" in example(dev, "nightly_stop.py", name).stdout
    assert example(dev, "nightly_stop.py", "nobody").returncode == 1


def test_drift(dev: Dev, cloud: Cloud, tenant: Entity) -> None:
    for row in cloud.host.list():
        cloud.host[row.key].wait_for(lambda row: (row.current or {}).get("status") == "present", WAIT_S)
    assert example(dev, "drift.py").stdout == "all is as ordered\n"
    # More memory than any host has.
    tenant.instance.post({**INSTANCE, "name": "huge\x1b[2J", "mem": 1 << 24})
    report = example(dev, "drift.py")
    head, *lines = [line.split() for line in report.stdout.splitlines()]
    assert (report.returncode, head) == (1, ["TABLE", "NAME", "DESIRED", "CURRENT", "WHY"]), report.stderr
    assert [line[:3] for line in lines] == [["instance", "huge\\x1b[2J", "running"]]


def test_plot(dev: Dev, tenant: Entity, tmp_path: Path) -> None:
    out = tmp_path / "plot.png"
    order = threading.Timer(1, lambda: tenant.instance.post(INSTANCE))
    order.start()
    plot = example(dev, "plot.py", "--seconds", "4", "--out", str(out))
    order.join()
    assert plot.returncode == 0, plot.stderr
    assert out.read_bytes().startswith(b"\x89PNG") and "as ordered" in plot.stdout
