"""The limits for the frames and messages of a WebSocket. aiohttp knows none for frames, and drops what has a large message."""

from typing import Any

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
MAX_FRAME_BYTES = 32 * 1024
MAX_MESSAGE_BYTES = 128 * 1024

_FINAL, _CONTROL = 0x80, 0x08


class FrameLimit:
    """Stands before a parser of frames, and feeds it what comes until something is too large. Then it calls `refused` once.

    https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    """

    def __init__(self, parser: Any, refused: Any) -> None:
        self._parser = parser
        self._refused = refused
        self._head = bytearray()
        self._left = 0  # of the current frame's payload
        self._message = 0  # bytes of the current message
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> Any:
        if self._closed or self._is_too_large(data):
            if not self._closed:
                self._closed = True
                self._refused()
            return False, b""
        return self._parser.feed_data(data)

    def _is_too_large(self, data: bytes) -> bool:
        position = 0
        while position < len(data):
            if self._left:
                taken = min(self._left, len(data) - position)
                self._left -= taken
                position += taken
                continue
            self._head.append(data[position])
            position += 1
            size = self._size()
            if size is None:
                continue
            first = self._head[0]
            if not first & _CONTROL:
                self._message += size
                if size > MAX_FRAME_BYTES or self._message > MAX_MESSAGE_BYTES:
                    return True
                if first & _FINAL:
                    self._message = 0
            self._left = size
            self._head.clear()
        return False

    def _size(self) -> int | None:
        """The length of the payload, None while the head is not complete."""
        head = self._head
        if len(head) < 2:
            return None
        short = head[1] & 0x7F
        extended = {126: 2, 127: 8}.get(short, 0)
        masked = 4 if head[1] & 0x80 else 0
        if len(head) < 2 + extended + masked:
            return None
        return int.from_bytes(head[2 : 2 + extended]) if extended else short
