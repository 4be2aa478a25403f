"""Declaring tables: by :class:`Table` and :class:`Column`, by dictionaries, or by dataclasses (:mod:`ponycloud.typed`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import SchemaError


class Column(NamedTuple):
    """A column: ``type`` is ``bool``, ``int``, ``float``, ``uuid``, ``text``, ``inet``, ``cidr``, ``mac``, ``range`` or
    ``json``, one of them with ``[]`` for a list, or the list of words of an enumeration."""

    name: str
    type: str | Sequence[str]
    nullable: bool = False
    default: Any = None
    """What a part that leaves it out has."""
    references: str | None = None
    """The table whose key it holds. Not enforced, but indexed and followed by joins."""
    indexed: bool = False
    """Whether look-ups by it are fast. Keys and references always are."""


class Table(NamedTuple):
    """A table: its key, and the columns of one or both of its parts."""

    name: str
    key: Sequence[Column]
    desired: Sequence[Column] | None = None
    current: Sequence[Column] | None = None
    join: tuple[str, str] | None = None
    """For a join table: the two reference columns that it connects."""

    @classmethod
    def of(cls, declaration: Mapping[str, Any]) -> Table:
        """The table that a dictionary declares: ``name``, ``key``, ``desired``, ``current``, ``join``.

        Columns are dictionaries of names and types. A type is as in :class:`Column`, ``?`` behind it for one that may be
        null, or a dictionary of :class:`Column`'s fields:

        >>> lamp = Table.of({"name": "lamp", "key": {"room": "text"},
        ...                  "desired": {"percent": "int", "colour": {"type": "text?", "indexed": True}}})
        >>> lamp.desired[1]
        Column(name='colour', type='text', nullable=True, default=None, references=None, indexed=True)
        """
        _known(declaration, cls._fields, "a table")
        for needed in ("name", "key"):
            if needed not in declaration:
                raise SchemaError(f"a table needs `{needed}`")
        join = declaration.get("join")
        return cls(
            name=declaration["name"],
            key=_columns(declaration["key"]) or [],
            desired=_columns(declaration.get("desired")),
            current=_columns(declaration.get("current")),
            join=None if join is None else (join[0], join[1]),
        )


def _known(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise SchemaError(f"{what} has no `{name}`; it has {', '.join(known)}")


def _columns(declared: Mapping[str, Any] | Sequence[Column] | None) -> list[Column] | None:
    if declared is None:
        return None
    if isinstance(declared, Mapping):
        return [_column(name, column) for name, column in declared.items()]
    return list(declared)


def _column(name: str, declared: object) -> Column:
    options: dict[str, Any] = dict(declared) if isinstance(declared, Mapping) else {"type": declared}
    _known(options, Column._fields, f"column `{name}`")
    kind = options.pop("type", None)
    if kind is None:
        raise SchemaError(f"column `{name}` needs a `type`", column=name)
    if isinstance(kind, str) and kind.endswith("?"):
        kind, options = kind[:-1], {"nullable": True, **options}
    return Column(name=name, type=kind, **options)
