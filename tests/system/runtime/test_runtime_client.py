"""The authorizer from the built bundle, under AWS's own runtime client for Python (awslambdaric).

API Gateway answers 401 where an authorizer's error message is "Unauthorized", and 500 for any other error:
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from llm_gateway.identity.caller import Caller, key_hash
from llm_gateway.identity.keys import item
from llm_gateway.routes import Alias, Routes, Target
from pulumi_llm.base import bundle
from pulumi_llm.base.bundle import host_python
from support.lambda_runtime import Lambda, LambdaError
from support.programs import Recording

pytestmark = pytest.mark.skipif(
    find_spec("runtime_client") is None,
    reason="no awslambdaric here (AWS builds it for Linux only): .venv/bin/uv pip install awslambdaric",
)

KEY = "sk-a-key-of-the-test"
CALLER = Caller("Müller & Söhne", "ci", ("full", "r1"))
ARN = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/live/POST/v1/chat/completions"


class Table:
    """DynamoDB with one table, or an answer that is to come instead."""

    def __init__(self) -> None:
        self.items = {key_hash(KEY): item(key_hash(KEY), CALLER)}
        self.instead: tuple[int, bytes] | None = None
        self.requests: list[Any] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.requests.append(asked)
        if self.instead is not None:
            status, body = self.instead
            return web.Response(status=status, body=body, content_type="application/x-amz-json-1.0")
        found = self.items.get(asked["Key"]["key_hash"]["S"])
        return web.json_response({"Item": found} if found else {}, content_type="application/x-amz-json-1.0")


@pytest.fixture
async def opened() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def table(opened: contextlib.AsyncExitStack) -> Table:
    table = Table()
    app = web.Application()
    app.router.add_post("/", table.answer)
    # Between two calls the function is frozen, and DynamoDB closes what it keeps open.
    runner = web.AppRunner(app, shutdown_timeout=1.0, keepalive_timeout=0.01)
    await runner.setup()
    opened.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    table.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return table


@pytest.fixture(scope="session")
def deployed() -> Path:
    target = Target(
        name="mock/mock", provider="mock", model="mock", max_output_tokens=1, context_tokens=2, accepts=("max_tokens",)
    )
    return bundle.with_routes(bundle.build("host"), "host", Routes(aliases=(Alias(name="mock", targets=(target,)),)))


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What plays /var/runtime: the runtime client and what it imports, and no other package of this machine."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py"):
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        origin = Path(spec.origin)
        origin = origin.parent if spec.submodule_search_locations else origin
        (folder / origin.name).symlink_to(origin)
    return folder


@pytest.fixture
def authorizer(
    opened: contextlib.AsyncExitStack, table: Table, deployed: Path, runtime: Path, dev: Recording, tmp_path: Path
) -> Callable[..., Lambda]:
    """The function as the dev stack configures it, a variable changed or (None) left out."""
    # Those of the REST API, not the WebSocket API's.
    functions = [each.inputs for each in dev.of_type("aws:lambda/function:Function") if each.name.startswith("chat-")]
    (configured,) = [inputs for inputs in functions if "authorizer" in inputs["handler"]]

    def make(**changes: str | None) -> Lambda:
        variables: Mapping[str, str | None] = {
            **configured["environment"]["variables"],
            "AWS_ENDPOINT_URL_DYNAMODB": table.url,
            **changes,
        }
        function = Lambda(
            code=deployed,
            handler=configured["handler"],
            variables={name: value for name, value in variables.items() if value is not None},
            log=tmp_path / "authorizer.log",
            runtime=(host_python(), "-S", "-m", "awslambdaric", configured["handler"]),
            runtime_folder=runtime,
            timeout=float(configured["timeout"]),
        )
        opened.push_async_callback(function.stop)
        return function

    return make


def event(**headers: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-lambda-authorizer-input.html"""
    sent = {"Host": "a1b2c3.execute-api.us-east-1.amazonaws.com", **{name.replace("_", "-"): v for name, v in headers.items()}}
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "resource": "/v1/chat/completions",
        "path": "/v1/chat/completions",
        "httpMethod": "POST",
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": {},
        "stageVariables": {},
        "requestContext": {"path": "/live/v1/chat/completions", "stage": "live", "httpMethod": "POST", "requestId": "1"},
    }


async def answer(function: Lambda, asked: Any) -> Any:
    invocation = await function.invoke(asked)
    content = await invocation.payload()
    assert invocation.headers["content-type"] == "application/json"
    assert "lambda-runtime-function-response-mode" not in invocation.headers, "an authorizer's answer is whole"
    return json.loads(content)


async def refusal(function: Lambda, asked: Any) -> LambdaError:
    with pytest.raises(LambdaError) as failed:
        await answer(function, asked)
    return failed.value


async def test_a_known_key(authorizer, table) -> None:
    function = authorizer()
    expected = {
        "principalId": "ci",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/live/*",
                }
            ],
        },
        "context": {"tenant": "Müller & Söhne", "key": "ci", "models": '["full","r1"]', "key_hash": key_hash(KEY)},
        "usageIdentifierKey": KEY,
    }
    for asked in (event(Authorization=f"Bearer {KEY}"), event(x_api_key=KEY)):
        answered = await answer(function, asked)
        reset = parsedate_to_datetime(answered["context"].pop("quota_reset"))
        assert answered == expected
        assert timedelta() <= reset - datetime.now(UTC) <= timedelta(days=1) and (reset.hour, reset.minute) == (0, 0)
    assert len(table.requests) == 1, "a known key is remembered from one invocation to the next"
    assert len(function.environments) == 1
    assert KEY not in function.logged()


@pytest.mark.parametrize("headers", [{"x_api_key": "unknown"}, {"Authorization": "Basic YTpi"}, {}], ids=str)
async def test_an_unknown_key_is_the_error_that_is_answered_401(authorizer, headers: dict[str, str]) -> None:
    function = authorizer()
    for _ in range(2):
        refused = await refusal(function, event(**headers))
        assert refused.payload["errorMessage"] == "Unauthorized" and refused.payload["errorType"] == "Exception"
    known = await answer(function, event(x_api_key=KEY))
    assert known["principalId"] == "ci" and len(function.environments) == 1


async def test_a_table_that_fails_is_another_error(authorizer, table) -> None:
    function = authorizer()
    table.instead = (500, b'{"__type": "InternalServerError"}')
    refused = await refusal(function, event(x_api_key=KEY))
    assert refused.message != "Unauthorized" and KEY not in str(refused.payload)
    table.instead = None
    assert (await answer(function, event(x_api_key=KEY)))["principalId"] == "ci"
    assert len(function.environments) == 1


async def test_a_table_that_is_down_is_another_error(authorizer) -> None:
    refused = await refusal(authorizer(AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9"), event(x_api_key=KEY))
    assert refused.message != "Unauthorized" and refused.type not in ("Sandbox.Timedout", "Runtime.ExitError")


async def test_a_missing_table_is_told_at_the_start(authorizer) -> None:
    function = authorizer(KEYS_TABLE=None)
    refused = await refusal(function, event(x_api_key=KEY))
    assert (refused.payload["errorType"], refused.payload["errorMessage"]) == ("KeyError", "'KEYS_TABLE'")
    assert function.environment.ended.is_set()
