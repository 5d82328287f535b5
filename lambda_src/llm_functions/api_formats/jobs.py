"""The API format of jobs: what one asks, in the format of /chat or of OpenAI's chat completions, and how it is shown."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from llm_functions.api_formats import chat
from llm_functions.api_formats.fields import Fields
from llm_gateway.errors import Problem, clipped, invalid_request
from llm_gateway.events import Event, Start
from llm_gateway.jobs.job import ENDED, Job, timestamp
from llm_gateway.request import ChatRequest

CHAT, CHAT_COMPLETIONS = "/chat", "/v1/chat/completions"
ENDPOINTS = (CHAT, CHAT_COMPLETIONS)
# The most jobs that one request submits.
MOST_JOBS = 100


def parse(value: Mapping[str, Any]) -> tuple[str, ChatRequest]:
    """Parse what one job asks: the body of /chat, or an endpoint with its body. Returns the endpoint and the request.

    Raises the error 400, which names every field that is wrong.
    """
    if "endpoint" not in value:
        return CHAT, chat.parse(value, stream=False)
    fields = Fields(value)
    endpoint, body = fields.string("endpoint", required=True), fields.any("body")
    if endpoint is not None and endpoint not in ENDPOINTS:
        fields.wrong("endpoint", f"must be {' or '.join(map(repr, ENDPOINTS))}, not {clipped(endpoint)!r}")
    if not isinstance(body, dict):
        fields.wrong("body", "is required, an object: the body of that endpoint")
    fields.no_others()
    fields.finish()
    if endpoint == CHAT:
        return CHAT, chat.parse(value["body"], stream=False)
    from llm_functions.api_formats import openai_chat

    request, _ = openai_chat.parse(value["body"])
    if request.stream:
        raise invalid_request([Problem("stream", "must be false: a job's answer is complete")])
    return CHAT_COMPLETIONS, request


async def render_complete(endpoint: str, request: ChatRequest, batches: AsyncIterator[list[Event]]) -> tuple[Start, bytes]:
    """Return the event that begins the answer, and the complete answer as JSON."""
    if endpoint == CHAT:
        return await chat.render_complete(batches)
    from llm_functions.api_formats import openai_chat

    return await openai_chat.render_complete(batches, logprobs="logprobs" in request.rare)


def described(job: Job, result: bytes | None = None) -> dict[str, Any]:
    """Return a job as its caller sees it. `result` is the JSON of its answer."""
    shown: dict[str, Any] = {"id": job.id, "status": job.status, "model": job.alias, "created": job.created}
    shown |= {name: value for name in ("started", "ended") if (value := getattr(job, name))}
    shown |= {"expires": timestamp(job.expires), "attempts": job.attempts}
    if job.cancel and job.status not in ENDED:
        shown["cancelling"] = True
    if job.error is not None:
        shown["error"] = job.error
    if job.usage is not None:
        shown["usage"] = job.usage
    if result is not None:
        shown["result"] = msgspec.Raw(result)
    return shown
