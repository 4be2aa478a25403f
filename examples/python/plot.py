"""A live plot of convergence: how many instances are as ordered, and how many are not yet, as it happens.

    plot.py                            # a window, until it is closed
    plot.py --seconds 60 --out c.png   # a picture of a minute
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib

from ponycloud import Row, aio

#: Pictures a second, at most.
DRAWS_HZ = 4


def is_settled(desired: dict[str, Any] | None, current: dict[str, Any] | None) -> bool:
    """Whether an instance is as ordered."""
    return (desired or {}).get("state") == (current or {}).get("status")


class Counts:
    """What is known of all instances, and how that went on."""

    def __init__(self) -> None:
        self.settled: dict[str, bool] = {}
        self.began = time.monotonic()
        self.line: list[tuple[float, int, int]] = []

    def start_over(self, rows: list[Row]) -> None:
        self.settled = {row.key: is_settled(row.desired, row.current) for row in rows}
        self.note()

    def note(self) -> None:
        settled = sum(self.settled.values())
        self.line.append((time.monotonic() - self.began, settled, len(self.settled) - settled))


async def follow(cloud: aio.Cloud, counts: Counts) -> None:
    """Counts for ever."""
    async for event in cloud.watch("instance"):
        if event.reset:
            rows = [await cloud.tenant[tenant.key].instance.list() for tenant in await cloud.tenant.list()]
            counts.start_over([row for some in rows for row in some])
        elif event.desired is None and event.current is None:
            counts.settled.pop(event.key, None)
            counts.note()
        else:
            counts.settled[event.key] = is_settled(event.desired, event.current)
            counts.note()


async def show(counts: Counts, seconds: float, out: Path | None) -> None:
    """Draws what is counted, as often as is of use."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    end = time.monotonic() + seconds
    while time.monotonic() < end and pyplot.fignum_exists(figure.number):
        await asyncio.sleep(1 / DRAWS_HZ)
        axes.clear()
        if counts.line:
            times, settled, waiting = zip(*counts.line)
            axes.stackplot(times, settled, waiting, labels=("as ordered", "not yet"), step="post")
            axes.legend(loc="upper left")
        axes.set(xlabel="seconds", ylabel="instances")
        if out is None:
            pyplot.pause(0.001)
    if out is not None:
        figure.savefig(out)
    pyplot.close(figure)


async def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path, help="a picture instead of a window")
    arguments = parser.parse_args()
    if arguments.out is not None:
        matplotlib.use("agg")
    counts = Counts()
    async with aio.Cloud() as cloud:
        following = asyncio.create_task(follow(cloud, counts))
        showing = asyncio.create_task(show(counts, arguments.seconds, arguments.out))
        done, _ = await asyncio.wait({following, showing}, return_when=asyncio.FIRST_COMPLETED)
        following.cancel()
        showing.cancel()
        for task in done:
            task.result()
    _, settled, waiting = counts.line[-1] if counts.line else (0, 0, 0)
    print(f"{settled} as ordered, {waiting} not yet, after {len(counts.line)} changes")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
