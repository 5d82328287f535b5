"""The exchange of embeddings with a provider: as many requests as its limit of texts needs, some of them at once."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from llm_gateway import errors
from llm_gateway.embeddings import EmbeddingCall, Part
from llm_gateway.errors import GatewayError, Problem, invalid_request
from llm_gateway.estimate import tokens_of
from llm_gateway.events import Done, Embeddings, Event, Usage, Vector
from llm_gateway.http.client import HttpError, Response
from llm_gateway.providers.exchange import UNREADABLE, refusal_of, transport_error

# Requests of one call that run at once. Bedrock's quotas are requests a minute of the whole account.
MOST_AT_ONCE = 16
# Seconds in which a request is assumed to be answered; AWS documents no such time. What does not fit the deadline by it is
# refused before anything is paid for.
_REQUEST_SECONDS = 0.5

# How servers refuse a request with more texts than they take, and say how many that are: text-embeddings-inference (32 by
# default, router/src/http/server.rs), SiliconFlow, DashScope.
_MOST_TEXTS = re.compile(r"batch size .{0,60}?(?:maximum allowed batch size|not be larger than) (\d{1,4})\b")

# What servers have said of it, by the names of their targets: it is the same in the next requests.
_most_texts: dict[str, int] = {}

_encode = msgspec.json.Encoder().encode


class EmbeddingDialect(Protocol):
    """The form of a provider's requests for embeddings and of its answers."""

    most_texts: int
    """The most texts of one request."""

    def body(self, call: EmbeddingCall, texts: Sequence[str]) -> dict[str, Any]: ...

    def read(self, body: bytes, headers: Mapping[str, str]) -> Part:
        """Return what an answer holds. May raise any of `exchange.UNREADABLE`."""
        ...

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """Return the error for an answer with another status than 200. May raise any of `exchange.UNREADABLE`."""
        ...


async def embed(
    call: EmbeddingCall,
    dialect: EmbeddingDialect,
    send: Callable[[bytes], Awaitable[Response]],
    redact: Callable[[str], str],
) -> AsyncGenerator[list[Event], None]:
    """Yield the answer of a call, one batch.

    Args:
        send: Sends the body of one request and returns the response when its head has come.
        redact: Takes the provider's key out of a text.

    Raises:
        GatewayError: For every failure. What was answered before it stays in `call.finished`.
    """

    most = min(_most_texts.get(call.target.name, dialect.most_texts), dialect.most_texts)

    async def ask(start: int) -> None:
        texts = call.texts[start : start + most]
        response: Response | None = None
        try:
            response = await send(_encode(dialect.body(call, texts)))
            part = await _part(response, dialect)
            _check(part, len(texts), call.dimensions)
        except HttpError as error:
            failure = transport_error(error)
            failure.redact(redact)
            raise failure from error
        except GatewayError as error:
            error.may_be_billed = response is not None and response.status == 200  # it was answered, and cannot be used
            error.redact(redact)
            raise
        call.finished[start] = part

    def missing() -> list[int]:
        finished = {start: len(part.vectors) for start, part in call.finished.items()}
        return [start for start in starts if finished.get(start) != len(call.texts[start : start + most])]

    starts = range(0, len(call.texts), most)
    if not call.finished:
        _check_time(call, most)
    before = set(call.finished)
    try:
        try:
            await _all_of(missing(), ask)
        except GatewayError as error:
            smaller = _MOST_TEXTS.search(error.detail or "")
            if smaller is None or not 0 < int(smaller[1]) < most:
                raise
            most = _most_texts[call.target.name] = int(smaller[1])
            starts = range(0, len(call.texts), most)
            await _all_of(missing(), ask)
    except GatewayError as error:
        answered = [part for start, part in call.finished.items() if start not in before]
        if answered and not error.may_be_billed:  # they are paid for, and the rest is not
            error.usage = _usage(call, answered)
        raise
    parts = [call.finished[start] for start in starts]
    vectors = tuple(vector for part in parts for vector in part.vectors)
    yield [Embeddings(vectors), _usage(call, parts), Done("end_turn")]


def _check_time(call: EmbeddingCall, most: int) -> None:
    """Raise the error 400 for more texts than can be embedded until the deadline, `most` of them in a request."""
    seconds = call.deadline - asyncio.get_running_loop().time()
    possible = MOST_AT_ONCE * most * max(1, int(seconds / _REQUEST_SECONDS))
    if len(call.texts) > possible:
        reason = f"{call.target.name} has time for {possible} texts, not {len(call.texts)}; send them in several calls"
        raise invalid_request([Problem("input", reason)])


async def _all_of(starts: Sequence[int], ask: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Ask for each part, `MOST_AT_ONCE` at once. After a failure none is begun any more, and those that run are waited for."""
    if len(starts) == 1:
        await ask(starts[0])
        return
    left = iter(starts)
    failures: list[GatewayError] = []

    async def worker() -> None:
        for start in left:
            try:
                await ask(start)
            except GatewayError as error:
                failures.append(error)
            if failures:
                return

    workers = [asyncio.ensure_future(worker()) for _ in range(min(MOST_AT_ONCE, len(starts)))]
    try:
        await asyncio.gather(*workers)
    finally:  # the caller has left, or the time is over
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    if failures:
        failures[0].may_be_billed = any(failure.may_be_billed for failure in failures)
        raise failures[0]


def _usage(call: EmbeddingCall, parts: Sequence[Part]) -> Usage:
    counted = [part.tokens for part in parts]
    tokens = sum(count for count in counted if count is not None)
    if None not in counted:
        return Usage(tokens, 0)
    estimate = sum(tokens_of(len(text)) for text in call.texts)
    return Usage(max(tokens, estimate), 0, estimated=True)


async def _part(response: Response, dialect: EmbeddingDialect) -> Part:
    """Read an answer."""
    try:
        body = await response.read()
        if response.status != 200:
            raise refusal_of(response, body, dialect.refusal)
        try:
            return dialect.read(body, response.headers)
        except UNREADABLE as error:
            raise errors.upstream_failed(detail=f"the answer cannot be read: {error!r}") from error
    finally:
        response.close()


def _check(part: Part, texts: int, dimensions: int | None) -> None:
    """Raise the error 502 unless there is a vector for each text, all of the length that was asked for."""
    if len(part.vectors) != texts:
        raise errors.upstream_failed(detail=f"{len(part.vectors)} vectors came for {texts} texts")
    lengths = {_length(vector) for vector in part.vectors}
    if len(lengths) > 1 or 0 in lengths or (dimensions is not None and lengths != {dimensions}):
        asked = f", and {dimensions} was asked for" if dimensions is not None else ""
        raise errors.upstream_failed(detail=f"the lengths of the vectors are {sorted(lengths)}{asked}")


def _length(vector: Vector) -> int:
    """The numbers of a vector; of Base64, four bytes each."""
    if not isinstance(vector, str):
        return len(vector)
    length, odd = divmod(len(vector) * 3 // 4 - vector.count("=", -2), 4)
    return 0 if odd else length
