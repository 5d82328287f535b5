"""Each rule about rates and limits, by a table of stacks: what it passes, what it finds, and what it cannot tell."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llm_policies.limits import RULES
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, problems, resource
from support.policies import BY_NAME, counted_cases

TYPES = {
    "acl": "aws:wafv2/webAcl:WebAcl",
    "acl-rule": "aws:wafv2/webAclRule:WebAclRule",
    "group": "aws:wafv2/ruleGroup:RuleGroup",
    "association": "aws:wafv2/webAclAssociation:WebAclAssociation",
    "joined": "aws:wafv2/webAclRuleGroupAssociation:WebAclRuleGroupAssociation",
    "stage": "aws:apigateway/stage:Stage",
    "settings": "aws:apigateway/methodSettings:MethodSettings",
    "plan": "aws:apigateway/usagePlan:UsagePlan",
    "key": "aws:apigateway/apiKey:ApiKey",
    "plan-key": "aws:apigateway/usagePlanKey:UsagePlanKey",
    "method": "aws:apigateway/method:Method",
    "path": "aws:apigateway/resource:Resource",
    "rest": "aws:apigateway/restApi:RestApi",
    "put": "aws:apigateway/restApiPut:RestApiPut",
    "api": "aws:apigatewayv2/api:Api",
    "route": "aws:apigatewayv2/route:Route",
    "stage2": "aws:apigatewayv2/stage:Stage",
    "function": "aws:lambda/function:Function",
    "url": "aws:lambda/functionUrl:FunctionUrl",
    "job": "aws:batch/jobDefinition:JobDefinition",
    "machine": "aws:sfn/stateMachine:StateMachine",
    "recursion": "aws:lambda/functionRecursionConfig:FunctionRecursionConfig",
    "source": "aws:lambda/eventSourceMapping:EventSourceMapping",
    "role": "aws:iam/role:Role",
    "role-policy": "aws:iam/rolePolicy:RolePolicy",
    "policy": "aws:iam/policy:Policy",
    "attachment": "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "table": "aws:dynamodb/table:Table",
    "distribution": "aws:cloudfront/distribution:Distribution",
    "tenants": "aws:cloudfront/multitenantDistribution:MultitenantDistribution",
}


def a(kind: str, *, name: str = "", come: Mapping[str, Sequence[Resource]] | None = None, **properties: Any) -> Resource:
    return resource(TYPES[kind], properties, name=name or kind, dependencies=come)


def document(action: str = "bedrock:InvokeModel") -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


STAGE = a("stage", restApi="abc", stageName="v1", arn="arn:aws:apigateway:us-east-1::/restapis/abc/stages/v1")
NEW = a("stage", restApi=UNKNOWN, stageName="v1", arn=UNKNOWN)
LIMITS: dict[str, Any] = {"throttlingBurstLimit": 20, "throttlingRateLimit": 10}
HTTP_API = a("api", id="abc", protocolType="HTTP")
CHAT_ROUTE = a("route", apiId="abc", routeKey="POST /chat")
CHAT_STAGE = a("stage2", apiId="abc", routeSettings=[{"routeKey": "POST /chat", **LIMITS}])
FAST_STAGE = a("stage2", apiId="abc", routeSettings=[{"routeKey": "POST /chat", **LIMITS, "throttlingRateLimit": 9_000}])
NEW_API = a("api", id=UNKNOWN, protocolType="HTTP")
NEW_ROUTE = a("route", come={"apiId": [NEW_API]}, apiId=UNKNOWN, routeKey="POST /chat")
NEW_STAGE = a("stage2", come={"apiId": [NEW_API]}, apiId=UNKNOWN, routeSettings=[{"routeKey": "POST /chat", **LIMITS}])
THROTTLE = {"burstLimit": 20, "rateLimit": 10}
QUOTA = {"limit": 1000, "period": "DAY"}
RATE: dict[str, Any] = {"rateBasedStatement": {"limit": 100}}
RATE_RULE: dict[str, Any] = {"name": "rate", "priority": 1, "action": {"block": {}}, "statement": RATE}
COUNTING: dict[str, Any] = {**RATE_RULE, "action": {"count": {}}}
HUGE: dict[str, Any] = {**RATE_RULE, "statement": {"rateBasedStatement": {"limit": 2_000_000_000}}}
FAST = {"requests_per_second": 10_000, "burst": 5_000}
MANAGED = {
    "name": "managed",
    "statement": {"managedRuleGroupStatement": {"name": "AWSManagedRulesCommonRuleSet"}},
}
BY_GROUP: dict[str, Any] = {"name": "group", "statement": {"ruleGroupReferenceStatement": {"arn": "arn:group"}}}
ACL = a("acl", arn="arn:acl", rules=[MANAGED, RATE_RULE])
WEAK = a("acl", arn="arn:acl", rules=[MANAGED])
ASSOCIATION = a("association", resourceArn=STAGE["arn"].data, webAclArn="arn:acl")
ROLE = a("role", name="chat", arn="arn:aws:iam::123456789012:role/chat")
CALLS = a("role-policy", role="chat", policy=document())
FUNCTION = a("function", role="arn:aws:iam::123456789012:role/chat")
NEW_ROLE = a("role", name="chat", arn=UNKNOWN, id=UNKNOWN)
SQS, KINESIS = "arn:aws:sqs:us-east-1:123456789012:jobs", "arn:aws:kinesis:us-east-1:123456789012:stream/jobs"
ON_DEMAND: dict[str, Any] = {"billingMode": "PAY_PER_REQUEST"}
MAXIMA: dict[str, Any] = {"maxReadRequestUnits": 100, "maxWriteRequestUnits": 100}


def method_settings(path: str = "*/*", name: str = "", **settings: Any) -> Resource:
    return a("settings", name=name, restApi="abc", stageName="v1", methodPath=path, settings=settings)


HOUR = {"attemptDurationSeconds": 3600}
GPU = json.dumps({"resourceRequirements": [{"type": "GPU", "value": "1"}]})


def machine(*, inner: bool = False, **task: Any) -> Resource:
    """A state machine with a task that waits for a token, in a map if it is an inner one."""
    states = {"Ask": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", **task}}
    if inner:
        states = {"Each": {"Type": "Map", "ItemProcessor": {"States": states}}}
    return a("machine", definition=json.dumps({"States": states}))


BY_SET: dict[str, Any] = {"ipSetReferenceStatement": {"arn": "arn:set"}}
AT_PATH: dict[str, Any] = {"searchString": "/chat", "fieldToMatch": {"uriPath": {}}}
PASS: dict[str, Any] = {
    "name": "pass",
    "priority": 0,
    "action": {"allow": {}},
    "statement": {"byteMatchStatement": {**AT_PATH, "searchString": "/", "positionalConstraint": "STARTS_WITH"}},
}


def at_path(how: str) -> dict[str, Any]:
    return {"byteMatchStatement": {**AT_PATH, "positionalConstraint": how}}


def limited(scope: Mapping[str, Any]) -> Resource:
    return a("acl", rules=[{**RATE_RULE, "statement": {"rateBasedStatement": {"limit": 100, "scopeDownStatement": scope}}}])


def path(part: str) -> Resource:
    return a("path", id="r1", restApi="abc", pathPart=part)


def open_method(verb: str = "POST", identifier: Any = "r1", **more: Any) -> Resource:
    return a("method", authorization="NONE", httpMethod=verb, resourceId=identifier, **more)


def route(key: Any, **more: Any) -> Resource:
    return a("route", apiId="xyz", routeKey=key, **more)


# the case, the stack, "good" | "bad" | "unknown", how many problems
Case = tuple[Any, ...]

OTHER = a("route", name="other", apiId="other", routeKey="$connect", authorizationType="AWS_IAM")
CONNECT = route("$connect", authorizationType="AWS_IAM")
KEY = {"type": "apiKey", "in": "header", "name": "x-api-key"}
BEARER = {"type": "http", "scheme": "bearer"}
LAMBDA = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "x-amazon-apigateway-authtype": "custom",
    "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": "arn:aws:apigateway:us-east-1:lambda:path/x"},
}
SIGNED = {"type": "apiKey", "in": "header", "name": "Authorization", "x-amazon-apigateway-authtype": "awsSigv4"}


def openapi(operation: Mapping[str, Any], verb: str = "post", path: str = "/chat", **more: Any) -> str:
    schemes = {"key": KEY, "bearer": BEARER, "lambda": LAMBDA, "signed": SIGNED}
    document = {"openapi": "3.0.1", "paths": {path: {verb: operation}}, "components": {"securitySchemes": schemes}, **more}
    return json.dumps(document)


def rest(operation: Mapping[str, Any], *where: str, **more: Any) -> list[Resource]:
    return [a("rest", body=openapi(operation, *where, **more))]


def http(operation: Mapping[str, Any], *where: str, **more: Any) -> list[Resource]:
    return [a("api", protocolType="HTTP", body=openapi(operation, *where, **more))]


SWAGGER = json.dumps(
    {"swagger": "2.0", "securityDefinitions": {"k": KEY}, "paths": {"/chat": {"post": {"security": [{"k": []}]}}}}
)
OPEN_YAML = "openapi: 3.0.1\npaths:\n  /chat:\n    post:\n      responses: {}\n"

STAGE_CASES: list[Case] = [
    ("settings", [STAGE, a("settings", restApi="abc", stageName="v1", methodPath="*/*", settings=LIMITS)], "good", 0),
    (
        "settings by dependency",
        [NEW, a("settings", come={"stageName": [NEW]}, restApi=UNKNOWN, stageName="v1", methodPath="*/*", settings=LIMITS)],
        "good",
        0,
    ),
    ("plan", [STAGE, a("plan", apiStages=[{"apiId": "abc", "stage": "v1"}], throttleSettings=THROTTLE)], "good", 0),
    ("plan by dependency", [NEW, a("plan", come={"apiStages": [NEW]}, throttleSettings=THROTTLE)], "good", 0),
    ("web ACL", [STAGE, ASSOCIATION, ACL], "good", 0),
    ("nothing", [STAGE], "bad", 1),
    (
        "one limit",
        [STAGE, a("settings", restApi="abc", stageName="v1", methodPath="*/*", settings={"throttlingRateLimit": 1})],
        "bad",
        1,
    ),
    ("one path", [STAGE, a("settings", restApi="abc", stageName="v1", methodPath="chat/POST", settings=LIMITS)], "bad", 1),
    ("another stage", [STAGE, a("settings", restApi="abc", stageName="v2", methodPath="*/*", settings=LIMITS)], "bad", 1),
    ("another API", [STAGE, a("settings", restApi="xyz", stageName="v1", methodPath="*/*", settings=LIMITS)], "bad", 1),
    ("plan without throttle", [STAGE, a("plan", apiStages=[{"apiId": "abc", "stage": "v1"}], quotaSettings=QUOTA)], "bad", 1),
    ("web ACL without a rate", [STAGE, ASSOCIATION, WEAK], "bad", 1),
    ("the account's own rate", [STAGE, method_settings(throttlingBurstLimit=5000, throttlingRateLimit=10_000)], "bad", 1),
    ("a rate without a burst", [STAGE, method_settings(throttlingBurstLimit=5000, throttlingRateLimit=10)], "bad", 1),
    (
        "a rate that is allowed",
        [STAGE, method_settings(throttlingBurstLimit=5000, throttlingRateLimit=10_000)],
        "good",
        0,
        FAST,
    ),
    (
        "a plan of ten thousand",
        [
            STAGE,
            a("plan", apiStages=[{"apiId": "abc", "stage": "v1"}], throttleSettings={"burstLimit": 1, "rateLimit": 10_000}),
        ],
        "bad",
        1,
    ),
    ("web ACL of two thousand million", [STAGE, ASSOCIATION, a("acl", arn="arn:acl", rules=[HUGE])], "bad", 1),
    (
        "a method without its own limit",
        [STAGE, method_settings(**LIMITS), method_settings("chat/POST", name="chat", throttlingRateLimit=-1)],
        "bad",
        1,
    ),
    (
        "a method that is only traced, which takes its limit off",
        [STAGE, method_settings(**LIMITS), method_settings("chat/POST", name="chat", metricsEnabled=True)],
        "bad",
        1,
    ),
    (
        "a method of ten thousand",
        [
            STAGE,
            method_settings(**LIMITS),
            method_settings("chat/POST", name="chat", **{**LIMITS, "throttlingRateLimit": 10_000}),
        ],
        "bad",
        1,
    ),
    (
        "a method's lower limit",
        [STAGE, method_settings(**LIMITS), method_settings("chat/POST", name="chat", **LIMITS)],
        "good",
        0,
    ),
    ("web ACL of another stack", [STAGE, ASSOCIATION], "unknown", 0),
    ("unknown API", [NEW, a("settings", restApi=UNKNOWN, stageName="v1", methodPath="*/*", settings=LIMITS)], "unknown", 0),
    (
        "unknown stage beside a bare one",
        [
            NEW,
            a("stage", name="bare", restApi="x", stageName="v9"),
            a("settings", restApi=UNKNOWN, stageName="v1", methodPath="*/*", settings=LIMITS),
        ],
        "unknown",
        1,
    ),
]

FUNCTION_CASES: list[Case] = [
    ("calls nothing", [FUNCTION, ROLE, a("role-policy", role="chat", policy=document("s3:GetObject"))], "good", 0),
    ("reserved", [a("function", role=FUNCTION["role"].data, reservedConcurrentExecutions=5), CALLS], "good", 0),
    ("switched off", [a("function", role=FUNCTION["role"].data, reservedConcurrentExecutions=0), CALLS], "good", 0),
    ("another role's policy", [FUNCTION, a("role-policy", role="other", policy=document())], "good", 0),
    ("another role's unknown policy", [FUNCTION, ROLE, a("role-policy", role="other", policy=UNKNOWN)], "good", 0),
    ("inline policy", [FUNCTION, CALLS], "bad", 1),
    ("SageMaker", [FUNCTION, a("role-policy", role="chat", policy=document("sagemaker:InvokeEndpoint"))], "bad", 1),
    ("unreserved", [a("function", role=FUNCTION["role"].data, reservedConcurrentExecutions=-1), CALLS], "bad", 1),
    ("ten thousand at once", [a("function", role=FUNCTION["role"].data, reservedConcurrentExecutions=10_000), CALLS], "bad", 1),
    ("the role's own", [FUNCTION, a("role", arn=FUNCTION["role"].data, inlinePolicies=[{"policy": document()}])], "bad", 1),
    (
        "by dependencies",
        [
            a("function", come={"role": [NEW_ROLE]}, role=UNKNOWN),
            NEW_ROLE,
            a("role-policy", come={"role": [NEW_ROLE]}, role=UNKNOWN, policy=document()),
        ],
        "bad",
        1,
    ),
    (
        "attached",
        [FUNCTION, a("policy", arn="arn:p", policy=document()), a("attachment", role="chat", policyArn="arn:p")],
        "bad",
        1,
    ),
    (
        "AWS's own",
        [FUNCTION, a("attachment", role="chat", policyArn="arn:aws:iam::aws:policy/AmazonBedrockFullAccess")],
        "bad",
        1,
    ),
    ("unknown policy", [FUNCTION, a("role-policy", role="chat", policy=UNKNOWN)], "unknown", 0),
    ("unknown policy beside", [FUNCTION, a("role-policy", role="chat", policy=UNKNOWN), CALLS], "bad", 1),
    (
        "unknown reservation",
        [a("function", role=FUNCTION["role"].data, reservedConcurrentExecutions=UNKNOWN), CALLS],
        "unknown",
        0,
    ),
    ("unknown role", [a("function", role=UNKNOWN), CALLS], "unknown", 0),
]

PRIVATE = a("rest", id="abc", endpointConfiguration={"types": "PRIVATE"})
REGIONAL = a("rest", id="abc", endpointConfiguration={"types": "REGIONAL"})

TABLE: dict[str, list[Case]] = {
    "apigateway-waf": [
        ("a web ACL of another stack", [STAGE, REGIONAL, ASSOCIATION], "good", 0),
        ("by dependency", [NEW, a("association", come={"resourceArn": [NEW]}, resourceArn=UNKNOWN)], "good", 0),
        ("a private API", [STAGE, PRIVATE], "good", 0),
        ("none", [STAGE, REGIONAL], "bad", 1),
        ("one of another stage", [STAGE, a("association", resourceArn=f"{STAGE['arn'].data}2")], "bad", 1),
        ("one of a load balancer", [STAGE, a("association", resourceArn="arn:aws:elasticloadbalancing:…/a/b")], "bad", 1),
        ("unknown", [STAGE, a("association", resourceArn=UNKNOWN)], "unknown", 0),
    ],
    "apigateway-stage-throttled": STAGE_CASES,
    "lambda-reserved-concurrency": FUNCTION_CASES,
    "apigateway-usage-plan-limited": [
        ("both", [a("plan", throttleSettings=THROTTLE, quotaSettings=QUOTA)], "good", 0),
        ("no quota", [a("plan", throttleSettings=THROTTLE)], "bad", 1),
        ("half a throttle", [a("plan", throttleSettings={"rateLimit": 5}, quotaSettings=QUOTA)], "bad", 1),
        ("neither", [a("plan")], "bad", 2),
        (
            "a quota of a thousand million",
            [a("plan", throttleSettings=THROTTLE, quotaSettings={"limit": 10**9, "period": "MONTH"})],
            "bad",
            1,
        ),
        (
            "a month's quota",
            [a("plan", throttleSettings=THROTTLE, quotaSettings={"limit": 2_000_000, "period": "MONTH"})],
            "good",
            0,
        ),
        (
            "a day's quota of that size",
            [a("plan", throttleSettings=THROTTLE, quotaSettings={"limit": 2_000_000, "period": "DAY"})],
            "bad",
            1,
        ),
        (
            "the account's rate",
            [a("plan", throttleSettings={"burstLimit": 5000, "rateLimit": 10_000}, quotaSettings=QUOTA)],
            "bad",
            1,
        ),
        (
            "a method of the plan",
            [
                a(
                    "plan",
                    throttleSettings=THROTTLE,
                    quotaSettings=QUOTA,
                    apiStages=[
                        {
                            "apiId": "a",
                            "stage": "v1",
                            "throttles": [{"path": "/chat/POST", "burstLimit": 9, "rateLimit": 99_999}],
                        }
                    ],
                )
            ],
            "bad",
            1,
        ),
        ("unknown quota", [a("plan", quotaSettings={"limit": UNKNOWN})], "unknown", 1),
    ],
    "apigateway-keys-in-plan": [
        ("in a plan", [a("key", id="k"), a("plan-key", keyId="k")], "good", 0),
        ("in a plan by dependency", [k := a("key", id=UNKNOWN), a("plan-key", come={"keyId": [k]}, keyId=UNKNOWN)], "good", 0),
        ("in reserve", [a("key", id="k", enabled=False)], "good", 0),
        ("in none", [a("key", id="k")], "bad", 1),
        ("another in a plan", [a("key", id="k"), a("plan-key", keyId="other")], "bad", 1),
        ("unknown plan key", [a("key", id="k"), a("plan-key", keyId=UNKNOWN)], "unknown", 0),
    ],
    "apigateway-method-authorized": [
        ("authorizer", [a("method", authorization="CUSTOM", httpMethod="POST", resourceId="r1")], "good", 0),
        ("key", [open_method(apiKeyRequired=True)], "good", 0),
        ("preflight", [open_method("OPTIONS")], "good", 0),
        ("health", [open_method("GET"), path("health")], "good", 0),
        ("health by dependency", [open_method("GET", UNKNOWN, come={"resourceId": [path("health")]})], "good", 0),
        ("chat", [open_method(), path("chat")], "bad", 1),
        ("post to health", [open_method(), path("health")], "bad", 1),
        ("get of chat", [open_method("GET"), path("chat")], "bad", 1),
        ("any", [open_method("ANY"), path("health")], "bad", 1),
        ("get of the root", [open_method("GET", "root"), a("rest", rootResourceId="root")], "bad", 1),
        ("a body with an authorizer", rest({"security": [{"lambda": []}]}), "good", 0),
        ("a body with a key", rest({"security": [{"key": []}]}), "good", 0),
        ("a body with signatures", rest({"security": [{"signed": []}]}), "good", 0),
        ("a body with an extension", rest({"x-amazon-apigateway-auth": {"type": "AWS_IAM"}}), "good", 0),
        ("a body with preflight", rest({}, "options"), "good", 0),
        ("a body with health", rest({}, "get", "/v1/health"), "good", 0),
        (
            "a body of Swagger",
            [
                a(
                    "rest",
                    body=json.dumps(
                        {
                            "swagger": "2.0",
                            "securityDefinitions": {"k": KEY},
                            "paths": {"/c": {"post": {"security": [{"k": []}]}}},
                        }
                    ),
                )
            ],
            "good",
            0,
        ),
        ("an open body", rest({}), "bad", 1),
        ("an open body in YAML", [a("rest", body=OPEN_YAML)], "bad", 1),
        ("an open body that is put", [a("put", body=openapi({}))], "bad", 1),
        ("a body that asks for nothing", rest({"security": []}), "bad", 1),
        ("a body that asks for nothing or a key", rest({"security": [{"key": []}, {}]}), "bad", 1),
        ("a body whose scheme is only documentation", rest({"security": [{"bearer": []}]}), "bad", 1),
        ("a body whose scheme is not there", rest({"security": [{"other": []}]}), "bad", 1),
        ("a body with the root's security, which REST APIs do not use", rest({}, security=[{"lambda": []}]), "bad", 1),
        ("a body with an extension of none", rest({"x-amazon-apigateway-auth": {"type": "NONE"}}), "bad", 1),
        ("a body with any verb", rest({}, "x-amazon-apigateway-any-method", "/{proxy+}"), "bad", 1),
        ("an unknown body", [a("rest", body=UNKNOWN)], "unknown", 0),
        ("unknown path beside chat", [open_method("GET", UNKNOWN, name="new"), open_method()], "unknown", 1),
    ],
    "apigatewayv2-route-authorized": [
        ("connect", [route("$connect", authorizationType="CUSTOM")], "good", 0),
        ("connect by key", [route("$connect", apiKeyRequired=True)], "good", 0),
        (
            "a WebSocket's word",
            [signed := route("$connect", authorizationType="AWS_IAM"), route("send"), route("$disconnect")],
            "good",
            0,
        ),
        ("a WebSocket's default", [CONNECT, route("$default"), a("api", id="xyz", protocolType="WEBSOCKET")], "good", 0),
        ("health", [route("GET /v1/health"), route("OPTIONS /chat")], "good", 0),
        ("JWT", [route("POST /chat", authorizationType="JWT")], "good", 0),
        ("open connect", [route("$connect")], "bad", 1),
        ("open chat", [route("POST /chat", authorizationType="NONE")], "bad", 1),
        ("open root", [route("GET /")], "bad", 1),
        ("open default of HTTP", [route("$default"), a("api", id="xyz", protocolType="HTTP")], "bad", 1),
        ("quick creation", [a("api", protocolType="HTTP", target="arn:aws:lambda:us-east-1:1:function:f")], "bad", 1),
        ("a body with an authorizer", http({"security": [{"lambda": []}]}), "good", 0),
        ("a body with the root's security", http({}, security=[{"lambda": []}]), "good", 0),
        ("an open body", http({}), "bad", 1),
        ("an open default of a body", http({}, "x-amazon-apigateway-any-method", "/$default"), "bad", 1),
        ("a body with a key, which HTTP APIs do not know", http({"security": [{"key": []}]}), "bad", 1),
        ("an operation that takes the root's security back", http({"security": []}, security=[{"lambda": []}]), "bad", 1),
        ("no connect", [a("api", id="xyz", protocolType="WEBSOCKET"), route("send")], "bad", 1),
        ("no connect, of an API of another stack", [route("send"), route("stop", name="stop")], "bad", 1),
        (
            "connect of another API",
            [OTHER, route("send")],
            "bad",
            1,
        ),
        ("unknown key beside an open connect", [route(UNKNOWN), route("$connect")], "unknown", 1),
    ],
    "apigatewayv2-stage-throttled": [
        ("both", [a("stage2", defaultRouteSettings=LIMITS)], "good", 0),
        ("none", [a("stage2")], "bad", 1),
        ("the account's rate", [a("stage2", defaultRouteSettings={**LIMITS, "throttlingRateLimit": 10_000})], "bad", 1),
        (
            "a route's own",
            [
                a(
                    "stage2",
                    defaultRouteSettings=LIMITS,
                    routeSettings=[{"routeKey": "POST /chat", **LIMITS, "throttlingBurstLimit": 5_000}],
                )
            ],
            "bad",
            1,
        ),
        (
            "a route's lower",
            [a("stage2", defaultRouteSettings=LIMITS, routeSettings=[{"routeKey": "POST /chat", **LIMITS}])],
            "good",
            0,
        ),
        ("unknown route beside", [a("stage2", defaultRouteSettings=LIMITS, routeSettings=UNKNOWN)], "unknown", 0),
        ("zero, the provider's none", [a("stage2", defaultRouteSettings={**LIMITS, "throttlingRateLimit": 0})], "bad", 1),
        ("its one route's, no default", [HTTP_API, CHAT_STAGE, CHAT_ROUTE], "good", 0),
        ("its one route's, of what is made now", [NEW_API, NEW_STAGE, NEW_ROUTE], "good", 0),
        ("its one route's, which is no limit", [HTTP_API, FAST_STAGE, CHAT_ROUTE], "bad", 1),
        ("one of two routes'", [HTTP_API, CHAT_STAGE, CHAT_ROUTE, a("route", apiId="abc", routeKey="$default")], "bad", 1),
        ("another API's route's", [HTTP_API, CHAT_STAGE, a("route", apiId="other", routeKey="POST /chat")], "bad", 1),
        ("a route's, of an API that stands elsewhere", [CHAT_STAGE, CHAT_ROUTE], "bad", 1),
        ("a route's beside a document's", [a("api", id="abc", body="{}"), CHAT_STAGE, CHAT_ROUTE], "bad", 1),
        ("a route's beside a target's", [a("api", id="abc", target="arn:f"), CHAT_STAGE, CHAT_ROUTE], "bad", 1),
        ("an unknown route's", [HTTP_API, CHAT_STAGE, a("route", apiId="abc", routeKey=UNKNOWN)], "unknown", 0),
        ("unknown", [a("stage2", defaultRouteSettings=UNKNOWN)], "unknown", 0),
    ],
    "function-url-authorized": [
        ("signed", [a("url", authorizationType="AWS_IAM")], "good", 0),
        ("open", [a("url", authorizationType="NONE")], "bad", 1),
        ("unknown", [a("url", authorizationType=UNKNOWN)], "unknown", 0),
    ],
    "event-source-bounded": [
        ("bounded", [a("source", eventSourceArn=UNKNOWN, scalingConfig={"maximumConcurrency": 5})], "good", 0),
        ("pollers", [a("source", eventSourceArn=SQS, provisionedPollerConfig={"maximumPollers": 5})], "good", 0),
        ("stream", [a("source", eventSourceArn=KINESIS, parallelizationFactor=2)], "good", 0),
        ("Kafka of one's own", [a("source", selfManagedEventSource={"endpoints": {}})], "good", 0),
        ("queue", [a("source", eventSourceArn=SQS)], "bad", 1),
        ("a thousand at once", [a("source", eventSourceArn=SQS, scalingConfig={"maximumConcurrency": 1000})], "bad", 1),
        ("two thousand pollers", [a("source", eventSourceArn=SQS, provisionedPollerConfig={"maximumPollers": 2000})], "bad", 1),
        ("another partition", [a("source", eventSourceArn="arn:aws-cn:sqs:cn-north-1:1:jobs", scalingConfig={})], "bad", 1),
        ("unknown", [a("source", eventSourceArn=UNKNOWN)], "unknown", 0),
    ],
    "lambda-loops-stopped": [
        ("stopped", [a("recursion", recursiveLoop="Terminate")], "good", 0),
        ("not stopped", [a("recursion", recursiveLoop="Allow")], "bad", 1),
        ("unknown", [a("recursion", recursiveLoop=UNKNOWN)], "unknown", 0),
    ],
    "jobs-end": [
        (
            "a job with a GPU and a time",
            [a("job", containerProperties=GPU, timeout={"attemptDurationSeconds": 3600})],
            "good",
            0,
        ),
        ("a job without a GPU", [a("job", containerProperties="{}")], "good", 0),
        ("a task with a time", [machine(TimeoutSeconds=300)], "good", 0),
        ("a task with a heartbeat", [machine(HeartbeatSeconds=60)], "good", 0),
        ("a task that does not wait", [machine(Resource="arn:aws:states:::lambda:invoke")], "good", 0),
        ("a job with a GPU", [a("job", containerProperties=GPU)], "bad", 1),
        ("a task that waits", [machine()], "bad", 1),
        ("a task that waits within a map", [machine(inner=True)], "bad", 1),
        ("unknown", [a("machine", definition=UNKNOWN)], "unknown", 0),
    ],
    "dynamodb-billing-guard": [
        ("provisioned by default", [a("table", readCapacity=5)], "good", 0),
        ("bounded", [a("table", **ON_DEMAND, onDemandThroughput=MAXIMA)], "good", 0),
        ("unbounded", [a("table", **ON_DEMAND)], "bad", 1),
        (
            "the account's own",
            [a("table", **ON_DEMAND, onDemandThroughput={**MAXIMA, "maxWriteRequestUnits": 40_000})],
            "bad",
            1,
        ),
        ("reads only", [a("table", **ON_DEMAND, onDemandThroughput={"maxReadRequestUnits": 5})], "bad", 1),
        ("minus one", [a("table", **ON_DEMAND, onDemandThroughput={**MAXIMA, "maxReadRequestUnits": -1})], "bad", 1),
        ("index", [a("table", **ON_DEMAND, onDemandThroughput=MAXIMA, globalSecondaryIndexes=[{"name": "i"}])], "bad", 1),
        (
            "unknown beside an index",
            [a("table", **ON_DEMAND, onDemandThroughput=MAXIMA, globalSecondaryIndexes=[UNKNOWN, {}])],
            "unknown",
            1,
        ),
    ],
    "waf-rate-limited": [
        ("rule", [ACL], "good", 0),
        (
            "JSON",
            [a("acl", ruleJson=json.dumps([{"Action": {"Block": {}}, "Statement": {"RateBasedStatement": {"Limit": 9}}}]))],
            "good",
            0,
        ),
        ("rule of its own", [WEAK, a("acl-rule", webAclArn="arn:acl", statement=RATE, action={"block": {}})], "good", 0),
        ("group", [a("acl", rules=[BY_GROUP]), a("group", arn="arn:group", rules=[RATE_RULE])], "good", 0),
        ("none", [a("acl")], "bad", 1),
        ("managed only", [WEAK], "bad", 1),
        ("counted only", [a("acl", rules=[COUNTING])], "bad", 1),
        ("two thousand million", [a("acl", rules=[HUGE])], "bad", 1),
        (
            "more in a shorter time",
            [
                a(
                    "acl",
                    rules=[{**RATE_RULE, "statement": {"rateBasedStatement": {"limit": 20_000, "evaluationWindowSec": 60}}}],
                )
            ],
            "bad",
            1,
        ),
        ("allowed when it is too much", [a("acl", rules=[{**RATE_RULE, "action": {"allow": {}}}])], "bad", 1),
        ("one path", [limited(at_path("EXACTLY"))], "bad", 1),
        ("one country", [limited({"geoMatchStatement": {"countryCodes": ["KP"]}})], "bad", 1),
        (
            "one path of some addresses",
            [limited({"andStatement": {"statements": [BY_SET]}})],
            "bad",
            1,
        ),
        (
            "all paths that begin so",
            [limited(at_path("STARTS_WITH"))],
            "good",
            0,
        ),
        (
            "all but some addresses",
            [limited({"notStatement": {"statements": [BY_SET]}})],
            "good",
            0,
        ),
        ("all pass before it", [a("acl", rules=[PASS, RATE_RULE])], "bad", 1),
        ("all pass after it", [a("acl", rules=[{**PASS, "priority": 9}, RATE_RULE])], "good", 0),
        ("a challenge", [a("acl", rules=[{**RATE_RULE, "action": {"challenge": {}}}])], "good", 0),
        (
            "a group that is only counted",
            [a("acl", rules=[{**BY_GROUP, "overrideAction": {"count": {}}}]), a("group", arn="arn:group", rules=[RATE_RULE])],
            "bad",
            1,
        ),
        (
            "by a header that the caller writes",
            [
                a(
                    "acl",
                    rules=[
                        {
                            **RATE_RULE,
                            "statement": {
                                "rateBasedStatement": {
                                    "limit": 100,
                                    "aggregateKeyType": "CUSTOM_KEYS",
                                    "customKeys": [{"header": {"name": "user-agent"}}],
                                }
                            },
                        }
                    ],
                )
            ],
            "bad",
            1,
        ),
        (
            "by address and header",
            [
                a(
                    "acl",
                    rules=[
                        {
                            **RATE_RULE,
                            "statement": {
                                "rateBasedStatement": {
                                    "limit": 100,
                                    "aggregateKeyType": "CUSTOM_KEYS",
                                    "customKeys": [{"header": {"name": "x-api-key"}}, {"ip": {}}],
                                }
                            },
                        }
                    ],
                )
            ],
            "bad",
            1,
        ),
        (
            "a group joined by a resource",
            [
                WEAK,
                a("joined", webAclArn="arn:acl", ruleGroupReference={"arn": "arn:group"}),
                a("group", arn="arn:group", rules=[RATE_RULE]),
            ],
            "good",
            0,
        ),
        ("another ACL's rule", [WEAK, a("acl-rule", webAclArn="arn:other", statement=RATE, action={"block": {}})], "bad", 1),
        ("group without", [a("acl", rules=[BY_GROUP]), a("group", arn="arn:group", rules=[])], "bad", 1),
        ("group of another stack", [a("acl", rules=[BY_GROUP])], "unknown", 0),
        ("unknown rule beside a rate", [a("acl", rules=[UNKNOWN, RATE_RULE])], "good", 0),
        ("unknown ACL beside a weak one", [a("acl", name="new", rules=UNKNOWN), WEAK], "unknown", 1),
    ],
    "cloudfront-waf": [
        ("ACL", [a("distribution", webAclId="arn:aws:wafv2:us-east-1:1:global/webacl/a/1")], "good", 0),
        ("none", [a("distribution")], "bad", 1),
        ("empty", [a("tenants", webAclId="")], "bad", 1),
        ("unknown", [a("distribution", webAclId=UNKNOWN)], "unknown", 0),
    ],
}


test_case, test_every_rule_has_all_kinds_of_case = counted_cases(RULES, TABLE)


def test_public_paths_are_a_setting() -> None:
    settings = {"public_paths": ["/", "status"]}
    rest = [open_method("GET"), path("status")]
    assert problems(BY_NAME["apigateway-method-authorized"], *rest, settings=settings) == []
    assert problems(BY_NAME["apigatewayv2-route-authorized"], route("GET /"), settings=settings) == []


def test_problems_are_told_of_the_resource() -> None:
    stack = [a("key", id="k"), a("key", name="other", id="o"), a("plan-key", keyId="k")]
    check = BY_NAME["apigateway-keys-in-plan"].check_stack
    assert check is not None
    assert [told.name for told, _ in check(stack, {}) if told] == ["other"]
