"""The operations of batches and of files over HTTP, in OpenAI's format. A batch is worked off by the state machine."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from llm_functions.api_formats import openai_batches
from llm_functions.api_formats.openai_batches import BATCH_ID, FILE_ID, OTHER_PURPOSES, described_batch, described_file, listed
from llm_functions.http.caller_watch import Receive
from llm_functions.http.event_stream import Headers, Send
from llm_functions.http.request_body import read_bytes
from llm_functions.multipart import read_form
from llm_gateway import errors
from llm_gateway.aws.s3 import S3Error
from llm_gateway.batches.batch import Batch, new_batch, owner_of_batches
from llm_gateway.batches.file import File, new_file, owner_of_files
from llm_gateway.batches.pages import Page
from llm_gateway.batches.store import BatchStore
from llm_gateway.errors import GatewayError, Problem, clipped
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.store import StoreErrors, unavailable
from llm_gateway.operations import MAX_BODY_BYTES
from llm_gateway.stages.idempotency import check_key
from llm_gateway.telemetry import write_warning

# The longest file that is sent. Lambda sends the first 6 MB of a response at once, what follows at 2 MB a second, and 200 MB in
# all: https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
# The function may have ten seconds in all.
_LARGEST_SENT = 20 * 1024 * 1024
# Seconds within which a caller begins to read a longer one at S3.
_LINK_SECONDS = 300
# What is read of a file at once while it is sent.
_PIECE_BYTES = 1024 * 1024

Answer = tuple[int, Any, list[tuple[str, str]]]


class Request(Protocol):
    """What is needed of an HTTP request."""

    @property
    def headers(self) -> Headers: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def parameter(self) -> str: ...
    @property
    def body(self) -> dict[str, Any]: ...
    @property
    def receive(self) -> Receive: ...
    @property
    def send(self) -> Send: ...
    @property
    def scope(self) -> Mapping[str, Any]: ...


async def respond(id: str, gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Carry out an operation by its id. Returns the status, the body and the headers of its answer."""
    try:
        return await _HANDLERS[id](gateway, store, http)
    except StoreErrors as error:
        raise unavailable(error) from error


async def create_file(gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Keep a file that is uploaded."""
    _check_kept(gateway, http.caller)
    headers: dict[bytes, bytes] = dict(http.scope["headers"])
    try:
        body = await read_bytes(headers, http.receive)
    except GatewayError as error:
        if error.code == errors.request_too_large.code:
            raise errors.file_too_large(limit=MAX_BODY_BYTES, param="file") from None
        raise
    asked = openai_batches.parse_file(read_form(headers.get(b"content-type", b"").decode("latin-1"), body))
    size, lines = len(asked.content), asked.content.count(b"\n") + (not asked.content.endswith(b"\n"))
    file = new_file(http.caller, asked.filename, size, store.files.clock(), lines=lines, seconds=asked.seconds)
    await store.keep(file, asked.content)
    return 200, described_file(file), []


async def files(_gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Return some of the caller's files."""
    asked = openai_batches.parse_page(_query(http), files=True)
    after = None
    if asked.after is not None and (after := await store.files.position(http.caller, asked.after)) is None:
        raise errors.unknown_file(id=asked.after, param="after")
    if asked.purpose in OTHER_PURPOSES:
        return 200, listed(Page([], has_more=False), []), []
    page = await store.files.page(http.caller, asked.limit, after, asked.purpose, ascending=asked.ascending)
    return 200, listed(page, [described_file(file) for file in page.found]), []


async def file(_gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Return a file."""
    return 200, described_file(await _file(store, http.caller, http.parameter)), []


async def delete_file(_gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Delete a file with its content."""
    found = await _file(store, http.caller, http.parameter)
    await store.delete(found)
    return 200, {"id": found.id, "object": "file", "deleted": True}, []


async def create_batch(gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Create a batch of the requests in a file."""
    _check_kept(gateway, http.caller)
    asked = openai_batches.parse_batch(http.body)
    named: bytes | None = dict(http.scope["headers"]).get(b"idempotency-key")
    key = "" if named is None else named.decode("latin-1")
    if named is not None:
        check_key(key)
    new = new_batch(
        http.caller,
        http.body,
        store.batches.clock(),
        endpoint=asked.endpoint,
        input_file=asked.input_file,
        metadata=asked.metadata,
        output_seconds=asked.output_seconds,
        key=key,
    )
    # Of a batch that is there, the file may be deleted.
    batch = await store.batches.created(new) if key else None
    if batch is None:
        found = await _file(store, http.caller, asked.input_file, param="input_file_id")
        if found.purpose != "batch":
            raise errors.invalid_request([Problem("input_file_id", "must be a file that was uploaded with purpose 'batch'")])
        batch = await store.create(new, found)
    return 200, described_batch(batch), [] if batch is new else [("idempotent-replayed", "true")]


async def batches(_gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Return some of the caller's batches."""
    asked = openai_batches.parse_page(_query(http))
    after = None if asked.after is None else await _batch(store, http.caller, asked.after, param="after")
    page = await store.batches.page(http.caller, asked.limit, after)
    return 200, listed(page, [described_batch(await store.batches.expire(batch)) for batch in page.found]), []


async def batch(_gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Return a batch."""
    found = await _batch(store, http.caller, http.parameter)
    return 200, described_batch(await store.batches.expire(found)), []


async def cancel_batch(_gateway: Gateway, store: BatchStore, http: Request) -> Answer:
    """Cancel a batch, and return what it is then. One that has ended stays as it is."""
    found = await _batch(store, http.caller, http.parameter)
    return 200, described_batch(await store.batches.cancel(await store.batches.expire(found))), []


async def send_content(store: BatchStore, http: Request) -> None:
    """Send a file, a piece after the other, or the caller to S3 for a long one. Where the rest of it cannot be read, the
    response is cut: it has fewer bytes than its head says."""
    try:
        found = await _file(store, http.caller, http.parameter)
        piece, sent = await _piece(store, found, 0), 0
        if found.bytes > _LARGEST_SENT:
            await _send_link(store.bucket.presigned(found.key, _LINK_SECONDS), http)
            return
    except StoreErrors as error:
        raise unavailable(error) from error
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % found.bytes),
        # A browser shows nothing of what a caller has uploaded.
        (b"content-disposition", b"attachment"),
        *http.headers,
    ]
    await http.send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        sent += len(piece)
        await http.send({"type": "http.response.body", "body": piece, "more_body": sent < found.bytes})
        if sent >= found.bytes:
            return
        try:
            piece = await _piece(store, found, sent)
        except (*StoreErrors, GatewayError) as error:
            write_warning(f"the file {found.id} was sent up to byte {sent:,} of {found.bytes:,}: {error}")
            return


async def _send_link(url: str, http: Request) -> None:
    # Not empty: https://github.com/aws/aws-lambda-web-adapter/issues/499
    body = msgspec.json.encode({"url": url})
    headers = [
        (b"location", url.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *http.headers,
    ]
    await http.send({"type": "http.response.start", "status": 302, "headers": headers})
    await http.send({"type": "http.response.body", "body": body, "more_body": False})


_HANDLERS: Mapping[str, Callable[[Gateway, BatchStore, Request], Awaitable[Answer]]] = {
    "create_file": create_file,
    "files": files,
    "file": file,
    "delete_file": delete_file,
    "create_batch": create_batch,
    "batches": batches,
    "batch": batch,
    "cancel_batch": cancel_batch,
}


async def _piece(store: BatchStore, file: File, start: int) -> bytes:
    """Return bytes of a file from `start` on. Raises the error 404 where there are none, such as of a file that was deleted."""
    try:
        piece = await store.bucket.get_range(file.key, start, min(start + _PIECE_BYTES, file.bytes))
    except S3Error as error:
        if error.missing or error.code == "InvalidRange":
            raise errors.unknown_file(id=file.id) from None
        raise
    if not piece:
        raise errors.unknown_file(id=file.id)
    return piece


async def _file(store: BatchStore, caller: Caller, id: str, *, param: str | None = None) -> File:
    """Return a file. Raises the error 404 unless it is one of the caller."""
    found = await store.files.get(id) if FILE_ID.fullmatch(id) else None
    if found is None or found.owner != owner_of_files(caller):
        raise errors.unknown_file(id=clipped(id), param=param)
    return found


async def _batch(store: BatchStore, caller: Caller, id: str, *, param: str | None = None) -> Batch:
    """Return a batch. Raises the error 404 unless it is one of the caller."""
    found = await store.batches.get(id) if BATCH_ID.fullmatch(id) else None
    if found is None or found.owner != owner_of_batches(caller):
        raise errors.unknown_batch(id=clipped(id), param=param)
    return found


def _check_kept(gateway: Gateway, caller: Caller) -> None:
    """Raise what forbids to keep anything: a rule of the caller's, or the switch of the service."""
    if gateway.policy is not None:
        gateway.policy.check_job(caller)
    if gateway.flags is not None:
        gateway.flags.admit("")


def _query(http: Request) -> list[tuple[str, str]]:
    return parse_qsl(http.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
