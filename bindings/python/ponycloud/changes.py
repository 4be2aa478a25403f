"""Several orders as one patch: what :meth:`ponycloud.Cloud.transaction` gives. It is written to as the cloud is, and asks
nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._endpoint import Endpoint, Place, find, text_of_key
from .errors import TransactionError


class Changes:
    """What a transaction orders: all of it or nothing, once its ``with`` block ends without an exception."""

    def __init__(self, children: Mapping[str, Endpoint]) -> None:
        self._children = children
        self.operations: list[dict[str, object]] = []
        """The patch (RFC 6902, with ``x-merge`` and ``x-verify``)."""
        self.uuids: dict[str, str] = {}
        """By placeholder the UUIDs that were given, once it is committed."""
        self._open = True

    def __getattr__(self, name: str) -> ChangedCollection:
        if name.startswith("_"):
            raise AttributeError(name)
        endpoint = find(self._children, name, "in the cloud")
        return ChangedCollection(self, endpoint, Place((endpoint.name,)))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._children})

    def _add(self, op: str, path: list[str], value: object = None, *, has_value: bool = True) -> None:
        if not self._open:
            raise TransactionError("the transaction has ended")
        operation: dict[str, object] = {"op": op, "path": path}
        self.operations.append({**operation, "value": value} if has_value else operation)

    def _placeholder(self, table: str) -> str:
        return f"${table}-{len(self.operations) + 1}"

    def _end(self, uuids: Mapping[str, str] | None = None) -> None:
        self._open = False
        self.uuids.update(uuids or {})


class ChangedCollection:
    """A collection, for ordering."""

    def __init__(self, changes: Changes, endpoint: Endpoint, place: Place) -> None:
        self._changes = changes
        self._endpoint = endpoint
        self._place = place

    def __getitem__(self, key: object) -> ChangedEntity:
        plain = getattr(key, "__pony_key__", key)
        return ChangedEntity(self._changes, self._endpoint, self._place.below(text_of_key(plain)))

    def post(
        self, desired: Mapping[str, object], *, children: Mapping[str, object] | None = None
    ) -> ChangedEntity:
        """A new entity. It stands for its key wherever that is wanted: in other places and values of the transaction."""
        columns = self._endpoint.key
        named = all(column in desired for column in columns)
        keys = [getattr(desired[column], "__pony_key__", desired[column]) for column in columns] if named else None
        key = text_of_key(keys) if keys else self._changes._placeholder(self._endpoint.table)
        entity = ChangedEntity(self._changes, self._endpoint, self._place.below(key))
        self._changes._add("add", entity._place.pointer(), _entity(desired, children))
        return entity


class ChangedEntity:
    """An entity, for ordering."""

    def __init__(self, changes: Changes, endpoint: Endpoint, place: Place) -> None:
        self._changes = changes
        self._endpoint = endpoint
        self._place = place

    @property
    def key(self) -> str:
        """Its key: a placeholder before the transaction is committed, where the cloud gives keys."""
        key = self._place.parts[-1]
        return self._changes.uuids.get(key, key)

    @property
    def __pony_key__(self) -> str:
        return self.key

    def __getattr__(self, name: str) -> ChangedCollection:
        if name.startswith("_"):
            raise AttributeError(name)
        endpoint = find(self._endpoint.children, name, f"below `{self._endpoint.name}`")
        return ChangedCollection(self._changes, endpoint, self._place.below(endpoint.name))

    def __getitem__(self, name: str) -> ChangedCollection:
        return self.__getattr__(name)

    def merge(self, desired: Mapping[str, object] | None = None, /, **columns: object) -> None:
        """Changes columns of the desired part; ``None`` removes a value. Creates the entity where there is none."""
        self._changes._add("x-merge", self._place.pointer(), _entity({**(desired or {}), **columns}, None))

    def delete(self) -> None:
        """Removes it, and what belongs to it."""
        self._changes._add("remove", self._place.pointer(), has_value=False)

    def verify(self, desired: Mapping[str, object] | None = None, /, **columns: object) -> None:
        """Nothing is done at all (:class:`ponycloud.errors.Conflict`) unless the desired part has these values."""
        self._changes._add("x-verify", self._place.pointer("desired"), {**(desired or {}), **columns})


def _entity(desired: Mapping[str, object], children: Mapping[str, object] | None) -> dict[str, Any]:
    return {"desired": dict(desired)} if children is None else {"desired": dict(desired), "children": children}
