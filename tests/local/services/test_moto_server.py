"""moto as the local run starts it: for programs of this machine, and for no page."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import httpx
import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import moto_server
from pulumi_llm_local.services.loopback import is_foreign, is_loopback
from pulumi_llm_local.services.moto import TABLE, Moto, MotoError, call, scope, throttled_share
from pulumi_llm_local.upstreams.fault import Fault

_TABLE = {"name": "jobs", "hashKey": "pk", "attributes": [{"name": "pk", "type": "S"}]}
GRAPH = Graph("us-east-1", (Resource("jobs", TABLE, "jobs", "jobs", _TABLE, _TABLE),), {}, ())
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "x-amz-target"}


async def test_no_page_reads_or_changes_the_tables(tmp_path: Path) -> None:
    moto = Moto(tmp_path / "moto.log", os.environ)
    await moto.start()
    try:
        async with httpx.AsyncClient(base_url=moto.url, trust_env=False, timeout=60) as client:
            own = await client.get("/moto-api/data.json")
            assert own.status_code == 200
            assert not [name for name in own.headers if name.startswith("access-control-")]
            page = {"origin": "https://example.com"}
            for method, headers in (
                ("OPTIONS", page | PREFLIGHT),
                ("POST", page),  # without a preflight it may send, whatever it may read
                ("POST", {"origin": "null"}),
                ("GET", {"host": "rebound.example.com"}),
            ):
                answer = await client.request(method, "/moto-api/reset", headers=headers)
                assert answer.status_code == 403, (method, headers)
                assert not [name for name in answer.headers if name.startswith("access-control-")]
    finally:
        await moto.stop()


async def test_a_share_of_the_calls_of_items_is_throttled(tmp_path: Path) -> None:
    moto = Moto(tmp_path / "moto.log", os.environ, 0.5)
    await moto.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            httpx.AsyncClient(base_url=moto.url, trust_env=False, timeout=60) as client,
        ):
            await moto.fill(GRAPH, {}, ())
            for _ in range(8):  # those of the run itself are not
                await call(session, moto.url, "us-east-1", "dynamodb", "DynamoDB_20120810.Scan", {"TableName": "jobs"})
            answers = []
            for operation in ("Scan", "DescribeTable") * 8:
                headers = scope("us-east-1", "dynamodb") | {"x-amz-target": f"DynamoDB_20120810.{operation}"}
                headers["authorization"] = headers["authorization"].replace("local", "AKIAIOSFODNN7EXAMPLE")
                answers.append(await client.post("/", json={"TableName": "jobs"}, headers=headers))
            refused = [answer for answer in answers if answer.status_code == 400]
            assert 0 < len(refused) < 8
            assert {each.json()["__type"].partition("#")[2] for each in refused} == {"ThrottlingException"}
    finally:
        await moto.stop()


def test_dynamodb_has_no_other_fault() -> None:
    with pytest.raises(MotoError, match="--fault: dynamodb has the fault throttle alone, not stall"):
        throttled_share([Fault("throttle", 0.1), Fault("stall", upstream="dynamodb")])


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("[::1]:80", True),
        ("app.localhost:3000", True),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("example.com:127.0.0.1", False),
        ("user@example.com", False),
        ("[", False),
        ("", False),
        (None, False),
    ],
)
def test_which_names_are_this_machines(host: str | None, *, ours: bool) -> None:
    assert is_loopback(host) is ours
    if host:
        assert is_foreign(f"http://{host}") is not ours


def test_a_program_has_no_origin() -> None:
    assert not is_foreign(None)
    assert is_foreign("null")  # a sandboxed page, or a file


def test_old_iterators_of_streams_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.dynamodbstreams.models import dynamodbstreams_backends

    monkeypatch.setattr(moto_server, "_MOST_ITERATORS", 2)
    iterators: dict[str, Any] = dynamodbstreams_backends["123456789012"]["eu-west-1"].shard_iterators
    iterators |= {"one": None, "two": None, "three": None}
    environ: Any = {"HTTP_X_AMZ_TARGET": "DynamoDBStreams_20120810.GetRecords"}
    app: Any = Mock(return_value=[b"{}"])
    answer: Any = moto_server.bounded(app)
    assert answer(environ, None) == [b"{}"]
    assert list(iterators) == ["two", "three"]
    iterators.clear()
