"""Decodes the JSON of callers within bounds: 4 MB of ``{},{},…`` are a gigabyte of objects, and seconds of work with them."""

from typing import Any

import msgspec

# The most names and values that the JSON of one request may hold. The largest of real requests, with hundreds of tools, have
# some ten thousand.
MOST_VALUES = 100_000
# Of so many bytes, too few are needed for that many values.
_FEW_BYTES = MOST_VALUES

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class TooManyValues(ValueError):
    """The JSON holds more than `MOST_VALUES`."""

    def __init__(self) -> None:
        super().__init__(f"it holds more than {MOST_VALUES:,} names and values")


def decode_object(text: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises `TooManyValues` before it is built, `ValueError` for other text, or `RecursionError`."""
    if len(text) > _FEW_BYTES:
        check(text)
    return _decode(text)


def check(text: bytes, most: int = MOST_VALUES) -> int:
    """Return at least how many names and values a JSON text holds. Raises `TooManyValues` for more than `most`.

    Each of them follows a comma, a colon or a bracket. A text of few of these has few values, whatever of them stands in its
    strings; of another text, the strings are left out. What is no JSON is counted up to the place where it ends to be.
    """
    count = _count(text)
    if count <= most:
        return count
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 2 * most:
        raise TooManyValues
    count = _count(b"".join(unescaped.split(b'"')[::2]))
    if count > most:
        raise TooManyValues
    return count


def _count(text: bytes) -> int:
    return sum(map(text.count, (b",", b":", b"[", b"{")))
