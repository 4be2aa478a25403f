"""Declaring tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
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


@dataclass(frozen=True)
class Table:
    """A table: its key, and the columns of one or both of its parts."""

    name: str
    key: Sequence[Column]
    desired: Sequence[Column] | None = None
    current: Sequence[Column] | None = None
    join: tuple[str, str] | None = None
    """For a join table: the two reference columns that it connects."""
