"""A test double of a Twilight: a host that takes every instance, and at once says that it is as ordered.

    twilight.py MACHINE tcp://127.0.0.1:9850 KEY-FILE SERVER-KEY
"""

import sys
from collections.abc import Iterator

from ponycloud import Cloud, Keys, Row, Session, State, Transaction


def report(tx: Transaction, machine: str) -> None:
    """Makes what is what should be."""
    tx.set_current("host", machine, {"status": "present", "hostname": "double", "cpus": 64, "mem": 1 << 20})
    for row in tx.list("host_instance"):
        if row.desired is None:
            tx.remove_current("host_instance", row.key)
            continue
        released, instance = row.desired["released"], tx.get("instance", row.key[1])
        order = "stopped" if released or instance is None or instance.desired is None else instance.desired["state"]
        is_now = {"status": order, "released": released, "serial": row.desired["serial"], "attempts": 0}
        tx.set_current("host_instance", row.key, is_now)


def run(machine: str, endpoint: str, key_file: str, server_key: str) -> Iterator[Row | None]:
    with Cloud() as cloud:
        state = State(cloud.tables())
    with Session(state, machine, endpoint, Keys.load_or_create(key_file), server_key) as session:
        while True:
            session.step()
            with state.transaction() as tx:
                report(tx, machine)
            yield state.get("host", machine)


if __name__ == "__main__":
    for _ in run(*sys.argv[1:]):
        pass
