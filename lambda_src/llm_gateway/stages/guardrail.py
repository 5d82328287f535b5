"""Bedrock's ApplyGuardrail: what a guardrail finds in texts.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from llm_gateway import errors
from llm_gateway.aws.client import Aws
from llm_gateway.aws.repeated import post_repeated
from llm_gateway.errors import GatewayError

Source = Literal["INPUT", "OUTPUT"]

# The most characters of one call: 25 text units, which AWS gives as the size above which a text is to be split.
# https://aws.amazon.com/blogs/machine-learning/use-the-applyguardrail-api-with-long-context-inputs-and-streaming-outputs-in-amazon-bedrock/
MOST_CHARACTERS = 25_000
# Calls at once for one long text: the quota of text units a second is an account's, and has to do for others, too.
_AT_ONCE = 4
_ATTEMPTS = 3
# Seconds. The quotas are of a second each, so a shorter pause after a throttled call would only meet the same one.
_FIRST_PAUSE = 0.1
_THROTTLED_PAUSE = 1.0
# After what a long text is cut, the best first.
_CUTS = ("\n", ". ", " ")
# Seconds that an attempt may take. Guardrails with content filters and topics take some 0.3 s for a text unit.
_ATTEMPT_SECONDS = 5.0
_THROTTLED = frozenset({"ThrottlingException", "TooManyRequestsException", "ServiceQuotaExceededException"})


class Finding(msgspec.Struct, frozen=True):
    """What a policy of a guardrail has found. `policy` is such as ``topic:Investments`` or ``pii:EMAIL``, never a text."""

    policy: str
    action: Literal["BLOCKED", "ANONYMIZED", "NONE"]


class Assessment(msgspec.Struct, frozen=True):
    """What a guardrail says of texts: what it has found, and the texts as they may be passed on."""

    findings: tuple[Finding, ...]
    texts: tuple[str, ...]

    @property
    def blocked(self) -> Finding | None:
        return next((finding for finding in self.findings if finding.action == "BLOCKED"), None)


class _Output(msgspec.Struct):
    text: str = ""


class _Answer(msgspec.Struct):
    action: str
    assessments: list[dict[str, Any]] = []
    outputs: list[_Output] = []


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


class Guardrail:
    """A guardrail, by its id or ARN, and its version."""

    def __init__(self, aws: Aws, identifier: str, version: str) -> None:
        self._aws = aws
        self._path = f"/guardrail/{quote(identifier, safe='')}/version/{quote(version, safe='')}/apply"

    async def assess(self, source: Source, texts: Sequence[str], deadline: float) -> Assessment:
        """Return what the guardrail says of texts.

        Several calls are made where they are long. Raises the error 503 where one of them fails, unless another one blocks.
        """
        pieces = [(index, piece) for index, text in enumerate(texts) for piece in _pieces(text)]
        calls = list(_batches(pieces))
        room = asyncio.Semaphore(_AT_ONCE)

        async def ask(call: Sequence[tuple[int, str]]) -> tuple[list[Finding], list[str]]:
            async with room:
                return await self._apply(source, [piece for _, piece in call], deadline)

        results = await asyncio.gather(*map(ask, calls), return_exceptions=True)
        answers = [result for result in results if not isinstance(result, BaseException)]
        failure = next((result for result in results if isinstance(result, BaseException)), None)
        if failure is not None:
            found = tuple(finding for findings, _ in answers for finding in findings)
            if any(finding.action == "BLOCKED" for finding in found):
                return Assessment(found, tuple(texts))
            if isinstance(failure, GatewayError):
                failure.spent = bool(answers)
            raise failure
        passed = [""] * len(texts)
        for call, (_, masked) in zip(calls, answers, strict=True):
            for (index, _), text in zip(call, masked, strict=True):
                passed[index] += text
        findings = {finding: None for found, _ in answers for finding in found}
        return Assessment(tuple(findings), tuple(passed))

    async def _apply(self, source: Source, texts: Sequence[str], deadline: float) -> tuple[list[Finding], list[str]]:
        body = _encode({"source": source, "content": [{"text": {"text": text}} for text in texts]})
        answer = await post_repeated(
            self._aws,
            "bedrock-runtime",
            self._path,
            body,
            deadline,
            errors.guardrail_unavailable,
            attempts=_ATTEMPTS,
            attempt_seconds=_ATTEMPT_SECONDS,
            temporary=_THROTTLED,
            pause=_pause,
        )
        return _read(answer, texts)


def _pause(attempt: int, status: int) -> float:
    return _THROTTLED_PAUSE if status == 429 else _FIRST_PAUSE * 2**attempt


def _pieces(text: str) -> Iterator[str]:
    """Yield the parts of a text, each for one call. A long one is cut after a line or a sentence, else between words."""
    while len(text) > MOST_CHARACTERS:
        end = _end_of_piece(text)
        yield text[:end]
        text = text[end:]
    yield text


def _end_of_piece(text: str) -> int:
    for mark in _CUTS:
        if (at := text.rfind(mark, MOST_CHARACTERS // 2, MOST_CHARACTERS)) >= 0:
            return at + len(mark)
    return MOST_CHARACTERS


def _batches(pieces: Sequence[tuple[int, str]]) -> Iterator[Sequence[tuple[int, str]]]:
    """Yield the pieces of each call, as many as have no more characters than one may have."""
    batch: list[tuple[int, str]] = []
    size = 0
    for piece in pieces:
        if batch and size + len(piece[1]) > MOST_CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += len(piece[1])
    if batch:
        yield batch


def _read(body: bytes, texts: Sequence[str]) -> tuple[list[Finding], list[str]]:
    """Return what an answer says. Raises the error 503 for one that cannot be read: nobody knows what was found."""
    try:
        answer = _decode(body)
        findings = [finding for assessment in answer.assessments for finding in _findings(assessment)]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise errors.guardrail_unavailable(detail=f"its answer cannot be read: {type(error).__name__}") from error
    if answer.action == "NONE":
        return findings, list(texts)
    if any(finding.action == "BLOCKED" for finding in findings):
        return findings, list(texts)
    if answer.action != "GUARDRAIL_INTERVENED":
        raise errors.guardrail_unavailable(detail=f"its action is {errors.clipped(answer.action)!r}")
    masked = [output.text for output in answer.outputs]
    if len(masked) != len(texts) or not any(finding.action == "ANONYMIZED" for finding in findings):
        # It has intervened by what is not known here, or it is not told which text is which.
        return [*findings, Finding("guardrail", "BLOCKED")], list(texts)
    return findings, masked


# The members of an assessment, with the lists in them, the field that names a policy in each, and what it is called then.
# A word or another match is never told: it is a part of the text.
_POLICIES = (
    ("topicPolicy", "topics", "name", "topic"),
    ("contentPolicy", "filters", "type", "content"),
    ("wordPolicy", "customWords", "", "word"),
    ("wordPolicy", "managedWordLists", "type", "word"),
    ("sensitiveInformationPolicy", "piiEntities", "type", "pii"),
    ("sensitiveInformationPolicy", "regexes", "name", "regex"),
    ("contextualGroundingPolicy", "filters", "type", "grounding"),
)


def _findings(assessment: Mapping[str, Any]) -> Iterator[Finding]:
    for policy, members, field, kind in _POLICIES:
        lists: Mapping[str, list[dict[str, Any]] | None] = assessment.get(policy) or {}
        for found in lists.get(members) or ():
            action = found["action"]
            name = found.get(field, "") if field else ""
            if action != "NONE" or found.get("detected"):  # what is only to be detected
                yield Finding(f"{kind}:{name}" if name else kind, action if action in ("BLOCKED", "ANONYMIZED") else "NONE")
