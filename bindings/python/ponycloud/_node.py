"""Places of the cloud as objects of Python: what those that block and those that wait have in common. Nothing here asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from ._client import Client, Event, Settings
from ._endpoint import Endpoint, Place, find, tables, text_of_key
from ._http import Io
from .schema import Table

C = TypeVar("C", bound="CollectionNode")
E = TypeVar("E", bound="EntityNode[Any]")

#: How long each wait for an answer may take, where nobody says, seconds.
TIMEOUT_S = 60.0

__all__ = ["TIMEOUT_S", "CloudNode", "CollectionNode", "EntityNode", "Event"]


class CollectionNode:
    """The entities at a place."""

    def __init__(self, client: Client, endpoint: Endpoint, place: Place) -> None:
        self._client = client
        self._endpoint = endpoint
        self._place = place
        self.__doc__ = endpoint.doc

    def __repr__(self) -> str:
        return f"<Collection {self._place}>"

    def _at(self, kind: type[E], key: object) -> E:
        plain = getattr(key, "__pony_key__", key)
        return kind(self._client, self._endpoint, self._place.below(text_of_key(plain)))


class _Parent(Generic[C]):
    """What has collections below it, as attributes."""

    _collection: type[C]
    _client: Client

    def _below(self) -> tuple[Mapping[str, Endpoint], Place, str]:
        """The collections, where they are, and how to say so."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> C:
        if name.startswith("_"):
            raise AttributeError(name)
        children, place, where = self._below()
        endpoint = find(children, name, where)
        return self._collection(self._client, endpoint, place.below(endpoint.name))

    def __getitem__(self, name: str) -> C:
        return self.__getattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._below()[0]})


class EntityNode(_Parent[C]):
    """An entity."""

    def __init__(self, client: Client, endpoint: Endpoint, place: Place) -> None:
        self._client = client
        self._endpoint = endpoint
        self._place = place
        self.key = place.parts[-1]
        """The text of its key."""

    @property
    def __pony_key__(self) -> str:
        return self.key

    def __repr__(self) -> str:
        return f"<Entity {self._place}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntityNode) and (self._client, self._place) == (other._client, other._place)

    def __hash__(self) -> int:
        return hash(self._place)

    def _below(self) -> tuple[Mapping[str, Endpoint], Place, str]:
        return self._endpoint.children, self._place, f"below `{self._endpoint.name}`"


class CloudNode(_Parent[C]):
    """A cloud: its collections are attributes, as ``cloud.tenant``, ``cloud.storage_pool``."""

    _io: type[Io]

    def __init__(
        self,
        url: str | None = None,
        *,
        auth: str | None = None,
        token: str | None = None,
        cafile: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        self._client = Client(self._io(), Settings.of(url, auth, token, cafile, timeout))

    def _below(self) -> tuple[Mapping[str, Endpoint], Place, str]:
        return self._client.children, Place(), "in the cloud"

    def tables(self) -> list[Table]:
        """The declarations of all tables, for a :class:`ponycloud.State` of one's own."""
        return tables(self._client.children)
