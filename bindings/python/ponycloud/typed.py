"""Tables declared by dataclasses: their rows come back as objects of them.

A part is a dataclass of columns; a row is one of key columns, and of ``desired`` and ``current``, either or both:

>>> from dataclasses import dataclass
>>> from typing import Annotated, Literal
>>> from ponycloud import Indexed, State
>>> @dataclass
... class Light:
...     percent: int
...     colour: Annotated[Literal["red", "white"], Indexed] = "white"
>>> @dataclass
... class Lamp:
...     room: str
...     desired: Light | None = None
...     current: Light | None = None
>>> state = State([Lamp])
>>> with state.transaction() as tx:
...     tx.set_desired(Lamp, "attic", Light(80))
True
>>> state.get(Lamp, "attic")
Lamp(room='attic', desired=Light(percent=80, colour='white'), current=None)

The table is named as the class is, in lower case with underscores, or by its attribute ``__table__``; ``__join__`` names the
two columns that a join table connects.

========================================  ==================================
annotation                                column
========================================  ==================================
``bool``, ``int``, ``float``, ``str``     ``bool``, ``int``, ``float``, ``text``
``uuid.UUID``                             ``uuid``
``ipaddress.IPv4Address`` (or 6, both)    ``inet`` without a prefix length
``ipaddress.IPv4Interface`` (…)           ``inet``
``ipaddress.IPv4Network`` (…)             ``cidr``
``Literal["a", "b"]``, ``enum.Enum``      the enumeration of these words
``range``                                 ``range``
``list[X]``                               ``X[]``
``Any``, ``dict``                         ``json`` (nullable, not)
``X | None``                              the same, nullable
``Annotated[X, References("table")]``     a reference
``Annotated[X, Indexed]``                 indexed
``Annotated[X, Type("mac")]``             the type of that name, seen as ``X``
========================================  ==================================
"""

import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

from .errors import SchemaError
from .schema import Column, Table

T = TypeVar("T")
#: From a value of the engine to that of a dataclass.
_Read = Callable[[Any], Any]


@dataclass(frozen=True)
class References:
    """The column holds keys of that table: not enforced, but indexed and followed by joins."""

    table: str


@dataclass(frozen=True)
class Type:
    """The column has that type of :class:`ponycloud.Column`."""

    name: str


class Indexed:
    """Look-ups by the column are fast."""


def _same(value: Any) -> Any:
    return value


def _scalars() -> dict[Any, tuple[str, _Read]]:
    """What is imported here takes time, and is needed by those only who declare tables so."""
    import ipaddress as ip
    import uuid

    plain = {bool: "bool", int: "int", float: "float", str: "text", dict: "json", Any: "json"}
    scalars: dict[Any, tuple[str, _Read]] = {kind: (name, _same) for kind, name in plain.items()}
    scalars[uuid.UUID] = ("uuid", uuid.UUID)
    scalars[range] = ("range", lambda bounds: range(*bounds))
    for kinds, name, read in (
        ((ip.IPv4Address, ip.IPv6Address), "inet", ip.ip_address),
        ((ip.IPv4Interface, ip.IPv6Interface), "inet", ip.ip_interface),
        ((ip.IPv4Network, ip.IPv6Network), "cidr", ip.ip_network),
    ):
        scalars.update({kind: (name, read) for kind in kinds})
    return scalars


def _enumeration(kind: Any) -> tuple[list[str], _Read] | None:
    import enum

    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind)), _same
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [member.value for member in kind], kind
    return None


class _Hint:
    """What an annotation says about a column."""

    def __init__(self, annotation: Any, where: str) -> None:
        self.where = where
        self.nullable = False
        self.indexed = False
        self.references: str | None = None
        self.named: str | None = None
        self.type: Any
        self.read: _Read
        self._unwrap(annotation)

    def _unwrap(self, annotation: Any) -> None:
        self.nullable = self.nullable or annotation is Any
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            for note in args[1:]:
                self._note(note)
            self._unwrap(args[0])
        elif origin in (typing.Union, types.UnionType):
            self._union([arg for arg in args if arg is not type(None)], len(args))
        else:
            self.type, self.read = self._plain(annotation, origin, args)

    def _union(self, kinds: list[Any], count: int) -> None:
        self.nullable = self.nullable or len(kinds) < count
        scalars = _scalars()
        if len(kinds) > 1 and any(scalars.get(kind) != scalars.get(kinds[0]) or kind not in scalars for kind in kinds):
            raise SchemaError(f"{self.where}: a column has one type, or that and None")
        self._unwrap(kinds[0])

    def _note(self, note: Any) -> None:
        if isinstance(note, References):
            self.references = note.table
        elif isinstance(note, Type):
            self.named = note.name
        elif note is Indexed or isinstance(note, Indexed):
            self.indexed = True

    def _plain(self, kind: Any, origin: Any, args: tuple[Any, ...]) -> tuple[Any, _Read]:
        if self.named is not None:
            return self.named, _same
        if origin is list:
            item = _Hint(args[0], self.where)
            return f"{item.type}[]", lambda values: [item.read(value) for value in values]
        found = _scalars().get(dict if origin is dict else kind) or _enumeration(kind)
        if found is None:
            raise SchemaError(f"{self.where}: {kind!r} is no type of a column; use Annotated[…, Type(…)] to name one")
        return found


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise SchemaError(f"{kind.__name__}: {error}; annotations must name what its module has") from error


def _default(field: Any) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default


class _Part:
    """The columns of a dataclass, and how values become one."""

    def __init__(self, kind: Any, names: set[str] | None = None) -> None:
        hints = _hints(kind)
        self.make = kind
        self.columns: list[Column] = []
        self.reads: list[tuple[str, _Read]] = []
        for field in fields(kind):
            if names is None or field.name in names:
                self._add(field, _Hint(hints[field.name], f"{kind.__name__}.{field.name}"))

    def _add(self, field: Any, hint: _Hint) -> None:
        column = Column(field.name, hint.type, hint.nullable, _default(field), hint.references, hint.indexed)
        self.columns.append(column)
        self.reads.append((field.name, hint.read))

    def values(self, part: Mapping[str, Any]) -> dict[str, Any]:
        return {name: None if part[name] is None else read(part[name]) for name, read in self.reads}

    def of(self, part: Mapping[str, Any] | None) -> Any:
        return None if part is None else self.make(**self.values(part))


class Typed(Generic[T]):
    """A table that a dataclass declares."""

    def __init__(self, row: type[T]) -> None:
        if not is_dataclass(row):
            raise SchemaError(f"{row!r} is no table: a dataclass is, or a ponycloud.Table, or a dictionary")
        hints = _hints(row)
        names = {field.name for field in fields(row)}
        parts = {name: _Part(_class_of(hints[name], row)) for name in ("desired", "current") if name in names}
        self._row: Callable[..., T] = row
        self._parts = parts
        self._key = _Part(row, names - parts.keys())
        columns = {name: part.columns for name, part in parts.items()}
        self.table = Table(table_name(row), self._key.columns, join=getattr(row, "__join__", None), **columns)

    def make(self, row: tuple[str, Any, Any, Any]) -> T:
        """A row from what the engine gives."""
        _, key, desired, current = row
        values = key if isinstance(key, tuple) else (key,)
        both = {"desired": desired, "current": current}
        parts = {name: part.of(both[name]) for name, part in self._parts.items()}
        names = (column.name for column in self._key.columns)
        return self._row(**self._key.values(dict(zip(names, values))), **parts)


def _class_of(hint: Any, row: type[Any]) -> Any:
    kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
    if len(kinds) != 1 or not is_dataclass(kinds[0]):
        raise SchemaError(f"{row.__name__}: a part is a dataclass, or that and None")
    return kinds[0]


def table_name(row: type[Any]) -> str:
    """The name of the table that a class declares."""
    named = getattr(row, "__table__", None)
    return named if isinstance(named, str) else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", row.__name__).lower()
