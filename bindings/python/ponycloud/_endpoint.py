"""Where things are: the tree of endpoints that ``/v1/schema`` tells, and places in it. It asks nothing itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from .errors import ProtocolError
from .schema import Column, Table

#: Levels of the tree that are read: the API has five, and the answer is not trusted to end.
LEVELS_MAX = 12


class Endpoint:
    """A collection of the API: its table, and the collections below each of its entities."""

    def __init__(self, name: str, described: Mapping[str, Any], level: int = 0) -> None:
        self.name = name
        try:
            self.table: str = described["table"]
            pkey = described["pkey"]
            self.columns: Mapping[str, Mapping[str, Any]] = described["columns"]
            below: Mapping[str, Any] = described.get("children", {})
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"`/v1/schema` does not describe `{name}` as a Sparkle does") from error
        self.key: list[str] = [pkey] if isinstance(pkey, str) else list(pkey)
        join = described.get("join") or []
        self.join: tuple[str, str] | None = (join[0], join[1]) if len(join) == 2 else None
        self.doc: str = described.get("doc", "")
        self.children = endpoints(below, level + 1)


def endpoints(described: Mapping[str, Any], level: int = 0) -> dict[str, Endpoint]:
    """The endpoints of a level, by their names as attributes of Python."""
    if level >= LEVELS_MAX:
        return {}
    return {name.replace("-", "_"): Endpoint(name, one, level) for name, one in described.items()}


def find(children: Mapping[str, Endpoint], name: str, where: str) -> Endpoint:
    """An endpoint by its name, with hyphens or underscores. Raises :class:`AttributeError` where there is none."""
    found = children.get(name.replace("-", "_"))
    if found is None:
        raise AttributeError(f"there is no `{name}` {where}; there are {', '.join(sorted(children)) or 'none'}")
    return found


def tables(described: Mapping[str, Endpoint]) -> list[Table]:
    """The tables of these endpoints and all below, each once. References to tables that are not among them are left out."""
    found: dict[str, Endpoint] = {}
    waiting = list(described.values())
    while waiting:
        endpoint = waiting.pop()
        found.setdefault(endpoint.table, endpoint)
        waiting.extend(endpoint.children.values())
    return [_table(endpoint, {*found}) for _, endpoint in sorted(found.items())]


def _table(endpoint: Endpoint, known: Collection[str | None]) -> Table:
    def columns(part: str) -> list[Column]:
        those = endpoint.columns.items()
        return [_column(name, it, known) for name, it in those if part in it["parts"]]

    keys = {column.name: column for column in columns("key")}
    key = [keys[name] for name in endpoint.key]
    return Table(endpoint.table, key, columns("desired"), columns("current"), endpoint.join)


def _column(name: str, described: Mapping[str, Any], known: Collection[str | None]) -> Column:
    references: str | None = described.get("references")
    return Column(
        name,
        _type(described),
        nullable=bool(described.get("nullable")),
        default=described.get("default"),
        references=references if references in known else None,
    )


def _type(described: Mapping[str, Any]) -> str | list[str]:
    kind: str = described["type"]
    if kind == "list":
        return f"{_type(described['items'])}[]"
    return list(described["values"]) if kind == "enum" else kind


class Place(NamedTuple):
    """A place in the document: names of collections and keys of entities, in turn."""

    parts: tuple[str, ...] = ()

    def below(self, part: str) -> Place:
        return Place((*self.parts, part))

    @property
    def url(self) -> str:
        """The path of a URL: a collection's ends in a slash."""
        path = "/".join(quote(part, safe="") for part in self.parts)
        return f"/v1/{path}/" if path and len(self.parts) % 2 else f"/v1/{path}"

    def pointer(self, *more: str) -> list[str]:
        """The path of a patch on the whole document: collections below entities are among their ``children``."""
        path: list[str] = []
        for number, part in enumerate(self.parts):
            path.extend(("children", part) if number and number % 2 == 0 else (part,))
        return [*path, *more]

    def __str__(self) -> str:
        return "/" + "/".join(self.parts)


def text_of_key(key: object) -> str:
    """How a key stands in a path: the values of a composite one with commas between them."""
    values: Iterable[object] = key if isinstance(key, (tuple, list)) else (key,)
    return ",".join(str(value) for value in values)


def with_query(url: str, query: Iterable[tuple[str, str]]) -> str:
    """A URL with its query."""
    text = urlencode(list(query))
    return f"{url}?{text}" if text else url


def query_value(value: object) -> str:
    """How a filter says a value."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
