"""The operations of jobs over HTTP: what is kept, who sees what, and that nothing is kept of what /chat would refuse."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
import schemathesis

from lambda_src.conftest import ROUTES
from llm_functions.request_context import caller_context
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.aws.s3 import Bucket
from llm_gateway.identity.caller import Caller, Credential
from llm_gateway.jobs.job import Job, owner_of
from llm_gateway.jobs.table import JobTable
from llm_gateway.operations import operations
from llm_gateway.rules import Rule
from support.gateway_service import Service, sse_events
from support.jobs_table import TABLE

pytestmark = pytest.mark.timeout(60)

NOWHERE = "http://127.0.0.1:9"
CALLER = Caller("acme", "ci")
MOCK = {"message": "Hi", "model": "mock"}
OPENAI = {"endpoint": "/v1/chat/completions", "body": {"model": "mock", "messages": [{"role": "user", "content": "Hi"}]}}


def by(key: str = "ci", **more: Any) -> dict[str, str]:
    return Service.context(caller_context(Caller("acme", key, **more), Credential()))


@pytest.fixture
async def service(gateway: Any, dynamodb: DynamoDB, bucket: Bucket, dynamodb_url: str) -> Service:
    return await gateway(jobs=dynamodb_url, authorization="api_key")


@pytest.fixture
def table(dynamodb: DynamoDB) -> JobTable:
    return JobTable(dynamodb, TABLE)


async def described(service: Service) -> Any:
    return schemathesis.openapi.from_dict((await service.http.get("/openapi.json")).json())


async def claimed(table: JobTable, id: str) -> Job:
    job = await table.claim(id, "run-1", "message-1")
    assert job is not None and job.run == "run-1"
    return job


async def test_a_job_from_its_submission_to_its_result(service: Service, table: JobTable, bucket: Bucket) -> None:
    shapes = await described(service)
    submitted = await service.post("/jobs", MOCK, by())
    assert submitted.status_code == 202, submitted.text
    shapes["/jobs"]["POST"].validate_response(submitted)
    shown = submitted.json()
    assert {name: shown[name] for name in ("status", "model", "attempts")} == {
        "status": "queued",
        "model": "mock",
        "attempts": 0,
    }
    path = f"/jobs/{shown['id']}"
    assert (await service.http.get(path, headers=by())).json() == shown
    job = await claimed(table, shown["id"])
    assert msgspec.json.decode(await bucket.get(job.request_key) or b"") == MOCK and job.caller == CALLER
    running = await service.http.get(path, headers=by())
    assert running.json()["status"] == "running" and "result" not in running.json()
    await bucket.put_new(job.result_key, b'{"message":"Hello","usage":{"input_tokens":1,"output_tokens":2}}')
    await table.finish(job, "succeeded", usage={"input_tokens": 1, "output_tokens": 2})
    ended = await service.http.get(path, headers=by())
    shapes["/jobs/{id}"]["GET"].validate_response(ended)
    told = ended.json()
    assert (told["status"], told["result"]["message"], told["usage"]["output_tokens"]) == ("succeeded", "Hello", 2)
    assert told["created"] <= told["started"] <= told["ended"] < told["expires"]
    assert (await service.http.delete(path, headers=by())).json()["status"] == "succeeded"


async def test_a_list_of_jobs_and_its_pages(service: Service, table: JobTable) -> None:
    submitted = await service.post("/jobs", {"jobs": [MOCK, OPENAI, {"prompt": "Ho", "model": "mock"}]}, by())
    assert submitted.status_code == 202
    jobs = submitted.json()["jobs"]
    assert len({job["id"] for job in jobs}) == 3
    later = (await service.post("/jobs", MOCK, by())).json()
    await service.post("/jobs", MOCK, by("other"))
    await service.http.delete(f"/jobs/{later['id']}", headers=by())
    shapes, found, query = await described(service), list[str](), "?limit=2"
    while query:
        page = await service.http.get(f"/jobs{query}", headers=by())
        shapes["/jobs"]["GET"].validate_response(page)
        found += [job["id"] for job in page.json()["jobs"]]
        query = f"?limit=2&after={page.json()['next']}" if "next" in page.json() else ""
    assert found[0] == later["id"] and sorted(found[1:]) == sorted(job["id"] for job in jobs)
    queued = (await service.http.get("/jobs?status=queued", headers=by())).json()
    assert len(queued["jobs"]) == 3 and "next" not in queued
    only = (await service.http.get("/jobs?status=cancelled&limit=1", headers=by())).json()
    assert [job["id"] for job in only["jobs"]] == [later["id"]]


async def test_a_key_submits_once(service: Service, table: JobTable) -> None:
    key = {"idempotency-key": "order-1"}
    first = await service.post("/jobs", {"jobs": [MOCK, OPENAI]}, by() | key)
    again = await service.post("/jobs", {"jobs": [MOCK, OPENAI]}, by() | key)
    assert again.status_code == 202 and again.json() == first.json()
    assert "idempotent-replayed" not in first.headers and again.headers["idempotent-replayed"] == "true"
    other = await service.post("/jobs", {"jobs": [MOCK, OPENAI, MOCK]}, by() | key)
    assert (other.status_code, service.error_of(other)["code"]) == (409, "idempotency_key_reused")
    theirs = await service.post("/jobs", {"jobs": [MOCK]}, by("other") | key)
    assert theirs.status_code == 202
    # What the first request asks is as it was.
    listed = (await service.http.get("/jobs", headers=by())).json()
    assert {job["id"] for job in listed["jobs"]} == {job["id"] for job in first.json()["jobs"]}


@pytest.mark.parametrize(
    ("prefix", "base"), [("", "/jobs"), ("/jobs", ""), ("/jobs", "/jobs"), ("", "/v1/jobs"), ("/v1", "/jobs")]
)
async def test_a_base_path_and_a_prefix_may_be_named_as_an_operation(
    gateway: Any, dynamodb: DynamoDB, bucket: Bucket, dynamodb_url: str, prefix: str, base: str
) -> None:
    service = await gateway(jobs=dynamodb_url, authorization="api_key", path_prefix=prefix)

    async def status(method: str, resource: str, id: str = "", **more: Any) -> tuple[int, Any]:
        context = json.loads(by()["x-amzn-request-context"]) | {"resourcePath": prefix + resource}
        path = base + prefix + resource.replace("{id}", id)
        headers = {"x-amzn-request-context": json.dumps(context)}
        answer = await service.http.request(method, path, headers=headers, **more)
        return answer.status_code, answer.json()

    submitted, job = await status("POST", "/jobs", json=MOCK)
    known = await status("GET", "/jobs/{id}", job["id"])
    listed, _ = await status("GET", "/jobs")
    cancelled, shown = await status("DELETE", "/jobs/{id}", job["id"])
    assert (submitted, known, listed, cancelled) == (202, (200, job), 200, 200) and shown["status"] == "cancelled"


def chats(**more: Any) -> dict[str, Any]:
    return {"endpoint": OPENAI["endpoint"], "body": {**OPENAI["body"], **more}}


GONE = {"message": "Hi", "model": "gone"}
# What is wrong with a body -> words of the error 400.
PROBLEMS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a field": ({"message": "Hi", "temperature": 9, "max_tokens": 0}, ("temperature", "max_tokens")),
    "several": ({"jobs": [MOCK, {"message": ""}, {"messages": []}]}, ("jobs[1]: message", "jobs[2]: ")),
    "no jobs": ({"jobs": []}, ("jobs: must be a list of 1 to 100",)),
    "too many": ({"jobs": [MOCK] * 101}, ("jobs: must be a list of 1 to 100",)),
    "a job that is none": ({"jobs": [MOCK, 7]}, ("jobs[1]: must be an object",)),
    "a field beside the list": ({"jobs": [MOCK], "model": "mock"}, ("model: is not known beside jobs",)),
    "an endpoint": ({"endpoint": "/v1/embeddings", "body": {}}, ("endpoint: must be",)),
    "no body": ({"endpoint": "/chat"}, ("body: is required",)),
    "a stream": (chats(stream=True), ("stream: must be false",)),
    "a conversation": (chats(messages=[]), ("messages",)),
}
# What else is refused, the headers -> the status and the code.
REFUSALS: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "an alias": (GONE, {}, 404, "model_not_found"),
    "an alias of one of several": ({"jobs": [MOCK, {"message": ""}, GONE]}, {}, 404, "model_not_found"),
    "an alias of others": ({"message": "Hi", "model": "full"}, by(models=("mock",)), 403, "model_not_allowed"),
    "a key": (MOCK, {"idempotency-key": "a" * 256}, 400, "invalid_value"),
    "no caller": (MOCK, Service.context(), 401, "missing_api_key"),
    **{name: (body, {}, 400, "invalid_value") for name, (body, _) in PROBLEMS.items()},
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_nothing_is_kept_of_what_is_refused(gateway: Any, name: str) -> None:
    body, headers, status, code = REFUSALS[name]
    service = await gateway(jobs=NOWHERE, authorization="api_key")  # what would be kept would be the error 503
    refused = await service.post("/jobs", body, by() | headers)
    error = service.error_of(refused)
    assert (refused.status_code, error["code"]) == (status, code), error
    assert all(word in error["message"] for word in PROBLEMS.get(name, (body, ()))[1]), error["message"]
    (await described(service))["/jobs"]["POST"].validate_response(refused)


@pytest.mark.parametrize(
    "rule", [Rule("closed", models=("bare",)), Rule("private", retention="none")], ids=lambda rule: rule.name
)
async def test_nothing_is_kept_of_what_a_rule_refuses(gateway: Any, rule: Rule) -> None:
    service = await gateway(jobs=NOWHERE, authorization="api_key", routes=msgspec.structs.replace(ROUTES, rules=(rule,)))
    refused = await service.post("/jobs", MOCK, by())
    assert (refused.status_code, service.error_of(refused)["code"]) == (403, "denied_by_rule")


QUERIES = {
    "status": ("status=done", "status: must be one of queued, running"),
    "limit": ("limit=0", "limit: must be between 1 and 100"),
    "after": ("after=1", "after: must be"),
    "after, in other digits": (f"after=%D9%A1026-11-30T19:02:44.123Z,job_{'0' * 32}", "after: must be"),
    "another": ("page=2", "page: is not known"),
}


@pytest.mark.parametrize(("query", "words"), QUERIES.values(), ids=QUERIES)
async def test_a_query_that_is_wrong(gateway: Any, query: str, words: str) -> None:
    service = await gateway(jobs=NOWHERE, authorization="api_key")
    refused = await service.http.get(f"/jobs?{query}", headers=by())
    assert refused.status_code == 400 and words in service.error_of(refused)["message"]


@pytest.mark.parametrize(("method", "more"), [("GET", ""), ("DELETE", ""), ("GET", "/events")])
async def test_nobody_sees_the_jobs_of_others(service: Service, method: str, more: str) -> None:
    id = (await service.post("/jobs", MOCK, by())).json()["id"]
    for unknown in (id, f"job_{'0' * 32}", "job_1", "request-1"):
        answer = await service.http.request(method, f"/jobs/{unknown}{more}", headers=by("other"))
        assert (answer.status_code, service.error_of(answer)["code"]) == (404, "unknown_job")
        (await described(service))[f"/jobs/{{id}}{more}"][method].validate_response(answer)
    assert (await service.http.get(f"/jobs/{id}", headers=by())).json()["status"] == "queued"


def test_the_sessions_of_a_role_see_its_jobs() -> None:
    role = "arn:aws:sts::123456789012:assumed-role/batch/"
    assert owner_of(Caller("1", role + "monday")) == owner_of(Caller("1", role + "tuesday"))
    assert len({owner_of(Caller(*each)) for each in (("a", "bc"), ("ab", "c"), ("a", "b"))}) == 3


async def test_a_job_is_cancelled_at_once_or_soon(service: Service, table: JobTable) -> None:
    first, second = [(await service.post("/jobs", MOCK, by())).json()["id"] for _ in range(2)]
    cancelled = await service.http.delete(f"/jobs/{first}", headers=by())
    assert cancelled.status_code == 200 and cancelled.json()["status"] == "cancelled"
    await claimed(table, second)
    for _ in range(2):
        told = (await service.http.delete(f"/jobs/{second}", headers=by())).json()
        assert (told["status"], told["cancelling"]) == ("running", True)


async def test_the_states_of_a_job_are_followed(service: Service, table: JobTable, bucket: Bucket) -> None:
    id = (await service.post("/jobs", MOCK, by())).json()["id"]
    path, got = f"/jobs/{id}/events", list[tuple[int | None, str]]()
    async with service.http.stream("GET", path, headers=by()) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for event in sse_events(response):
            if event.name == "":
                assert event.retry == 3000
                continue
            got.append((event.id, event.name))
            assert event.data["status"] == event.name
            if event.name == "queued":
                job = await claimed(table, id)
            elif event.name == "running":
                await bucket.put_new(job.result_key, b'{"message":"Hello"}')
                await table.finish(job, "succeeded")
            else:
                assert event.data["result"] == {"message": "Hello"}
    assert got == [(1, "queued"), (2, "running"), (3, "succeeded")]
    # A client that was cut off gets what it has not got; one that has everything is told to come no more.
    last = await service.http.get(path, headers=by() | {"last-event-id": "2"})
    assert "event: succeeded" in last.text and "queued" not in last.text.partition("data")[0]
    assert (await service.http.get(path, headers=by() | {"last-event-id": "3"})).status_code == 204
    wrong = await service.http.get(path, headers=by() | {"last-event-id": "x"})
    assert wrong.status_code == 400 and service.error_of(wrong)["param"] == "Last-Event-ID"


async def test_the_store_is_down(gateway: Any) -> None:
    service = await gateway(jobs=NOWHERE, authorization="api_key")
    shapes, path = await described(service), f"/jobs/job_{'0' * 32}"
    calls = [("POST", "/jobs"), ("GET", "/jobs"), ("GET", path), ("DELETE", path), ("GET", f"{path}/events")]

    async def call(method: str, url: str) -> None:
        body = MOCK if method == "POST" else None
        down = await service.http.request(method, url, json=body, headers=by())
        assert (down.status_code, service.error_of(down)["code"]) == (503, "jobs_unavailable")
        assert down.headers["retry-after"] == "1"
        shapes[url.replace(path, "/jobs/{id}")][method].validate_response(down)

    await asyncio.gather(*(call(*each) for each in calls))


async def test_without_jobs_there_are_no_operations_of_them(gateway: Any) -> None:
    service = await gateway()
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    for operation in operations(tickets=False, limits=False, journal=False, jobs=True):
        if operation.path.startswith("/jobs"):
            assert operation.path not in paths
            answer = await service.http.request(operation.method, operation.path.replace("{id}", "job_1"))
            assert answer.status_code == 404


def test_what_is_described_is_what_there_is() -> None:
    from llm_functions.http.openapi import document

    found = json.loads(document(["mock"], "api_key", jobs=True))
    for operation in operations(tickets=False, limits=False, journal=False, jobs=True):
        assert found["paths"][operation.path][operation.method.lower()]["operationId"] == operation.id
    assert {"Job", "JobList", "JobRequest"} <= set(found["components"]["schemas"])
