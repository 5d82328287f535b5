"""Reads Server-Sent Events, cut anywhere. https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream"""

# The longest event that is waited for. A tool call's whole arguments may come in one.
MAX_EVENT_BYTES = 4 * 1024 * 1024


class SseError(ValueError):
    """The stream cannot be read."""


class SseDecoder:
    """Gives each event's data as it is complete; names, ids, retry times and comments are left out.

    Lines end with LF or CRLF; no provider sends CR alone, which the standard allows too.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._tail = b""  # the last bytes of them: an event's end is seen without joining them all
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that this piece completes. Raises `SseError` for an event that never ends."""
        self._size += len(piece)
        if b"\n" not in piece:
            return self._keep(piece)
        if self._pieces:
            seam = self._tail + piece
            if b"\n\n" not in seam and b"\n\r\n" not in seam:
                return self._keep(piece)
            piece = b"".join((*self._pieces, piece))
            self._pieces.clear()
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n")  # one that is cut between the two stays, and meets its LF with the next piece
        *events, rest = piece.split(b"\n\n")
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
        """The data of an event whose empty line did not come before the stream's end: it may be whole."""
        rest = b"".join(self._pieces).replace(b"\r\n", b"\n")
        self._pieces.clear()
        return [data] if (data := _data(rest)) else []

    def _keep(self, piece: bytes) -> list[bytes]:
        if self._size > MAX_EVENT_BYTES:
            raise SseError(f"an event is larger than {MAX_EVENT_BYTES:,} bytes")
        self._pieces.append(piece)
        self._tail = (self._tail + piece)[-2:]
        return []


def _data(event: bytes) -> bytes:
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[6:] if line[5:6] == b" " else line[5:] for line in lines)
