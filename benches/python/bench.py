"""`ponycloud.State` against what somebody would take instead in Python.

    bench.py WORKLOAD-FILE OUT.json

Peers take turns, so that a machine that is busy for a while slows all of them; figures are medians. Targets are reported, never
tested. Memory is that of a process that holds nothing else.
"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median_low
from typing import Any

from peers import PEERS, Peer
from workload import Batch, batches

RUNS, LOADS = 11, 3
#: Rows and lists that are asked for, each so often in a run: what they cost is the peer's work, not the memory's.
KEYS, LISTS, ROUNDS = 100, 20, 20

LOAD, GET, VOLUMES = "load all, per instance", "get by key", "volumes of an instance"
TENANT, HOST = "rows of a tenant (100)", "rows on a host, both parts (500)"
TENANT_MEM, HOST_MEM = "memory of a tenant's", "memory of all on a host"
UPDATE, UPDATE_ALL = "update of a row", "update of a row, 200 at once"
RESIDENT = "resident bytes per instance"

Figures = dict[str, dict[str, float]]


def timed(work: Callable[[], int]) -> tuple[int, float]:
    start = time.perf_counter_ns()
    found = work()
    return found, time.perf_counter_ns() - start


def compare(runs: int, units: int, works: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Each one's median in nanoseconds for one of so many units. All must find the same."""
    samples: dict[str, list[float]] = {name: [] for name in works}
    for run in range(runs + 1):
        answers = {}
        for name, work in works.items():
            answers[name], took = timed(work)
            if run:
                samples[name].append(took / units)
        assert len({*answers.values()}) == 1, answers
    return {name: median_low(times) for name, times in samples.items()}


def load(peer: Peer, cloud: list[Batch]) -> int:
    for batch in cloud:
        peer.load(batch)
    peer.loaded()
    return len(cloud)


def loads(cloud: list[Batch], count: int) -> dict[str, float]:
    def work(kind: type[Peer]) -> Callable[[], int]:
        # The store that goes is not a part of it, nor is the collector's walk through all that was ever made.
        def fresh() -> int:
            gc.collect()
            gc.disable()
            try:
                return load(kind(), cloud)
            finally:
                gc.enable()

        return fresh

    return compare(LOADS, count, {name: work(kind) for name, kind in PEERS.items() if name != "careful"})


def questions(cloud: list[Batch]) -> tuple[list[str], list[str], list[str], list[tuple[str, str]]]:
    rng = random.Random(8)
    instances = {key: row for batch in cloud for key, row in json.loads(batch["instance"]).items()}
    tenants = sorted({row["desired"]["tenant"] for row in instances.values()})
    hosts = sorted({row["desired"]["host"] for row in instances.values()})
    keys = rng.sample(sorted(instances), KEYS)
    there = [(key, rng.randrange(len(hosts))) for key in keys]
    moves = [(key, hosts[place]) for key, place in there] + [(key, hosts[place - 1]) for key, place in there]
    return keys, rng.choices(tenants, k=LISTS), rng.choices(hosts, k=LISTS), moves


def speed(cloud: list[Batch], count: int) -> Figures:
    figures = {LOAD: loads(cloud, count)}
    keys, tenants, hosts, moves = questions(cloud)
    peers = {name: kind() for name, kind in PEERS.items()}
    for peer in peers.values():
        load(peer, cloud)
    gc.collect()
    gc.freeze()

    def ask(question: str, of: Sequence[Any], fold: Callable[[Any], int] = int) -> None:
        def work(peer: Peer) -> Callable[[], int]:
            answer = getattr(peer, question)
            return lambda: sum([fold(answer(it)) for _ in range(ROUNDS) for it in of])

        works = {name: work(peer) for name, peer in peers.items() if name != "careful"}
        figures[names[question]] = compare(RUNS, ROUNDS * len(of), works)

    names = {
        "get": GET, "rows_of_tenant": TENANT, "rows_on_host": HOST, "mem_of_tenant": TENANT_MEM, "mem_on_host": HOST_MEM,
        "volumes_of": VOLUMES,
    }
    ask("get", keys)
    ask("rows_of_tenant", tenants, len)
    ask("rows_on_host", hosts, len)
    ask("mem_of_tenant", tenants)
    ask("mem_on_host", hosts)
    ask("volumes_of", keys)
    for name, question in ((UPDATE, "move"), (UPDATE_ALL, "move_all")):
        def work(peer: Peer, question: str = question) -> Callable[[], int]:
            return lambda: len([getattr(peer, question)(moves) for _ in range(ROUNDS)])

        works = {name: work(peer) for name, peer in peers.items()}
        figures[name] = compare(RUNS, ROUNDS * len(moves), works)
    return figures


def resident() -> int:
    """What this process holds in memory, in bytes, but for the pages of its files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def hold(name: str, file: Path) -> None:
    """The process that holds a peer and nothing else."""
    peer, count = PEERS[name](), 0
    gc.collect()
    before = resident()
    for batch in batches(file):
        peer.load(batch)
        count += batch["instance"].count(b'"desired"')
    del batch
    gc.collect()
    print((resident() - before) / count)


def memory(file: Path) -> dict[str, float]:
    def held(name: str) -> float:
        command = [sys.executable, __file__, "--hold", name, str(file)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return {name: held(name) for name in PEERS if name != "careful"}


def targets(figures: Figures) -> list[dict[str, Any]]:
    def faster(op: str, peer: str, bound: float) -> dict[str, Any]:
        value = figures[op][peer] / figures[op]["pony"]
        return {"name": f"{op}: speed against {peer}", "value": value, "bound": bound, "sense": "min"}

    peers = ("dicts", "sqlite")
    found = [faster(LOAD, peer, 5) for peer in peers]
    found += [faster(op, peer, 5) for op in (TENANT, HOST, TENANT_MEM, HOST_MEM, VOLUMES) for peer in peers]
    found += [faster(op, peer, 2) for op in (UPDATE, UPDATE_ALL) for peer in ("dicts", "careful", "sqlite")]
    held = figures[RESIDENT]["pony"] / figures[RESIDENT]["dicts"]
    return [*found, {"name": "resident bytes against dicts", "value": held, "bound": 0.25, "sense": "max"}]


def table(figures: Figures, reached: list[dict[str, Any]]) -> str:
    lines = [f"{'python (ns)':36}" + "".join(f"{name:>14}" for name in PEERS)]
    for op, medians in figures.items():
        lines.append(f"{op:36}" + "".join(f"{medians[name]:14.0f}" if name in medians else f"{'-':>14}" for name in PEERS))
    lines.append("")
    for it in reached:
        met = it["value"] >= it["bound"] if it["sense"] == "min" else it["value"] <= it["bound"]
        sign = ">=" if it["sense"] == "min" else "<="
        lines.append(f"{it['name']:54}{it['value']:12.2f} {sign} {it['bound']:<8} {'met' if met else 'MISSED'}")
    return "\n".join(lines)


def main(file: Path, out: Path) -> None:
    cloud = [*batches(file)]
    count = sum(batch["instance"].count(b'"desired"') for batch in cloud)
    figures = speed(cloud, count)
    figures[RESIDENT] = memory(file)
    reached = targets(figures)
    print(table(figures, reached))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"figures": figures, "targets": reached}, indent=2) + "\n")
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    if sys.argv[1] == "--hold":
        hold(sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
