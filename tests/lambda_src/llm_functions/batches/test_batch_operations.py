"""The operations of batches and files over HTTP: by OpenAI's own client, and by those who mean no good."""

import json
from typing import Any

import httpx
import openai
import pytest
import schemathesis

from lambda_src.conftest import ROUTES
from llm_functions.request_context import caller_context
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.aws.s3 import Bucket, S3Error
from llm_gateway.batches.batch import WINDOW_SECONDS
from llm_gateway.batches.file import KEPT_SECONDS, file_of_batch
from llm_gateway.batches.files import FileTable
from llm_gateway.batches.table import BatchTable
from llm_gateway.identity.caller import Caller, Credential
from llm_gateway.operations import MAX_BODY_BYTES, operations
from llm_gateway.rules import Rule
from support.gateway_service import Service
from support.jobs_table import TABLE

pytestmark = pytest.mark.timeout(60)

LINE: dict[str, Any] = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "mock", "messages": []},
}
LINES = json.dumps(LINE).encode() + b"\n"
BOUNDARY = "line-1"


def by(key: str = "ci", **more: Any) -> dict[str, str]:
    return Service.context(caller_context(Caller("acme", key, **more), Credential()))


@pytest.fixture
async def service(gateway: Any, dynamodb: DynamoDB, bucket: Bucket, dynamodb_url: str) -> Service:
    return await gateway(jobs=dynamodb_url, batches=True, authorization="api_key")


@pytest.fixture
def client(service: Service) -> openai.AsyncOpenAI:
    return service.openai(default_headers=by())


@pytest.fixture
def batches(dynamodb: DynamoDB) -> BatchTable:
    return BatchTable(dynamodb, TABLE)


async def uploaded(client: openai.AsyncOpenAI, content: bytes = LINES, name: str = "in.jsonl", **more: Any) -> Any:
    return await client.files.create(file=(name, content), purpose="batch", **more)


async def created(client: openai.AsyncOpenAI, **more: Any) -> Any:
    file = await uploaded(client)
    given: dict[str, Any] = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return await client.batches.create(input_file_id=file.id, **given)


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY) -> bytes:
    """A form of parts, each its disposition and its content."""
    between = f"--{boundary}".encode()
    each = b"".join(b"%s\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % (between, head.encode(), text) for head, text in parts)
    return each + between + b"--\r\n"


PURPOSE = ('form-data; name="purpose"', b"batch")
FILE = ('form-data; name="file"; filename="in.jsonl"', LINES)


async def post(
    service: Service, body: bytes, content_type: str = f"multipart/form-data; boundary={BOUNDARY}"
) -> httpx.Response:
    return await service.http.post("/v1/files", content=body, headers=by() | {"content-type": content_type})


async def test_a_file_by_openais_own_client(service: Service, client: openai.AsyncOpenAI, bucket: Bucket) -> None:
    file = await uploaded(client, name="fragen äöü.jsonl")
    assert (file.object, file.bytes, file.filename, file.purpose) == ("file", len(LINES), "fragen äöü.jsonl", "batch")
    assert file.expires_at == file.created_at + KEPT_SECONDS and file.status == "processed"
    assert await client.files.retrieve(file.id) == file and await bucket.get(f"files/{file.id}") == LINES
    content = await client.files.content(file.id)
    assert content.content == LINES
    assert content.response.headers["content-disposition"] == "attachment"
    assert [each async for each in client.files.list()] == [file]
    deleted = await client.files.delete(file.id)
    assert deleted.deleted and deleted.id == file.id
    for gone in (client.files.retrieve(file.id), client.files.content(file.id), client.files.delete(file.id)):
        with pytest.raises(openai.NotFoundError) as refused:
            await gone
        assert refused.value.code == "unknown_file"
    assert await bucket.get(f"files/{file.id}") is None and [each async for each in client.files.list()] == []


async def test_a_content_that_may_not_be_read_is_no_unknown_file(client: openai.AsyncOpenAI, monkeypatch) -> None:
    file = await uploaded(client)

    async def denied(*_: Any) -> Any:
        raise S3Error("AccessDenied", 403)

    monkeypatch.setattr(Bucket, "get_range", denied)
    with pytest.raises(openai.InternalServerError) as refused:
        await client.files.content(file.id)
    assert (refused.value.status_code, refused.value.code) == (503, "jobs_unavailable")


async def test_a_caller_may_have_so_many_batches_and_files(gateway: Any, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    bounds = {"BATCHES_PER_CALLER": "3", "BATCH_REQUESTS_PER_CALLER": "5", "FILES_PER_CALLER": "3"}
    service: Service = await gateway(jobs=dynamodb_url, batches=True, authorization="api_key", bounds=bounds)
    client, given = service.openai(default_headers=by()), {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    one, two, _ = await uploaded(client), await uploaded(client, LINES * 2), await uploaded(client, LINES)
    with pytest.raises(openai.RateLimitError) as refused:
        await uploaded(client)
    assert refused.value.code == "too_many_files" and int(refused.value.response.headers["retry-after"]) > 0
    await client.batches.create(input_file_id=two.id, **given)
    second = await client.batches.create(input_file_id=two.id, **given)
    for file in (one, two):
        if file is one:
            await client.batches.create(input_file_id=one.id, **given)
        with pytest.raises(openai.RateLimitError) as refused:
            await client.batches.create(input_file_id=file.id, **given)
        assert refused.value.code == "too_many_batches"
    other = service.openai(default_headers=by("other"))
    assert (await created(other)).status == "validating"
    await client.batches.cancel(second.id)
    await client.batches.create(input_file_id=two.id, **given)


async def test_how_long_a_file_is_kept_is_its_callers_as_far_as_files_are(client: openai.AsyncOpenAI) -> None:
    for seconds, kept in ((3_600, 3_600), (2_592_000, KEPT_SECONDS)):
        file = await uploaded(client, expires_after={"anchor": "created_at", "seconds": seconds})
        assert file.expires_at == file.created_at + kept


async def test_a_large_file_is_sent_as_it_is_and_a_larger_one_refused(client: openai.AsyncOpenAI) -> None:
    large = LINES * ((MAX_BODY_BYTES - 2_000) // len(LINES))
    file = await uploaded(client, large)
    assert (await client.files.content(file.id)).content == large
    with pytest.raises(openai.APIStatusError) as refused:
        await uploaded(client, b"x" * MAX_BODY_BYTES)
    assert (refused.value.status_code, refused.value.code) == (413, "file_too_large")
    assert f"{MAX_BODY_BYTES:,}" in refused.value.message


async def test_pages_of_files(service: Service, client: openai.AsyncOpenAI) -> None:
    ids = [(await uploaded(client, name=f"{n}.jsonl")).id for n in range(5)]
    await uploaded(service.openai(default_headers=by("other")))
    assert [file.id async for file in client.files.list(limit=2)] == ids[::-1]
    assert [file.id async for file in client.files.list(limit=3, order="asc")] == ids
    for purpose in ("batch_output", "vision", "fine-tune"):
        assert [file.id async for file in client.files.list(purpose=purpose)] == []
    page = await client.files.list(limit=2)
    assert page.has_more and [file.id for file in page.data] == ids[:2:-1]
    found = list[str]()
    async for file in client.files.list(limit=2):  # what is deleted meanwhile is no end of the list
        found.append(file.id)
        await client.files.delete(file.id)
    assert found == ids[::-1]


async def test_a_batch_by_openais_own_client(service: Service, client: openai.AsyncOpenAI, batches: BatchTable) -> None:
    expiry: Any = {"anchor": "created_at", "seconds": 7_200}
    batch = await created(client, metadata={"run": "7"}, output_expires_after=expiry)
    assert (batch.object, batch.status, batch.endpoint) == ("batch", "validating", "/v1/chat/completions")
    assert batch.metadata == {"run": "7"} and batch.expires_at == batch.created_at + WINDOW_SECONDS
    assert batch.request_counts.model_dump() == {"total": 0, "completed": 0, "failed": 0}
    claimed = await batches.claim(batch.id, "run-1")
    assert claimed is not None and claimed.caller == Caller("acme", "ci") and claimed.input_file == batch.input_file_id
    begun = await batches.begin(claimed, 2)
    shown = await client.batches.retrieve(batch.id)
    assert shown.status == "in_progress" and shown.in_progress_at == begun.in_progress_at
    result = file_of_batch(begun, "output", 3, begun.in_progress_at)
    assert result.expires == begun.in_progress_at + 7_200
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
    }
    await batches.end(begun, "completed", completed=1, failed=1, output_file=result.id, usage=usage, model="mock")
    ended = await client.batches.retrieve(batch.id)
    assert (ended.status, ended.output_file_id, ended.error_file_id, ended.model) == ("completed", result.id, None, "mock")
    assert ended.usage is not None and ended.usage.total_tokens == 3 and ended.completed_at
    assert ended.request_counts is not None and (ended.request_counts.total, ended.request_counts.failed) == (2, 1)
    assert (await client.batches.cancel(batch.id)).status == "completed"


async def test_what_is_wrong_with_a_file_is_shown(client: openai.AsyncOpenAI, batches: BatchTable) -> None:
    batch = await created(client)
    claimed = await batches.claim(batch.id, "run-1")
    assert claimed is not None
    await batches.end(claimed, "failed", errors=[{"code": "invalid_json_line", "line": 3, "message": "no", "param": None}])
    failed = await client.batches.retrieve(batch.id)
    assert failed.errors is not None and failed.errors.data is not None and failed.failed_at
    assert (failed.errors.object, failed.errors.data[0].code, failed.errors.data[0].line) == ("list", "invalid_json_line", 3)


async def test_pages_and_cancels_of_batches(service: Service, client: openai.AsyncOpenAI, batches: BatchTable) -> None:
    ids = [(await created(client)).id for _ in range(3)]
    await created(service.openai(default_headers=by("other")))
    assert [batch.id async for batch in client.batches.list(limit=2)] == ids[::-1]
    waiting = await client.batches.cancel(ids[0])
    assert waiting.status == "cancelled" and waiting.cancelled_at
    assert (await client.batches.cancel(ids[0])) == waiting
    await batches.claim(ids[1], "run-1")
    running = await client.batches.cancel(ids[1])
    assert running.status == "cancelling" and running.cancelling_at and running.cancelled_at is None
    assert await batches.is_cancelled(ids[1])


async def test_an_idempotency_key_creates_one_batch(client: openai.AsyncOpenAI) -> None:
    file, key = await uploaded(client), {"Idempotency-Key": "order-1"}

    async def create(endpoint: Any = "/v1/embeddings") -> Any:
        return await client.batches.with_raw_response.create(
            input_file_id=file.id, endpoint=endpoint, completion_window="24h", extra_headers=key
        )

    first = await create()
    await client.files.delete(file.id)
    again = await create()
    assert first.parse() == again.parse() and again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    with pytest.raises(openai.ConflictError) as refused:
        await create("/v1/completions")
    assert refused.value.code == "idempotency_key_reused"


async def test_what_is_anothers_is_not_there(service: Service, client: openai.AsyncOpenAI) -> None:
    batch = await created(client)
    other = service.openai(default_headers=by("other"))
    file = batch.input_file_id
    create: Any = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
    for asked in (
        other.files.retrieve(file),
        other.files.content(file),
        other.files.delete(file),
        other.files.list(after=file),
        other.batches.create(**create),
        other.batches.retrieve(batch.id),
        other.batches.cancel(batch.id),
        other.batches.list(after=batch.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await asked
    assert await client.files.retrieve(file) and (await client.batches.retrieve(batch.id)).status == "validating"


@pytest.mark.parametrize(
    "id",
    [
        "file-1",
        "batch_" + "0" * 32,
        "file-" + "0" * 32,
        "../jobs/x",
        "file-" + "0" * 31 + "%0a",
        "x%2f..%2fy",
        "job_" + "0" * 32,
    ],
)
async def test_an_id_that_is_none_is_not_there(service: Service, id: str) -> None:
    for method, path in (("GET", f"/v1/files/{id}"), ("GET", f"/v1/files/{id}/content"), ("DELETE", f"/v1/files/{id}")):
        answer = await service.http.request(method, path, headers=by())
        assert answer.status_code == 404, (method, path)
    for method, path in (("GET", f"/v1/batches/{id}"), ("POST", f"/v1/batches/{id}/cancel")):
        answer = await service.http.request(method, path, headers=by())
        assert answer.status_code == 404, (method, path)


async def test_a_job_is_no_batch_and_no_batch_a_job(service: Service, client: openai.AsyncOpenAI) -> None:
    batch = await created(client)
    listed = (await service.http.get("/jobs", headers=by())).json()
    assert listed["jobs"] == []
    assert (await service.http.get(f"/jobs/{batch.id}", headers=by())).status_code == 404


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "7d"}, "completion_window"),
        ({"input_file_id": ""}, "input_file_id"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: ""}}, "metadata." + "k" * 54 + "…"),
        ({"metadata": {"a": "v" * 513}}, "metadata.a"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": []}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 3_599}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "created_at"}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "last_active_at", "seconds": 3_600}}, "output_expires_after.anchor"),
        ({"priority": 1}, "priority"),
    ],
)
async def test_a_batch_that_is_asked_wrongly(service: Service, change: dict[str, Any], param: str) -> None:
    body = {"input_file_id": "file-" + "0" * 32, "endpoint": "/v1/embeddings", "completion_window": "24h"} | change
    answer = await service.post("/v1/batches", body, by())
    error = service.error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", param)


async def test_the_file_of_answers_is_no_file_of_requests(
    client: openai.AsyncOpenAI, dynamodb: DynamoDB, batches: BatchTable
) -> None:
    batch = await batches.get((await created(client)).id)
    assert batch is not None
    result = file_of_batch(batch, "output", 3, batches.clock())
    await FileTable(dynamodb, TABLE).add(result)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.batches.create(input_file_id=result.id, endpoint="/v1/embeddings", completion_window="24h")
    assert refused.value.param == "input_file_id"
    assert [file.id async for file in client.files.list(purpose="batch_output")] == [result.id]
    with pytest.raises(openai.NotFoundError):  # its object is gone
        await client.files.content(result.id)


@pytest.mark.assumes("presigned-file")
async def test_a_file_that_is_longer_than_lambda_sends_is_read_at_s3(
    client: openai.AsyncOpenAI, service: Service, dynamodb: DynamoDB, batches: BatchTable, bucket: Bucket
) -> None:
    batch = await batches.get((await created(client)).id)
    assert batch is not None
    content = LINES * (21 * 1024 * 1024 // len(LINES))
    result = file_of_batch(batch, "output", len(content), batches.clock())
    await FileTable(dynamodb, TABLE).add(result)
    await bucket.put(result.key, content)
    path = f"/v1/files/{result.id}/content"
    answer = await service.http.get(path, headers=by())
    link = httpx.URL(answer.headers["location"])
    assert (answer.status_code, answer.json(), link.params["X-Amz-Expires"]) == (302, {"url": str(link)}, "300")
    assert link.path.endswith(f"/{result.key}") and "authorization" not in answer.headers
    assert (await client.files.content(result.id)).content == content  # the client follows
    async with httpx.AsyncClient(trust_env=False, timeout=60) as anybody:
        read = await anybody.get(link)
    assert read.headers["content-disposition"] == "attachment" and read.headers["content-type"] == "application/octet-stream"
    assert (await service.http.get(path, headers=by("other"))).status_code == 404
    await bucket.delete(result.key)
    assert (await service.http.get(path, headers=by())).status_code == 404


WRONG_FILES: dict[str, tuple[list[tuple[str, bytes]], str, str]] = {
    "no purpose": ([FILE], "purpose", "required"),
    "another purpose": ([("form-data; name=purpose", b"fine-tune"), FILE], "purpose", "'batch'"),
    "no file": ([PURPOSE], "file", "required"),
    "a file without a name": ([PURPOSE, ('form-data; name="file"', b"{}")], "file", ""),
    "empty": ([PURPOSE, (FILE[0], b" \n")], "file", "empty"),
    "not UTF-8": ([PURPOSE, (FILE[0], b'{"a": "\xff"}')], "file", "byte 7"),
    "replaced bytes": ([PURPOSE, (FILE[0], '{"a": "\ufffd"}'.encode())], "file", "U+FFFD"),
    "binary": ([PURPOSE, (FILE[0], b"PK\x03\x04\0\0")], "file", "zero byte"),
    "a name of control characters": ([PURPOSE, ('form-data; name="file"; filename="a\x01b"', b"{}")], "file", "control"),
    "a name that is a folder": ([PURPOSE, ('form-data; name="file"; filename="a/"', b"{}")], "file", "empty"),
    "a long name": ([PURPOSE, (f'form-data; name="file"; filename="{"a" * 256}"', b"{}")], "file", "255"),
    "two files": ([PURPOSE, FILE, FILE], "file", "once"),
    "two purposes": ([PURPOSE, PURPOSE, FILE], "purpose", "once"),
    "another file": ([PURPOSE, FILE, ('form-data; name="more"; filename="b"', b"{}")], "more", "not known"),
    "another field": ([PURPOSE, FILE, ('form-data; name="more"', b"1")], "more", "not known"),
    "a long field": ([("form-data; name=purpose", b"b" * 1_025), FILE], "purpose", "1,024"),
    "a field that is not UTF-8": ([("form-data; name=purpose", b"\xff"), FILE], "purpose", "UTF-8"),
    "no anchor": ([PURPOSE, FILE, ("form-data; name=expires_after[seconds]", b"3600")], "expires_after[anchor]", ""),
    "too short": (
        [
            *(PURPOSE, FILE, ("form-data; name=expires_after[anchor]", b"created_at")),
            ("form-data; name=expires_after[seconds]", b"-1"),
        ],
        *("expires_after[seconds]", "3600"),
    ),
}


@pytest.mark.assumes("form-body")
@pytest.mark.parametrize("case", WRONG_FILES)
async def test_a_file_that_is_wrong_is_not_kept(service: Service, client: openai.AsyncOpenAI, case: str) -> None:
    parts, param, text = WRONG_FILES[case]
    answer = await post(service, form(*parts))
    error = service.error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", param)
    assert text in error["message"] and (await client.files.list()).data == []


MALFORMED = {
    "no form": (b"{}", "application/json"),
    "no type": (LINES, ""),
    "no boundary": (form(PURPOSE, FILE), "multipart/form-data"),
    "an empty boundary": (form(PURPOSE, FILE, boundary=""), 'multipart/form-data; boundary=""'),
    "a long boundary": (form(PURPOSE, FILE, boundary="b" * 71), f"multipart/form-data; boundary={'b' * 71}"),
    "another boundary": (form(PURPOSE, FILE), "multipart/form-data; boundary=line-2"),
    "cut": (form(PURPOSE, FILE)[:-8], None),
    "no parts": (b"", None),
    "many parts": (form(*[(f'form-data; name="f{n}"', b"") for n in range(17)]), None),
    "very many parts": (b"--line-1\r\n\r\n" * 300_000, None),
    "a part without a name": (form(("form-data", b"x")), None),
    "an attachment": (form(('attachment; name="file"; filename="a"', b"x")), None),
    "headers that do not end": (b"--line-1\r\nContent-Disposition: form-data; name=x\r\nx" + b"\r\n--line-1--", None),
    "long headers": (b"--line-1\r\nX: " + b"x" * 5_000 + b"\r\n\r\nx\r\n--line-1--", None),
    "headers that are not UTF-8": (b'--line-1\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--line-1--', None),
    "no headers": (b"--line-1\r\n\r\nx\r\n--line-1--", None),
    "a boundary that goes on": (b"--line-1x\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--line-1--", None),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_body_that_is_no_form(service: Service, case: str) -> None:
    body, content_type = MALFORMED[case]
    answer = await (post(service, body) if content_type is None else post(service, body, content_type))
    assert (answer.status_code, service.error_of(answer)["code"]) == (400, "invalid_form")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("C:\\\\fakepath\\\\in.jsonl", "in.jsonl"),
        ("../../etc/passwd", "passwd"),
        ('a\\"; x=\\"b.jsonl', 'a"; x="b.jsonl'),
        ("a%0d%0aSet-Cookie: x=1.jsonl", "a%0d%0aSet-Cookie: x=1.jsonl"),
        ("<script>.jsonl", "<script>.jsonl"),
    ],
)
async def test_a_name_is_no_path_and_no_header(service: Service, given: str, kept: str) -> None:
    answer = await post(service, form(PURPOSE, (f'form-data; name="file"; filename="{given}"', LINES)))
    assert answer.status_code == 200, answer.text
    assert answer.json()["filename"] == kept
    content = await service.http.get(f"/v1/files/{answer.json()['id']}/content", headers=by())
    assert content.content == LINES and "set-cookie" not in content.headers
    assert content.headers["content-disposition"] == "attachment" and content.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("utf-8''fragen%20%C3%A4.jsonl", "fragen ä.jsonl"),
        ("UTF-8'de'..%2Fa.jsonl", "a.jsonl"),
        ("us-ascii''in.jsonl", "in.jsonl"),
        ("in.jsonl", "in.jsonl"),
        ("idna''a%ff", None),
        ("unicode_escape''%5cud800.jsonl", None),
        ("utf-8''%ed%a0%80.jsonl", None),
        ("us-ascii''%e4.jsonl", None),
        ("no-such-charset''a", None),
        ("utf-8''€", None),
    ],
)
async def test_a_name_with_a_charset_is_utf_8_or_refused(
    service: Service, client: openai.AsyncOpenAI, given: str, kept: str | None
) -> None:
    answer = await post(service, form(PURPOSE, (f'form-data; name="file"; filename*={given}', LINES)))
    if kept is None:
        assert (answer.status_code, service.error_of(answer)["code"]) == (400, "invalid_form")
        assert (await client.files.list()).data == []
    else:
        assert answer.status_code == 200 and answer.json()["filename"] == kept


async def test_a_file_that_has_lines_like_a_boundarys_is_kept_as_it_is(service: Service) -> None:
    content = b'{"a": 1}\r\n--line\r\n{"b": 2}\r\n\r\n'
    answer = await post(service, b"preamble\r\n" + form(PURPOSE, (FILE[0] + "\r\nContent-Type: application/jsonl", content)))
    assert answer.status_code == 200, answer.text
    got = await service.http.get(f"/v1/files/{answer.json()['id']}/content", headers=by())
    assert got.content == content


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/files?limit=0", "limit"),
        ("/v1/files?limit=10001", "limit"),
        ("/v1/files?order=up", "order"),
        ("/v1/files?purpose=visions", "purpose"),
        ("/v1/files?after=batch_1", "after"),
        ("/v1/files?page=2", "page"),
        ("/v1/batches?limit=101", "limit"),
        ("/v1/batches?limit=x", "limit"),
        ("/v1/batches?after=", "after"),
        ("/v1/batches?order=asc", "order"),
    ],
)
async def test_a_page_that_is_asked_wrongly(service: Service, path: str, param: str) -> None:
    answer = await service.http.get(path, headers=by())
    error = service.error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", param)


async def test_nothing_is_kept_of_who_may_not_have_it_kept(
    gateway: Any, dynamodb: DynamoDB, bucket: Bucket, dynamodb_url: str
) -> None:
    import msgspec

    routes = msgspec.structs.replace(ROUTES, rules=(Rule("private", retention="none"),))
    service: Service = await gateway(jobs=dynamodb_url, batches=True, authorization="api_key", routes=routes)
    client = service.openai(default_headers=by())
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await uploaded(client)
    assert refused.value.code == "denied_by_rule"
    with pytest.raises(openai.PermissionDeniedError):
        await client.batches.create(input_file_id="file-1", endpoint="/v1/embeddings", completion_window="24h")


async def test_where_the_stores_are_away_all_is_503(gateway: Any) -> None:
    service: Service = await gateway(jobs="http://127.0.0.1:9", batches=True, authorization="api_key")
    client = service.openai(default_headers=by())
    id = "0" * 32
    for asked in (
        uploaded(client),
        client.files.retrieve(f"file-{id}"),
        client.files.content(f"file-{id}"),
        client.batches.retrieve(f"batch_{id}"),
    ):
        with pytest.raises(openai.InternalServerError) as refused:
            await asked
        assert (refused.value.status_code, refused.value.code) == (503, "jobs_unavailable")


async def test_without_batches_there_are_no_such_operations(gateway: Any, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    service: Service = await gateway(jobs=dynamodb_url, authorization="api_key")
    others = {operation.path for operation in operations(tickets=False, limits=False, journal=False, jobs=True)}
    for operation in operations(tickets=False, limits=False, journal=False, jobs=True, batches=True):
        if operation.path not in others:
            answer = await service.http.request(operation.method, operation.path.replace("{id}", "x"), headers=by())
            assert (answer.status_code, service.error_of(answer)["code"]) == (404, "unknown_route")
    assert "/v1/batches" not in (await service.http.get("/openapi.json")).json()["paths"]


async def test_the_answers_are_as_described(service: Service, client: openai.AsyncOpenAI) -> None:
    shapes: Any = schemathesis.openapi.from_dict((await service.http.get("/openapi.json")).json())
    upload = await post(service, form(PURPOSE, FILE))
    shapes["/v1/files"]["POST"].validate_response(upload)
    shapes["/v1/files"]["POST"].validate_response(await post(service, b"x"))
    file = upload.json()["id"]
    for path in ("/v1/files", "/v1/files/{id}", "/v1/files/{id}/content"):
        shapes[path]["GET"].validate_response(await service.http.get(path.replace("{id}", file), headers=by()))
    body = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"}
    batch = await service.post("/v1/batches", body, by())
    shapes["/v1/batches"]["POST"].validate_response(batch)
    id = batch.json()["id"]
    for path in ("/v1/batches", "/v1/batches/{id}"):
        shapes[path]["GET"].validate_response(await service.http.get(path.replace("{id}", id), headers=by()))
    cancelled = await service.http.post(f"/v1/batches/{id}/cancel", headers=by())
    shapes["/v1/batches/{id}/cancel"]["POST"].validate_response(cancelled)
    deleted = await service.http.delete(f"/v1/files/{file}", headers=by())
    shapes["/v1/files/{id}"]["DELETE"].validate_response(deleted)
