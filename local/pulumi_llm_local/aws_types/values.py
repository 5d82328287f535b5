"""The wire's wrappings of values: secrets, outputs, unknowns, assets and archives as the engine sends them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import pulumi
from pulumi.runtime import rpc

UNKNOWN: Final = rpc.UNKNOWN
"""The text that stands for an unknown value in a preview."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key whose value says what a dictionary on the wire stands for."""
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_VALUE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"


def unwrapped(value: Any) -> tuple[Any, bool]:
    """Take a value out of its wrapping; also say whether it was a secret."""
    secret = False
    while isinstance(value, Mapping):
        wrapped = cast("Mapping[str, Any]", value)
        if wrapped.get(SIGNATURE) not in (SECRET, OUTPUT_VALUE):
            return wrapped, secret
        secret = secret or wrapped[SIGNATURE] == SECRET or bool(wrapped.get("secret"))
        value = wrapped.get("value", UNKNOWN)
    if isinstance(value, (pulumi.output.Unknown, pulumi.Output)) or inspect.isawaitable(value):
        return UNKNOWN, secret
    return value, secret


def revealed(value: Any) -> Any:
    """Take a value, and all within it, out of secrets' and outputs' wrapping; an unknown becomes the text `UNKNOWN`."""
    plain, _ = unwrapped(value)
    if isinstance(plain, Mapping):
        return {key: revealed(item) for key, item in cast("Mapping[str, Any]", plain).items()}
    if isinstance(plain, (list, tuple)):
        return [revealed(item) for item in cast("Sequence[Any]", plain)]
    return plain
