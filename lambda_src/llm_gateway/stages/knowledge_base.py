"""Bedrock's Retrieve: the passages of a knowledge base that fit a question, of the documents that a tenant may read.

Every question has a filter: the documents of the caller's tenant, and those for everyone. What comes back is compared with the
same names again, so that no mistake in the index, and no other filter of AWS's, shows a tenant what belongs to another one.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Retrieve.html
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from llm_gateway import errors
from llm_gateway.aws.client import Aws
from llm_gateway.aws.repeated import post_repeated
from llm_gateway.retrieval import EVERYONE, Retrieval
from llm_gateway.stages.passages import Passage, clipped_bytes

# The most characters of a question. The API takes 20,000 by its model, and AWS's page of the type says 1,000.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_KnowledgeBaseQuery.html
QUERY_CHARACTERS = 1_000
_ATTEMPTS = 2
_PAUSE = 0.2
# Seconds that an attempt may take. AWS embeds the question and asks the index, which takes below a second.
_ATTEMPT_SECONDS = 5.0
# The most pages of one question: an answer that is too large comes in several.
_MOST_PAGES = 4
_THROTTLED = frozenset(
    {"ThrottlingException", "ServiceQuotaExceededException", "DependencyFailedException", "ConflictException"}
)


class _Content(msgspec.Struct):
    text: str = ""
    type: str = "TEXT"


class _Result(msgspec.Struct):
    content: _Content
    location: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    score: float | None = None


class _Answer(msgspec.Struct):
    results: list[_Result] = msgspec.field(name="retrievalResults")
    next_token: str | None = msgspec.field(name="nextToken", default=None)


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


class KnowledgeBase:
    """A knowledge base, by its id."""

    def __init__(self, aws: Aws, identifier: str, settings: Retrieval) -> None:
        self._aws = aws
        self._path = f"/knowledgebases/{quote(identifier, safe='')}/retrieve"
        self._settings = settings

    async def passages(self, question: str, tenant: str, deadline: float) -> list[Passage]:
        """Return the passages that fit a question, the best first. Raises the error 503.

        Args:
            question: Of a long one, the end is asked: what is wanted stands after a long text more often than before it.
            tenant: Whose documents are looked at, besides those for everyone. Without one, these alone.
            deadline: A time of the running loop's clock.
        """
        settings = self._settings
        readers = [tenant, EVERYONE] if tenant and tenant != EVERYONE else [EVERYONE]
        one: dict[str, Any] = {"equals": {"key": settings.tenant_key, "value": EVERYONE}}
        several: dict[str, Any] = {"in": {"key": settings.tenant_key, "value": readers}}
        search = {"numberOfResults": settings.results, "filter": several if len(readers) > 1 else one}
        body: dict[str, Any] = {
            "retrievalQuery": {"text": question[-QUERY_CHARACTERS:]},
            "retrievalConfiguration": {"vectorSearchConfiguration": search},
        }
        found: list[Passage] = []
        for _ in range(_MOST_PAGES):
            answer = await self._retrieve(body, deadline)
            found += self._readable(answer.results, readers)
            if not answer.next_token or len(found) >= settings.results:
                break
            body["nextToken"] = answer.next_token
        return found[: settings.results]

    def _readable(self, results: list[_Result], readers: Collection[str]) -> Iterator[Passage]:
        """Yield the passages that the readers may see, and that fit well enough."""
        settings = self._settings
        for result in results:
            owner = result.metadata.get(settings.tenant_key)
            if not isinstance(owner, str) or owner not in readers:
                continue
            if settings.min_score and (result.score is None or result.score < settings.min_score):
                continue
            text = result.content.text.strip()
            if result.content.type != "TEXT" or not text:
                continue
            title = result.metadata.get("title")
            named = title if isinstance(title, str) else ""
            yield Passage(clipped_bytes(text, settings.passage_bytes), _address(result.location), named, result.score)

    async def _retrieve(self, fields: Mapping[str, Any], deadline: float) -> _Answer:
        body = _encode(fields)
        answer = await post_repeated(
            self._aws,
            "bedrock-agent-runtime",
            self._path,
            body,
            deadline,
            errors.retrieval_unavailable,
            attempts=_ATTEMPTS,
            attempt_seconds=_ATTEMPT_SECONDS,
            temporary=_THROTTLED,
            pause=lambda attempt, status: _PAUSE,
        )
        return _read(answer)


def _read(body: bytes) -> _Answer:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise errors.retrieval_unavailable(detail=f"its answer cannot be read: {type(error).__name__}") from error


def _address(location: Mapping[str, Any]) -> str:
    """Return the address in a location, such as ``{"type": "S3", "s3Location": {"uri": "s3://…"}}``."""
    for member in location.values():
        match member:
            case {"uri": str(address)} | {"url": str(address)} | {"id": str(address)}:
                return address
            case _:
                pass
    return ""
