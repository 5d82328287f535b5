from collections.abc import Iterator

class ParserError(Exception): ...

class EventStreamMessage:
    headers: dict[str, str]
    payload: bytes

class EventStreamBuffer:
    def add_data(self, data: bytes) -> None: ...
    def __iter__(self) -> Iterator[EventStreamMessage]: ...
