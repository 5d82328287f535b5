"""Callers of each transport, who judge the form of what they get: one answer or one error, and nothing after it."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from support.gateway_service import Service

# How long an invocation lives, in seconds: longer than any pause and any silence of these tests.
INVOCATION_SECONDS = 100.0


@dataclass
class Outcome:
    """How a call ended: with the complete answer `text`, or with one typed `error` after the part `text` of it.

    `raw` is the response's body. `comments` counts what kept a silent stream open; `start` is the event that /chat/stream
    begins with.
    """

    status: int
    headers: Mapping[str, str]
    raw: str
    text: str = ""
    error: dict[str, Any] | None = None
    comments: int = 0
    start: dict[str, Any] | None = None

    @property
    def target(self) -> str | None:
        return self.headers.get("x-llm-target")

    @property
    def code(self) -> str:
        """The error's code, "" for an answer."""
        return "" if self.error is None else self.error["code"]


@dataclass(frozen=True)
class Transport:
    """One operation, complete or streamed, and the body that asks for an answer."""

    path: str
    body: dict[str, Any]
    stream: bool

    async def call(self, service: Service, seconds: float = INVOCATION_SECONDS) -> Outcome:
        """Call, and judge the form of what comes. The invocation ends after `seconds`."""
        deadline = round((time.time() + seconds) * 1000)
        headers = {"x-amzn-lambda-context": json.dumps({"deadline": deadline})}
        response = await service.post(self.path, self.body, headers)
        outcome = Outcome(response.status_code, response.headers, response.text)
        if response.status_code != 200:
            outcome.error = service.error_of(response)
        elif not self.stream:
            answer = response.json()
            if self.path == "/chat":
                assert answer["stop_reason"] == "end_turn" and set(answer["usage"]) == {"input_tokens", "output_tokens"}
                outcome.text = answer["message"]
            else:
                (choice,) = answer["choices"]
                assert choice["finish_reason"] == "stop" and answer["usage"]["total_tokens"]
                outcome.text = choice["message"]["content"]
        else:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.text.endswith("\n\n")
            frames = response.text.removesuffix("\n\n").split("\n\n")
            outcome.comments = frames.count(": keep-alive")
            events = [frame for frame in frames if frame != ": keep-alive"]
            (self._chat_events if self.path == "/chat/stream" else self._openai_events)(events, outcome)
            assert outcome.headers["x-request-id"] == (outcome.error or {}).get("request_id", outcome.headers["x-request-id"])
        return outcome

    @staticmethod
    def _chat_events(frames: list[str], outcome: Outcome) -> None:
        assert frames[0] == "retry: 3000"
        names: list[str] = []
        for number, frame in enumerate(frames[1:], 1):
            identifier, name, content = frame.split("\n")
            assert identifier == f"id: {number}"
            value = json.loads(content.removeprefix("data: "))
            names.append(name.removeprefix("event: "))
            match names[-1]:
                case "start":
                    outcome.start = value
                case "delta":
                    outcome.text += value["text"]
                case "error":
                    assert list(value) == ["error"]
                    outcome.error = value["error"]
                case "done":
                    assert value["stop_reason"] == "end_turn"
        if outcome.error is None:
            assert names[0] == "start" and names[-2:] == ["usage", "done"] and names.count("done") == 1
        else:
            assert names[-1] == "error" and names.count("error") == 1 and "done" not in names
            assert "start" not in names or (names[0] == "start" and outcome.text)

    @staticmethod
    def _openai_events(frames: list[str], outcome: Outcome) -> None:
        finished = ended = False
        for frame in frames:
            assert frame.startswith("data: ") and "\n" not in frame
            assert not ended and outcome.error is None, "something came after the end"
            if frame == "data: [DONE]":
                ended = True
                continue
            value = json.loads(frame.removeprefix("data: "))
            if "error" in value:
                assert list(value) == ["error"]
                outcome.error = value["error"]
                continue
            (choice,) = value["choices"]
            outcome.text += choice["delta"].get("content", "")
            finished = finished or choice["finish_reason"] is not None
        assert ended == finished == (outcome.error is None)


_TEXT = "Hello, who is there?"
CHAT = Transport("/chat", {"message": _TEXT}, stream=False)
CHAT_STREAM = Transport("/chat/stream", {"message": _TEXT}, stream=True)
_OPENAI: dict[str, Any] = {"model": "main", "messages": [{"role": "user", "content": _TEXT}]}
TRANSPORTS = {
    "chat": CHAT,
    "chat stream": CHAT_STREAM,
    "openai": Transport("/v1/chat/completions", _OPENAI, stream=False),
    "openai stream": Transport("/v1/chat/completions", {**_OPENAI, "stream": True}, stream=True),
}
