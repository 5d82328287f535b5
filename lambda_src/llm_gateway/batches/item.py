"""How a struct is an item of the table of jobs: an attribute for each field that has a value."""

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar, get_origin

import msgspec

from llm_gateway.aws.dynamodb import Item
from llm_gateway.tables import JOBS, JOBS_BY_OWNER

T = TypeVar("T", bound=msgspec.Struct)

_KINDS = {str: "S", int: "N", bool: "BOOL"}
# What a field is called in the item, where it is not the field's own name.
_NAMES = {
    "id": JOBS.hash_key,
    "owner": JOBS_BY_OWNER.hash_key,
    "created": JOBS_BY_OWNER.sort_key,
    "expires": JOBS.ttl_attribute,
}


class ItemType(Generic[T]):
    """The items of a type of struct. Its fields are texts, numbers, booleans and, as JSON, documents."""

    def __init__(self, type: type[T], names: Mapping[str, str] | None = None) -> None:
        self._type = type
        self._names = _NAMES | dict(names or {})
        self._kinds = {field.name: _kind(field.type) for field in msgspec.structs.fields(type)}
        self._required = {field.name for field in msgspec.structs.fields(type) if field.required}

    def attribute(self, field: str) -> str:
        """Return the name of a field's attribute."""
        return self._names.get(field, field)

    def value(self, field: str, value: Any) -> dict[str, Any]:
        """Return the attribute's value of a field."""
        match self._kinds[field]:
            case "":
                return {"S": msgspec.json.encode(value).decode()}
            case "N":
                return {"N": str(value)}
            case kind:
                return {kind: value}

    def item(self, struct: T) -> Item:
        """Return the item of a struct."""
        values = {field: getattr(struct, field) for field in self._kinds}
        given = {field: value for field, value in values.items() if value or field in self._required}
        return {self.attribute(field): self.value(field, value) for field, value in given.items()}

    def struct(self, item: Item) -> T:
        """Return the struct of an item."""
        fields: dict[str, Any] = {}
        for field, kind in self._kinds.items():
            if (value := item.get(self.attribute(field))) is not None:
                ((_, read),) = value.items()
                fields[field] = int(read) if kind == "N" else read if kind else msgspec.json.decode(read)
        return msgspec.convert(fields, self._type)


def _kind(type: Any) -> str:
    """Return the DynamoDB type of a field's values; empty for a document."""
    return "S" if get_origin(type) is Literal else _KINDS.get(type, "")
