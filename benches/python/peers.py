"""The peers: the same questions and orders for each. Whatever a peer answers is compared with the others'."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ponycloud import State

from workload import TABLES, Batch


class Peer(Protocol):
    """A store of the workload."""

    def load(self, batch: Batch) -> None:
        """Takes rows, as JSON text, in one transaction where the peer has those."""

    def loaded(self) -> None:
        """All rows were taken: does what was put off."""

    def get(self, instance: str) -> int:
        """Memory of an instance, by its key."""

    def rows_of_tenant(self, tenant: str) -> Sequence[Any]:
        """The rows of all instances of a tenant: what they are now, whatever is written later."""

    def rows_on_host(self, host: str) -> Sequence[Any]:
        """The rows of all instances that should be or are on a host."""

    def mem_of_tenant(self, tenant: str) -> int:
        """Memory of all instances of a tenant."""

    def mem_on_host(self, host: str) -> int:
        """Memory of all instances that should be or are on a host."""

    def volumes_of(self, instance: str) -> int:
        """Size of all volumes of an instance, through the join table."""

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Reports each instance to be on a host, in a transaction of its own, where the peer has those."""

    def move_all(self, moves: Iterable[tuple[str, str]]) -> None:
        """The same in one transaction."""


class Pony:
    """The package."""

    def __init__(self) -> None:
        self.state = State(TABLES)

    def load(self, batch: Batch) -> None:
        self.state.load(batch)

    def loaded(self) -> None:
        # The rows of bulks are put into indexes when somebody looks.
        for table in TABLES:
            self.state.list(str(table["name"]), limit=1)

    def get(self, instance: str) -> int:
        row = self.state.get("instance", instance)
        assert row is not None and row.desired is not None
        mem: int = row.desired["mem"]
        return mem

    def rows_of_tenant(self, tenant: str) -> Sequence[Any]:
        return self.state.list("instance", tenant=tenant)

    def rows_on_host(self, host: str) -> Sequence[Any]:
        return self.state.list("instance", host=host)

    def mem_of_tenant(self, tenant: str) -> int:
        return sum(self.state.list("instance", tenant=tenant).column("desired", "mem"))

    def mem_on_host(self, host: str) -> int:
        return sum(self.state.list("instance", host=host).column("desired", "mem"))

    def volumes_of(self, instance: str) -> int:
        return sum(row.desired["size_mib"] for _, row in self.state.join("vdisk", "instance", instance) if row.desired)

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        for instance, host in moves:
            self.state.update_current("instance", instance, host=host)

    def move_all(self, moves: Iterable[tuple[str, str]]) -> None:
        with self.state.transaction() as tx:
            tx.update_all_current("instance", {instance: {"host": host} for instance, host in moves})


class Dicts:
    """Plain dictionaries, and indexes made by hand. No transactions, snapshots, events or order of keys; rows are the ones
    that are written to."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {str(table["name"]): {} for table in TABLES}
        self.tenant, self.host, self.current_host = self.index(), self.index(), self.index()
        self.pool, self.switch, self.placed = self.index(), self.index(), self.index()
        self.disks, self.used, self.cards = self.index(), self.index(), self.index()

    @staticmethod
    def index() -> defaultdict[str, set[str]]:
        return defaultdict(set)

    def load(self, batch: Batch) -> None:
        for name, text in batch.items():
            rows = json.loads(text)
            self.tables[name].update(rows)
            getattr(self, f"index_{name}")(rows)

    def index_instance(self, rows: dict[str, Any]) -> None:
        tenant, host, current = self.tenant, self.host, self.current_host
        for key, row in rows.items():
            desired = row["desired"]
            tenant[desired["tenant"]].add(key)
            host[desired["host"]].add(key)
            current[row["current"]["host"]].add(key)

    def index_volume(self, rows: dict[str, Any]) -> None:
        for key, row in rows.items():
            self.pool[row["desired"]["storage_pool"]].add(key)

    def index_vdisk(self, rows: dict[str, Any]) -> None:
        for key, row in rows.items():
            self.disks[row["desired"]["instance"]].add(key)
            self.used[row["desired"]["volume"]].add(key)

    def index_vnic(self, rows: dict[str, Any]) -> None:
        for key, row in rows.items():
            self.cards[row["desired"]["instance"]].add(key)
            self.switch[row["desired"]["switch"]].add(key)

    def index_host_instance(self, rows: dict[str, Any]) -> None:
        for key in rows:
            self.placed[key.partition(",")[2]].add(key)

    def loaded(self) -> None:
        """Nothing was put off."""

    def get(self, instance: str) -> int:
        mem: int = self.tables["instance"][instance]["desired"]["mem"]
        return mem

    def rows_of_tenant(self, tenant: str) -> Sequence[Any]:
        rows = self.tables["instance"]
        return [rows[key] for key in self.tenant[tenant]]

    def rows_on_host(self, host: str) -> Sequence[Any]:
        rows = self.tables["instance"]
        return [rows[key] for key in self.host[host] | self.current_host[host]]

    def mem_of_tenant(self, tenant: str) -> int:
        rows = self.tables["instance"]
        return sum([rows[key]["desired"]["mem"] for key in self.tenant[tenant]])

    def mem_on_host(self, host: str) -> int:
        rows = self.tables["instance"]
        return sum([rows[key]["desired"]["mem"] for key in self.host[host] | self.current_host[host]])

    def volumes_of(self, instance: str) -> int:
        disks, volumes = self.tables["vdisk"], self.tables["volume"]
        return sum([volumes[disks[key]["desired"]["volume"]]["desired"]["size_mib"] for key in self.disks[instance]])

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        rows, index = self.tables["instance"], self.current_host
        for instance, host in moves:
            current = rows[instance]["current"]
            index[current["host"]].discard(instance)
            current["host"] = host
            index[host].add(instance)

    def move_all(self, moves: Iterable[tuple[str, str]]) -> None:
        self.move(moves)


class Careful(Dicts):
    """The same with as much as a program needs that relies on it: an update is all or nothing, and tells what changed; rows
    that somebody was given stay as they were. Copies make that."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, Any, Any]] = []

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        for move in moves:
            self.move_all([move])

    def move_all(self, moves: Iterable[tuple[str, str]]) -> None:
        rows, undo = self.tables["instance"], []
        try:
            for instance, host in moves:
                before = rows[instance]
                undo.append((instance, before))
                self.put(instance, {**before, "current": {**before["current"], "host": host}})
        except BaseException:
            for instance, before in reversed(undo):
                self.put(instance, before)
            raise
        self.events = [(instance, before, rows[instance]) for instance, before in undo]

    def put(self, instance: str, row: dict[str, Any]) -> None:
        rows = self.tables["instance"]
        self.current_host[rows[instance]["current"]["host"]].discard(instance)
        rows[instance] = row
        self.current_host[row["current"]["host"]].add(instance)


def _columns(table: dict[str, Any], part: str) -> list[str]:
    return [*table.get(part, {})]


class Sqlite:
    """SQLite in memory, with the same columns and indexes."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=100)
        self.parts: dict[str, list[tuple[str, str]]] = {}
        for table in TABLES:
            self.declare(table)

    def declare(self, table: dict[str, Any]) -> None:
        name, key = table["name"], [*table["key"]]
        self.parts[name] = [(part, column) for part in ("desired", "current") for column in _columns(table, part)]
        columns = [*key, *(f"{part}_{column}" for part, column in self.parts[name])]
        self.db.execute(f"CREATE TABLE {name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(key)})) WITHOUT ROWID")
        for part, column in self.parts[name]:
            options = table[part][column]
            if isinstance(options, dict) and (options.get("indexed") or "references" in options):
                self.db.execute(f"CREATE INDEX {name}_{part}_{column} ON {name}({part}_{column})")
        if name == "host_instance":
            self.db.execute("CREATE INDEX host_instance_instance ON host_instance(instance)")

    def load(self, batch: Batch) -> None:
        self.db.execute("BEGIN")
        for name, text in batch.items():
            parts = self.parts[name]
            rows = [
                (*key.split(","), *[row[part].get(column) for part, column in parts])
                for key, row in json.loads(text).items()
            ]
            self.db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        self.db.execute("COMMIT")

    def loaded(self) -> None:
        """Nothing was put off."""

    def get(self, instance: str) -> int:
        (mem,) = self.db.execute("SELECT desired_mem FROM instance WHERE uuid = ?", (instance,)).fetchone()
        return int(mem)

    ON_HOST = "uuid IN (SELECT uuid FROM instance WHERE desired_host = ?1 UNION SELECT uuid FROM instance WHERE current_host = ?1)"

    def rows_of_tenant(self, tenant: str) -> Sequence[Any]:
        return self.db.execute("SELECT * FROM instance WHERE desired_tenant = ?", (tenant,)).fetchall()

    def rows_on_host(self, host: str) -> Sequence[Any]:
        return self.db.execute(f"SELECT * FROM instance WHERE {self.ON_HOST}", (host,)).fetchall()

    def mem_of_tenant(self, tenant: str) -> int:
        found = self.db.execute("SELECT sum(desired_mem) FROM instance WHERE desired_tenant = ?", (tenant,))
        return int(found.fetchone()[0] or 0)

    def mem_on_host(self, host: str) -> int:
        found = self.db.execute(f"SELECT sum(desired_mem) FROM instance WHERE {self.ON_HOST}", (host,))
        return int(found.fetchone()[0] or 0)

    def volumes_of(self, instance: str) -> int:
        join = "SELECT sum(desired_size_mib) FROM vdisk JOIN volume ON volume.uuid = desired_volume WHERE desired_instance = ?"
        return int(self.db.execute(join, (instance,)).fetchone()[0] or 0)

    UPDATE = "UPDATE instance SET current_host = ? WHERE uuid = ?"

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        for instance, host in moves:
            self.db.execute(self.UPDATE, (host, instance))

    def move_all(self, moves: Iterable[tuple[str, str]]) -> None:
        self.db.execute("BEGIN")
        self.db.executemany(self.UPDATE, ((host, instance) for instance, host in moves))
        self.db.execute("COMMIT")


PEERS: dict[str, type[Peer]] = {"pony": Pony, "dicts": Dicts, "careful": Careful, "sqlite": Sqlite}
