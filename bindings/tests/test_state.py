"""The Python package against the engine's promises."""

import ipaddress
import json
import threading
import unittest
import uuid
from collections.abc import Sequence
from typing import Any

from ponycloud import Column, Row, State, Table, errors
from ponycloud.state import Rows

HOST = "00000000-0000-0000-0000-000000000001"
OTHER = "00000000-0000-0000-0000-000000000002"

INSTANCE = [
    Column("name", "text", indexed=True),
    Column("state", ["running", "stopped"], default="stopped"),
    Column("host", "uuid", nullable=True, references="host"),
    Column("ns", "inet[]", default=[]),
    Column("meta", "json", nullable=True),
]
TABLES = [
    Table("host", key=[Column("uuid", "uuid")], desired=[]),
    Table(
        "instance",
        key=[Column("uuid", "uuid")],
        desired=INSTANCE,
        current=[Column("host", "uuid", references="host"), Column("load", "float")],
    ),
    Table("volume", key=[Column("name", "text")], desired=[Column("blocks", "range")]),
    Table(
        "vdisk",
        key=[Column("instance", "uuid", references="instance"), Column("index", "int")],
        desired=[Column("volume", "text", references="volume")],
        join=("instance", "volume"),
    ),
]


def state() -> State:
    return State(TABLES)


class Writing(unittest.TestCase):
    def test_values_come_back_as_json(self) -> None:
        it = state()
        with it.transaction() as tx:
            part = {"name": "a", "host": uuid.UUID(HOST), "ns": [ipaddress.ip_address("::1")], "meta": {"x": [1, None, 0.5]}}
            self.assertTrue(tx.set_desired("instance", uuid.UUID(OTHER), part))
            self.assertFalse(tx.set_desired("instance", OTHER, part), "nothing changed")
            tx.set_current("instance", OTHER, {"host": HOST, "load": 0.5})
            tx.set_desired("volume", "v", {"blocks": [0, 8]})
        desired = {"name": "a", "state": "stopped", "host": HOST, "ns": ["::1"], "meta": {"x": [1, None, 0.5]}}
        self.assertEqual(it.get("instance", OTHER), Row("instance", OTHER, desired, {"host": HOST, "load": 0.5}))
        self.assertEqual(it.get("volume", "v"), Row("volume", "v", {"blocks": [0, 8]}, None))
        self.assertIsNone(it.get("volume", "w"))

    def test_updates_and_removals(self) -> None:
        it = state()
        with it.transaction() as tx:
            tx.set_desired("instance", HOST, {"name": "a", "host": HOST})
            tx.set_current("instance", HOST, {"host": HOST, "load": 1.0})
            self.assertTrue(tx.update_desired("instance", HOST, name="b", host=None))
            self.assertFalse(tx.update_desired("instance", HOST, name="b"))
            with self.assertRaises(errors.Absent):
                tx.update_current("instance", OTHER, load=2.0)
        row = it.get("instance", HOST)
        assert row is not None and row.desired is not None
        self.assertEqual((row.desired["name"], row.desired["host"]), ("b", None))
        with it.transaction() as tx:
            self.assertTrue(tx.remove_current("instance", HOST))
            self.assertFalse(tx.remove_current("instance", HOST))
            self.assertTrue(tx.remove("instance", HOST))
        self.assertEqual(it.count("instance"), 0)

    def test_an_exception_rolls_back(self) -> None:
        it = state()
        tx = it.transaction()
        with self.assertRaises(ZeroDivisionError), tx:
            tx.set_desired("host", HOST, {})
            self.assertEqual(tx.count("host"), 1, "it sees its own writes")
            self.assertEqual(it.count("host"), 0, "nobody else does")
            1 / 0
        self.assertEqual((it.count("host"), it.version, tx.committed), (0, 0, None))

    def test_a_refused_write_leaves_the_rest(self) -> None:
        it = state()
        with it.transaction() as tx:
            tx.set_desired("host", HOST, {})
            with self.assertRaises(errors.WrongValue):
                tx.set_desired("instance", HOST, {"name": 7})
        self.assertEqual((it.count("host"), it.count("instance")), (1, 0))

    def test_the_commit_names_each_row_once(self) -> None:
        it = state()
        with it.transaction() as tx:
            tx.set_desired("volume", "a", {"blocks": [0, 1]})
            tx.set_desired("volume", "b", {"blocks": [0, 1]})
            tx.set_desired("volume", "a", {"blocks": [0, 2]})
            tx.remove("volume", "b")
        assert tx.committed is not None
        (change,) = tx.committed.changes
        self.assertEqual((change.table, change.key, change.before), ("volume", "a", None))
        self.assertEqual(change.after, Row("volume", "a", {"blocks": [0, 2]}, None))
        self.assertEqual(tx.committed.version, 1)

    def test_transactions_exclude_each_other(self) -> None:
        it = state()
        with it.transaction() as tx:
            tx.set_desired("volume", "n", {"blocks": [0, 1]})

        def count() -> None:
            for _ in range(50):
                with it.transaction() as tx:
                    row = tx.get("volume", "n")
                    assert row is not None and row.desired is not None
                    tx.set_desired("volume", "n", {"blocks": [0, row.desired["blocks"][1] + 1]})

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(it.get("volume", "n"), Row("volume", "n", {"blocks": [0, 201]}, None))

    def test_misuse(self) -> None:
        it = state()
        tx = it.transaction()
        with self.assertRaises(errors.TransactionError):
            tx.set_desired("host", HOST, {})
        with tx, self.assertRaises(errors.TransactionError), it.transaction():
            pass
        with self.assertRaises(errors.TransactionError):
            tx.get("host", HOST)
        with it.transaction() as tx:
            tx.set_desired("host", HOST, {})
        self.assertEqual(it.count("host"), 1, "the state is not left locked")


class Reading(unittest.TestCase):
    def setUp(self) -> None:
        self.state = state()
        with self.state.transaction() as tx:
            for number in range(10):
                key = str(uuid.UUID(int=number))
                tx.set_desired("instance", key, {"name": f"i{number % 2}", "host": HOST})
                tx.set_current("instance", key, {"host": OTHER if number < 3 else HOST, "load": float(number)})
                tx.set_desired("vdisk", (key, 0), {"volume": "shared"})
            tx.set_desired("volume", "shared", {"blocks": [0, 1]})

    def test_find_by_either_part(self) -> None:
        self.assertEqual(len(self.state.list("instance", host=HOST)), 10)
        self.assertEqual([row.key[-1] for row in self.state.list("instance", host=OTHER)], ["0", "1", "2"])
        self.assertEqual(self.state.list("instance", meta=None)[0].key, str(uuid.UUID(int=0)))

    def test_filters_intersect_and_pages_follow(self) -> None:
        found = self.state.list("instance", {"host": OTHER}, name="i0")
        self.assertEqual([row.key[-1] for row in found], ["0", "2"])
        pages, after = [], None
        while page := self.state.list("instance", after=after, limit=4):
            pages.append(len(page))
            after = page[-1].key
        self.assertEqual(pages, [4, 4, 2])

    def test_one(self) -> None:
        self.assertEqual(self.state.one("volume").key, "shared")
        self.assertEqual(self.state.one("vdisk", instance=uuid.UUID(int=3)).key[1], 0)
        for filters in ({"host": OTHER}, {"name": "nobody"}):
            with self.assertRaises(errors.NotOne):
                self.state.one("instance", filters)

    def test_a_list_is_a_sequence_of_one_moment(self) -> None:
        rows = self.state.list("instance", host=OTHER)
        with self.state.transaction() as tx:
            for row in rows:
                tx.remove("instance", row.key)
        assert isinstance(rows, Rows) and isinstance(rows, Sequence)
        self.assertEqual((len(rows), rows[-1].key[-1], [row.key[-1] for row in rows[1:]]), (3, "2", ["1", "2"]))
        self.assertEqual([row.key[-1] for row in reversed(rows)], ["2", "1", "0"])
        self.assertEqual((rows.index(rows[1]), rows[0] in rows, self.state.list("instance", host=OTHER)[:]), (1, True, []))
        for place in (3, -4):
            with self.assertRaises(IndexError):
                rows[place]

    def test_columns_of_many_rows(self) -> None:
        rows = self.state.list("instance", host=OTHER)
        self.assertEqual(rows.keys(), [row.key for row in rows])
        self.assertEqual(rows.column("current", "load"), [0.0, 1.0, 2.0])
        self.assertEqual(rows.column("desired", "uuid"), rows.keys())
        with self.assertRaises(errors.UnknownColumn):
            rows.column("current", "laod")

    def test_joins(self) -> None:
        pairs = self.state.join("vdisk", "volume", "shared")
        self.assertEqual({(join.key[0], row.key) for join, row in pairs}, {(str(uuid.UUID(int=n)),) * 2 for n in range(10)})
        ((join, row),) = self.state.join("vdisk", "instance", uuid.UUID(int=3))
        self.assertEqual((join.key, row.key), ((str(uuid.UUID(int=3)), 0), "shared"))
        with self.assertRaises(errors.NotAJoin):
            self.state.join("vdisk", "index", 0)

    def test_a_snapshot_never_changes(self) -> None:
        snapshot = self.state.snapshot()
        with self.state.transaction() as tx:
            tx.remove("volume", "shared")
        self.assertEqual((snapshot.count("volume"), self.state.count("volume")), (1, 0))
        self.assertEqual((snapshot.version, self.state.version), (1, 2))


class Loading(unittest.TestCase):
    def test_rows_as_the_api_lists_them(self) -> None:
        it = state()
        feed = it.subscribe()
        instance = {"desired": {"name": "a", "host": HOST}, "current": None, "etag": [1, {}]}
        vdisk = {f"{HOST},0": {"desired": {"instance": HOST, "volume": "v"}}}
        count = it.load({"instance": json.dumps({HOST: instance}), "vdisk": json.dumps(vdisk).encode()})
        self.assertEqual((count, it.version), (2, 1))
        self.assertEqual(it.one("vdisk", instance=HOST).desired, {"volume": "v"})
        self.assertEqual(it.one("instance").desired, {"name": "a", "state": "stopped", "host": HOST, "ns": [], "meta": None})
        self.assertRaises(errors.Lagged, feed.next)

    def test_all_or_nothing(self) -> None:
        it = state()
        good = json.dumps({HOST: {"desired": {"name": "a"}}})
        for bad, kind in (
            ('{"x": {"desired": {}}}', errors.WrongKey),
            (json.dumps({HOST: {"desired": {"name": 5}}}), errors.WrongValue),
            (json.dumps({HOST: {"desired": {"name": "a", "uuid": OTHER}}}), errors.KeyMismatch),
            (json.dumps({HOST: {"desired": 5}}), errors.NotAnObject),
            (good[:-1], errors.NotAnObject),
            ("[]", errors.NotAnObject),
            (b"\xff", errors.NotAnObject),
        ):
            with self.subTest(bad), self.assertRaises(kind):
                it.load({"host": json.dumps({HOST: {"desired": {}}}), "instance": bad})
        self.assertEqual((it.count("host"), it.version), (0, 0))
        with it.transaction(), self.assertRaises(errors.TransactionError):
            it.load({"instance": good})

    def test_writes_without_a_transaction_are_one_each(self) -> None:
        it = state()
        feed = it.subscribe()
        self.assertTrue(it.set_desired("volume", "v", {"blocks": [0, 1]}))
        self.assertTrue(it.update_desired("volume", "v", blocks=[0, 2]))
        self.assertFalse(it.update_desired("volume", "v", blocks=range(0, 2)))
        self.assertEqual(it.update_all_desired("volume", {"v": {"blocks": [0, 3]}}), 1)
        with self.assertRaises(errors.Absent):
            it.update_all_desired("volume", {"v": {"blocks": [0, 4]}, "w": {"blocks": [0, 4]}})
        self.assertEqual(it.one("volume").desired, {"blocks": [0, 3]})
        self.assertTrue(it.remove("volume", "v"))
        commits = [commit.version for commit in iter(lambda: feed.next(timeout=0), None) if commit]
        self.assertEqual(commits, [1, 2, 3, 4])
        with it.transaction(), self.assertRaises(errors.TransactionError):
            it.remove("volume", "v")

    def test_updates_of_many_rows(self) -> None:
        it = state()
        it.load({"volume": json.dumps({f"v{n}": {"desired": {"blocks": [0, n + 1]}} for n in range(100)})})
        with it.transaction() as tx:
            self.assertEqual(tx.update_all_desired("volume", {f"v{n}": {"blocks": [0, 1]} for n in range(50)}), 49)
        assert tx.committed is not None
        self.assertEqual(len(tx.committed.changes), 49)
        it.check_invariants()


class Errors(unittest.TestCase):
    def test_each_has_its_exception(self) -> None:
        it = state()
        cases: list[tuple[type[errors.PonyError], tuple[Any, ...], str | None]] = [
            (errors.UnknownTable, ("nope", HOST, {}), None),
            (errors.UnknownColumn, ("volume", "v", {"blocks": [0, 1], "size": 1}), "size"),
            (errors.Missing, ("volume", "v", {}), "blocks"),
            (errors.WrongValue, ("volume", "v", {"blocks": [1, 0]}), "blocks"),
            (errors.WrongValue, ("instance", HOST, {"name": "a", "state": "dancing"}), "state"),
            (errors.WrongKey, ("instance", "not a uuid", {"name": "a"}), None),
            (errors.WrongKey, ("vdisk", HOST, {"volume": "v"}), None),
            (errors.KeyMismatch, ("volume", "v", {"name": "w", "blocks": [0, 1]}), "name"),
            (errors.NotAnObject, ("volume", "v", [1]), None),
        ]
        for kind, arguments, column in cases:
            with self.subTest(kind.__name__), it.transaction() as tx, self.assertRaises(kind) as caught:
                tx.set_desired(*arguments)
            self.assertEqual((type(caught.exception), caught.exception.column), (kind, column))
            self.assertEqual(caught.exception.table, arguments[0])
        with it.transaction() as tx, self.assertRaises(errors.NoPart):
            tx.set_current("volume", "v", {})
        with self.assertRaises(errors.UnknownColumn):
            it.list("volume", nope=1)
        with self.assertRaises(errors.WrongValue):
            it.list("instance", host="not a uuid")

    def test_what_is_no_value(self) -> None:
        it = state()
        nested: Any = []
        for _ in range(10_000):
            nested = [nested]
        with it.transaction() as tx:
            for value, kind in ((object(), TypeError), (float("nan"), ValueError), (nested, ValueError), (1 << 70, OverflowError)):
                with self.assertRaises(kind):
                    tx.set_desired("instance", HOST, {"name": "a", "meta": value})

    def test_schemas(self) -> None:
        key = [Column("id", "int")]
        for tables in (
            [Table("a", key=key)],
            [Table("a", key=[], desired=[])],
            [Table("a", key=key, desired=[Column("x", "number")])],
            [Table("a", key=key, desired=[Column("x", "int", references="b")])],
            [Table("a", key=key, desired=[Column("x", "int", default="seven")])],
        ):
            self.assertRaises(errors.SchemaError, State, tables)


class Feed(unittest.TestCase):
    def put(self, it: State, name: str) -> None:
        with it.transaction() as tx:
            tx.set_desired("volume", name, {"blocks": [0, 1]})

    def test_commits_in_order(self) -> None:
        it = state()
        self.put(it, "before")
        feed = it.subscribe()
        self.assertEqual(feed.snapshot.count("volume"), 1)
        self.put(it, "a")
        self.put(it, "b")
        keys = [commit.changes[0].key for commit in (feed.next(), feed.next()) if commit]
        self.assertEqual(keys, ["a", "b"])
        self.assertIsNone(feed.next(timeout=0))
        self.assertIsNone(feed.next(timeout=0.01))

    def test_waiting_lets_others_run(self) -> None:
        it = state()
        feed = it.subscribe()
        writer = threading.Timer(0.05, self.put, (it, "late"))
        writer.start()
        commit = feed.next(timeout=60)
        writer.join()
        assert commit is not None
        self.assertEqual(commit.changes[0].key, "late")

    def test_lagging(self) -> None:
        it = state()
        feed = it.subscribe(capacity=2)
        for name in "abc":
            self.put(it, name)
        self.assertRaises(errors.Lagged, feed.next)
        snapshot = it.snapshot()
        feed.skip_to(snapshot.version)
        self.put(it, "d")
        commit = feed.next()
        assert commit is not None
        self.assertEqual((snapshot.count("volume"), commit.changes[0].key), (3, "d"))

    def test_it_ends_with_the_state(self) -> None:
        it = state()
        feed = it.subscribe()
        self.put(it, "a")
        del it
        self.assertEqual([commit.version for commit in feed], [1])
