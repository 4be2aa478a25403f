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
>>> [row.key for row in state.filter("lamp", percent=80)]
['attic']
"""

from . import errors
from .schema import Column, Table
from .state import Change, Commit, Row, Snapshot, State, Subscription, Transaction

__all__ = [
    "Change",
    "Column",
    "Commit",
    "Row",
    "Snapshot",
    "State",
    "Subscription",
    "Table",
    "Transaction",
    "errors",
]
