"""The calls of S3: signed as botocore signs them, carried out by moto, and repeated where that may help."""

import datetime
import time
from unittest import mock
from urllib.parse import quote

import pytest
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from llm_gateway.aws import multipart, s3
from llm_gateway.aws.client import Aws
from llm_gateway.aws.multipart import ObjectWriter
from llm_gateway.aws.s3 import Bucket, S3Error
from llm_gateway.aws.sigv4 import Signer
from llm_gateway.http.client import HttpClient
from support.jobs_table import BUCKET
from support.web_app import listening
from support.websocket_api import aws

ODD_KEYS = ["jobs/a/b.json", "a b+c&d=e", "ä/€/😀", "..", "a//b", "/a", "./a/../b", "100%", "%2F", "~'()*!", "a?b#c", "a/"]
MOMENT = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.binary(max_size=10))
@example("a//../b c", b"{}")
def test_an_object_is_signed_as_botocore_signs_it(key: str, body: bytes) -> None:
    path = f"/{quote(key, safe='/')}"
    request = AWSRequest("PUT", f"https://bucket.s3.eu-west-1.amazonaws.com{path}", headers={"if-none-match": "*"}, data=body)
    credentials = Credentials("AKIDEXAMPLE", "secret-of-an-example", "token-of-an-example")
    with mock.patch("botocore.auth.get_current_datetime", return_value=MOMENT):
        S3SigV4Auth(credentials, "s3", "eu-west-1").add_auth(request)
    signer = Signer("AKIDEXAMPLE", "secret-of-an-example", "token-of-an-example", "eu-west-1", "s3")
    host = "bucket.s3.eu-west-1.amazonaws.com"
    ours = dict(signer.sign("PUT", host, path, [("if-none-match", "*")], body, MOMENT.timestamp()))
    theirs = {name.lower(): value for name, value in request.headers.items()}
    for name in ("authorization", "x-amz-content-sha256", "x-amz-security-token", "x-amz-date"):
        assert ours[name] == theirs[name]


@pytest.mark.parametrize(
    ("environ", "base"),
    [
        ({}, "https://b.s3.eu-west-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, "https://b.s3.cn-north-1.amazonaws.com.cn"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "http://127.0.0.1:4566/b"),
        ({"AWS_ENDPOINT_URL_S3": "https://s3.example.com/"}, "https://s3.example.com/b"),
    ],
)
def test_the_address_of_a_bucket(environ: dict[str, str], base: str) -> None:
    keys = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
    assert Aws(HttpClient(), keys | environ).bucket("b") == base


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_an_object_is_written_and_read(bucket: Bucket, key: str) -> None:
    key = f"{time.monotonic_ns()}/{key}"
    assert await bucket.get(key) is None
    await bucket.put(key, b'{"a": 1}')
    assert await bucket.get(key) == b'{"a": 1}'
    await bucket.put(key, b"{}")
    assert await bucket.get(key) == b"{}"


@pytest.mark.assumes("new-object")
async def test_the_first_of_two_writers_of_a_new_object_wins(bucket: Bucket) -> None:
    key = f"{time.monotonic_ns()}.json"
    assert await bucket.put_new(key, b"1") is True
    assert await bucket.put_new(key, b"2") is False
    assert await bucket.get(key) == b"1"


@pytest.mark.parametrize("size", [0, 1, 10, 25])
async def test_a_large_object_is_written_in_parts_and_read_by_ranges(bucket: Bucket, monkeypatch, size: int) -> None:
    monkeypatch.setattr(multipart, "PART_BYTES", least := 5 * 1024 * 1024)  # moto refuses smaller ones, as S3 does
    key, line = f"{time.monotonic_ns()}/a b.jsonl", b"x" * (1024 * 1024 - 1) + b"\n"
    writer = ObjectWriter(bucket, key, "application/jsonl")
    for _ in range(size):
        await writer.write(line)
        assert len(writer._part) < least
    assert await bucket.get(key) is None
    await writer.close()
    assert writer.size == size * len(line)
    if size:
        assert await bucket.get_range(key, len(line) - 2, len(line) + 1) == b"x\nx"[: 2 + (size > 1)]
        assert await bucket.get_range(key, size * len(line) - 2, size * len(line) + 9) == b"x\n"
    else:
        assert await bucket.get(key) == b""


async def test_an_object_that_is_given_up_is_not_there(bucket: Bucket) -> None:
    key = f"{time.monotonic_ns()}.jsonl"
    writer = ObjectWriter(bucket, key, "application/jsonl")
    await writer.give_up()  # nothing was written
    await writer.write(b"x" * multipart.PART_BYTES)
    assert key.encode() in (await bucket._request("GET", "", b"", (), "uploads="))[1]
    await writer.give_up()
    assert key.encode() not in (await bucket._request("GET", "", b"", (), "uploads="))[1]
    assert await bucket.get(key) is None


async def test_an_error_after_the_status_200_is_one(http: HttpClient) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=refusal("InternalError"))

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    async with listening(app) as url:
        with pytest.raises(S3Error, match="InternalError"):
            await Bucket(aws(http, AWS_ENDPOINT_URL_S3=url), BUCKET).complete_upload("k", "u", ["e"])


def refusal(code: str) -> bytes:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>secret-of-an-example</Message></Error>'.encode()


# The answers of S3 -> what a read returns, or the error's code.
ANSWERS = {
    "at the second try": ([(503, "SlowDown"), (200, "")], ""),
    "after 500": ([(500, "InternalError"), (500, "InternalError"), (200, "")], ""),
    "a conflict": ([(409, "ConditionalRequestConflict"), (200, "")], ""),
    "not there": ([(404, "NoSuchKey")], None),
    "not allowed": ([(403, "AccessDenied")], "AccessDenied"),  # which is not the same as not there
    "no bucket": ([(404, "NoSuchBucket")], "NoSuchBucket"),
    "never": ([(503, "SlowDown")] * 4, "SlowDown"),
    "a wrong signature": ([(403, "SignatureDoesNotMatch")], "SignatureDoesNotMatch"),
}


@pytest.mark.assumes("new-object")
@pytest.mark.parametrize(("answers", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_what_may_pass_is_tried_again(http: HttpClient, monkeypatch, answers, expected) -> None:
    monkeypatch.setattr(s3, "_FIRST_PAUSE", 0.0)
    left = list(answers)

    async def handle(_: web.Request) -> web.Response:
        status, code = left.pop(0)
        return web.Response(status=status, body=refusal(code) if code else b"")

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with listening(app) as url:
        bucket = Bucket(aws(http, AWS_ENDPOINT_URL_S3=url), BUCKET)
        if expected:
            with pytest.raises(S3Error, match=expected) as caught:
                await bucket.get("k")
            assert "secret" not in str(caught.value)
        else:
            assert await bucket.get("k") == (None if expected is None else b"")
    assert not left
