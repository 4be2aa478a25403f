"""Tables that dataclasses declare."""

import enum
import ipaddress
import unittest
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ponycloud import Indexed, References, State, Type, errors

KEY, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


class Mode(enum.Enum):
    ON = "on"
    OFF = "off"


@dataclass
class Order:
    name: Annotated[str, Indexed]
    mode: Mode = Mode.OFF
    boot: Literal["disk", "network"] = "disk"
    ns: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = field(default_factory=list)
    net: ipaddress.IPv4Network | None = None
    mac: Annotated[str | None, Type("mac")] = None
    blocks: range | None = None
    meta: Any = None
    peer: Annotated[uuid.UUID | None, References("guest_machine")] = None


@dataclass
class Report:
    load: float
    address: ipaddress.IPv4Interface | None = None


@dataclass
class GuestMachine:
    id: uuid.UUID
    desired: Order | None = None
    current: Report | None = None


@dataclass
class NoColumns:
    pass


@dataclass
class Wire:
    one: Annotated[uuid.UUID, References("guest_machine")]
    other: Annotated[uuid.UUID, References("guest_machine")]
    desired: NoColumns | None
    __join__ = ("one", "other")


ORDER = Order(
    "a", Mode.ON, "network", [ipaddress.ip_address("::1")], ipaddress.IPv4Network("10.0.0.0/8"), "52:54:00:00:00:01",
    range(3, 9), {"x": [1]}, OTHER,
)


class Typed(unittest.TestCase):
    def setUp(self) -> None:
        self.state = State([GuestMachine, Wire, {"name": "plain", "key": {"id": "int"}, "desired": {}}])

    def test_rows_come_back_as_they_went(self) -> None:
        report = Report(0.5, ipaddress.IPv4Interface("10.1.2.3/8"))
        with self.state.transaction() as tx:
            self.assertTrue(tx.set_desired(GuestMachine, KEY, ORDER))
            tx.set_desired(GuestMachine, OTHER, Order("b"))
            tx.set_current(GuestMachine, KEY, report)
            tx.set_desired(Wire, (KEY, OTHER), NoColumns())
            self.assertEqual(tx.get(GuestMachine, OTHER), GuestMachine(OTHER, Order("b")))
        self.assertEqual(self.state.get(GuestMachine, KEY), GuestMachine(KEY, ORDER, report))
        self.assertEqual(self.state.one(GuestMachine, mode=Mode.ON.value), GuestMachine(KEY, ORDER, report))
        self.assertEqual([row.id for row in self.state.list(GuestMachine)], [KEY, OTHER])
        self.assertEqual(self.state.one(Wire, other=OTHER), Wire(KEY, OTHER, NoColumns()))
        ((wire, end),) = self.state.join(Wire, "one", KEY)
        self.assertEqual((wire.key, end.key), ((str(KEY), str(OTHER)), str(OTHER)))

    def test_updates(self) -> None:
        with self.state.transaction() as tx:
            tx.set_desired(GuestMachine, KEY, ORDER)
            tx.update_desired(GuestMachine, KEY, mode=Mode.OFF, blocks=range(2), peer=None)
        order = self.state.one(GuestMachine).desired
        assert order is not None
        self.assertEqual((order.mode, order.blocks, order.peer, order.name), (Mode.OFF, range(2), None, "a"))

    def test_either_door(self) -> None:
        with self.state.transaction() as tx:
            tx.set_desired("guest_machine", KEY, {"name": "a", "mode": "on"})
        row = self.state.get("guest_machine", KEY)
        assert row is not None and row.desired is not None
        self.assertEqual((row.desired["mode"], row.desired["boot"]), ("on", "disk"))
        self.assertEqual(self.state.get(GuestMachine, KEY), GuestMachine(KEY, Order("a", Mode.ON)))

    def test_mistakes(self) -> None:
        @dataclass
        class Odd:
            id: int
            desired: int

        class NoDataclass:
            pass

        @dataclass
        class Strange:
            value: complex

        @dataclass
        class Both:
            id: int | str
            desired: NoColumns

        @dataclass
        class Unknown:
            id: int
            desired: Strange

        for declared in (Odd, NoDataclass, Both, Unknown, {"name": "x"}, {"name": "x", "key": {}, "dsired": {}}):
            with self.subTest(declared), self.assertRaises(errors.SchemaError):
                State([declared])
        with self.assertRaises(errors.UnknownTable):
            self.state.list(Order)
