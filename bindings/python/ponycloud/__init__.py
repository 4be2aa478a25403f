"""Dual-state tables: every row has a desired part (what was ordered) and a current part (what is).

>>> from ponycloud import Column, State, Table
>>> percent = [Column("percent", "int")]
>>> state = State([Table("lamp", key=[Column("room", "text")], desired=percent, current=percent)])
>>> with state.transaction() as tx:
...     tx.set_desired("lamp", "attic", {"percent": 80})
...     tx.set_current("lamp", "attic", {"percent": 0})
True
True
>>> state.get("lamp", "attic")
Row(table='lamp', key='attic', desired={'percent': 80}, current={'percent': 0})
>>> [row.key for row in state.list("lamp", percent=80)]
['attic']
"""

from typing import TYPE_CHECKING

from . import errors
from .schema import Column, Table
from .state import Change, Commit, Row, Rows, Snapshot, State, Subscription, Transaction

if TYPE_CHECKING:
    from .cloud import Cloud
    from .session import Keys, Session
    from .typed import Indexed, References, Type

__all__ = [
    "Change",
    "Cloud",
    "Column",
    "Commit",
    "Indexed",
    "Keys",
    "References",
    "Row",
    "Rows",
    "Session",
    "Snapshot",
    "State",
    "Subscription",
    "Table",
    "Transaction",
    "Type",
    "errors",
]

#: What takes time to import, and not everybody needs: by name, its module.
_LATER = {
    "Cloud": "cloud",
    "Indexed": "typed",
    "Keys": "session",
    "References": "typed",
    "Session": "session",
    "Type": "typed",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
