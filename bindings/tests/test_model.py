"""The package and naive dictionaries do the same, whatever happens."""

import copy
import os
import uuid
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ponycloud import Row, Snapshot, State, Subscription, Transaction

KEYS = st.sampled_from([str(uuid.UUID(int=n)) for n in range(6)])
PARTS = st.sampled_from(["desired", "current"])
NAMES = st.sampled_from(["a", "b", ""])
COLUMNS = {"host": KEYS, "name": st.none() | NAMES, "load": st.none() | st.floats(allow_nan=False, allow_infinity=False)}
COLUMN_TYPES = {"host": {"type": "uuid", "references": "host"}, "name": {"type": "text?", "indexed": True}, "load": "float?"}
PART = st.fixed_dictionaries(COLUMNS)
PATCH = st.fixed_dictionaries({}, optional=COLUMNS)

TABLES: list[dict[str, Any]] = [
    {"name": "host", "key": {"uuid": "uuid"}, "desired": {}, "current": {}},
    {"name": "guest", "key": {"uuid": "uuid"}, "desired": COLUMN_TYPES, "current": COLUMN_TYPES},
    {
        "name": "place",
        "key": {"guest": {"type": "uuid", "references": "guest"}, "host": {"type": "uuid", "references": "host"}},
        "desired": {},
        "join": ("guest", "host"),
    },
]

#: By table and key: the parts.
Model = dict[str, dict[Any, dict[str, Any]]]


def rows_of(it: Any) -> Model:
    """What the package says, as the model would."""
    tables: Model = {table["name"]: {} for table in TABLES}
    for name, rows in tables.items():
        for row in it.list(name):
            both = {"desired": row.desired, "current": row.current}
            rows[row.key] = {part: values for part, values in both.items() if values is not None}
    return tables


class Histories(RuleBasedStateMachine):
    """Each rule does one thing to both."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State(TABLES)
        self.feed: Subscription = self.state.subscribe()
        self.model: Model = rows_of(self.state)
        self.followed = copy.deepcopy(self.model)
        self.tx: Transaction | None = None
        self.draft = self.model
        self.snapshots: list[tuple[Snapshot, Model]] = []

    def running(self) -> Transaction:
        """A transaction, for rules that write."""
        if self.tx is None:
            self.tx = self.state.transaction().__enter__()
            self.draft = copy.deepcopy(self.model)
        return self.tx

    @rule(key=KEYS, part=PARTS, values=PART)
    def set(self, key: str, part: str, values: dict[str, Any]) -> None:
        tx, row = self.running(), self.draft["guest"].setdefault(key, {})
        write = tx.set_desired if part == "desired" else tx.set_current
        assert write("guest", key, values) == (row.get(part) != values)
        row[part] = dict(values)

    @rule(key=KEYS, part=PARTS, values=PATCH)
    def update(self, key: str, part: str, values: dict[str, Any]) -> None:
        tx, old = self.running(), self.draft["guest"].get(key, {}).get(part)
        update = tx.update_desired if part == "desired" else tx.update_current
        try:
            assert update("guest", key, **values) == ({**(old or {}), **values} != old)
        except LookupError:
            assert old is None
        else:
            self.draft["guest"][key][part] = {**(old or {}), **values}

    @rule(key=KEYS, part=PARTS)
    def remove_part(self, key: str, part: str) -> None:
        tx, row = self.running(), self.draft["guest"].get(key, {})
        remove = tx.remove_desired if part == "desired" else tx.remove_current
        assert remove("guest", key) == (part in row)
        row.pop(part, None)
        if not row:
            self.draft["guest"].pop(key, None)

    @rule(key=KEYS, other=KEYS, table=st.sampled_from(["host", "place"]))
    def toggle(self, key: str, other: str, table: str) -> None:
        tx, name = self.running(), key if table == "host" else (key, other)
        if tx.remove(table, name):
            del self.draft[table][name]
        else:
            assert name not in self.draft[table]
            tx.set_desired(table, name, {})
            self.draft[table][name] = {"desired": {}}

    @precondition(lambda self: self.tx is not None)
    @rule()
    def commit(self) -> None:
        tx = self.running()
        assert rows_of(tx) == self.draft
        tx.__exit__(None, None, None)
        assert tx.committed is not None
        changed = {(change.table, change.key) for change in tx.committed.changes}
        places = {(table, key) for both in (self.model, self.draft) for table, rows in both.items() for key in rows}
        assert changed == {
            (table, key) for table, key in places if self.model[table].get(key) != self.draft[table].get(key)
        }
        self.tx, self.model = None, self.draft

    @precondition(lambda self: self.tx is not None)
    @rule()
    def roll_back(self) -> None:
        self.running().__exit__(KeyboardInterrupt, None, None)
        self.tx = None

    @rule()
    def snapshot(self) -> None:
        self.snapshots.append((self.state.snapshot(), copy.deepcopy(self.model)))

    @rule(column=st.sampled_from(["host", "name", "load", "uuid"]), value=KEYS | NAMES | st.none(), name=NAMES | st.none())
    def look_up(self, column: str, value: Any, name: Any) -> None:
        def has(key: str, parts: dict[str, Any], column: str, value: Any) -> bool:
            return key == value if column == "uuid" else any(part[column] == value for part in parts.values())

        filters = {column: value, "name": name}
        try:
            found = self.state.list("guest", filters)
        except ValueError:
            return
        wanted = [
            key for key, parts in sorted(self.model["guest"].items())
            if all(has(key, parts, *filter) for filter in filters.items())
        ]
        assert (len(found), [row.key for row in found]) == (len(wanted), wanted)
        assert list(self.state.list("guest", filters, limit=2)) == list(found[:2])

    @rule(key=KEYS)
    def join(self, key: str) -> None:
        hosts, guests = self.model["host"], self.model["guest"]
        for near, far, targets in (("guest", 1, hosts), ("host", 0, guests)):
            wanted = {row for row in self.model["place"] if row[1 - far] == key and row[far] in targets}
            pairs = self.state.join("place", near, key)
            assert {row.key for row, _ in pairs} == wanted
            assert all(isinstance(target, Row) and target.key == row.key[far] for row, target in pairs)

    @invariant()
    def nobody_sees_what_is_not_committed(self) -> None:
        assert rows_of(self.state) == self.model
        for key, parts in self.model["guest"].items():
            row = self.state.get("guest", key)
            assert row is not None and (row.desired, row.current) == (parts.get("desired"), parts.get("current"))

    @invariant()
    def snapshots_never_change(self) -> None:
        for snapshot, model in self.snapshots[-3:]:
            assert rows_of(snapshot) == model

    @invariant()
    def the_feed_leads_to_the_state(self) -> None:
        while commit := self.feed.next(timeout=0):
            for change in commit.changes:
                before = self.followed[change.table].pop(change.key, None)
                assert (before is None) == (change.before is None)
                if change.after is not None:
                    both = {"desired": change.after.desired, "current": change.after.current}
                    parts = {part: values for part, values in both.items() if values is not None}
                    self.followed[change.table][change.key] = parts
        assert self.followed == self.model

    def teardown(self) -> None:
        if self.tx is not None:
            self.roll_back()
        self.state.check_invariants()


#: Histories, the same each time; PONY_SEEDS tries that many others.
SEEDS = os.environ.get("PONY_SEEDS")
Histories.TestCase.settings = settings(
    max_examples=int(SEEDS or 60), stateful_step_count=40, deadline=None, derandomize=SEEDS is None, database=None
)
TestHistories = Histories.TestCase
