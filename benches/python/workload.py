"""The tables of the workload `cloud`, as its peers in Python need them; the rows are written by `cloud-json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

#: What an instance does, and how a volume lies in its file.
ACTIVITY, FORMAT = ["running", "paused", "stopped"], ["raw", "qcow2"]

#: As `benches/src/workload/tables.rs` declares them.
TABLES: list[dict[str, object]] = [
    {
        "name": "instance",
        "key": {"uuid": "uuid"},
        "desired": {
            "tenant": {"type": "uuid", "indexed": True}, "host": {"type": "uuid", "indexed": True}, "name": "text",
            "state": ACTIVITY, "vcpu": "int", "rcpu": "float", "mem": "int", "ns": "inet?", "cpu_profile": "uuid?",
            "boot": "text", "user_data": "text?", "priority": "int",
        },
        "current": {
            "status": ACTIVITY, "host": {"type": "uuid", "indexed": True}, "error": "text?", "attempts": "int",
            "next_retry": "int?", "console": "text?",
        },
    },
    {
        "name": "volume",
        "key": {"uuid": "uuid"},
        "desired": {"name": "text", "size_mib": "int", "format": FORMAT, "storage_pool": {"type": "uuid", "indexed": True}},
    },
    {
        "name": "vdisk",
        "key": {"uuid": "uuid"},
        "desired": {
            "instance": {"type": "uuid", "references": "instance"}, "volume": {"type": "uuid", "references": "volume"},
            "index": "int",
        },
        "join": ("instance", "volume"),
    },
    {
        "name": "vnic",
        "key": {"uuid": "uuid"},
        "desired": {
            "instance": {"type": "uuid", "references": "instance"}, "switch": {"type": "uuid", "indexed": True},
            "macaddr": "mac", "index": "int",
        },
    },
    {
        "name": "host_instance",
        "key": {"host": "uuid", "instance": {"type": "uuid", "references": "instance"}},
        "desired": {"serial": "int", "released": "bool"},
        "current": {"status": ACTIVITY, "attempts": "int", "error": "text?"},
    },
]

#: The text of each table, for a thousand instances.
Batch = dict[str, bytes]


def batches(file: Path) -> Iterator[Batch]:
    """What `cloud-json` wrote."""
    batch: Batch = {}
    with file.open("rb") as lines:
        for line in lines:
            table, _, text = line.partition(b"\t")
            batch[table.decode()] = text
            if len(batch) == len(TABLES):
                yield batch
                batch = {}
