"""ServerlessBedrockApi: what AWS would notice of it."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

import pulumi_llm
from llm_gateway import errors
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.limits import Limit, Limits
from llm_gateway.metrics import Metrics
from llm_gateway.operations import OPERATIONS, operations
from llm_gateway.routes import ROUTES_FILE, Price, Routes, load
from pulumi_llm.base.function_settings import OWN_ENVIRONMENT_BYTES
from pulumi_llm.models.catalogue import lifecycle_notice
from pulumi_llm.serverless_bedrock_api import component
from pulumi_llm.serverless_bedrock_api.args import AUTHS
from pulumi_llm_local.aws_types.values import revealed
from support import programs
from support.programs import Recording, run_chat

API = "aws:apigateway/"
METHOD, INTEGRATION = f"{API}method:Method", f"{API}integration:Integration"
METHOD_RESPONSE, INTEGRATION_RESPONSE = f"{API}methodResponse:MethodResponse", f"{API}integrationResponse:IntegrationResponse"
RESPONSE, RESOURCE = f"{API}response:Response", f"{API}resource:Resource"
FUNCTION, ALIAS, PERMISSION = "aws:lambda/function:Function", "aws:lambda/alias:Alias", "aws:lambda/permission:Permission"
LOG_GROUP, POLICY = "aws:cloudwatch/logGroup:LogGroup", "aws:iam/rolePolicy:RolePolicy"

ORIGIN = "https://chat.example.com"
KEYS = [
    {"name": "web", "tenant": "acme", "models": ["fast"], "websocket_connections": 50},
    {"name": "batch", "websocket": False},
]
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/a"
VPC_ENDPOINTS = ["vpce-0123456789abcdef0"]
DOMAIN = {"name": "chat.example.com", "certificate_arn": CERTIFICATE}
ORDERS = "arn:aws:lambda:us-east-1:123456789012:function:orders"
OPEN = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke"}
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:adapter:1"
ROUTE = {"method": "GET", "path": "/orders/{id}", "function_arn": ORDERS}
EXISTING_API = {
    "rest_api_id": "a1b2c3d4e5",
    "root_resource_id": "r1o2o3t4",
    "execution_arn": "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5",
}
FIREHOSE = "arn:aws:firehose:us-east-1:123456789012:deliverystream/amazon-apigateway-chat"
MOCK = [{"name": "mock", "model": "mock"}]
IMPORT = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"


@pytest.fixture(scope="module")
def plain() -> Recording:
    """Only what must be given."""
    return run_chat()


@pytest.fixture(scope="module")
def full() -> Recording:
    """Everything is given, in another Region."""
    return programs.run(
        lambda: programs.chat(
            models=[{"name": "fast", "model": "gpt-oss-20b"}, {"name": "imported", "model": "mock"}],
            region="eu-west-2",
            keys=KEYS,
            throttle={"rate_limit": 2.5, "burst_limit": 3},
            daily_quota=7,
            stage_throttle={"rate_limit": 50, "burst_limit": 60},
            cors_allow_origin=ORIGIN,
            memory_mb=1024,
            timeout_seconds=895,
            log_retention_days=365,
            access_logs=False,
            debug=True,
            deletion_protection=False,
            web_adapter_layer_version=29,
            tags={"Team": "search"},
        ),
        config={"aws:region": "eu-west-2"},
    )


@pytest.fixture(scope="module")
def open_to_all() -> Recording:
    """No authentication."""
    return run_chat(auth="none")


@pytest.fixture(params=["dev", "prod", "plain", "full", "open_to_all"])
def each(request: pytest.FixtureRequest) -> Recording:
    """What holds for every stack holds for each of these."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["dev", "prod", "plain", "full"])
def keyed(request: pytest.FixtureRequest) -> Recording:
    """Those that ask for a key."""
    return request.getfixturevalue(request.param)


# The routes.


def routes(recording: Recording, type: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What there is of a type, by method and path."""
    paths = {recording.named("chat-api").state["rootResourceId"]: ""}
    parts = [revealed(resource.inputs) | {"id": resource.id} for resource in recording.of_type(RESOURCE)]
    while len(paths) <= len(parts):
        paths.update({p["id"]: f"{paths[p['parentId']]}/{p['pathPart']}" for p in parts if p["parentId"] in paths})
    found = [revealed(resource.inputs) for resource in recording.of_type(type)]
    return {(inputs["httpMethod"], paths[inputs["resourceId"]]): inputs for inputs in found}


OPERATION_ROUTES = {
    (operation.method, operation.path): operation for operation in operations(tickets=True, limits=True, journal=True)
}
PATHS = {operation.path for operation in OPERATIONS}


def test_there_is_a_method_for_every_operation_and_a_preflight_for_every_path(each: Recording) -> None:
    served = operations(
        tickets="chat-tickets-table" in each.names(),
        limits="chat-ledger-table" in each.names(),
        journal="chat-journal-table" in each.names(),
    )
    expected = {*((o.method, o.path) for o in served), *(("OPTIONS", o.path) for o in served)}
    assert set(routes(each, METHOD)) == expected
    assert set(routes(each, INTEGRATION)) == expected


@pytest.mark.assumes("stream-uri")
@pytest.mark.assumes("stream-time")
def test_every_method_streams_from_the_published_function(each: Recording) -> None:
    alias = each.named("chat-alias")
    assert alias.inputs["name"] == "live"
    region = alias.state["arn"].split(":")[3]
    uri = f"arn:aws:apigateway:{region}:lambda:path/2021-11-15/functions/{alias.state['arn']}/response-streaming-invocations"
    assert alias.state["arn"].endswith(":live")
    timeout = each.inputs("chat-function")["timeout"]
    for route, integration in routes(each, INTEGRATION).items():
        if route[0] != "OPTIONS":
            assert integration["type"] == "AWS_PROXY"
            assert integration["responseTransferMode"] == "STREAM"
            assert integration["integrationHttpMethod"] == "POST"
            assert integration["uri"] == uri
            # The function's own error must arrive; a streamed answer takes 15 minutes at most.
            assert timeout * 1000 < integration["timeoutMilliseconds"] <= 900_000


@pytest.mark.assumes("stream-permission")
def test_nothing_calls_what_is_not_published(each: Recording) -> None:
    assert "$LATEST" not in json.dumps([each.inputs(r.name) for r in each.custom() if r.type != FUNCTION], default=str)
    for alias in each.of_type(ALIAS):
        assert str(alias.inputs["functionVersion"]).isdigit()
    for permission in each.of_type(PERMISSION):
        assert permission.inputs["qualifier"] == "live"
        assert permission.inputs["action"] == "lambda:InvokeFunction"
        assert permission.inputs["principal"] == "apigateway.amazonaws.com"
    api = each.named("chat-api").state["executionArn"]
    assert each.inputs("chat-permission")["sourceArn"] == f"{api}/{each.inputs('chat-stage')['stageName']}/*"


def test_a_caller_must_be_known_except_for_health_and_the_description(keyed: Recording) -> None:
    authorizer = keyed.named("chat-authorizer")
    public = {route for route in OPERATION_ROUTES if route[1] in ("/health", "/openapi.json")}
    for route, method in routes(keyed, METHOD).items():
        if route in public or route[0] == "OPTIONS":
            assert method["authorization"] == "NONE"
            assert not method.get("apiKeyRequired")
            assert "authorizerId" not in method
        else:
            assert method["authorization"] == "CUSTOM"
            assert method["apiKeyRequired"] is True
            assert method["authorizerId"] == authorizer.id


@pytest.mark.assumes("identity-source")
def test_the_authorizer_is_asked_at_every_request_and_names_the_key(keyed: Recording) -> None:
    authorizer, alias = keyed.inputs("chat-authorizer"), keyed.named("chat-authorizer-alias")
    assert authorizer["type"] == "REQUEST"
    assert authorizer["authorizerResultTtlInSeconds"] == 0
    # A request that lacks an identity source is refused unasked: the key may stand in either of two headers.
    assert "header" not in authorizer["identitySource"]
    assert alias.state["arn"] in authorizer["authorizerUri"]
    assert keyed.inputs("chat-api")["apiKeySource"] == "AUTHORIZER"
    source = f"{keyed.named('chat-api').state['executionArn']}/authorizers/{keyed.named('chat-authorizer').id}"
    assert keyed.inputs("chat-authorizer-permission")["sourceArn"] == source


def test_a_body_must_be_a_json_object(each: Recording) -> None:
    model, validator = each.inputs("chat-body-model"), each.named("chat-validator")
    assert json.loads(model["schema"])["type"] == "object"
    assert validator.inputs["validateRequestBody"] is True
    posts = {route for route in routes(each, METHOD) if route in OPERATION_ROUTES and OPERATION_ROUTES[route].has_body}
    assert posts
    for route, method in routes(each, METHOD).items():
        if route in posts:
            assert method["requestModels"] == {"application/json": model["name"]}
            assert method["requestValidatorId"] == validator.id
        else:
            assert "requestModels" not in method


# The addresses.


@pytest.mark.assumes("tls-policy")
def test_every_address_asks_for_tls_1_2(each: Recording) -> None:
    api = each.inputs("chat-api")
    assert (api["securityPolicy"], api["endpointAccessMode"]) == ("SecurityPolicy_TLS13_1_2_2021_06", "BASIC")


def test_a_custom_domain_is_the_only_address_unless_asked(plain: Recording) -> None:
    domain = {"name": "chat.example.com", "certificate_arn": CERTIFICATE}
    own, closed = plain, run_chat(domain=domain)
    both = run_chat(domain={**domain, "default_endpoint": True})
    disabled = [each.inputs("chat-api")["disableExecuteApiEndpoint"] for each in (own, closed, both)]
    assert disabled == [False, True, False]
    assert closed.inputs("chat-domain")["securityPolicy"] == "TLS_1_2"
    for recording in (closed, both):
        assert recording.named("chat").outputs["url"] == "https://chat.example.com"
        assert recording.named("chat").outputs["stream_url"] == "https://chat.example.com/chat/stream"


# Browsers, and API Gateway's own answers.

ORIGINS = {"dev": "*", "prod": "*", "plain": "*", "open_to_all": "*", "full": ORIGIN}


def test_a_browser_may_ask_every_path(each: Recording, request: pytest.FixtureRequest) -> None:
    origin = ORIGINS[request.node.callspec.params["each"]]
    responses, declared = routes(each, INTEGRATION_RESPONSE), routes(each, METHOD_RESPONSE)
    for path in PATHS:
        integration = routes(each, INTEGRATION)["OPTIONS", path]
        assert integration["type"] == "MOCK"
        response = responses["OPTIONS", path]
        answered = json.loads(integration["requestTemplates"]["application/json"])["statusCode"]
        assert str(answered) == response["statusCode"] == declared["OPTIONS", path]["statusCode"]
        assert dict.fromkeys(response["responseParameters"], True) == declared["OPTIONS", path]["responseParameters"]
        prefix = "method.response.header.Access-Control-"
        headers = {name.removeprefix(prefix): value for name, value in response["responseParameters"].items()}
        assert headers["Allow-Origin"] == f"'{origin}'"
        methods = {method for method, of in OPERATION_ROUTES if of == path}
        assert set(headers["Allow-Methods"].strip("'").split(",")) == {*methods, "OPTIONS"}
        assert "authorization" in headers["Allow-Headers"].lower(), "a wildcard does not cover it"
        assert int(headers["Max-Age"].strip("'")) > 0
    assert each.inputs("chat-function")["environment"]["variables"]["CORS_ALLOW_ORIGIN"] == origin


SEVERAL = [ORIGIN, "https://www.example.com"]


@pytest.mark.parametrize(
    "origins",
    [
        lambda: SEVERAL,
        lambda: pulumi.Output.from_input(SEVERAL),
        lambda: [pulumi.Output.from_input(SEVERAL[0]), SEVERAL[1]],
        lambda: pulumi.Output.from_input(ORIGIN),
    ],
    ids=["a list", "an Output of a list", "a list with an Output", "an Output of one"],
)
def test_origins_may_be_several_and_outputs(origins: Callable[[], Any]) -> None:
    made = programs.run(lambda: programs.chat(cors_allow_origin=origins()))
    several = "," in made.inputs("chat-function")["environment"]["variables"]["CORS_ALLOW_ORIGIN"]
    for response in routes(made, INTEGRATION_RESPONSE).values():
        parameters, template = response["responseParameters"], response.get("responseTemplates", {}).get("application/json", "")
        assert parameters["method.response.header.Access-Control-Allow-Origin"] == f"'{ORIGIN}'"
        assert (parameters.get("method.response.header.Vary") == "'Origin'") == several
        assert all(f'"{origin}"' in template for origin in SEVERAL) == several
    for response in gateway_responses(made).values():
        allowed = response["responseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"]
        assert allowed == ("'*'" if several else f"'{ORIGIN}'")


def gateway_responses(recording: Recording) -> dict[str, dict[str, Any]]:
    found = [revealed(resource.inputs) for resource in recording.of_type(RESPONSE)]
    return {inputs["responseType"]: inputs for inputs in found}


REJECTED_INVOCATION = ("API_CONFIGURATION_ERROR", "INTEGRATION_FAILURE", "AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR")
ERROR_TYPES = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}


def test_the_types_of_gateway_responses_are_the_same_for_every_auth() -> None:
    """One that is deleted is still in the deployment that is made before."""
    jwt = {"issuer": "https://id.example.com", "audiences": ["chat"]}
    made = [run_chat(auth=auth, **({"jwt": jwt} if auth == "jwt" else {})) for auth in AUTHS]
    assert len({tuple(sorted(gateway_responses(recording))) for recording in made}) == 1


def test_api_gateways_own_errors_have_the_one_shape(each: Recording, request: pytest.FixtureRequest) -> None:
    origin = ORIGINS[request.node.callspec.params["each"]]
    found = gateway_responses(each)
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(found), "whatever has no answer of its own"
    for kind, response in found.items():
        assert set(response["responseTemplates"]) == {"application/json"}
        body = json.loads(response["responseTemplates"]["application/json"])
        assert (set(body), body["type"]) == ({"type", "error", "request_id"}, "error"), "what Anthropic's clients read"
        assert body["request_id"] == "$context.requestId"
        assert set(body["error"]) == {"type", "code", "message", "request_id"}
        assert body["error"]["request_id"] == "$context.requestId"
        assert body["error"]["type"] in ERROR_TYPES
        assert body["error"]["message"]
        headers = {n.removeprefix("gatewayresponse.header."): v for n, v in response["responseParameters"].items()}
        assert headers["Access-Control-Allow-Origin"] == f"'{origin}'"
        exposed = headers["Access-Control-Expose-Headers"].lower()
        assert "retry-after" in exposed
        assert "x-should-retry" in exposed
        assert "x-request-id" in exposed
        # Anthropic's SDKs sleep for as long as they are told, OpenAI's try again at once where it is long.
        assert ("X-Should-Retry" in headers) == (kind == "QUOTA_EXCEEDED")
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-sources.html
        assert all(re.fullmatch(r"'[^']*'|context\.(authorizer\.)?\w+", value) for value in headers.values())
        if kind.startswith("DEFAULT"):
            assert "statusCode" not in response, "each keeps its own status"
        elif response["statusCode"] == "429":
            assert body["error"]["type"] == errors.RATE_LIMIT
        # A function that is at its limit is called again, whichever of these API Gateway answers: AWS's pages do not say.
        if kind == "QUOTA_EXCEEDED":
            assert headers["Retry-After"] == "context.authorizer.quota_reset"
        elif response.get("statusCode") == "429" or kind in REJECTED_INVOCATION:
            assert int(headers["Retry-After"].strip("'")) >= 1


@pytest.mark.parametrize(
    ("kind", "status", "error_type"),
    [
        ("BAD_REQUEST_BODY", "400", errors.INVALID_REQUEST),
        ("UNAUTHORIZED", "401", errors.AUTHENTICATION),
        ("ACCESS_DENIED", "403", errors.PERMISSION),
        ("MISSING_AUTHENTICATION_TOKEN", "404", errors.NOT_FOUND),  # AWS's name of an unknown route
        ("REQUEST_TOO_LARGE", "413", errors.INVALID_REQUEST),
        ("THROTTLED", "429", errors.RATE_LIMIT),
        ("QUOTA_EXCEEDED", "429", errors.RATE_LIMIT),
        ("INTEGRATION_FAILURE", "502", errors.SERVER),
        ("API_CONFIGURATION_ERROR", "503", errors.SERVER),
        ("INTEGRATION_TIMEOUT", "504", errors.SERVER),
    ],
)
def test_what_a_caller_meets_at_the_gateway(plain: Recording, kind: str, status: str, error_type: str) -> None:
    response = gateway_responses(plain)[kind]
    body = json.loads(response["responseTemplates"]["application/json"])
    assert (response["statusCode"], body["error"]["type"]) == (status, error_type)


def test_an_unknown_route_tells_what_base_url_each_client_wants(plain: Recording) -> None:
    """Anthropic's SDKs append /v1/messages, and @ai-sdk/anthropic, as those of OpenAI, what comes after /v1."""
    for auth in ({}, {"auth": "iam"}):
        response = gateway_responses(run_chat(**auth) if auth else plain)["MISSING_AUTHENTICATION_TOKEN"]
        told = json.loads(response["responseTemplates"]["application/json"])["error"]["message"]
        assert "ends with /v1 for OpenAI's SDKs and @ai-sdk/anthropic" in told
        assert "before /v1 for Anthropic's SDKs and Claude Code" in told


def test_a_throttle_and_a_used_up_quota_are_told_apart(plain: Recording) -> None:
    bodies = [gateway_responses(plain)[kind]["responseTemplates"] for kind in ("THROTTLED", "QUOTA_EXCEEDED")]
    codes = {json.loads(body["application/json"])["error"]["code"] for body in bodies}
    assert len(codes) == 2


SLOW: dict[str, Any] = {"name": "slow", "throttle": {"rate_limit": 0.1}}


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 2),  # half a request a second
        ({"throttle": {"rate_limit": 0.3}}, 4),
        ({"throttle": {"rate_limit": 10}}, 1),
        ({"keys": [{"name": "quick"}, SLOW]}, 10),
        ({"keys": [{"name": "quick"}, {**SLOW, "enabled": False}]}, 2),
        ({"throttle": {"rate_limit": 10}, "stage_throttle": {"rate_limit": 0.2}}, 5),
        ({"auth": "none"}, 1),
        ({"auth": "iam", "stage_throttle": {"rate_limit": 0.2}}, 5),
    ],
)
def test_a_throttled_caller_waits_until_a_request_is_free_again(settings: dict[str, Any], seconds: int) -> None:
    headers = gateway_responses(run_chat(**settings))["THROTTLED"]["responseParameters"]
    assert headers["gatewayresponse.header.Retry-After"] == f"'{seconds}'"


# The deployment is a picture of all that; it must be taken after it, and again when it changes.


def test_the_deployment_waits_for_all_that_it_pictures(each: Recording) -> None:
    pictured = (METHOD, INTEGRATION, METHOD_RESPONSE, INTEGRATION_RESPONSE, RESPONSE)
    parts = {resource.urn for kind in pictured for resource in each.of_type(kind)}
    assert parts <= set(each.named("chat-deployment").dependencies)
    assert each.named("chat-deployment").urn in each.named("chat-stage").dependencies
    # API Gateway refuses an answer to an integration that is not there yet.
    for resource in each.of_type(INTEGRATION_RESPONSE):
        assert any(INTEGRATION in urn for urn in resource.dependencies)


@pytest.mark.parametrize(
    "change",
    [
        {"cors_allow_origin": ORIGIN},
        {"cors_allow_origin": [ORIGIN, "https://www.example.com"]},
        {"timeout_seconds": 60},
        {"auth": "none"},
        {"customize": {"integration": {"timeout_milliseconds": 10_000}}},
        {"customize": {"gateway-response": {"response_templates": {"application/json": "{}"}}}},
    ],
    ids=str,
)
def test_a_change_of_the_routes_is_deployed(plain: Recording, change: dict[str, Any]) -> None:
    assert run_chat(**change).inputs("chat-deployment")["triggers"] != plain.inputs("chat-deployment")["triggers"]


@pytest.mark.parametrize(
    "change",
    [
        {"memory_mb": 1024},
        {"log_retention_days": 7},
        {"daily_quota": 5},
        {"keys": KEYS},
        {"models": [*programs.MODELS, {"name": "more", "model": "qwen3-32b"}]},
        {"tags": {"Team": "search"}},
        {"debug": True},
    ],
    ids=str,
)
def test_another_change_deploys_nothing_anew(plain: Recording, change: dict[str, Any]) -> None:
    assert run_chat(**change).inputs("chat-deployment")["triggers"] == plain.inputs("chat-deployment")["triggers"]


def test_the_same_program_gives_the_same_inputs(plain: Recording) -> None:
    def comparable(recording: Recording) -> dict[str, Any]:
        plain_inputs = {resource.urn: revealed(resource.inputs) for resource in recording.of_type()}
        return json.loads(json.dumps(plain_inputs, default=vars))

    assert comparable(run_chat()) == comparable(plain)


# The limits.


@pytest.mark.parametrize(
    ("recording", "keys", "throttle", "quota"),
    [
        ("dev", {"default"}, (0.5, 20), 1_000),
        ("prod", {"default"}, (0.5, 20), 10_000),
        ("plain", {"default"}, (0.5, 20), 1_000),
        ("full", {"web", "batch"}, (2.5, 3), 7),
    ],
)
def test_every_key_is_in_the_usage_plan(
    request: pytest.FixtureRequest, recording: str, keys: set[str], throttle: tuple[float, int], quota: int
) -> None:
    found: Recording = request.getfixturevalue(recording)
    plan = found.inputs("chat-usage-plan")
    assert plan["apiStages"] == [{"apiId": found.named("chat-api").id, "stage": "api"}]
    assert (plan["throttleSettings"]["rateLimit"], plan["throttleSettings"]["burstLimit"]) == throttle
    assert plan["quotaSettings"] == {"limit": quota, "period": "DAY"}
    for name in keys:
        member = found.inputs(f"chat-usage-plan-key-{name}")
        assert member["usagePlanId"] == found.named("chat-usage-plan").id
        assert member["keyId"] == found.named(f"chat-key-{name}").id
        assert member["keyType"] == "API_KEY"
    assert len(found.of_type(f"{API}apiKey:ApiKey")) == len(keys)


METHOD_SETTINGS = f"{API}methodSettings:MethodSettings"


@pytest.mark.assumes("method-throttle")
def test_every_method_has_a_limit_and_those_for_anyone_a_small_one(
    plain: Recording, full: Recording, open_to_all: Recording
) -> None:
    """Who needs no key must not be able to hold the function's concurrency."""
    for recording, limits in ((plain, (100, 200)), (open_to_all, (100, 200)), (full, (50, 60))):
        found = {inputs["methodPath"]: inputs["settings"] for inputs in map(inputs_of, recording.of_type(METHOD_SETTINGS))}
        throttles = {path: (s["throttlingRateLimit"], s["throttlingBurstLimit"]) for path, s in found.items()}
        assert throttles == {"*/*": limits, "health/GET": (5, 5), "openapi.json/GET": (5, 5)}
        assert not any(settings["dataTraceEnabled"] for settings in found.values()), "it would log what callers say"
        assert all(settings["metricsEnabled"] for settings in found.values())


def inputs_of(resource: Any) -> dict[str, Any]:
    return revealed(resource.inputs)


def test_the_keys_can_be_read_as_fast_as_all_methods_together_are_called() -> None:
    table = run_chat(stage_throttle={"rate_limit": 999.5, "burst_limit": 2_000}).inputs("chat-keys-table")
    authorized = sum(operation.authorized for operation in OPERATIONS)
    assert table["onDemandThroughput"]["maxReadRequestUnits"] == authorized * 3_000


@pytest.mark.parametrize(
    ("args", "warned"),
    [
        ({}, []),  # the default throttle, and what an account has
        ({"keys": KEYS, "reserved_concurrency": 200}, []),  # as prod
        ({"keys": KEYS, "reserved_concurrency": 160}, ["each of the keys 'web', 'batch' can hold all 160 "]),
        ({"keys": KEYS, "reserved_concurrency": 160, "timeout_seconds": 270}, []),
        # The keys of 0.1.0.
        ({"throttle": {"rate_limit": 10, "burst_limit": 20}}, ["the key 'default' can hold all 1,000 "]),
        ({"keys": [{**KEYS[0], "throttle": {"rate_limit": 1}}, KEYS[1]], "reserved_concurrency": 200}, ["the key 'web' can "]),
        ({"function_url": True}, ["function_url: what comes that way counts for no key's throttle"]),
        ({"function_url": True, "reserved_concurrency": 20}, []),
        ({"reserved_concurrency": 20}, []),  # one key has nobody to starve
        ({"keys": [KEYS[0], {**KEYS[1], "enabled": False}], "reserved_concurrency": 20}, []),
    ],
    ids=str,
)
def test_a_key_that_can_hold_all_concurrency_is_warned_of(
    args: dict[str, Any], warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, **_: said.append(message))
    run_chat(**args)
    assert [any(message.startswith(start) for message in said) for start in warned] == [True] * len(warned)
    assert len(said) == len(warned)


def test_a_warning_of_concurrency_shows_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, **_: said.append(message))
    run_chat(keys=KEYS, reserved_concurrency=50)
    assert said == [
        "each of the keys 'web', 'batch' can hold all 50 concurrent answers of reserved_concurrency: burst_limit 20 + "
        "rate_limit 0.5 * timeout_seconds 300 = 170 calls in flight. Lower its throttle or timeout_seconds, or raise "
        "reserved_concurrency"
    ]


# The functions.


@pytest.mark.assumes("adapter-layer")
def test_the_function_is_what_the_web_adapter_runs(each: Recording) -> None:
    function = each.inputs("chat-function")
    assert function["runtime"] == "python3.13"
    assert function["architectures"] == ["arm64"]
    assert function["handler"] == "run.sh"
    assert function["publish"] is True
    region = each.named("chat-function").state["arn"].split(":")[3]
    (layer,) = function["layers"]
    assert re.fullmatch(rf"arn:aws:lambda:{region}:753240598075:layer:LambdaAdapterLayerArm64:\d+", layer)
    variables = function["environment"]["variables"]
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    assert variables["AWS_LWA_INVOKE_MODE"] == "response_stream"
    assert variables["AWS_LWA_READINESS_CHECK_PATH"] == "/health"


def test_what_is_asked_for_reaches_the_function(plain: Recording, full: Recording) -> None:
    before, after = plain.inputs("chat-function"), full.inputs("chat-function")
    assert (before["memorySize"], before["timeout"]) == (256, 300)
    assert (after["memorySize"], after["timeout"]) == (1024, 895)
    assert before["layers"][0].endswith(":30")
    assert after["layers"][0].endswith(":29")
    assert "DEBUG" not in before["environment"]["variables"]
    assert after["environment"]["variables"]["DEBUG"] == "true"
    assert before["environment"]["variables"]["AUTHORIZATION"] == "api_key"


def test_both_functions_run_one_bundle_and_are_published(keyed: Recording) -> None:
    functions = [resource.inputs for resource in keyed.of_type(FUNCTION) if resource.name.startswith("chat-")]
    assert len(functions) == 2
    folders = [Path(function["code"].path) for function in functions]
    contents = [{path.relative_to(folder) for path in folder.rglob("*.*")} for folder in folders]
    # Without them, another model does not redeploy the authorizer.
    assert contents[0] ^ contents[1] == {Path(ROUTES_FILE)}, "the routes are for the function that reads them"
    assert {function["runtime"] for function in functions} == {"python3.13"}
    assert all(function["publish"] for function in functions)
    authorizer = keyed.inputs("chat-authorizer-function")
    assert authorizer["environment"]["variables"] == {
        "AUTHORIZATION": "api_key",
        "KEYS_TABLE": keyed.named("chat-keys-table").state["name"],
    }
    assert "layers" not in authorizer


def test_a_function_starts_only_after_it_may_do_what_it_must(each: Recording) -> None:
    for function in each.of_type(FUNCTION):
        (role,) = (role for role in each.of_type("aws:iam/role:Role") if role.state["arn"] == function.inputs["role"])
        own = {policy.urn for policy in each.of_type(POLICY) if policy.inputs["role"] == role.id}
        assert own
        assert own <= set(function.dependencies)


# The logs.


def test_every_log_has_a_retention_and_a_function_of_its_own(each: Recording, request: pytest.FixtureRequest) -> None:
    days = {"dev": 7, "prod": 90, "plain": 30, "full": 365, "open_to_all": 30}[request.node.callspec.params["each"]]
    groups = {group.state["name"]: group for group in each.of_type(LOG_GROUP)}
    assert [group.inputs["retentionInDays"] for group in groups.values()] == [days] * len(groups)
    written = [function.inputs["loggingConfig"]["logGroup"] for function in each.of_type(FUNCTION)]
    assert set(written) <= set(groups)
    assert len(set(written)) == len(written)


def test_requests_are_logged_without_what_they_say(plain: Recording, prod: Recording) -> None:
    for recording in (plain, prod):
        access = recording.inputs("chat-stage")["accessLogSettings"]
        assert access["destinationArn"] == recording.named("chat-access-logs").state["arn"]
        fields = json.loads(access["format"])
        assert "$context.requestId" in fields.values(), "API Gateway asks for it"
        # Who called: with a key or a token, and with an AWS signature.
        assert {"$context.authorizer.tenant", "$context.authorizer.key", "$context.identity.userArn"} <= set(fields.values())
        assert all(re.fullmatch(r"\$context\.[\w.]+", value) for value in fields.values())


@pytest.mark.parametrize("arn", [FIREHOSE, "arn:aws:logs:us-east-1:123456789012:log-group:/apis/access"])
def test_access_logs_can_go_where_all_of_them_go(arn: str) -> None:
    for given in (lambda: arn, lambda: pulumi.Output.from_input(arn)):
        made = programs.run(lambda given=given: programs.chat(access_log_destination_arn=given()))
        assert made.inputs("chat-stage")["accessLogSettings"]["destinationArn"] == arn
        assert "chat-access-logs" not in made.names()


def test_access_logs_can_be_off(dev: Recording, full: Recording) -> None:
    for recording in (dev, full):
        assert "accessLogSettings" not in recording.inputs("chat-stage")
        assert "chat-access-logs" not in recording.names()


# The roles.


def statements(recording: Recording, policies: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each statement of each policy of the component's, or of the policy of that name, with the policy's name."""
    for policy in recording.of_type(POLICY):
        if not policy.name.startswith("chat-") or policies not in ("", policy.name):
            continue
        document = json.loads(revealed(policy.inputs)["policy"])
        assert document["Version"] == "2012-10-17"
        for statement in document["Statement"]:
            yield policy.name, statement


def resources(statement: Mapping[str, Any]) -> list[str]:
    return statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]


def test_every_statement_is_scoped(each: Recording) -> None:
    groups = {f"{group.state['arn']}:*" for group in each.of_type(LOG_GROUP)}  # a group's streams, and nothing else
    for _, statement in statements(each):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in statement["Action"])
        assert [arn for arn in resources(statement) if "*" in arn and arn not in groups] == []
        assert all(arn.startswith("arn:aws:") for arn in resources(statement))
    for role in each.of_type("aws:iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        service = "apigateway" if role.name.startswith("account-") else "lambda"  # the account's log role
        assert trust["Principal"] == {"Service": f"{service}.amazonaws.com"}


JOURNAL = ("GetItem", "PutItem", "Query", "UpdateItem")


def test_a_role_may_do_what_its_function_does_and_no_more(keyed: Recording) -> None:
    may = [(name, action) for name, statement in statements(keyed) for action in statement["Action"]]
    assert set(may) == {
        ("chat-logs-policy", "logs:CreateLogStream"),
        ("chat-logs-policy", "logs:PutLogEvents"),
        ("chat-bedrock-policy", "bedrock:InvokeModel"),
        ("chat-bedrock-policy", "bedrock:InvokeModelWithResponseStream"),
        ("chat-authorizer-logs-policy", "logs:CreateLogStream"),
        ("chat-authorizer-logs-policy", "logs:PutLogEvents"),
        ("chat-authorizer-policy", "dynamodb:GetItem"),
        *([("chat-tickets-policy", "dynamodb:PutItem")] if "chat-tickets-table" in keyed.names() else []),
        *(
            [("chat-ledger-policy", f"dynamodb:{a}") for a in ("GetItem", "UpdateItem")]
            if "chat-ledger-table" in keyed.names()
            else []
        ),
        *(
            [("chat-journal-policy", f"dynamodb:{action}") for action in JOURNAL]
            if "chat-journal-table" in keyed.names()
            else []
        ),
    }
    for name, statement in statements(keyed):
        if statement["Action"] == ["dynamodb:GetItem"]:
            assert resources(statement) == [keyed.named("chat-keys-table").state["arn"]]
        if "logs:PutLogEvents" in statement["Action"]:
            group = "chat-authorizer-logs" if "authorizer" in name else "chat-logs"
            assert resources(statement) == [f"{keyed.named(group).state['arn']}:*"]
    for policy in keyed.of_type(POLICY):
        if not policy.name.startswith("chat-"):
            continue
        role = "chat-authorizer-role" if "authorizer" in policy.name else "chat-role"
        assert policy.inputs["role"] == keyed.named(role).id
    for function, role in (("chat-function", "chat-role"), ("chat-authorizer-function", "chat-authorizer-role")):
        assert keyed.inputs(function)["role"] == keyed.named(role).state["arn"]


def with_own_profile(preview: bool) -> Recording:
    """A program that makes an application inference profile and serves it, alone and as a target."""

    def program() -> None:
        source = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-5-5"
        profile = aws.bedrock.InferenceProfile("shop", model_source={"copy_from": source})
        own = {"model": profile.arn, "base_model": "us.anthropic.claude-haiku-5-5"}
        models = [{"name": "fast", **own}, {"name": "safe", "targets": [own, {"model": "gpt-oss-20b"}]}]
        pulumi_llm.ServerlessBedrockApi("chat", {"models": models})

    return programs.run(program, preview=preview)


@pytest.mark.assumes("profile-statements")
def test_a_models_arn_may_be_a_profile_of_the_same_program() -> None:
    recording = with_own_profile(preview=False)
    arn = recording.named("shop").state["arn"]
    variables = recording.inputs("chat-function")["environment"]["variables"]
    assert {name: value for name, value in variables.items() if name.startswith("BEDROCK")} == {
        "BEDROCK_MODEL_1": arn,
        "BEDROCK_MODEL_2": arn,
    }
    called, behind = (statement for _, statement in statements(recording, "chat-bedrock-output-policy"))
    assert (resources(called), called.get("Condition")) == ([arn], None)
    assert behind["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": arn}}
    assert {a.split(":")[3] for a in resources(behind)} == {"us-east-1", "us-east-2", "us-west-2"}
    assert all(a.endswith("::foundation-model/anthropic.claude-haiku-5-5") for a in resources(behind))


def test_what_is_known_at_preview_stays_known_beside_a_profile_that_is_made_first() -> None:
    recording = with_own_profile(preview=True)
    ((_, statement),) = statements(recording, "chat-bedrock-policy")
    assert resources(statement) == ["arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-oss-20b-1:0"]
    assert isinstance(recording.named("chat-bedrock-output-policy").inputs["policy"], pulumi.output.Unknown)


def test_the_preview_says_which_models_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []

    def teller(level: str) -> Any:
        return lambda text, resource=None: told.append((level, text))

    for level in ("warn", "info"):
        monkeypatch.setattr(pulumi.log, level, teller(level))
    monkeypatch.setattr(component, "lifecycle_notice", lambda model, name, _: lifecycle_notice(model, name, date(2026, 11, 29)))
    run_chat(models=[{"name": model, "model": model} for model in ("llama-3-3-70b", "claude-haiku-4-5", "gpt-oss-20b")])
    assert told == [
        (
            "warn",
            "us.meta.llama3-3-70b-instruct-v1:0 is legacy: Bedrock has closed it to new customers, and ends it on 2027-03-30; "
            "consider 'gpt-oss-120b'",
        ),
        (
            "info",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0 was assured until 2026-10-01: its end is not announced, but AWS may "
            "announce it from now on; consider 'claude-haiku-5-5'",
        ),
    ]


def bedrock(recording: Recording) -> list[dict[str, Any]]:
    return [statement for _, statement in statements(recording, "chat-bedrock-policy")]


@pytest.mark.parametrize(
    ("recording", "models"),
    [
        ("dev", {"deepseek.v3.2", "openai.gpt-oss-20b-1:0", "anthropic.claude-haiku-5-5"}),
        (
            "prod",
            {
                "deepseek.v3.2",
                "openai.gpt-oss-120b-1:0",
                "qwen.qwen3-32b-v1:0",
                "anthropic.claude-haiku-5-5",
            },
        ),
        ("full", {"openai.gpt-oss-20b-1:0"}),
    ],
)
def test_exactly_the_configured_models_may_be_called(request: pytest.FixtureRequest, recording: str, models: set[str]) -> None:
    found = bedrock(request.getfixturevalue(recording))
    arns = [arn for statement in found for arn in resources(statement)]
    assert {arn.rpartition("/")[2] for arn in arns if ":foundation-model/" in arn} == models
    # A model behind a profile is allowed only through a profile that is allowed itself.
    profiles = {arn for arn in arns if ":inference-profile/" in arn}
    paired = {s["Condition"]["StringEquals"]["bedrock:InferenceProfileArn"] for s in found if "Condition" in s}
    assert paired == profiles
    for statement in found:
        through = any("anthropic" in arn and ":foundation-model/" in arn for arn in resources(statement))
        assert ("Condition" in statement) == through


def test_the_accounts_own_model_may_be_called() -> None:
    models = [{"name": "own", "model": IMPORT, "base_model": "deepseek-r1-distill-llama-8b"}]
    (statement,) = bedrock(run_chat(models=models))
    assert resources(statement) == [IMPORT]


def test_without_bedrock_there_is_no_access_to_it() -> None:
    mocked = run_chat(models=[{"name": "fast", "model": "mock"}])
    assert "chat-bedrock-policy" not in mocked.names()
    assert "bedrock:" not in json.dumps([statement for _, statement in statements(mocked)])
    assert all("getCallerIdentity" not in call.token for call in mocked.invoked)


def test_a_preview_already_knows_which_models_may_be_called() -> None:
    preview = run_chat(preview=True)
    assert programs.holds_unknown(preview.named("chat-logs-policy").inputs["policy"])
    assert not programs.holds_unknown(preview.named("chat-bedrock-policy").inputs["policy"])
    assert bedrock(preview) == bedrock(run_chat())


# The providers.

PROVIDERS = {
    "deepseek": {
        "type": "openai_compatible",
        "base_url": "https://api.deepseek.com",
        "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:deepseek-AbCdEf",
        "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    },
    "claude": {"type": "anthropic", "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:claude-GhIjKl"},
    "vllm": {
        "type": "openai_compatible",
        "base_url": "http://10.0.0.5:8000/v1",
        "wake_queue": {
            "url": "https://sqs.us-east-1.amazonaws.com/123456789012/wake",
            "arn": "arn:aws:sqs:us-east-1:123456789012:wake",
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        },
    },
}
ROUTED = [
    {
        "name": "chat",
        "targets": [
            {"model": "gpt-oss-20b"},
            *({"provider": p, "model": "m", "context_tokens": 8_192, "max_output_tokens": 1_024} for p in PROVIDERS),
        ],
    }
]


@pytest.fixture(scope="module")
def routed() -> Recording:
    """A Bedrock model, with providers behind it."""
    return run_chat(models=ROUTED, providers=PROVIDERS)


def test_the_function_reads_where_the_providers_and_their_keys_are(routed: Recording) -> None:
    function = routed.inputs("chat-function")
    read = load(Path(function["code"].path) / ROUTES_FILE, function["environment"]["variables"])
    assert [target.name for target in read.aliases[0].targets] == [
        "bedrock/gpt-oss-20b",
        "deepseek/m",
        "claude/m",
        "vllm/m",
    ]
    found = {endpoint.name: (endpoint.type, endpoint.base_url, endpoint.secret_arn) for endpoint in read.endpoints}
    assert found == {
        "deepseek": ("openai_compatible", "https://api.deepseek.com", PROVIDERS["deepseek"]["secret_arn"]),
        "claude": ("anthropic", "https://api.anthropic.com", PROVIDERS["claude"]["secret_arn"]),
        "vllm": ("openai_compatible", "http://10.0.0.5:8000/v1", ""),
    }


def test_exactly_the_providers_secrets_may_be_read_and_their_queues_told(routed: Recording) -> None:
    assert [statement for _, statement in statements(routed, "chat-secrets-policy")] == [
        {
            "Sid": "ReadSecrets",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": [PROVIDERS["claude"]["secret_arn"], PROVIDERS["deepseek"]["secret_arn"]],
        },
        {
            "Sid": "DecryptSecrets",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": [PROVIDERS["deepseek"]["kms_key_arn"]],
            "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}},
        },
    ]
    assert [statement for _, statement in statements(routed, "chat-wake-policy")] == [
        {
            "Sid": "SendMessages",
            "Effect": "Allow",
            "Action": ["sqs:SendMessage"],
            "Resource": ["arn:aws:sqs:us-east-1:123456789012:wake"],
        },
        {
            "Sid": "EncryptMessages",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": ["arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
            "Condition": {"StringEquals": {"kms:ViaService": "sqs.us-east-1.amazonaws.com"}},
        },
    ]
    assert routed.inputs("chat-secrets-policy")["role"] == routed.named("chat-role").id
    assert routed.named("chat-secrets-policy").urn in routed.named("chat-function").dependencies


@pytest.mark.parametrize(
    ("changes", "sids"),
    [({"kms_key_arn": None}, ["ReadSecrets"]), ({"secret_arn": None, "kms_key_arn": None}, [])],
)
def test_what_is_not_needed_is_not_allowed(changes: dict[str, None], sids: list[str]) -> None:
    provider = {key: value for key, value in PROVIDERS["deepseek"].items() if key not in changes}
    found = run_chat(models=[{**ROUTED[0], "targets": [ROUTED[0]["targets"][1]]}], providers={"deepseek": provider})
    assert [statement["Sid"] for _, statement in statements(found, "chat-secrets-policy")] == sids
    assert ("chat-secrets-policy" in found.names()) == bool(sids)
    assert "chat-bedrock-policy" not in found.names()


def test_without_providers_there_is_nothing_of_them(each: Recording) -> None:
    assert not {"chat-secrets-policy", "chat-wake-policy"} & set(each.names())
    assert not any(name.startswith("PROVIDER_") for name in each.inputs("chat-function")["environment"]["variables"])


def test_what_the_component_sets_itself_leaves_the_providers_their_part(each: Recording, routed: Recording) -> None:
    for recording in (each, routed):
        variables = recording.inputs("chat-function")["environment"]["variables"].items()
        own = sum(len(name) + len(value) for name, value in variables if not name.startswith("PROVIDER_"))
        assert own <= OWN_ENVIRONMENT_BYTES - 253, "a host's name of 253 characters as the origin has room, too"


@pytest.mark.parametrize("preview", [True, False])
def test_a_secret_of_the_same_program_is_taken(preview: bool) -> None:
    def program() -> None:
        key = aws.kms.Key("key")
        secret = aws.secretsmanager.Secret("deepseek", kms_key_id=key.arn)
        provider = {**PROVIDERS["deepseek"], "secret_arn": secret.arn, "kms_key_arn": key.arn}
        programs.chat(models=[{**ROUTED[0], "targets": ROUTED[0]["targets"][:2]}], providers={"deepseek": provider})

    recording = programs.run(program, preview=preview)
    policy = recording.inputs("chat-secrets-policy")["policy"]
    variables = recording.inputs("chat-function")["environment"]["variables"]
    assert programs.holds_unknown(policy) == programs.holds_unknown(variables) == preview
    if not preview:
        arn = recording.named("deepseek").state["arn"]
        assert variables["PROVIDER_DEEPSEEK_SECRET_ARN"] == arn
        (read, decrypt) = (statement for _, statement in statements(recording, "chat-secrets-policy"))
        assert (read["Resource"], decrypt["Resource"]) == ([arn], [recording.named("key").state["arn"]])


# The keys.


def values_of_keys(recording: Recording) -> dict[str, str]:
    keys = recording.of_type(f"{API}apiKey:ApiKey")
    return {key.name.removeprefix("chat-key-"): revealed(key.state["value"]) for key in keys}


def test_a_key_is_stored_by_its_hash_alone(keyed: Recording) -> None:
    keys = values_of_keys(keyed)
    table = keyed.inputs("chat-keys-table")
    items = {}
    for item in keyed.of_type("aws:dynamodb/tableItem:TableItem"):
        inputs = revealed(item.inputs)
        assert inputs["tableName"] == keyed.named("chat-keys-table").state["name"]
        assert inputs["hashKey"] == table["hashKey"]
        items[item.name.removeprefix("chat-key-item-")] = json.loads(inputs["item"])
    assert set(items) == set(keys)
    for name, value in keys.items():
        assert items[name][table["hashKey"]] == {"S": hashlib.sha256(value.encode()).hexdigest()}
        assert items[name]["name"] == {"S": name}
        given = json.dumps([resource.inputs for resource in keyed.custom()], default=str)
        assert value not in given, "no resource is given the key itself"


def test_a_key_carries_its_tenant_and_its_models(full: Recording) -> None:
    web, batch = (json.loads(full.inputs(f"chat-key-item-{name}")["item"]) for name in ("web", "batch"))
    assert (web["tenant"], web["models"]) == ({"S": "acme"}, {"L": [{"S": "fast"}]})
    assert (batch["tenant"], batch["models"]) == ({"S": "default"}, {"L": []})
    assert ("websocket" in web, batch["websocket"]) == (False, {"BOOL": False})
    assert (web["connections"], "connections" in batch) == ({"N": "50"}, False)


def test_the_keys_leave_as_secrets(keyed: Recording) -> None:
    outputs = keyed.named("chat").outputs
    for name in ("api_keys", "default_api_key"):
        assert programs.is_secret(outputs[name])
    values = revealed(outputs["api_keys"])
    assert revealed(outputs["default_api_key"]) == values["web" if "web" in values else "default"], "the first that is given"
    assert values == values_of_keys(keyed)


@pytest.mark.parametrize("wrap", [str, pulumi.Output.from_input, pulumi.Output.secret])
def test_a_given_value_is_the_keys_value_and_always_a_secret(wrap: Callable[[str], Any]) -> None:
    given = "sk-0123456789abcdefghij"
    made = programs.run(lambda: programs.chat(keys=[{"name": "web", "value": wrap(given)}]))
    assert programs.is_secret(made.named("chat-key-web").inputs["value"])
    assert made.inputs("chat-key-web")["value"] == given
    assert revealed(made.named("chat").outputs["default_api_key"]) == given
    assert hashlib.sha256(given.encode()).hexdigest() in made.inputs("chat-key-item-web")["item"]
    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(lambda: programs.chat(keys=[{"name": "web", "value": wrap("xxx")}]))
    assert str(error.value).endswith("value: must have 20 to 128 characters")


def test_a_disabled_key_is_known_to_nobody(plain: Recording) -> None:
    recording = run_chat(keys=[{"name": "old", "enabled": False}, {"name": "default"}])
    assert recording.inputs("chat-key-old")["enabled"] is False
    assert set(recording.names()) - set(plain.names()) == {"chat-key-old", "chat-usage-plan-key-old"}, "its item is gone"


def test_the_table_of_keys_is_protected(plain: Recording, full: Recording) -> None:
    table = plain.inputs("chat-keys-table")
    assert table["deletionProtectionEnabled"] is True
    assert table["pointInTimeRecovery"]["enabled"] is True
    assert table["serverSideEncryption"]["enabled"] is True
    assert table["billingMode"] == "PAY_PER_REQUEST", "nothing is paid while idle"
    assert full.inputs("chat-keys-table")["deletionProtectionEnabled"] is False


def test_without_authentication_there_is_nothing_of_it(open_to_all: Recording) -> None:
    kinds = {resource.type.rpartition(":")[2] for resource in open_to_all.custom()}
    assert kinds.isdisjoint({"Authorizer", "ApiKey", "UsagePlan", "UsagePlanKey", "Table", "TableItem"})
    assert [function.name for function in open_to_all.of_type(FUNCTION)] == ["chat-function"]
    assert not any(name.startswith("chat-authorizer") for name in open_to_all.names())
    for method in routes(open_to_all, METHOD).values():
        assert method["authorization"] == "NONE"
        assert not method.get("apiKeyRequired")
    assert open_to_all.inputs("chat-api")["apiKeySource"] == "HEADER"
    assert open_to_all.inputs("chat-function")["environment"]["variables"]["AUTHORIZATION"] == "none"
    assert revealed(open_to_all.named("chat").outputs["default_api_key"]) == ""


def test_without_authentication_the_keys_are_an_empty_map(open_to_all: Recording) -> None:
    assert revealed(open_to_all.named("chat").outputs["api_keys"]) == {}


# The outputs.


def test_the_outputs_say_where_it_is(each: Recording) -> None:
    outputs, stage = each.named("chat").outputs, each.named("chat-stage")
    assert outputs["url"] == stage.state["invokeUrl"]
    assert not outputs["url"].endswith("/")
    assert outputs["stream_url"] == f"{outputs['url']}/chat/stream"
    assert outputs["function_name"] == each.named("chat-function").state["name"]
    assert outputs["function_alias_arn"] == each.named("chat-alias").state["arn"]
    assert outputs["log_group_name"] == each.named("chat-logs").state["name"]
    assert outputs["rest_api_id"] == each.named("chat-api").id
    assert outputs["stage_name"] == stage.inputs["stageName"]
    for output, (child, state) in NEIGHBOURS.items():
        assert outputs[output] == each.named(child).state[state], output


# The outputs that a neighbouring resource needs: the child that each is of, and which of its outputs it is.
NEIGHBOURS = {
    "function_arn": ("chat-function", "arn"),
    "function_alias_name": ("chat-alias", "name"),
    "function_alias_invoke_arn": ("chat-alias", "invokeArn"),
    "role_name": ("chat-role", "name"),
    "role_arn": ("chat-role", "arn"),
    "log_group_arn": ("chat-logs", "arn"),
    "root_resource_id": ("chat-api", "rootResourceId"),
    "execution_arn": ("chat-api", "executionArn"),
    "stage_arn": ("chat-stage", "arn"),
}
CHECKED = {
    "authorizer_function_name": ("chat-authorizer-function", "name"),
    "authorizer_function_arn": ("chat-authorizer-function", "arn"),
    "authorizer_role_name": ("chat-authorizer-role", "name"),
    "authorizer_role_arn": ("chat-authorizer-role", "arn"),
    "authorizer_log_group_name": ("chat-authorizer-logs", "name"),
    "authorizer_log_group_arn": ("chat-authorizer-logs", "arn"),
    "keys_table_name": ("chat-keys-table", "name"),
    "keys_table_arn": ("chat-keys-table", "arn"),
}


def test_the_outputs_of_keys_and_their_authorizer(keyed: Recording, open_to_all: Recording) -> None:
    outputs, nothing = keyed.named("chat").outputs, open_to_all.named("chat").outputs
    for output, (child, state) in CHECKED.items():
        assert outputs[output] == keyed.named(child).state[state], output
        assert nothing[output] == "", output
    assert outputs["authorizer_id"] == keyed.named("chat-authorizer").id
    names = [resource.name.removeprefix("chat-key-") for resource in keyed.of_type(f"{API}apiKey:ApiKey")]
    assert outputs["api_key_ids"] == {name: keyed.named(f"chat-key-{name}").id for name in names}
    assert outputs["usage_plan_ids"] == {name: keyed.inputs(f"chat-usage-plan-key-{name}")["usagePlanId"] for name in names}
    assert (nothing["authorizer_id"], nothing["api_key_ids"], nothing["usage_plan_ids"]) == ("", {}, {})


def test_a_key_with_limits_of_its_own_has_its_own_plan_in_the_outputs() -> None:
    recording = run_chat(keys=[{"name": "web", "daily_quota": 5}, {"name": "batch"}])
    plans = {"web": recording.named("chat-usage-plan-web").id, "batch": recording.named("chat-usage-plan").id}
    assert recording.named("chat").outputs["usage_plan_ids"] == plans


def test_the_access_logs_are_an_output_where_they_are_made_here(prod: Recording, dev: Recording) -> None:
    group, outputs = prod.named("chat-access-logs"), prod.named("chat").outputs
    assert (outputs["access_log_group_name"], outputs["access_log_group_arn"]) == (group.state["name"], group.state["arn"])
    assert dev.named("chat").outputs["access_log_group_arn"] == ""


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        ({"certificate_arn": CERTIFICATE}, "https://chat.example.com"),
        ({"certificate_arn": CERTIFICATE, "base_path": "llm"}, "https://chat.example.com/llm"),
        ({"existing": True}, "https://chat.example.com"),
        ({"existing": True, "base_path": "llm"}, "https://chat.example.com/llm"),
    ],
    ids=str,
)
def test_a_domain_may_exist_and_have_other_apis(domain: dict[str, Any], url: str) -> None:
    for wrap in (str, pulumi.Output.from_input):
        made = programs.run(lambda wrap=wrap: programs.chat(domain={"name": wrap("chat.example.com"), **domain}))
        mapping = made.inputs("chat-domain-mapping")
        assert (mapping["domainName"], mapping.get("basePath")) == ("chat.example.com", domain.get("base_path"))
        assert ("chat-domain" in made.names()) == ("existing" not in domain)
        outputs = made.named("chat").outputs
        assert (outputs["url"], outputs["stream_url"]) == (url, f"{url}/chat/stream")


# The function's own URL.


@pytest.mark.assumes("function-url")
@pytest.mark.parametrize("auth", ["api_key", "none"])
def test_the_functions_own_url_streams_for_signatures_alone(auth: str, plain: Recording) -> None:
    made = run_chat(auth=auth, function_url=True)
    url = made.inputs("chat-function-url")
    assert (url["authorizationType"], url["invokeMode"]) == ("AWS_IAM", "RESPONSE_STREAM")
    assert (url["functionName"], url["qualifier"]) == (made.named("chat-function").state["name"], "live")
    assert "cors" not in url
    assert made.named("chat").outputs["function_url_endpoint"] == made.named("chat-function-url").state["functionUrl"]
    # Who may call it is for the CDN to say, whose ARN it knows.
    assert [each.name for each in made.of_type(PERMISSION) if not each.name.endswith("permission")] == []
    assert len(made.of_type(PERMISSION)) == (2 if auth == "api_key" else 1)
    # It checks keys itself where there are keys.
    environment = made.inputs("chat-function")["environment"]["variables"]
    assert ("KEYS_TABLE" in environment) == ("chat-keys-policy" in made.names()) == (auth == "api_key")
    if auth == "api_key":
        table = made.named("chat-keys-table").state
        (statement,) = json.loads(made.inputs("chat-keys-policy")["policy"])["Statement"]
        assert (statement["Action"], statement["Resource"]) == (["dynamodb:GetItem"], table["arn"])
        assert environment["KEYS_TABLE"] == table["name"]
    assert not {"chat-function-url", "chat-keys-policy"} & set(plain.names())
    assert plain.named("chat").outputs["function_url_endpoint"] == ""


# Requests that name idempotency keys.


def test_answers_are_kept_where_that_is_asked_for(plain: Recording) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    made = run_chat(idempotency=True, kms_key_arn=key)
    table = made.inputs("chat-journal-table")
    assert [(each["name"], each["type"]) for each in table["attributes"]] == [("generation", "S"), ("seq", "N")]
    assert (table["hashKey"], table["rangeKey"], table["billingMode"]) == ("generation", "seq", "PAY_PER_REQUEST")
    assert table["ttl"] == {"attributeName": "expires", "enabled": True}
    assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": key}
    state, outputs = made.named("chat-journal-table").state, made.named("chat").outputs
    assert (outputs["journal_table_name"], outputs["journal_table_arn"]) == (state["name"], state["arn"])
    assert made.inputs("chat-function")["environment"]["variables"]["JOURNAL_TABLE"] == state["name"]
    (statement,) = json.loads(made.inputs("chat-journal-policy")["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == ([f"dynamodb:{action}" for action in JOURNAL], state["arn"])
    assert not any("journal" in name for name in plain.names())
    assert plain.named("chat").outputs["journal_table_arn"] == ""
    assert "JOURNAL_TABLE" not in plain.inputs("chat-function")["environment"]["variables"]


# The cache of answers.


def test_answers_are_cached_where_that_is_asked_for(plain: Recording) -> None:
    """In the table of answers that are kept, where there are such, too."""

    def variables(made: Recording) -> dict[str, str]:
        named = made.inputs("chat-function")["environment"]["variables"]
        return {name: named[name] for name in ("CACHE_TABLE", "JOURNAL_TABLE") if name in named}

    cached = run_chat(cache={"ttl_seconds": 600, "when": "asked"})
    table = cached.named("chat-journal-table").state["name"]
    assert variables(cached) == {"CACHE_TABLE": table}
    assert document(cached).cache == AnswerCache(600, "asked")
    (statement,) = json.loads(cached.inputs("chat-journal-policy")["policy"])["Statement"]
    assert statement["Action"] == [f"dynamodb:{action}" for action in JOURNAL]
    both = run_chat(cache={}, idempotency=True)
    table = both.named("chat-journal-table").state["name"]
    assert variables(both) == {"CACHE_TABLE": table, "JOURNAL_TABLE": table}
    assert document(both).cache == AnswerCache(3_600, "deterministic")
    assert (variables(plain), document(plain).cache) == ({}, None)


# Tickets for WebSockets.


@pytest.mark.parametrize("tokens", [False, True], ids=["keys", "tokens"])
def test_tickets_are_issued_by_a_function_that_may_only_write_them(tokens: bool, plain: Recording) -> None:
    jwt = {"auth": "jwt", "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]}} if tokens else {}
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    made = run_chat(websocket_tickets=True, kms_key_arn=key, **jwt)
    table = made.inputs("chat-tickets-table")
    assert [attribute["name"] for attribute in table["attributes"]] == ["ticket_hash"]
    assert table["ttl"] == {"attributeName": "expires", "enabled": True}
    assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": key}
    assert table["onDemandThroughput"]["maxWriteRequestUnits"] == 2_000
    state, outputs = made.named("chat-tickets-table").state, made.named("chat").outputs
    assert (outputs["tickets_table_name"], outputs["tickets_table_arn"]) == (state["name"], state["arn"])
    assert made.inputs("chat-function")["environment"]["variables"]["TICKETS_TABLE"] == state["name"]
    (statement,) = json.loads(made.inputs("chat-tickets-policy")["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["dynamodb:PutItem"], state["arn"])
    # Whoever asks for one is known. Nothing else of the API knows of tickets.
    method = routes(made, METHOD)["POST", "/ws/ticket"]
    assert (method["authorization"], method["apiKeyRequired"]) == ("CUSTOM", not tokens)
    assert ("OPTIONS", "/ws/ticket") in routes(made, METHOD)
    assert "TICKETS_TABLE" not in made.inputs("chat-authorizer-function")["environment"]["variables"]
    assert not any("ticket" in name for name in plain.names())
    assert plain.named("chat").outputs["tickets_table_arn"] == ""


def test_a_route_of_the_users_own_keeps_its_name_beside_tickets() -> None:
    """Above the route of the tickets, /ws may be there already."""
    own = [{"method": "GET", "path": "/ws", "url": "https://ws.example.com"}]
    before, after = run_chat(routes=own), run_chat(routes=own, websocket_tickets=True)
    assert set(before.names()) <= set(after.names())
    assert set(routes(after, METHOD)) - set(routes(before, METHOD)) == {("POST", "/ws/ticket"), ("OPTIONS", "/ws/ticket")}


@pytest.mark.parametrize(
    ("args", "path", "hint"),
    [
        ({"auth": "iam"}, "websocket_tickets", "is only for auth 'api_key' and 'jwt', not 'iam'"),
        ({"auth": "none"}, "websocket_tickets", "is only for auth 'api_key' and 'jwt', not 'none'"),
        (
            {"routes": [{"method": "POST", "path": "/ws/ticket", "url": "https://ws.example.com"}]},
            "routes[0]",
            "POST /ws/ticket is the service's own",
        ),
    ],
    ids=str,
)
def test_tickets_are_refused_where_they_can_be_no_credential(args: dict[str, Any], path: str, hint: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(websocket_tickets=True, **args)
    (detail,) = error.value.errors or []
    assert (detail["property_path"], hint in detail["reason"]) == (path, True)


# Beside what there is.


@pytest.mark.parametrize(
    ("auth", "allowed"),
    [
        ("api_key", ["/*"]),
        ("none", ["/*"]),
        # Whoever has a signature of the account must not be let in by the policy where IAM does not let him in.
        ("iam", ["/api/GET/health", "/api/GET/openapi.json", "/api/OPTIONS/*"]),
    ],
)
def test_a_private_api_is_called_through_its_vpc_endpoints_alone(auth: str, allowed: list[str]) -> None:
    for wrap in (str, pulumi.Output.from_input):

        def program(wrap: Callable[[str], Any] = wrap) -> None:
            programs.chat(auth=auth, endpoint="private", vpc_endpoint_ids=[wrap(each) for each in VPC_ENDPOINTS])

        made = programs.run(program)
        assert made.inputs("chat-api")["endpointConfiguration"] == {
            "types": "PRIVATE",
            "ipAddressType": "dualstack",
            "vpcEndpointIds": VPC_ENDPOINTS,
        }
        arn = made.named("chat-api").state["executionArn"]
        allow, deny = json.loads(made.inputs("chat-resource-policy")["policy"])["Statement"]
        assert (allow["Effect"], allow["Resource"]) == ("Allow", [arn + route for route in allowed])
        assert allow["Condition"] == {"StringEquals": {"aws:SourceVpce": VPC_ENDPOINTS}}
        assert (deny["Effect"], deny["Resource"]) == ("Deny", f"{arn}/*")
        assert deny["Condition"] == {"StringNotEquals": {"aws:SourceVpce": VPC_ENDPOINTS}}
        assert made.named("chat-resource-policy").urn in made.named("chat-deployment").dependencies


def test_a_private_api_with_signatures_lets_calls_of_own_open_routes_in() -> None:
    own = [
        {"method": "ANY", "path": "/status/{part}", "url": "https://status.example.com", "authorized": False},
        {"method": "GET", "path": "/orders", "function_arn": ORDERS},
    ]
    made = run_chat(auth="iam", endpoint="private", vpc_endpoint_ids=VPC_ENDPOINTS, routes=own)
    allow, _ = json.loads(made.inputs("chat-resource-policy")["policy"])["Statement"]
    arn = made.named("chat-api").state["executionArn"]
    assert f"{arn}/api/*/status/*" in allow["Resource"]
    assert not any("orders" in resource for resource in allow["Resource"])


def test_a_policy_may_be_a_document_or_its_text(plain: Recording) -> None:
    document = {"Version": "2012-10-17", "Statement": [{**OPEN, "Resource": "execute-api:/*"}]}
    for given in (document, json.dumps(document)):
        for wrap in (lambda value: value, pulumi.Output.from_input):
            made = programs.run(lambda given=given, wrap=wrap: programs.chat(resource_policy=wrap(given)))
            (statement,) = json.loads(made.inputs("chat-resource-policy")["policy"])["Statement"]
            assert statement["Resource"] == f"{made.named('chat-api').state['executionArn']}/*"
    assert "chat-resource-policy" not in plain.names()


def test_own_routes_are_deployed_with_the_services() -> None:
    own = [
        ROUTE,
        {"method": "ANY", "path": "/v1/files/{proxy+}", "url": "https://files.example.com/{proxy}", "authorized": False},
        {"method": "GET", "path": "/chat", "function_arn": f"{ORDERS}:live"},
    ]
    made = run_chat(routes=own)
    methods, integrations = routes(made, METHOD), routes(made, INTEGRATION)
    authorizer = made.named("chat-authorizer").id
    orders, files = methods["GET", "/orders/{id}"], methods["ANY", "/v1/files/{proxy+}"]
    assert (orders["authorizerId"], orders["apiKeyRequired"]) == (authorizer, True)
    assert (files["authorization"], files.get("apiKeyRequired", False)) == ("NONE", False)
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ORDERS}/invocations"
    assert integrations["GET", "/orders/{id}"]["uri"] == uri
    proxy = integrations["ANY", "/v1/files/{proxy+}"]
    assert (proxy["type"], proxy["uri"]) == ("HTTP_PROXY", "https://files.example.com/{proxy}")
    assert proxy["requestParameters"] == {"integration.request.path.proxy": "method.request.path.proxy"}
    allowed = routes(made, INTEGRATION_RESPONSE)["OPTIONS", "/chat"]["responseParameters"]
    assert allowed["method.response.header.Access-Control-Allow-Methods"] == "'POST,GET,OPTIONS'"
    assert ("OPTIONS", "/orders/{id}") in methods
    arn = made.named("chat-api").state["executionArn"]
    permissions = [p.inputs for p in made.of_type(PERMISSION) if re.fullmatch(r"chat-route-permission-[A-Za-z0-9-]+", p.name)]
    assert {(p["function"], p.get("qualifier"), p["sourceArn"]) for p in permissions} == {
        (ORDERS, None, f"{arn}/api/GET/orders/*"),
        (ORDERS, "live", f"{arn}/api/GET/chat"),
    }
    assert len(permissions) == 2
    assert made.inputs("chat-deployment")["triggers"] != run_chat(routes=own[:2]).inputs("chat-deployment")["triggers"]


def test_an_api_that_exists_gets_the_routes_and_a_stage() -> None:
    existing = {**EXISTING_API, "path_prefix": "/llm", "stage_name": "llm"}
    made = run_chat(existing_api=existing)
    kinds = {resource.type for resource in made.custom()}
    assert kinds.isdisjoint({f"{API}restApi:RestApi", RESPONSE}), "what is the whole API's is its owner's"
    roots = [r.inputs["pathPart"] for r in made.of_type(RESOURCE) if r.inputs["parentId"] == EXISTING_API["root_resource_id"]]
    assert roots == ["llm"]
    for resource in made.custom():
        if resource.type.startswith(API) and "restApi" in resource.inputs:
            assert resource.inputs["restApi"] == EXISTING_API["rest_api_id"]
    assert made.inputs("chat-stage")["stageName"] == "llm"
    assert made.inputs("chat-permission")["sourceArn"] == f"{EXISTING_API['execution_arn']}/llm/*"
    assert made.inputs("chat-function")["environment"]["variables"]["PATH_PREFIX"] == "/llm"
    assert made.named("chat").outputs["url"].endswith(".amazonaws.com/llm/llm")
    assert made.inputs("chat-body-model")["name"] == "chatbodymodel", "there may be models of the same name"
    assert made.inputs("chat-method-settings-health")["methodPath"] == "~1llm~1health/GET"
    again = run_chat(existing_api={**existing, "redeploy_on": {"orders": "1"}})
    assert again.inputs("chat-deployment")["triggers"] != made.inputs("chat-deployment")["triggers"]


# The arguments.


def test_every_wrong_argument_is_told_at_once_and_nothing_is_made() -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(
            models=[
                {"name": "a", "model": "gpt-oss-20c"},
                {"name": "a", "model": "gpt-oss-20b"},
                {"name": "b", "model": "titan-embed-text-v2", "accepts": ["max_tokens"]},
            ],
            auth="password",
            keys=[{"name": "k"}, {"name": "k", "models": ["nope"]}],
            timeout_seconds=900,
            log_retention_days=31,
            customize={"functoin": {}},
        )
    found = {detail["property_path"]: detail["reason"] for detail in error.value.errors or []}
    assert {path: reason.partition(";")[0].partition(" Any")[0] for path, reason in found.items()} == {
        "customize.functoin": "is no child of this component",
        "models[0].model": "'gpt-oss-20c' is no model of the catalogue",
        "models[1].name": "'a' is there already",
        "models[2].model": "'titan-embed-text-v2' makes embeddings, and takes only dimensions and input_type",
        "auth": "must be 'api_key', 'jwt', 'iam' or 'none', not 'password'",
        "keys[1].name": "'k' is there already",
        "keys[1].models[0]": "'nope' is not among the models",
        "timeout_seconds": "must be between 10 and 895, not 900",
        "log_retention_days": (
            "must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, "
            "3288, 3653, not 31"
        ),
    }
    assert "did you mean 'function'?" in found["customize.functoin"]
    head, *lines = str(error.value).splitlines()
    assert head == "ServerlessBedrockApi has arguments that are wrong:"
    assert [line.strip() for line in lines] == [f"{path}: {reason}" for path, reason in found.items()]


@pytest.mark.parametrize(
    ("args", "path"),
    [
        ({"models": []}, "models"),
        ({"timeout_seconds": 9}, "timeout_seconds"),
        ({"models": [{"model": "gpt-oss-20b"}]}, "models[0].name"),
        ({"throttle": {"rate_limit": -5}}, "throttle.rate_limit"),
        ({"memory_mb": 1}, "memory_mb"),
        ({"daily_quota": 0}, "daily_quota"),
        ({"kms_key_arn": "nope"}, "kms_key_arn"),
        ({"domain": {"name": "!!", "certificate_arn": CERTIFICATE}}, "domain.name"),
        ({"domain": {"name": "chat.example.com"}}, "domain.certificate_arn"),
        ({"domain": {"name": "chat.example.com", "existing": True, "certificate_arn": CERTIFICATE}}, "domain.certificate_arn"),
        ({"domain": {"name": "chat.example.com", "existing": True, "zone_id": "Z1"}}, "domain.zone_id"),
        ({"domain": {"name": "chat.example.com", "existing": True, "base_path": "a/b"}}, "domain.base_path"),
        ({"endpoint": "private"}, "vpc_endpoint_ids"),
        ({"endpoint": "edge"}, "endpoint"),
        ({"vpc_endpoint_ids": VPC_ENDPOINTS}, "vpc_endpoint_ids"),
        ({"endpoint": "private", "vpc_endpoint_ids": ["vpc-1"]}, "vpc_endpoint_ids[0]"),
        ({"endpoint": "private", "vpc_endpoint_ids": VPC_ENDPOINTS, "domain": DOMAIN}, "domain"),
        ({"resource_policy": "{"}, "resource_policy"),
        ({"resource_policy": {"Version": "2012-10-17"}}, "resource_policy"),
        ({"resource_policy": {"Version": "2012-10-17", "Statement": []}}, "resource_policy"),
        ({"resource_policy": {"Verson": "2012-10-17", "Statement": [OPEN]}}, "resource_policy"),
        ({"resource_policy": {"Statement": ["x"]}}, "resource_policy"),
        *(({"resource_policy": {"Statement": {k: OPEN[k] for k in OPEN if k != name}}}, "resource_policy") for name in OPEN),
        ({"routes": [{**ROUTE, "function_arn": ORDERS.replace("us-east-1", "eu-west-1")}]}, "routes[0].function_arn"),
        ({"routes": [{"method": "GET", "path": "/a", "url": "https://x.example.com/{id}"}]}, "routes[0].url"),
        ({"parameter_prefix": "/aws/chat"}, "parameter_prefix"),
        ({"parameter_prefix": "/SSM-chat"}, "parameter_prefix"),
        ({"web_adapter_layer_arn": LAYER, "web_adapter_layer_version": 30}, "web_adapter_layer_version"),
        (
            {"models": [{"name": "a", "model": "gpt-oss-20b", "destination_regions": ["us-esat"]}]},
            "models[0].destination_regions[0]",
        ),
        ({"throttle": {"rate_limit": float("inf")}}, "throttle.rate_limit"),
        ({"memory_mb": 512.0}, "memory_mb"),
        ({"cors_allow_origin": 3.7}, "cors_allow_origin"),
        ({"routes": [{"method": "GET", "path": "/orders"}]}, "routes[0].function_arn"),
        ({"routes": [{**ROUTE, "url": "https://orders.example.com"}]}, "routes[0].function_arn"),
        ({"routes": [{**ROUTE, "method": "OPTIONS"}]}, "routes[0].method"),
        ({"routes": [{**ROUTE, "path": "/a/{b+}/c"}]}, "routes[0].path"),
        ({"routes": [{**ROUTE, "path": "/ping"}]}, "routes[0].path"),
        ({"routes": [{**ROUTE, "method": "POST", "path": "/chat"}]}, "routes[0]"),
        ({"routes": [ROUTE, ROUTE]}, "routes[1]"),
        ({"routes": [ROUTE, {**ROUTE, "path": "/orders/{order}/items"}]}, "routes[1].path"),
        ({"routes": [{**ROUTE, "method": "DELETE", "path": "/v1/models/{model}"}]}, "routes[0].path"),
        ({"existing_api": {**EXISTING_API, "path_prefix": "llm"}}, "existing_api.path_prefix"),
        ({"existing_api": EXISTING_API, "routes": [ROUTE]}, "routes"),
        ({"existing_api": EXISTING_API, "endpoint": "regional"}, "endpoint"),
        ({"existing_api": EXISTING_API, "resource_policy": {"Statement": [OPEN]}}, "resource_policy"),
        ({"access_logs": False, "access_log_destination_arn": FIREHOSE}, "access_log_destination_arn"),
        ({"access_log_destination_arn": FIREHOSE.replace("amazon-apigateway-", "")}, "access_log_destination_arn"),
        ({"access_log_destination_arn": "arn:aws:s3:::logs"}, "access_log_destination_arn"),
        ({"tracing": "false"}, "tracing"),
        ({"memory": 512}, "memory"),
        ({"cors_allow_origin": "https://a'b"}, "cors_allow_origin"),
        ({"cors_allow_origin": [ORIGIN, 'https://a"b']}, "cors_allow_origin[1]"),
        ({"cors_allow_origin": [ORIGIN, "*"]}, "cors_allow_origin"),
        ({"cors_allow_origin": []}, "cors_allow_origin"),
        ({"keys": [{"name": "k", "value": "v" * 19}]}, "keys[0].value"),
        ({"keys": [{"name": "k", "value": "v" * 129}]}, "keys[0].value"),
        ({"keys": [{"name": "k", "value": "sk 0123456789abcdefghij"}]}, "keys[0].value"),
        ({"keys": [{"name": "k", "value": 10**20}]}, "keys[0].value"),
        ({"keys": [{"name": "k", "value": "v" * 20}, {"name": "l", "value": "v" * 20}]}, "keys[1].value"),
        ({"web_adapter_layer_arn": "arn:aws:lambda:us-east-1:123456789012:layer:adapter"}, "web_adapter_layer_arn"),
        ({"web_adapter_layer_arn": "arn:aws:lambda:eu-west-1:123456789012:layer:adapter:1"}, "web_adapter_layer_arn"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_told(args: dict[str, Any], path: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(**args)
    assert [detail["property_path"] for detail in error.value.errors or []] == [path]
    assert not re.search("vvv|sk 01|0{9}", str(error.value)), "a key's value is shown"


LIMITS = {"keys": KEYS, "throttle": {"rate_limit": 1}, "daily_quota": 5, "authorizer_cache_seconds": 60}


@pytest.mark.parametrize(
    ("auth", "refused"),
    [
        ({"auth": "none"}, [*LIMITS]),
        ({"auth": "iam"}, [*LIMITS]),
        ({"auth": "jwt", "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]}}, [*LIMITS][:3]),
        ({"auth": "api_key"}, []),
    ],
    ids=str,
)
def test_a_limit_that_would_hold_for_nobody_is_refused(auth: dict[str, Any], refused: list[str]) -> None:
    try:
        run_chat(**auth, **LIMITS, stage_throttle={"rate_limit": 5})
        found = []
    except pulumi.InputPropertiesError as error:
        found = error.errors or []
    assert [detail["property_path"] for detail in found] == refused
    assert all("only for auth 'api_key'" in detail["reason"] for detail in found)


@pytest.mark.parametrize("region", ["me-central-1", "me-south-1"])
def test_where_aws_publishes_no_web_adapter_a_layer_is_named(region: str) -> None:
    def layer(**args: Any) -> str:
        made = programs.run(lambda: programs.chat(models=MOCK, **args), config={"aws:region": region})
        (layer,) = made.inputs("chat-function")["layers"]
        return layer

    with pytest.raises(pulumi.InputPropertiesError) as error:
        layer()
    assert [detail["property_path"] for detail in error.value.errors or []] == ["web_adapter_layer_arn"]
    assert f"{region}, where AWS did not publish its Web Adapter on 2026-05-28" in str(error.value)
    own = f"arn:aws:lambda:{region}:123456789012:layer:adapter:1"
    assert layer(web_adapter_layer_arn=own) == own
    assert layer(web_adapter_layer_version=31).endswith(":31")


@pytest.mark.parametrize(
    ("argument", "value", "reason"),
    [
        ("memory_mb", "sk-" + "x" * 100, "must be a whole number"),
        ("memory_mb", 1, "must be between 256 and 10240"),
        ("kms_key_arn", "", "what the Output resolved to is not the ARN of a key"),
    ],
)
def test_the_value_of_an_output_is_not_shown(argument: str, value: Any, reason: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(lambda: programs.chat(**{argument: pulumi.Output.secret(value)}))
    assert f"\n  {argument}: {reason}" in str(error.value)
    assert "xxx" not in str(error.value)


# Changes to one child.


def changed(before: Recording, after: Recording) -> dict[str, dict[str, Any]]:
    """What inputs differ, by resource and argument."""
    differences = {}
    for name in {*before.names(), *after.names()}:
        old, new = before.inputs(name), after.inputs(name)
        keys = {key for key in {*old, *new} if key != "code" and old.get(key) != new.get(key)}
        if keys:
            differences[name] = {key: new.get(key) for key in keys}
    return differences


@pytest.mark.parametrize(
    ("customize", "expected"),
    [
        ({"function": {"memory_size": 2048}}, {"chat-function": {"memorySize": 2048}}),
        (
            {"function": {"reserved_concurrent_executions": 5}, "logs": {"skip_destroy": True}},
            {"chat-function": {"reservedConcurrentExecutions": 5}, "chat-logs": {"skipDestroy": True}},
        ),
        (
            {"key": {"enabled": False}},
            {"chat-key-default": {"enabled": False}},
        ),
        ({}, {}),
    ],
    ids=str,
)
def test_customize_changes_that_child_and_no_other(
    plain: Recording, customize: dict[str, Any], expected: dict[str, dict[str, Any]]
) -> None:
    assert changed(plain, run_chat(customize=customize)) == expected


@pytest.mark.parametrize(
    ("customize", "path", "hint"),
    [
        ({"functions": {}}, "customize.functions", "did you mean 'function'?"),
        ({"zzz": {}}, "customize.zzz", "there are keys-table, "),
        ({"function": {"memory": 1}}, "customize.function.memory", "Function has no such argument; did you mean 'memory"),
        ({"stage": {"zzz": 1}}, "customize.stage.zzz", "Stage has no such argument"),
        ({"function": {"resource_name": "mine"}}, "customize.function.resource_name", "Function has no such argument"),
    ],
    ids=str,
)
def test_customize_refuses_what_there_is_not(customize: dict[str, Any], path: str, hint: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(customize=customize)
    (detail,) = error.value.errors or []
    assert detail["property_path"] == path
    assert hint in detail["reason"]


# Limits of callers.


def document(recording: Recording) -> Routes:
    """The routes document of the function."""
    function = recording.inputs("chat-function")
    return load(Path(function["code"].path) / ROUTES_FILE, function["environment"]["variables"])


@pytest.mark.parametrize("protected", [True, False])
def test_with_limits_the_function_may_count_what_callers_use(protected: bool, plain: Recording) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    made = run_chat(limits={"requests": {"day": 5}}, kms_key_arn=key, deletion_protection=protected, tags={"Team": "search"})
    table = made.inputs("chat-ledger-table")
    assert table["hashKey"] == "holder" and table["attributes"] == [{"name": "holder", "type": "S"}]
    assert table["ttl"] == {"attributeName": "expires", "enabled": True}
    assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": key}
    assert (table["pointInTimeRecovery"], table["deletionProtectionEnabled"]) == ({"enabled": True}, protected)
    assert table["tags"]["Team"] == "search"
    state, outputs = made.named("chat-ledger-table").state, made.named("chat").outputs
    assert (outputs["ledger_table_name"], outputs["ledger_table_arn"]) == (state["name"], state["arn"])
    assert made.inputs("chat-function")["environment"]["variables"]["LEDGER_TABLE"] == state["name"]
    (statement,) = json.loads(made.inputs("chat-ledger-policy")["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["dynamodb:GetItem", "dynamodb:UpdateItem"], state["arn"])
    assert not any("ledger" in name or "usage" in name.removeprefix("chat-usage-plan") for name in plain.names())
    assert plain.named("chat").outputs["ledger_table_arn"] == ""
    assert document(plain).limits is None


@pytest.mark.parametrize("auth", ["api_key", "jwt", "iam", "none"])
@pytest.mark.parametrize(
    "limits",
    [{"limits": {"requests": {"day": 5}}}, {"tenant_limits": {"acme": {"calls_in_flight": 1}}}],
    ids=["of callers", "of tenants"],
)
def test_with_limits_each_caller_may_ask_what_is_left(auth: str, limits: dict[str, Any]) -> None:
    jwt = {"jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]}} if auth == "jwt" else {}
    before, after = (run_chat(auth=auth, **jwt, **more) for more in ({}, limits))
    assert set(routes(after, METHOD)) - set(routes(before, METHOD)) == {("GET", "/usage"), ("OPTIONS", "/usage")}
    method, chat = (routes(after, METHOD)[route] for route in (("GET", "/usage"), ("POST", "/chat")))
    assert [method[name] for name in ("authorization", "apiKeyRequired")] == [
        chat[name] for name in ("authorization", "apiKeyRequired")
    ]


def test_a_route_of_the_users_own_may_not_be_that_of_the_usage() -> None:
    own = [{"method": "GET", "path": "/usage", "url": "https://usage.example.com"}]
    run_chat(routes=own)
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(routes=own, limits={"requests": {"day": 5}})
    (detail,) = error.value.errors or []
    assert detail["property_path"] == "routes[0]" and "GET /usage is the service's own" in detail["reason"]


def test_the_limits_are_in_the_routes_document() -> None:
    models = [{"name": "fast", "model": "gpt-oss-20b"}, {"name": "smart", "model": "claude-haiku-4-5"}, "mock"]
    of_smart = {"models": {"smart": {"tokens": {"day": 9}}}}
    keys = [
        {"name": "web", "limits": {"requests": {"minute": 3}, "usd": {"month": 1.5}, **of_smart}},
        {"name": "batch", "limits": {"calls_in_flight": 2}},
        {"name": "other"},
    ]
    limits = {"requests": {"minute": 1, "day": 2}, "calls_in_flight": 7}
    read = document(run_chat(models=models, keys=keys, limits=limits, tenant_limits={"acme": {"tokens": {"month": 4}}}))
    minute, day = Limit("requests", "minute", 1), Limit("requests", "day", 2)
    assert read.limits is not None
    assert read.limits.others == Limits((minute, day), 7)
    assert read.limits.tenants == {"acme": Limits((Limit("tokens", "month", 4),))}
    own = (Limit("micro_usd", "month", 1_500_000), Limit("tokens", "day", 9, "smart"))
    assert read.limits.keys == {
        "web": Limits((Limit("requests", "minute", 3), day, *own), 7),
        "batch": Limits((minute, day), 2),
    }
    prices = [alias.targets[0].price for alias in read.aliases]
    assert prices == [
        Price(70_000, 300_000, 70_000, 70_000, 70_000),
        Price(1_100_000, 5_500_000, 110_000, 1_375_000, 2_200_000),
        Price(0, 0, 0, 0, 0),
    ]
    without_money = document(run_chat(models=models, limits=limits))
    assert [alias.targets[0].price for alias in without_money.aliases] == [None] * 3


def test_metrics_are_in_the_routes_document_with_the_prices_that_are_known() -> None:
    models = [{"name": "fast", "model": "gpt-oss-20b"}, {"name": "own", "model": IMPORT, **BOUNDS}]
    keys = [{"name": "web", "tenant": "shop"}, {"name": "batch", "tenant": "shop"}, {"name": "other"}]
    read = document(run_chat(models=models, keys=keys, metrics={"namespace": "acme/llm", "tenants": ["tokens'"]}))
    assert read.metrics == Metrics("acme/llm", ("shop", "default", "tokens'"))
    assert [alias.targets[0].price is None for alias in read.aliases] == [False, True]
    assert document(run_chat(models=models, keys=keys, metrics={"namespace": "n"})).metrics == Metrics("n", ("shop", "default"))
    assert document(run_chat(models=models, keys=keys)).metrics is None


# Metrics -> where the mistake is, and what is said of it.
WRONG_METRICS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "metrics.namespace", "is required"),
    ({"namespace": "AWS/Bedrock"}, "metrics.namespace", "not AWS/ first"),
    ({"namespace": ""}, "metrics.namespace", "such as pulumi-llm/dev"),
    ({"namespace": "our metrics"}, "metrics.namespace", "letters, digits"),
    ({"namespace": "own", "tenants": [""]}, "metrics.tenants[0]", "a tenant's name"),
    ({"namespace": "own", "dimensions": ["user"]}, "metrics.dimensions", "is not"),
]


@pytest.mark.parametrize(("metrics", "path", "text"), WRONG_METRICS, ids=str)
def test_wrong_metrics_are_refused(metrics: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(metrics=metrics)
    (detail,) = error.value.errors or []
    assert (detail["property_path"], text in detail["reason"]) == (path, True), detail


def test_a_price_of_ones_own_counts() -> None:
    price = {"input": 1, "output": 2, "cache_read": 0.5}
    models = [
        {"name": "fast", "model": "gpt-oss-20b", "price": price},
        {"name": "imported", "model": IMPORT, **BOUNDS, "price": price},
    ]
    read = document(run_chat(models=models, limits={"usd": {"day": 1}}))
    assert [alias.targets[0].price for alias in read.aliases] == [
        Price(1_000_000, 2_000_000, 500_000, 1_000_000, 1_000_000)
    ] * 2


BOUNDS = {"context_tokens": 8192, "max_output_tokens": 1024}
VLLM = {"vllm": {"type": "openai_compatible", "base_url": "https://vllm.example.com/v1"}}
# Arguments -> where the mistake is, and what is said of it.
WRONG_LIMITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no price of an import": (
        {"models": [{"name": "m", "model": IMPORT, **BOUNDS}], "limits": {"usd": {"day": 1}}},
        "models[0].model",
        "has no price in the catalogue",
    ),
    "no price of a provider's": (
        {
            "models": [{"name": "m", "targets": [{"provider": "vllm", "model": "m", **BOUNDS}]}],
            "providers": VLLM,
            "tenant_limits": {"acme": {"usd": {"day": 1}}},
        },
        "models[0].targets[0].model",
        "give price",
    ),
    "half a price": (
        {"models": [{"name": "m", "model": "gpt-oss-20b", "price": {"input": 1}}], "limits": {"usd": {"day": 1}}},
        "models[0].price.output",
        "is required",
    ),
    "another window": (
        {"limits": {"requests": {"hour": 1}}},
        "limits.requests.hour",
        '"minute", "day" or "month"',
    ),
    "nothing": ({"limits": {"tokens": {"day": 0}}}, "limits.tokens.day", "must be between 1 and"),
    "a fraction": ({"keys": [{"name": "a", "limits": {"tokens": {"day": 1.5}}}]}, "keys[0].limits.tokens.day", "whole number"),
    "too many calls": ({"limits": {"calls_in_flight": 201}}, "limits.calls_in_flight", "must be between 1 and 200"),
    "another model": (
        {"tenant_limits": {"acme": {"models": {"slow": {"requests": {"day": 1}}}}}},
        "tenant_limits.acme.models.slow",
        "'slow' is not among the models; choose of fast",
    ),
    "a key's other model": (
        {"keys": [{"name": "a", "limits": {"models": {"slow": {}}}}]},
        "keys[0].limits.models.slow",
        "is not among the models",
    ),
}


@pytest.mark.parametrize(("args", "path", "hint"), WRONG_LIMITS.values(), ids=WRONG_LIMITS)
def test_a_wrong_limit_is_named(args: dict[str, Any], path: str, hint: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(**args)
    (detail,) = error.value.errors or []
    assert (detail["property_path"], hint in detail["reason"]) == (path, True), detail
