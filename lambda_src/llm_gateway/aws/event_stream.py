"""A decoder for ``application/vnd.amazon.eventstream``, the format of AWS's streamed answers.

A message is a prelude (its length, its headers' length, the CRC of both), headers, a payload and the CRC of all before it;
numbers are big-endian. https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import struct
from binascii import crc32
from collections.abc import Iterator, Mapping

KIB = 1024

# Bytes, the limits of the specification. They limit how much of a stream is held in memory.
MAX_HEADERS = 128 * KIB
MAX_PAYLOAD = 24 * KIB * KIB
# How many header blocks are cached with their parsed headers, and the largest of them in bytes.
CACHED_BLOCKS = 64
CACHED_BLOCK_BYTES = 512

_PRELUDE_BYTES = 12
_CRC_BYTES = 4
_FRAME_BYTES = _PRELUDE_BYTES + _CRC_BYTES
_prelude = struct.Struct(">III").unpack_from
_uint32 = struct.Struct(">I").unpack_from


class EventStreamError(ValueError):
    """The bytes are not an event stream, or they were damaged on the way. The text is one line without any content."""


class EventStreamDecoder:
    """Decodes the messages of a stream that is fed in parts of any size. The work grows with the bytes, not with the parts."""

    def __init__(self) -> None:
        self._rest = bytearray()  # the start of a message that is not complete yet
        self._wanted = 0  # how many bytes it must have before decoding can go on
        self._decoded = 0  # bytes of complete messages, for the errors' texts
        self._failure = ""

    @property
    def pending(self) -> int:
        """Bytes of a message whose end has not come. If there are any at the end of the stream, it was cut."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[Mapping[str, str], bytes]]:
        """Yield the headers and the payload of each message that `data` completes. Read them all before the next call.

        Only headers whose value is text are included. The mappings are shared between messages, so do not change them. Raises
        `EventStreamError` at the first bad message and at every call after it.
        """
        if self._failure:
            raise EventStreamError(self._failure)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        at = 0
        left = len(data)
        try:
            while left >= _PRELUDE_BYTES:
                total, headers_length, prelude_crc = _prelude(data, at)
                crc = crc32(data[at : at + 8])
                if crc != prelude_crc:
                    raise EventStreamError("its prelude's CRC does not match; send the stream as AWS made it")
                if not _FRAME_BYTES <= total - headers_length <= _FRAME_BYTES + MAX_PAYLOAD or headers_length > MAX_HEADERS:
                    raise EventStreamError(_impossible(total, headers_length))
                if left < total:
                    break
                payload_at = at + _PRELUDE_BYTES + headers_length
                end = at + total
                crc_at = end - _CRC_BYTES
                if crc32(data[at + 8 : crc_at], crc) != _uint32(data, crc_at)[0]:
                    raise EventStreamError("its CRC does not match; send the stream as AWS made it")
                block = data[at + _PRELUDE_BYTES : payload_at]
                headers = _cache.get(block)
                if headers is None:
                    headers = _parse_and_cache(block)
                yield headers, data[payload_at:crc_at]
                at = end
                left -= total
        except EventStreamError as error:
            self._failure = f"the message at byte {self._decoded + at:,} of the event stream: {error}"
            raise EventStreamError(self._failure) from None
        self._decoded += at
        if left:
            self._rest += data[at:] if at else data
            self._wanted = _prelude(data, at)[0] if left >= _PRELUDE_BYTES else _PRELUDE_BYTES


# Header blocks with their parsed headers. The messages of a service differ in their payloads, seldom in their headers.
_cache: dict[bytes, Mapping[str, str]] = {}


def _parse_and_cache(block: bytes) -> Mapping[str, str]:
    headers = _parse_headers(block)
    if len(block) <= CACHED_BLOCK_BYTES:
        if len(_cache) >= CACHED_BLOCKS:
            _cache.clear()
        _cache[block] = headers
    return headers


# Bytes of the values whose type has a fixed length: true, false, byte, short, integer, long, timestamp, UUID.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _TEXT = 6, 7


def _parse_headers(block: bytes) -> Mapping[str, str]:
    """Return the headers whose value is text. The others are checked and left out: nothing here needs them."""
    values: dict[str, str | None] = {}
    at = 0
    try:
        while at < len(block):
            name_at = at + 1
            type_at = name_at + block[at]
            name = block[name_at:type_at].decode()
            if not name or name in values:
                raise EventStreamError(f"a header {'appears twice' if name else 'has no name'}; give each one name of its own")
            kind = block[type_at]
            at = type_at + 1
            if kind in (_TEXT, _BYTES):
                value_at = at + 2
                at = value_at + (block[at] << 8 | block[at + 1])
                values[name] = block[value_at:at].decode() if kind == _TEXT else None
            elif kind in _FIXED:
                at += _FIXED[kind]
                values[name] = None
            else:
                raise EventStreamError(f"a header's value is of type {kind}; it must be one of 0 to 9")
    except UnicodeDecodeError:
        raise EventStreamError("a header's name or text is not UTF-8; encode it so") from None
    except IndexError:
        at = len(block) + 1
    if at > len(block):
        raise EventStreamError(f"a header ends after the {len(block):,} bytes of all headers; correct a length")
    return {name: value for name, value in values.items() if value is not None}


def _impossible(total: int, headers_length: int) -> str:
    return (
        f"it has {total:,} bytes, its headers {headers_length:,}; headers have at most {MAX_HEADERS:,}, "
        f"the payload {MAX_PAYLOAD:,}, and the rest {_FRAME_BYTES}"
    )
