"""Bedrock's knowledge bases on S3 Vectors as the local run plays them: Retrieve, and jobs that ingest a bucket.

Documents are texts. A passage is scored by the words that it shares with the question, where AWS compares vectors; as there,
every passage has a score, so that something is found for every question. A job reads the bucket when it is started, and is
complete at once.

boto3 works with it unchanged: signatures are verified, requests are checked against botocore's own model, errors are AWS's.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Retrieve.html
"""

import json
import logging
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

from aiohttp import web

from pulumi_llm_local.aws_types.api_model import Shape, service_model
from pulumi_llm_local.services.signature import Credentials, SignatureError, verify_signature
from pulumi_llm_local.upstreams.bedrock.converse_request import read_document
from pulumi_llm_local.upstreams.bedrock.errors import BedrockError, internal_error, validation_error
from pulumi_llm_local.upstreams.model import Json

_log = logging.getLogger(__name__)

_RETRIEVE = re.compile(r"/knowledgebases/(?P<base>[^/]+)/retrieve/?")
_JOBS = re.compile(r"/knowledgebases/(?P<base>[^/]+)/datasources/(?P<source>[^/]+)/ingestionjobs/?(?P<job>[^/]*)")
_METADATA_SUFFIX = ".metadata.json"
# Bounds of metadata: the file's, and in a knowledge base on S3 Vectors that of one vector's attributes and of their number.
# https://docs.aws.amazon.com/bedrock/latest/userguide/knowledge-base-ds.html and …/knowledge-base-setup.html
METADATA_FILE_BYTES, METADATA_BYTES, METADATA_KEYS = 10 * 1024, 1024, 35
_TEXT_SUFFIXES = (".txt", ".md", ".html", ".csv")
_RESULTS = 5
# How many results one answer holds.
_PAGE = 10
_NOT_ON_S3_VECTORS = ("startsWith", "stringContains")
_WORD = re.compile(r"\w+")

# Returns the objects of a bucket by their keys.
ReadBucket = Callable[[str], Awaitable[Mapping[str, bytes]]]


@dataclass(frozen=True)
class DataSource:
    """A bucket, or what of it begins with `prefix`. A chunk has `tokens` words, and shares `overlap` percent with the next."""

    bucket: str
    prefix: str = ""
    tokens: int = 300
    overlap: int = 20


@dataclass(frozen=True)
class Chunk:
    """A passage: its text, the address of its document, and the document's metadata."""

    text: str
    uri: str
    metadata: Mapping[str, Any]
    id: str = ""


@dataclass
class LocalKnowledgeBase:
    """A knowledge base: its data sources by their ids, and what they hold since their last jobs."""

    sources: Mapping[str, DataSource]
    chunks: dict[str, list[Chunk]] = field(default_factory=dict[str, list[Chunk]])
    documents: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    jobs: dict[str, Json] = field(default_factory=dict[str, Json])

    def all_chunks(self) -> list[Chunk]:
        return [chunk for chunks in self.chunks.values() for chunk in chunks]


def create_app(
    *, region: str, credentials: Credentials, knowledge_bases: Mapping[str, LocalKnowledgeBase], read_bucket: ReadBucket
) -> web.Application:
    """Return Bedrock's agents and their runtime of one region, as far as knowledge bases go.

    Args:
        credentials: The one pair of keys that is valid.
        knowledge_bases: Each by its id.
        read_bucket: Reads a bucket when a job ingests it.
    """
    service = _Service(region, credentials, knowledge_bases, read_bucket)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    return app


@dataclass(frozen=True)
class _Service:
    region: str
    credentials: Credentials
    knowledge_bases: Mapping[str, LocalKnowledgeBase]
    read_bucket: ReadBucket

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        try:
            status, answer = await self._handle(request)
            return web.json_response(answer, status=status, headers=headers)
        except BedrockError as error:
            failure = error
        except Exception:
            _log.exception("the local knowledge base failed")
            failure = internal_error()
        headers["x-amzn-ErrorType"] = failure.code
        return web.json_response({"message": failure.message}, status=failure.status, headers=headers)

    async def _handle(self, request: web.Request) -> tuple[int, Json]:
        body = await request.read()
        try:
            verify_signature(request, body, self.region, self.credentials)
        except SignatureError as error:
            raise BedrockError(403, error.code, error.message) from error
        path = request.raw_path.partition("?")[0]
        if request.method == "POST" and (asked := _RETRIEVE.fullmatch(path)):
            return 200, retrieve(self._base(asked), body)
        if job := _JOBS.fullmatch(path):
            base, source, id = self._base(job), job["source"], job["job"]
            if source not in base.sources:
                raise _not_found(f"DataSource with id {source} is not found.")
            if request.method == "PUT" and not id:
                read_document(_input("bedrock-agent", "StartIngestionJob"), body or b"{}")
                return 202, {"ingestionJob": await self._ingest(base, job["base"], source)}
            if request.method == "POST" and not id:
                read_document(_input("bedrock-agent", "ListIngestionJobs"), body or b"{}")
                jobs = [each for each in base.jobs.values() if each["dataSourceId"] == source]
                return 200, {"ingestionJobSummaries": jobs}
            if request.method == "GET" and id:
                if id not in base.jobs:
                    raise _not_found(f"Ingestion job with id {id} is not found.")
                return 200, {"ingestionJob": base.jobs[id]}
        raise BedrockError(404, "UnknownOperationException", f"{request.method} {path} is not played here")

    def _base(self, path: re.Match[str]) -> LocalKnowledgeBase:
        id = unquote(path["base"]).rpartition("/")[2]
        if id not in self.knowledge_bases:
            raise _not_found(f"Knowledge Base with id {id} does not exist")
        return self.knowledge_bases[id]

    async def _ingest(self, base: LocalKnowledgeBase, base_id: str, source_id: str) -> Json:
        """Read a bucket anew. Returns the job as it is when it has started; `base.jobs` has it as it ends."""
        source = base.sources[source_id]
        objects = await self.read_bucket(source.bucket)
        statistics = ingest(base, source_id, {key: data for key, data in objects.items() if key.startswith(source.prefix)})
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        id = uuid.uuid4().hex[:10].upper()
        job = {"knowledgeBaseId": base_id, "dataSourceId": source_id, "ingestionJobId": id, "startedAt": now, "updatedAt": now}
        base.jobs[id] = {**job, "status": "COMPLETE", "statistics": statistics}
        return {**job, "status": "STARTING"}


def ingest(base: LocalKnowledgeBase, source_id: str, objects: Mapping[str, bytes]) -> Json:
    """Put the documents among these objects in the place of what the data source held. Returns the job's statistics."""
    source = base.sources[source_id]
    before, now = base.documents.get(source_id, {}), dict[str, str]()
    chunks: list[Chunk] = []
    failed = 0
    names = [key for key in objects if not key.endswith(_METADATA_SUFFIX)]
    for key in sorted(names):
        try:
            metadata = _metadata(objects.get(key + _METADATA_SUFFIX))
            if not key.endswith(_TEXT_SUFFIXES):
                raise ValueError("only texts are read here")
            text = objects[key].decode()
        except (ValueError, KeyError, TypeError, AttributeError):
            failed += 1
            continue
        uri = f"s3://{source.bucket}/{key}"
        now[key] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{uri} {text} {json.dumps(metadata, sort_keys=True)}"))
        for number, part in enumerate(_parts(text, source)):
            id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{uri}#{number}"))
            chunks.append(Chunk(part, uri, {**metadata, "x-amz-bedrock-kb-data-source-id": source_id}, id))
    base.chunks[source_id], base.documents[source_id] = chunks, now
    return {
        "numberOfDocumentsScanned": len(names),
        "numberOfMetadataDocumentsScanned": len(objects) - len(names),
        "numberOfNewDocumentsIndexed": len(now.keys() - before.keys()),
        "numberOfModifiedDocumentsIndexed": sum(before[key] != value for key, value in now.items() if key in before),
        "numberOfMetadataDocumentsModified": 0,
        "numberOfDocumentsDeleted": len(before.keys() - now.keys()),
        "numberOfDocumentsFailed": failed,
    }


def retrieve(base: LocalKnowledgeBase, body: bytes) -> Json:
    """Return the answer to a question. Raises `BedrockError`."""
    document = read_document(_input("bedrock-agent-runtime", "Retrieve"), body)
    query: str = document["retrievalQuery"].get("text") or ""
    if not query.strip():
        raise validation_error("The query text must not be empty.")
    configuration: Json = document.get("retrievalConfiguration") or {}
    search: Json = configuration.get("vectorSearchConfiguration") or {}
    if search.get("overrideSearchType") == "HYBRID":
        raise validation_error("HYBRID search type is not supported for search operation on the vector store S3_VECTORS.")
    filter: Json | None = search.get("filter")
    found = [chunk for chunk in base.all_chunks() if filter is None or _passes(filter, chunk.metadata)]
    words = Counter(_words(query))
    scored = sorted(((_score(words, chunk), chunk) for chunk in found), key=lambda each: (-each[0], each[1].uri, each[1].id))
    most = int(search.get("numberOfResults") or _RESULTS)
    begin = _offset(document.get("nextToken"), document)
    page = scored[:most][begin : begin + _PAGE]
    answer: Json = {"retrievalResults": [_result(score, chunk) for score, chunk in page]}
    if begin + _PAGE < min(most, len(scored)):
        answer["nextToken"] = _token(begin + _PAGE, document)
    return answer


def _result(score: float, chunk: Chunk) -> Json:
    own = {"x-amz-bedrock-kb-source-uri": chunk.uri, "x-amz-bedrock-kb-chunk-id": chunk.id}
    return {
        "content": {"text": chunk.text, "type": "TEXT"},
        "location": {"type": "S3", "s3Location": {"uri": chunk.uri}},
        "metadata": {**own, **chunk.metadata},
        "score": score,
    }


def _passes(filter: Json, metadata: Mapping[str, Any]) -> bool:
    """Whether metadata passes a filter, which has one member. Raises `BedrockError`."""
    if len(filter) != 1:
        raise validation_error("A filter must have exactly one operator.")
    ((operator, operand),) = filter.items()
    if operator in ("andAll", "orAll"):
        passed = [_passes(each, metadata) for each in cast("list[Json]", operand)]
        return all(passed) if operator == "andAll" else any(passed)
    if operator in _NOT_ON_S3_VECTORS:
        raise validation_error(f"The filter operator {operator} is not supported for the vector store S3_VECTORS.")
    if operator in ("in", "notIn") and not isinstance(operand["value"], list):
        raise validation_error(f"The value of the filter operator {operator} must be a list.")
    value, wanted = metadata.get(operand["key"]), operand["value"]
    if value is None:
        return operator in ("notEquals", "notIn")
    return _OPERATORS[operator](value, wanted)


def _compares(compare: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: isinstance(value, int | float) and isinstance(wanted, int | float) and compare(value, wanted)


def _equal(value: Any, wanted: Any) -> bool:
    """S3 Vectors compares a list's items."""
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return any(type(each) is type(wanted) and each == wanted for each in values)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": _equal,
    "notEquals": lambda value, wanted: not _equal(value, wanted),
    "in": lambda value, wanted: any(_equal(value, each) for each in wanted),
    "notIn": lambda value, wanted: not any(_equal(value, each) for each in wanted),
    "listContains": _equal,
    "greaterThan": _compares(lambda value, wanted: value > wanted),
    "greaterThanOrEquals": _compares(lambda value, wanted: value >= wanted),
    "lessThan": _compares(lambda value, wanted: value < wanted),
    "lessThanOrEquals": _compares(lambda value, wanted: value <= wanted),
}


def _metadata(data: bytes | None) -> Mapping[str, Any]:
    """Return the attributes of a metadata file, whose values stand alone or with their type. Raises `ValueError`."""
    if data is None:
        return {}
    if len(data) > METADATA_FILE_BYTES:
        raise ValueError("the metadata file is too large")
    attributes: Json = json.loads(data)["metadataAttributes"]
    found = {key: _value(value) for key, value in attributes.items()}
    if len(found) > METADATA_KEYS or len(json.dumps(found).encode()) > METADATA_BYTES:
        raise ValueError("there is too much metadata")
    return found


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    typed: Json = cast(Json, value)["value"]
    return typed[
        {"STRING": "stringValue", "NUMBER": "numberValue", "BOOLEAN": "booleanValue"}.get(typed["type"], "stringListValue")
    ]


def _parts(text: str, source: DataSource) -> Iterator[str]:
    words = list(re.finditer(r"\S+", text))
    step = max(1, source.tokens * (100 - source.overlap) // 100)
    for first in range(0, len(words), step):
        part = words[first : first + source.tokens]
        yield text[part[0].start() : part[-1].end()]
        if first + source.tokens >= len(words):
            return


def _words(text: str) -> Sequence[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _score(words: Counter[str], chunk: Chunk) -> float:
    """The cosine of two counts of words, from 0 to 1."""
    other = Counter(_words(chunk.text))
    shared = sum(count * other[word] for word, count in words.items())
    lengths = math.sqrt(sum(count**2 for count in words.values()) * sum(count**2 for count in other.values()))
    return round(shared / lengths, 6) if lengths else 0.0


def _token(offset: int, document: Json) -> str:
    return f"{offset}.{_question_of(document)}"


def _offset(token: str | None, document: Json) -> int:
    if token is None:
        return 0
    offset, _, question = token.partition(".")
    if not offset.isdigit() or question != _question_of(document):
        raise validation_error("The provided nextToken is invalid.")
    return int(offset)


def _question_of(document: Json) -> str:
    """What a token belongs to."""
    asked = {name: value for name, value in document.items() if name != "nextToken"}
    return uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(asked, sort_keys=True)).hex


def _input(service: str, operation: str) -> Shape:
    model = service_model(service)
    assert model is not None, f"botocore has no {service}"
    return model.operation_model(operation).input_shape


def _not_found(message: str) -> BedrockError:
    return BedrockError(404, "ResourceNotFoundException", message)
