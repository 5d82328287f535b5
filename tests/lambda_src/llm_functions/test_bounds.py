"""What bounds each operation that makes or changes something: whoever adds one has to say it here, and to show it."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from llm_functions.http import openapi_batches, openapi_jobs
from llm_functions.request_context import caller_context
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.aws.s3 import Bucket
from llm_gateway.identity.caller import Caller, Credential
from llm_gateway.operations import Operation, operations
from pulumi_llm.api_edge.settings import CallerJobsSettings
from support.gateway_service import Service

pytestmark = pytest.mark.timeout(60)

ALL = operations(tickets=True, limits=True, journal=True, jobs=True, batches=True, usage=True)
CHANGING = [each for each in ALL if each.method != "GET"]
# What works on, or stays, after its request: the code of the error 429, and the setting of a caller's bound.
PER_CALLER: Mapping[str, tuple[str, str]] = {
    "submit_jobs": ("too_many_jobs", "jobs_per_caller"),
    "create_file": ("too_many_files", "files_per_caller"),
    "create_batch": ("too_many_batches", "batches_per_caller"),
}
# What ends with its request: that is bounded by a key's throttle, and what is in flight by the concurrency of the function.
ENDS: Mapping[str, str] = {
    "count_tokens": "estimates, and keeps nothing",
    "websocket_ticket": "a ticket lasts 30 seconds, and connections are bounded",
    "cancel": "one item of the journal, for as long as a stream may last",
    "cancel_job": "changes a job that is there",
    "cancel_batch": "changes a batch that is there",
    "delete_file": "changes a file that is there",
}


def of(*names: str) -> list[Operation]:
    return [each for each in ALL if each.id in names]


def test_each_operation_that_changes_something_has_its_bound() -> None:
    """Those that generate are counted by the ledger, which holds tokens, requests and costs of a caller."""
    generating = {each.id for each in CHANGING if each.generates}
    known = [*PER_CALLER, *ENDS, *generating]
    assert sorted(known) == sorted(each.id for each in CHANGING)


@pytest.mark.parametrize("operation", of(*PER_CALLER), ids=lambda each: each.id)
async def test_what_stays_is_refused_when_its_caller_has_as_much_as_it_may(
    gateway: Any, dynamodb: DynamoDB, bucket: Bucket, dynamodb_url: str, operation: Operation
) -> None:
    code, setting = PER_CALLER[operation.id]
    assert setting in CallerJobsSettings.model_fields
    described = {**openapi_jobs.ERRORS, **openapi_batches.ERRORS}[operation.id]
    assert code in {kind.code for kind in described}
    service: Service = await gateway(jobs=dynamodb_url, batches=True, authorization="api_key", bounds={setting.upper(): "1"})
    by, other = ({**Service.context(caller_context(Caller("acme", key), Credential()))} for key in ("ci", "other"))
    file = await service.http.post("/v1/files", headers=by, **FORM) if operation.id == "create_batch" else None
    bodies: Mapping[str, dict[str, Any]] = {
        "submit_jobs": {"json": {"message": "Hi"}},
        "create_file": FORM,
        "create_batch": {
            "json": {
                "input_file_id": "" if file is None else file.json()["id"],
                "endpoint": "/v1/embeddings",
                "completion_window": "24h",
            }
        },
    }
    body = bodies[operation.id]

    async def post(headers: Any) -> httpx.Response:
        return await service.http.post(operation.path, headers=headers, **body)

    assert (await post(by)).status_code < 300
    refused = await post(by)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, code)
    assert int(refused.headers["retry-after"]) > 0
    if operation.id != "create_batch":  # whose file is its owner's
        assert (await post(other)).status_code < 300


FORM: dict[str, Any] = {"files": {"file": ("in.jsonl", b"{}\n")}, "data": {"purpose": "batch"}}
