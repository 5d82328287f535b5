"""The authorizer as Lambda calls it, its table played by a DynamoDB on the wire."""

import importlib
import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy

from llm_functions.request_context import caller_from_context
from llm_gateway.identity.caller import Caller, key_hash
from llm_gateway.identity.keys import item
from pulumi_llm_local.services.api_gateway.api_request import header_fields
from pulumi_llm_local.services.api_gateway.authorization import identity_values
from support.keys_table import CALLER, KEY, Table, serving

OTHER_KEY = "sk-a-key-of-another-tenant"
ARN = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/live/POST/v1/chat/completions"


@pytest.fixture
def table() -> Iterator[Table]:
    with serving() as server:
        yield server


@pytest.fixture
def authorizer(table: Table, monkeypatch) -> Iterator[Any]:
    """The module as a new environment imports it: it reads its configuration then."""
    for name, value in {
        "AUTHORIZATION": "api_key",
        "KEYS_TABLE": "the-keys",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_SESSION_TOKEN": "test-token",
        "AWS_ENDPOINT_URL_DYNAMODB": table.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "llm_functions.authorizer", raising=False)
    module = importlib.import_module("llm_functions.authorizer")
    yield module
    sys.modules.pop("llm_functions.authorizer", None)
    module._loop.close()


def event(arn: str = ARN, **headers: str) -> dict[str, Any]:
    return {"type": "REQUEST", "methodArn": arn, "headers": {name.replace("_", "-"): v for name, v in headers.items()}}


PRESENTED: list[dict[str, str]] = [
    {"Authorization": f"Bearer {KEY}"},
    {"authorization": f"bearer {KEY}"},
    {"AUTHORIZATION": f"BEARER {KEY}"},
    {"x_api_key": KEY},
    {"X_Api_Key": KEY},
    {"X_API_KEY": KEY},
    {"authorization": f"Bearer {KEY}", "x_api_key": "another"},
    {"Host": "x", "User_Agent": "y", "x_api_key": KEY},
]


@pytest.mark.parametrize("headers", PRESENTED)
def test_a_known_key(authorizer, table, headers: dict[str, str]) -> None:
    answer = authorizer.handler(event(**headers), None)
    assert answer == {
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
        "context": {
            "tenant": "acme",
            "key": "ci",
            "models": '["full","r1"]',
            "key_hash": key_hash(KEY),
            "quota_reset": answer["context"]["quota_reset"],
        },
        "usageIdentifierKey": KEY,
    }
    assert caller_from_context(answer["context"]) == CALLER
    json.dumps(answer)


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        (0, "Fri, 02 Jan 1970 00:00:00 GMT"),
        (1_796_083_199.9, "Tue, 01 Dec 2026 00:00:00 GMT"),
        (1_796_083_200, "Wed, 02 Dec 2026 00:00:00 GMT"),
    ],
)
def test_the_context_says_when_the_quota_begins_anew(authorizer, table, monkeypatch, now: float, reset: str) -> None:
    monkeypatch.setattr(authorizer, "time", SimpleNamespace(time=lambda: now, strftime=time.strftime, gmtime=time.gmtime))
    assert authorizer.handler(event(x_api_key=KEY), None)["context"]["quota_reset"] == reset


@pytest.mark.parametrize(
    ("arn", "resource"),
    [
        ("arn:aws:execute-api:eu-west-1:1:api/dev/GET/", "arn:aws:execute-api:eu-west-1:1:api/dev/*"),
        ("arn:aws:execute-api:eu-west-1:1:api/prod/$connect", "arn:aws:execute-api:eu-west-1:1:api/prod/*"),
        ("arn:aws-cn:execute-api:cn-north-1:1:api/prod/POST/chat", "arn:aws-cn:execute-api:cn-north-1:1:api/prod/*"),
    ],
)
def test_the_policy_covers_the_stage_and_no_other(authorizer, arn: str, resource: str) -> None:
    (statement,) = authorizer.handler(event(arn, x_api_key=KEY), None)["policyDocument"]["Statement"]
    assert statement["Resource"] == resource


def test_what_the_table_is_asked(authorizer, table) -> None:
    authorizer.handler(event(x_api_key=KEY), None)
    ((headers, body),) = table.requests
    assert body == {"TableName": "the-keys", "Key": {"key_hash": {"S": key_hash(KEY)}}}
    assert headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert "/us-east-1/dynamodb/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == "test-token"
    assert KEY not in repr((headers, body))


def test_a_known_key_is_looked_up_once(authorizer, table) -> None:
    answers = [authorizer.handler(event(x_api_key=KEY), None) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2] and len(table.requests) == 1


NO_KEY: list[dict[str, Any]] = [
    event(),
    event(x_api_key=""),
    event(authorization="Bearer "),
    event(authorization="Basic YTpi"),
    event(authorization=KEY),
    {"methodArn": ARN, "headers": None},
    {"methodArn": ARN},
]


@pytest.mark.parametrize("without", NO_KEY)
def test_no_key_is_unauthorized_without_asking_the_table(authorizer, table, without: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorizer.handler(without, None)
    assert table.requests == []


# What headers may hold: keys of two tenants and of nobody.
_AUTHORIZATIONS = ["", " ", "\xa0", "\x1f", "Basic x", "Bearer", "Bearer \xa0", KEY]
_AUTHORIZATIONS += [f"{scheme} {key}" for scheme in ("Bearer", "bearer", "\xa0Bearer") for key in (KEY, OTHER_KEY, "x" * 20)]
_OTHER_HEADERS = {
    "x-api-key": ["", KEY, OTHER_KEY],
    "X-Api-Key": [KEY, "x" * 20],
    "Sec-WebSocket-Protocol": [f"llm.chat.v1, llm.key.{b64encode(OTHER_KEY.encode()).decode().rstrip('=')}"],
    "X-Forwarded-Authorization": [f"Bearer {KEY}"],
    "Cookie": [KEY],
}
_names = st.sampled_from(["Authorization", "authorization"])
_authorizations = st.sampled_from(_AUTHORIZATIONS) | st.text()
_others = st.lists(st.sampled_from([(name, value) for name, values in _OTHER_HEADERS.items() for value in values]))


@given(st.lists(st.tuples(_names, _authorizations, _others, st.lists(_authorizations, max_size=1)), min_size=2, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_shares_an_answer_of_api_gateways_cache_gets_the_same_answer(authorizer, table, requests: list[Any]) -> None:
    """The local run's cache is the oracle: its key is what API Gateway's documentation says."""
    table.items[key_hash(OTHER_KEY)] = item(key_hash(OTHER_KEY), Caller("evil", "other"))
    cached: dict[tuple[str, ...], Any] = {}
    for name, authorization, others, more in requests:
        for value in (authorization, requests[0][1]):
            pairs = [*others, *(("Authorization", each) for each in more), (name, value)]
            headers = CIMultiDictProxy(CIMultiDict(pairs))
            key = identity_values("method.request.header.Authorization", headers, MultiDictProxy(MultiDict[str]()))
            if key is None:
                continue  # API Gateway refuses it
            answer = _answer(authorizer, {"methodArn": ARN, **header_fields(headers)})
            if more:  # never cached: nobody says by which of them the cache goes
                assert answer is None
            else:
                assert cached.setdefault(key, answer) == answer


def _answer(authorizer: Any, event: dict[str, Any]) -> Any:
    try:
        return authorizer.handler(event, None)
    except Exception as error:
        assert str(error) == "Unauthorized"
        return None


def test_an_unknown_key_is_unauthorized_each_time(authorizer, table) -> None:
    for _ in range(2):
        with pytest.raises(Exception, match=r"^Unauthorized$"):
            authorizer.handler(event(x_api_key="an-unknown-key-of-20"), None)
    assert len(table.requests) == 2


@pytest.mark.parametrize(
    "key", ["schlüssel-schlüssel-20", "🙂" * 20, "a" * 129, "a" * 19, "a" * 20 + " b", "=" * 20, "\udcff" * 20]
)
def test_a_key_that_can_be_nobodys_is_unauthorized_without_asking_the_table(authorizer, table, key: str) -> None:
    for headers in ({"x_api_key": key}, {"authorization": f"Bearer {key}"}):
        with pytest.raises(Exception, match=r"^Unauthorized$"):
            authorizer.handler(event(**headers), None)
    assert table.requests == []


FAILURES = {
    "refused": (400, b'{"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "no table"}'),
    "throttled": (400, b'{"__type": "x#ProvisionedThroughputExceededException", "message": "slow"}'),
    "down": (500, b'{"__type": "InternalServerError"}'),
    "no JSON": (200, b"<html>"),
    "a page": (503, b"<html>"),
    "another item": (200, b'{"Item": {"key_hash": {"S": "x"}}}'),
}


@pytest.mark.parametrize("instead", FAILURES.values(), ids=FAILURES)
def test_a_table_that_fails_is_neither_yes_nor_unauthorized(authorizer, table, instead: Any) -> None:
    table.instead = instead
    with pytest.raises(Exception) as failed:
        authorizer.handler(event(x_api_key=KEY), None)
    assert "Unauthorized" not in str(failed.value) and KEY not in str(failed.value)
    table.instead = None
    assert authorizer.handler(event(x_api_key=KEY), None)["principalId"] == "ci"  # and the next call is served


def test_a_table_that_is_not_there(authorizer, table, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    with pytest.raises(Exception) as failed:
        authorizer.handler(event(x_api_key=KEY), None)
    assert "Unauthorized" not in str(failed.value)


def test_a_known_key_is_served_while_the_table_fails(authorizer, table) -> None:
    authorizer.handler(event(x_api_key=KEY), None)
    table.instead = FAILURES["down"]
    assert authorizer.handler(event(x_api_key=KEY), None)["principalId"] == "ci"


def test_without_a_table_the_function_does_not_start() -> None:
    environ = {"AUTHORIZATION": "api_key", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    started = subprocess.run(
        [sys.executable, "-c", "import llm_functions.authorizer"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert started.returncode != 0 and "KeyError: 'KEYS_TABLE'" in started.stderr
