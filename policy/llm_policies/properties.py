"""A resource's properties as the engine sends them: read them as plain data, and change some of them for a remediation."""

from collections.abc import Mapping
from typing import Any, Final, cast

from google.protobuf.struct_pb2 import Struct
from google.protobuf.struct_pb2 import Value as Sent

from llm_policies.values import UNKNOWN, NotVerified

# What the engine sends in place of a value that is not known yet: one text for each type.
# https://github.com/pulumi/pulumi/blob/master/pkg/resource/plugin/rpc.go
_UNKNOWN: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # text
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # list
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # map
    }
)
# `pulumi policy analyze` puts this in place of a secret that it cannot decrypt, whatever the secret's type.
_REDACTED: Final = "[secret]"
# A map with this key is no map: the key's value says what it is.
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
_ASSETS: Final = frozenset({"c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"})


def read(sent: Struct) -> dict[str, Any]:
    """Read properties as plain data: secrets are revealed, and `UNKNOWN` stands for what is not known or not decrypted."""
    return {name: _plain(value) for name, value in sent.fields.items()}


def _plain(value: Sent) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in _UNKNOWN or text == _REDACTED else text
    if kind == "struct_value":
        fields = value.struct_value.fields
        if _SIGNATURE not in fields:
            return {name: _plain(item) for name, item in fields.items()}
        signature = fields[_SIGNATURE].string_value
        if signature == _SECRET:
            return _plain(fields["value"]) if "value" in fields else UNKNOWN
        # An asset's or archive's path, address or text. Whatever else the engine may send cannot be read.
        return {n: _plain(item) for n, item in fields.items() if n != _SIGNATURE} if signature in _ASSETS else UNKNOWN
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def merge(properties: Struct, changes: Mapping[str, Any]) -> None:
    """Change some properties, and leave all others as the engine sent them. The entries of a map are merged with those there.

    Raises:
        NotVerified: the entries of a map are changed, but the map is not known yet.
    """
    for name, change in changes.items():
        place = properties.fields[name]
        if _is_secret(place):
            place = place.struct_value.fields["value"]
        if isinstance(change, Mapping) and _plain(place) is UNKNOWN:
            raise NotVerified(name)
        if isinstance(change, Mapping) and place.HasField("struct_value"):
            merge(place.struct_value, cast("Mapping[str, Any]", change))
        else:
            wrapper = Struct()
            wrapper.update(cast("dict[str, Any]", {"": change}))
            place.CopyFrom(wrapper.fields[""])


def _is_secret(value: Sent) -> bool:
    if not value.HasField("struct_value"):
        return False
    fields = value.struct_value.fields  # to read a key that is not there would add it
    return _SIGNATURE in fields and fields[_SIGNATURE].string_value == _SECRET
