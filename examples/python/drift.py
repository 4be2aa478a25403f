"""What is not as it was ordered, as a table: instances and hosts."""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from ponycloud import Cloud, Row

#: What a status should be where a state is ordered; other states are called as their status is.
STATUS = {"present": "present", "evacuated": "present"}


class Drift(NamedTuple):
    """A row that differs."""

    table: str
    name: str
    desired: str
    current: str
    why: str


def compare(row: Row, name: str) -> Iterator[Drift]:
    """Nothing, where the row is as ordered."""
    desired, current = row.desired or {}, row.current or {}
    state, status = desired.get("state", "absent"), current.get("status", "absent")
    if status != STATUS.get(state, state):
        yield Drift(row.table, name, state, status, current.get("error") or "")


def drifts(cloud: Cloud) -> Iterator[Drift]:
    """All that differs now."""
    for row in cloud.host.list():
        yield from compare(row, (row.current or {}).get("hostname", row.key))
    for tenant in cloud.tenant:
        for row in tenant.instance.list():
            yield from compare(row, (row.desired or {}).get("name", row.key))


def table(rows: list[Drift]) -> str:
    """Columns as wide as they must be. What strangers wrote is shown without what would move a terminal's cursor."""
    cells = [[name.upper() for name in Drift._fields], *([ascii(cell)[1:-1] for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)


def main() -> int:
    with Cloud() as cloud:
        found = list(drifts(cloud))
    print(table(found) if found else "all is as ordered")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
