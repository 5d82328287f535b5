"""WebSocketChat: the resources that a program's arguments make."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from llm_gateway.answer_cache import AnswerCache
from llm_gateway.limits import CallerLimits, Limit
from llm_gateway.routes import ROUTES_FILE, Routes, load
from pulumi_llm.websocket_chat import WebSocketChat
from pulumi_llm_local.program.arguments import problems
from support import programs
from support.programs import MODELS, Recording, revealed

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/keys"


def made(**args: Any) -> Recording:
    return programs.run(lambda: WebSocketChat("ws", {"models": MODELS, **args}))


@pytest.fixture(scope="module")
def plain() -> Recording:
    return made()


def statements(recording: Recording, name: str) -> dict[str, Any]:
    """The statements of a role's policy by their Sids."""
    return {each["Sid"]: each for each in json.loads(recording.inputs(name)["policy"])["Statement"]}


def actions(recording: Recording, name: str) -> dict[str, list[str]]:
    return {sid: sorted(each["Action"]) for sid, each in statements(recording, name).items()}


def of_type(recording: Recording, type: str) -> list[dict[str, Any]]:
    return [revealed(resource.inputs) | {"id": resource.id} for resource in recording.of_type(type)]


def test_every_route_of_the_protocol_leads_to_its_function(plain: Recording) -> None:
    integrations = {each["id"]: each for each in of_type(plain, "aws:apigatewayv2/integration:Integration")}
    routes = {each["routeKey"]: each for each in of_type(plain, "aws:apigatewayv2/route:Route")}
    assert routes.keys() == {"$connect", "$disconnect", "chat", "cancel", "resume", "ping", "$default"}
    for key, route in routes.items():
        integration = integrations[route["target"].removeprefix("integrations/")]
        # A resume does not wait behind the generations, of which as many run as may.
        function = {"chat": "generations", "resume": "recovery"}.get(key, "connections")
        assert f"ws-{function}-function" in integration["integrationUri"]
        assert integration["integrationUri"].endswith(":live/invocations")
        assert route["authorizationType"] == ("CUSTOM" if key == "$connect" else "NONE")
    answered = {each["routeId"] for each in of_type(plain, "aws:apigatewayv2/routeResponse:RouteResponse")}
    assert {key for key, route in routes.items() if route["id"] in answered} == {"cancel", "ping", "$default"}


@pytest.mark.parametrize("action", ["chat", "resume"])
def test_a_generation_is_invoked_asynchronously(plain: Recording, action: str) -> None:
    integration = plain.inputs(f"ws-event-integration-{action}")
    assert integration["integrationType"] == "AWS"
    assert integration["requestParameters"] == {"integration.request.header.X-Amz-Invocation-Type": "'Event'"}
    event = json.loads(integration["requestTemplates"]["$default"])
    assert event["body"] == "$util.base64Encode($input.body)"
    response = plain.inputs(f"ws-event-response-{action}")
    assert response["integrationId"] == plain.named(f"ws-event-integration-{action}").id
    assert response["integrationResponseKey"] == "$default"
    events = plain.inputs("ws-events")
    assert (events["maximumRetryAttempts"], events["qualifier"]) == (0, "live")
    assert events["destinationConfig"]["onFailure"]["destination"] == plain.named("ws-recovery-alias").state["arn"]


def test_no_asynchronous_invocation_is_repeated(plain: Recording) -> None:
    asynchronous = {
        each["integrationUri"]
        for each in of_type(plain, "aws:apigatewayv2/integration:Integration")
        if "'Event'" in (each.get("requestParameters") or {}).values()
    }
    configured = of_type(plain, "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    assert len(asynchronous) == 2
    for uri in asynchronous:
        (events,) = [each for each in configured if f":function:{each['functionName']}:{each['qualifier']}/" in uri]
        assert (events["maximumRetryAttempts"], events["maximumEventAgeInSeconds"]) == (0, 60)


def test_each_function_may_do_what_it_does_and_no_more(plain: Recording) -> None:
    assert actions(plain, "ws-connections-policy") == {
        "Connections": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
        "Journal": ["dynamodb:UpdateItem"],
        "Messages": ["execute-api:ManageConnections"],
    }
    own = plain.named("ws-api").state["executionArn"]
    closing = statements(plain, "ws-connections-policy")["Messages"]["Resource"]
    assert closing in (f"{own}/ws/DELETE/@connections/*", [f"{own}/ws/DELETE/@connections/*"])
    assert actions(plain, "ws-generations-policy") == {
        "Connections": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
        "Journal": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"],
        "Messages": ["execute-api:ManageConnections"],
        "ReadKeys": ["dynamodb:GetItem"],
        "ReportFailures": ["lambda:InvokeFunction"],
    }
    assert actions(plain, "ws-recovery-policy") == {
        "Connections": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
        "Journal": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"],
        "Messages": ["execute-api:ManageConnections"],
        "ReadKeys": ["dynamodb:GetItem"],
    }
    own = plain.named("ws-api").state["executionArn"]
    messages = statements(plain, "ws-generations-policy")["Messages"]["Resource"]
    assert messages == [f"{own}/ws/{method}/@connections/*" for method in ("POST", "GET", "DELETE")]
    messages = statements(plain, "ws-recovery-policy")["Messages"]["Resource"]
    assert messages == [f"{own}/ws/{method}/@connections/*" for method in ("POST", "GET", "DELETE")]


def test_the_function_that_generates_may_wake_the_servers_of_its_models() -> None:
    queue = {"url": "https://sqs.us-east-1.amazonaws.com/123456789012/wake", "arn": "arn:aws:sqs:us-east-1:123456789012:wake"}
    pool = {"type": "openai_compatible", "base_url": "https://models.example.com/qwen/v1", "wake_queue": queue}
    target = {"provider": "qwen", "model": "qwen", "context_tokens": 8_192, "max_output_tokens": 1_024}
    found = made(models=[{"name": "chat", "targets": [target, {"model": "mock"}]}], providers={"qwen": pool})
    assert statements(found, "ws-wake-policy")["SendMessages"]["Resource"] == [queue["arn"]]
    assert found.inputs("ws-wake-policy")["role"] == found.named("ws-generations-role").id
    variables = found.inputs("ws-generations-function")["environment"]["variables"]
    assert variables["PROVIDER_QWEN_WAKE_QUEUE_URL"] == queue["url"]


def test_the_functions_know_the_tables_and_the_stage(plain: Recording) -> None:
    variables = plain.inputs("ws-generations-function")["environment"]["variables"]
    api = plain.named("ws-api").id
    assert variables["WEBSOCKET_STAGE_URL"] == f"https://{api}.execute-api.us-east-1.amazonaws.com/ws"
    assert variables["JOURNAL_TABLE"] == plain.named("ws-journal-table").state["name"]
    assert (variables["GENERATIONS_PER_CONNECTION"], variables["GENERATIONS_PER_KEY"]) == ("4", "20")
    assert variables["MESSAGE_INTERVAL_MS"] == "50"
    # What comes on a connection is counted wherever it is served.
    for function in ("connections", "generations", "recovery"):
        assert plain.inputs(f"ws-{function}-function")["environment"]["variables"]["MESSAGES_PER_MINUTE"] == "120"
    assert plain.inputs("ws-connections-function")["environment"]["variables"]["CONNECTIONS_PER_KEY"] == "1000"
    for table, keys in (("connections", ["id"]), ("journal", ["generation", "seq"])):
        inputs = plain.inputs(f"ws-{table}-table")
        assert [each["name"] for each in inputs["attributes"]] == keys
        assert inputs["ttl"] == {"attributeName": "expires", "enabled": True}
        assert inputs["serverSideEncryption"]["enabled"]


def test_the_authorizer_keeps_out_what_is_for_rest(plain: Recording) -> None:
    assert plain.inputs("ws-authorizer-function")["environment"]["variables"]["FOR_WEBSOCKET"] == "true"


def test_the_stage_is_throttled_and_logged(plain: Recording) -> None:
    stage = plain.inputs("ws-stage")
    assert stage["name"] == "ws"
    settings = stage["defaultRouteSettings"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (100, 200)
    assert (settings["dataTraceEnabled"], settings["loggingLevel"]) == (False, "OFF")
    assert "connection_id" in json.loads(stage["accessLogSettings"]["format"])
    assert plain.inputs("ws-access-logs")["retentionInDays"] == 30


# What a deployment freezes -> a change of it.
FROZEN: dict[str, dict[str, Any]] = {
    "an integration": {"customize": {"proxy-integration": {"timeout_milliseconds": 20_000}}},
    "a route": {"customize": {"route:chat": {"operation_name": "chat"}}},
    "the authorizer": {"customize": {"authorizer": {"identity_sources": ["route.request.header.X-Api-Key"]}}},
    "the API": {"customize": {"api": {"description": "another"}}},
}


@pytest.mark.parametrize("change", FROZEN.values(), ids=FROZEN)
def test_a_change_of_what_is_frozen_is_deployed(plain: Recording, change: dict[str, Any]) -> None:
    before, after = (recording.inputs("ws-deployment")["triggers"] for recording in (plain, made(**change)))
    assert before != after


def test_what_is_not_frozen_makes_no_deployment(plain: Recording) -> None:
    other = made(stage_throttle={"rate_limit": 5, "burst_limit": 5}, log_retention_days=90, timeout_seconds=300)
    assert plain.inputs("ws-deployment")["triggers"] == other.inputs("ws-deployment")["triggers"]


def test_another_apis_keys_may_connect() -> None:
    recording = made(keys_table={"name": "keys", "arn": TABLE})
    for function in ("authorizer", "generations", "recovery"):
        assert recording.inputs(f"ws-{function}-function")["environment"]["variables"]["KEYS_TABLE"] == "keys"
        assert statements(recording, f"ws-{function}-policy")["ReadKeys"]["Resource"] == TABLE
    assert of_type(recording, "aws:apigateway/apiKey:ApiKey") == []


def test_another_apis_table_is_decrypted_with_that_apis_key() -> None:
    """DynamoDB asks KMS on behalf of who reads, and the other API's key need not be this one's."""
    recording = made(keys_table={"name": "keys", "arn": TABLE, "kms_key_arn": KEY})
    for function in ("authorizer", "generations", "recovery"):
        assert statements(recording, f"ws-{function}-policy")["DecryptKeys"] == {
            "Sid": "DecryptKeys",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": KEY,
            "Condition": {
                "StringLike": {
                    "kms:ViaService": ["dynamodb.*.amazonaws.com", "dynamodb.*.amazonaws.com.cn", "dynamodb.*.amazonaws.eu"]
                }
            },
        }


@pytest.mark.parametrize("auth", ["api_key", "jwt"])
def test_the_authorizer_alone_takes_tickets_and_may_do_nothing_else_with_them(auth: str, plain: Recording) -> None:
    arn = TABLE.replace("keys", "tickets")
    jwt = {"jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]}}
    checks = jwt if auth == "jwt" else {"keys_table": {"name": "keys", "arn": TABLE}}
    recording = made(auth=auth, tickets_table={"name": "tickets", "arn": arn, "kms_key_arn": KEY}, **checks)
    taken = statements(recording, "ws-authorizer-policy")
    assert (taken["RedeemTickets"]["Action"], taken["RedeemTickets"]["Resource"]) == (["dynamodb:DeleteItem"], arn)
    assert (taken["DecryptTickets"]["Action"], taken["DecryptTickets"]["Resource"]) == (["kms:Decrypt"], KEY)
    assert ("ReadKeys" in taken) == (auth == "api_key")
    knowing = {
        function.name
        for function in recording.of_type("aws:lambda/function:Function")
        if function.inputs["environment"]["variables"].get("TICKETS_TABLE") == "tickets"
    }
    assert knowing == {"ws-authorizer-function"}
    assert "TICKETS_TABLE" not in plain.inputs("ws-authorizer-function")["environment"]["variables"]


def test_with_limits_the_function_that_generates_may_count_what_callers_use(plain: Recording) -> None:
    recording = made(keys=[{"name": "a", "limits": {"usd": {"day": 1}}}], limits={"requests": {"day": 9}})
    table = recording.named("ws-ledger-table").state
    arn, limits = table["arn"], _limits(recording)
    assert limits.keys["a"].counted == (Limit("requests", "day", 9), Limit("micro_usd", "day", 1_000_000))
    assert recording.inputs("ws-ledger-table")["deletionProtectionEnabled"] is True
    for function in ("authorizer", "connections", "generations", "recovery"):
        uses = function == "generations"
        assert ("LEDGER_TABLE" in recording.inputs(f"ws-{function}-function")["environment"]["variables"]) is uses
        statement = statements(recording, f"ws-{function}-policy").get("UseLedger")
        assert (statement or {}).get("Resource") == (arn if uses else None)
    assert "ws-ledger-table" not in plain.names()


def test_answers_are_cached_in_the_journal(plain: Recording) -> None:
    recording = made(cache={"ttl_seconds": 60})
    table = recording.named("ws-journal-table").state["name"]
    for function in ("authorizer", "connections", "generations", "recovery"):
        variables = recording.inputs(f"ws-{function}-function")["environment"]["variables"]
        assert variables.get("CACHE_TABLE") == (table if function == "generations" else None)
    assert _routes(recording).cache == AnswerCache(60)
    assert "CACHE_TABLE" not in plain.inputs("ws-generations-function")["environment"]["variables"]


def test_what_is_used_counts_in_another_apis_table() -> None:
    arn = TABLE.replace("keys", "ledger")
    recording = made(
        keys_table={"name": "keys", "arn": TABLE},
        limits={"requests": {"day": 9}},
        key_limits={"a": {"requests": {"day": 1}}},
        ledger_table={"name": "ledger", "arn": arn, "kms_key_arn": KEY},
    )
    assert "ws-ledger-table" not in recording.names()
    used = statements(recording, "ws-generations-policy")
    assert used["UseLedger"]["Resource"] == arn and used["DecryptLedger"]["Resource"] == KEY
    assert recording.inputs("ws-generations-function")["environment"]["variables"]["LEDGER_TABLE"] == "ledger"
    assert _limits(recording).keys["a"].counted == (Limit("requests", "day", 1),)


# Arguments -> whether it is warned of limits, rules and safety that the other API may have.
SHARED = {"keys_table": {"name": "keys", "arn": TABLE}}
SAID: dict[str, Any] = {"rules": [], "safety": {}}
OPEN: dict[str, tuple[dict[str, Any], bool]] = {
    "keys of its own": ({}, False),
    "shared keys": (SHARED, True),
    "shared tokens": (
        {
            "auth": "jwt",
            "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]},
            "tickets_table": {"name": "tickets", "arn": TABLE},
        },
        True,
    ),
    "with limits": ({**SHARED, **SAID, "limits": {"requests": {"day": 1}}}, False),
    "with limits of a key": ({**SHARED, **SAID, "key_limits": {"a": {"requests": {"day": 1}}}}, False),
    "with limits of a tenant": ({**SHARED, **SAID, "tenant_limits": {"a": {"requests": {"day": 1}}}}, False),
    "without, as is said": ({**SHARED, **SAID, "limits": {}}, False),
    "nothing of limits": ({**SHARED, **SAID}, True),
    "nothing of rules": ({**SHARED, "limits": {}, "safety": {}}, True),
    "nothing of safety": ({**SHARED, "limits": {}, "rules": []}, True),
}


@pytest.mark.parametrize(("args", "warned"), OPEN.values(), ids=OPEN)
def test_callers_of_another_api_of_whom_nothing_is_said_are_warned_of(
    args: dict[str, Any], warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, **_: said.append(message))
    made(**args)
    assert [": callers come from another API, and have none here" in message for message in said] == [True] * warned


def _routes(recording: Recording) -> Routes:
    function = recording.inputs("ws-generations-function")
    return load(Path(function["code"].path) / ROUTES_FILE, function["environment"]["variables"])


def _limits(recording: Recording) -> CallerLimits:
    limits = _routes(recording).limits
    assert limits is not None
    return limits


def test_every_function_may_decrypt_with_the_key_of_the_tables() -> None:
    recording = made(kms_key_arn=KEY)
    for function in ("authorizer", "connections", "generations", "recovery"):
        assert statements(recording, f"ws-{function}-logs-policy")["Decrypt"]["Resource"] == KEY
    for table in ("keys", "connections", "journal"):
        assert recording.inputs(f"ws-{table}-table")["serverSideEncryption"]["kmsKeyArn"] == KEY


def test_without_authentication_anyone_may_connect() -> None:
    recording = made(auth="none")
    assert "ws-authorizer" not in recording.names()
    assert "ReadKeys" not in statements(recording, "ws-generations-policy")
    assert recording.inputs("ws-connections-function")["environment"]["variables"]["AUTHORIZATION"] == "none"


# Wrong arguments -> what is said of them.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "tokens without an issuer": ({"auth": "jwt"}, "jwt: is required with auth 'jwt'"),
    "keys without keys": ({"auth": "none", "keys": [{"name": "a"}]}, "keys: is only for auth 'api_key', not 'none'"),
    "limits of no keys": ({"key_limits": {"a": {"requests": {"day": 1}}}}, "key_limits: are of the keys in keys_table"),
    "a ledger of nothing": ({"ledger_table": {"name": "ledger", "arn": TABLE}}, "ledger_table: is only for limits"),
    "limits of another model": (
        {"keys_table": {"name": "keys", "arn": TABLE}, "key_limits": {"a": {"models": {"other": {}}}}},
        "key_limits.a.models.other: 'other' is not among the models",
    ),
    "two kinds of keys": ({"keys": [{"name": "a"}], "keys_table": {"name": "keys", "arn": TABLE}}, "leave one out"),
    "a key that may not connect": ({"keys": [{"name": "a", "websocket": False}]}, "keys[0].websocket: keeps out a key"),
    "connections of a key that may not connect": (
        {"keys": [{"name": "a"}, {"name": "b", "websocket": False, "websocket_connections": 5}]},
        "keys[1].websocket_connections: is of a key that may not connect",
    ),
    "tickets for anyone": (
        {"auth": "none", "tickets_table": {"name": "tickets", "arn": TABLE}},
        "tickets_table: is only for auth 'api_key' and 'jwt'",
    ),
    "tickets for unknown keys": (
        {"tickets_table": {"name": "tickets", "arn": TABLE}},
        "tickets_table: needs keys_table",
    ),
    "a key twice": ({"keys": [{"name": "a"}, {"name": "a"}]}, "'a' is there already"),
    "a key's throttle": (
        {"keys": [{"name": "a", "throttle": {"rate_limit": 1, "burst_limit": 1}}]},
        "keys[0].throttle: is of a usage plan",
    ),
    "a key's quota": ({"keys": [{"name": "a"}, {"name": "b", "daily_quota": 5}]}, "keys[1].daily_quota: is of a usage plan"),
    "a key's unknown model": ({"keys": [{"name": "a", "models": ["best"]}]}, "'best' is not among the models"),
    "too many for an item": ({"generations_per_key": 201}, "generations_per_key: must be"),
    "no connection at all": ({"connections_per_key": 0}, "connections_per_key: must be"),
    "hardly a message": ({"messages_per_minute": 9}, "messages_per_minute: must be"),
    "more messages than the account bears": ({"message_interval_ms": 20}, "message_interval_ms: must be"),
    "a time too long": ({"timeout_seconds": 901}, "timeout_seconds: must be"),
    "an unknown argument": ({"generation_limit": 3}, "generation_limit"),
}


@pytest.mark.parametrize(("args", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_named(args: dict[str, Any], text: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        made(**args)
    assert text in str(caught.value) + str(vars(caught.value))


def test_the_preview_says_what_a_network_must_lead_to(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda message, **_: said.append(message))
    made()
    assert said == []
    made(vpc={"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]})
    assert [("NAT gateway" in message, "execute-api" in message) for message in said] == [(True, True)]


def test_every_argument_exists(plain: Recording) -> None:
    assert [problem for resource in plain.custom() for problem in problems(resource.type, resource.inputs)] == []
