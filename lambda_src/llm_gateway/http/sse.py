"""Decode a stream of Server-Sent Events. https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream"""

# The largest event, in bytes. One event may hold all arguments of a tool call.
MAX_EVENT_BYTES = 4 * 1024 * 1024


class SseError(ValueError):
    """The stream cannot be read."""


class SseDecoder:
    """Decodes the data of events, fed in parts that may be cut anywhere. Names, ids, retry times and comments are ignored.

    Lines end with LF or CRLF. The standard allows CR alone too, but no provider sends it.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._tail = b""  # their last bytes: the end of an event is found without joining all parts
        self._size = 0

    def feed(self, part: bytes) -> list[bytes]:
        """Return the data of each event that this part completes. Raises `SseError` for an event that is too large."""
        self._size += len(part)
        if b"\n" not in part:
            return self._keep(part)
        if self._parts:
            seam = self._tail + part
            if b"\n\n" not in seam and b"\n\r\n" not in seam:
                return self._keep(part)
            part = b"".join((*self._parts, part))
            self._parts.clear()
        if b"\r" in part:
            part = part.replace(b"\r\n", b"\n")  # a CR at the end waits for the LF of the next part
        *events, rest = part.split(b"\n\n")
        self._size = len(rest)
        self._tail = b""
        found: list[bytes] = []
        for event in events:
            if event.startswith(b"data: ") and b"\n" not in event and len(event) > 6:
                found.append(event[6:])
            elif data := _data(event):
                found.append(data)
        if rest:
            self._keep(rest)
        return found

    def end(self) -> list[bytes]:
        """Return the data of a last event without the empty line that ends it. It may be complete."""
        rest = b"".join(self._parts).replace(b"\r\n", b"\n")
        self._parts.clear()
        return [data] if (data := _data(rest)) else []

    def _keep(self, part: bytes) -> list[bytes]:
        if self._size > MAX_EVENT_BYTES:
            raise SseError(f"an event is larger than {MAX_EVENT_BYTES:,} bytes")
        self._parts.append(part)
        self._tail = (self._tail + part)[-2:]
        return []


def _data(event: bytes) -> bytes:
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[6:] if line[5:6] == b" " else line[5:] for line in lines)
