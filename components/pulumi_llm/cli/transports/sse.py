"""`POST /chat/stream`: the answer comes as Server-Sent Events."""

import re

import msgspec

from llm_gateway import errors
from llm_gateway.http.client import HttpError, Response
from llm_gateway.operations import PATHS
from pulumi_llm.cli.transports.http import NOT_THE_SERVICE, SILENCE_SECONDS, HttpTransport
from pulumi_llm.cli.transports.transport import Answer, Data, Display, Reading, encoded


class SseTransport(HttpTransport):
    """Asks for an answer as a stream of events."""

    async def ask(self, body: dict[str, object], display: Display) -> Answer:
        content = encoded(body)
        reading = Reading(display)
        try:
            async with await self._send("POST", PATHS["chat_stream"], content, SILENCE_SECONDS) as response:
                kind = response.headers.get("content-type", "no content type")
                if not kind.startswith("text/event-stream"):
                    what = f"{self.base} answered with {kind}, not with a stream of events"
                    raise self._error("not_a_stream", f"{what}; {NOT_THE_SERVICE}")
                return await self._read(response, reading)
        except HttpError as error:
            raise self._broken(error) from error

    async def _read(self, response: Response, reading: Reading) -> Answer:
        answer = reading.answer
        answer.request_id = response.headers.get("x-request-id", "")
        decoder = SseDecoder()
        async for chunk in response.chunks():
            for name, text in decoder.feed(chunk):
                if name not in ("start", "delta", "reasoning", "usage", "done", "error"):
                    continue
                try:
                    data = msgspec.json.decode(text, type=Data)
                except msgspec.DecodeError as error:
                    raise self._error("malformed_event", f"the event {name!r}: {error}", answer.request_id) from None
                if name == "error":
                    raise self._reported(data.error, answer.request_id)
                if reading.take(name, data):
                    return answer
        raise self._error(errors.stream_interrupted.code, "the answer broke off before its end", answer.request_id)


_LINE_END = re.compile(rb"\r\n|\n|\r")


class SseDecoder:
    """Decodes Server-Sent Events from bytes that may be split anywhere. `last_id` is that of the newest; `retry` is ignored.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False  # the last byte was \r; a \n at the start of the next data belongs to it
        self._first = True
        self.last_id = ""
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Return (name, data) of each event that `data` completes."""
        if not data:
            return []
        if self._after_return:
            data = data.removeprefix(b"\n")
        self._after_return = data.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + data)
        events: list[tuple[str, str]] = []
        for line in lines:
            text = line.decode("utf-8", "replace")
            if self._first:
                self._first, text = False, text.removeprefix("\ufeff")
            if text:
                self._field(text)
                continue
            if self._data:
                events.append((self._name or "message", "\n".join(self._data)))
            self._name, self._data = "", []
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")  # a comment's name is empty
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id":
            self.last_id = value
