"""The checker of values: what AWS would refuse, what it takes, and what can't be told."""

import sys
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from contract.test_components import CASES, recorded
from pulumi_llm_local.aws_types import api_values
from pulumi_llm_local.aws_types.api_values import counterpart, places, problems
from pulumi_llm_local.aws_types.registry import TYPES
from pulumi_llm_local.aws_types.sdk import resource_class
from pulumi_llm_local.aws_types.values import ARCHIVE, ASSET, OUTPUT_VALUE, SECRET, SIGNATURE, UNKNOWN
from pulumi_llm_local.program import arguments
from support.programs import Recording

FUNCTION = "aws:lambda/function:Function"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
BUCKET = "aws:s3/bucket:Bucket"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
GUARDRAIL = "aws:bedrock/guardrail:Guardrail"
INTEGRATION = "aws:apigateway/integration:Integration"
KEY = "aws:kms/key:Key"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
METHOD_SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
PARAMETER = "aws:ssm/parameter:Parameter"
ENHANCED = "SecurityPolicy_TLS13_1_2_2021_06"
REGIONAL_POLICIES = (
    "'SecurityPolicy_TLS13_1_3_2025_09', 'SecurityPolicy_TLS13_1_3_FIPS_2025_09', 'SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09', "
    "'SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09', 'SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09', "
    "'SecurityPolicy_TLS13_1_2_PQ_2025_09' or 'SecurityPolicy_TLS13_1_2_2021_06'"
)
REST_API = "aws:apigateway/restApi:RestApi"
PERMISSION = "aws:lambda/permission:Permission"
POLICY = "aws:iam/policy:Policy"
QUEUE = "aws:sqs/queue:Queue"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
SECRET_TOKEN = "aws:secretsmanager/secret:Secret"
STAGE = "aws:apigateway/stage:Stage"
V2_ROUTE = "aws:apigatewayv2/route:Route"
V2_STAGE = "aws:apigatewayv2/stage:Stage"
WEBSOCKET = {"apiId": "abcdefgwss"}
TABLE = "aws:dynamodb/table:Table"
TOPIC = "aws:sns/topic:Topic"
USAGE_PLAN = "aws:apigateway/usagePlan:UsagePlan"
WEB_ACL = "aws:wafv2/webAcl:WebAcl"

ROLE_ARN = "arn:aws:iam::123456789012:role/mine"
MANAGED = {"capacityProviderConfig": {"lambdaManagedInstancesCapacityProviderConfig": {"capacityProviderArn": UNKNOWN}}}


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    # Enumerations
    (FUNCTION, {"packageType": "zip"}, ["packageType: must be 'Zip' or 'Image', not 'zip'"]),
    (FUNCTION, {"architectures": ["arm"]}, ["architectures[0]: must be 'x86_64' or 'arm64', not 'arm'"]),
    (FUNCTION, {"tracingConfig": {"mode": "on"}}, ["tracingConfig.mode: must be 'Active' or 'PassThrough', not 'on'"]),
    (TABLE, {"billingMode": "ON_DEMAND"}, ["billingMode: must be 'PROVISIONED' or 'PAY_PER_REQUEST', not 'ON_DEMAND'"]),
    (TABLE, {"attributes": [{"name": "pk", "type": "X"}]}, ["attributes[0].type: must be 'S', 'N' or 'B', not 'X'"]),
    (
        TABLE,
        {"globalSecondaryIndexes": [{"name": "by", "projectionType": "SOME"}]},
        [
            "globalSecondaryIndexes[0].name: must have at least 3 characters, not 2",
            "globalSecondaryIndexes[0].projectionType: must be 'ALL', 'KEYS_ONLY' or 'INCLUDE', not 'SOME'",
        ],
    ),
    (INTEGRATION, {"type": "LAMBDA"}, ["type: must be 'HTTP', 'AWS', 'MOCK', 'HTTP_PROXY' or 'AWS_PROXY', not 'LAMBDA'"]),
    (
        INTEGRATION,
        {"passthroughBehavior": "never"},
        ["passthroughBehavior: must be 'WHEN_NO_MATCH', 'WHEN_NO_TEMPLATES' or 'NEVER', not 'never'"],
    ),
    (
        "aws:apigateway/method:Method",
        {"authorization": "IAM"},
        ["authorization: must be 'NONE', 'AWS_IAM', 'CUSTOM' or 'COGNITO_USER_POOLS', not 'IAM'"],
    ),
    (
        METHOD_SETTINGS,
        {"settings": {"loggingLevel": "WARN"}},
        ["settings.loggingLevel: must be 'OFF', 'ERROR' or 'INFO', not 'WARN'"],
    ),
    (USAGE_PLAN, {"quotaSettings": {"period": "YEAR"}}, ["quotaSettings.period: must be 'DAY', 'WEEK' or 'MONTH', not 'YEAR'"]),
    (PARAMETER, {"type": "string"}, ["type: must be 'String', 'StringList' or 'SecureString', not 'string'"]),
    (
        ALARM,
        {"treatMissingData": "bad"},
        ["treatMissingData: must be 'breaching', 'notBreaching', 'ignore' or 'missing', not 'bad'"],
    ),
    (
        DISTRIBUTION,
        {"restrictions": {"geoRestriction": {"restrictionType": "no"}}},
        ["restrictions.geoRestriction.restrictionType: must be 'blacklist', 'whitelist' or 'none', not 'no'"],
    ),
    (
        DISTRIBUTION,
        {"customErrorResponses": [{"errorCode": 404.0}, {"errorCode": 412.0}]},
        [
            "customErrorResponses[1].errorCode: must be 400, 403, 404, 405, 414, 416, 500, 501, 502, 503 or 504, not 412",
        ],
    ),
    (
        "aws:s3/bucketNotification:BucketNotification",
        {"lambdaFunctions": [{"events": ["s3:ObjectRemoved:Deleted"]}]},
        [
            "lambdaFunctions[0].events[0]: must be a value that the API knows, not 's3:ObjectRemoved:Deleted'; "
            "did you mean 's3:ObjectRemoved:Delete'?"
        ],
    ),
    (WEB_ACL, {"scope": "GLOBAL"}, ["scope: must be 'CLOUDFRONT' or 'REGIONAL', not 'GLOBAL'"]),
    (
        "aws:lambda/functionUrl:FunctionUrl",
        {"authorizationType": "IAM"},
        ["authorizationType: must be 'NONE' or 'AWS_IAM', not 'IAM'"],
    ),
    (
        "aws:eks/nodeGroup:NodeGroup",
        {"capacityType": "SPOTTY"},
        ["capacityType: must be 'ON_DEMAND', 'SPOT' or 'CAPACITY_BLOCK', not 'SPOTTY'"],
    ),
    # … of which there are many: the nearest is named
    (
        FUNCTION,
        {"runtime": "Python3_13"},
        ["runtime: must be a value that the API knows, not 'Python3_13'; did you mean 'python3.13'?"],
    ),
    (FUNCTION, {"runtime": "cobol"}, ["runtime: must be a value that the API knows, not 'cobol'"]),
    (ALARM, {"unit": "Second"}, ["unit: must be a value that the API knows, not 'Second'; did you mean 'Seconds'?"]),
    (LOG_GROUP, {"retentionInDays": 31.0}, ["retentionInDays: must be a value that the API knows, not 31; did you mean 30?"]),
    # Numbers
    (FUNCTION, {"memorySize": 64.0}, ["memorySize: must be at least 128, not 64"]),
    (FUNCTION, {"memorySize": 10241.0}, ["memorySize: must be at most 10240, not 10241"]),
    (FUNCTION, {"timeout": 901.0}, ["timeout: must be at most 900, not 901"]),
    (FUNCTION, {"timeout": 0.0}, ["timeout: must be at least 1, not 0"]),
    (FUNCTION, MANAGED | {"timeout": 5401.0}, ["timeout: must be at most 5400, not 5401"]),
    (FUNCTION, {"ephemeralStorage": {"size": 100.0}}, ["ephemeralStorage.size: must be at least 512, not 100"]),
    (FUNCTION, {"reservedConcurrentExecutions": -2.0}, ["reservedConcurrentExecutions: must be at least -1, not -2"]),
    (INTEGRATION, {"timeoutMilliseconds": 29001.0}, ["timeoutMilliseconds: must be at most 29000, not 29001"]),
    (
        INTEGRATION,
        {"timeoutMilliseconds": 900001.0, "responseTransferMode": "STREAM"},
        ["timeoutMilliseconds: must be at most 900000, not 900001"],
    ),
    (INTEGRATION, {"timeoutMilliseconds": 49.0}, ["timeoutMilliseconds: must be at least 50, not 49"]),
    (
        USAGE_PLAN,
        {"quotaSettings": {"limit": 5.0, "period": "WEEK", "offset": 7.0}},
        ["quotaSettings.offset: must be at most 6, not 7"],
    ),
    (USAGE_PLAN, {"throttleSettings": {"rateLimit": -0.5}}, ["throttleSettings.rateLimit: must be at least 0, not -0.5"]),
    (QUEUE, {"visibilityTimeoutSeconds": 43201.0}, ["visibilityTimeoutSeconds: must be at most 43200, not 43201"]),
    (QUEUE, {"messageRetentionSeconds": 1209601.0}, ["messageRetentionSeconds: must be at most 1209600, not 1209601"]),
    (QUEUE, {"delaySeconds": 901.0}, ["delaySeconds: must be at most 900, not 901"]),
    (KEY, {"deletionWindowInDays": 6.0}, ["deletionWindowInDays: must be at least 7, not 6"]),
    (ROLE, {"maxSessionDuration": 60.0}, ["maxSessionDuration: must be at least 3600, not 60"]),
    (
        SECRET_TOKEN,
        {"recoveryWindowInDays": 3.0},
        ["recoveryWindowInDays: must be a value that the API knows, not 3; did you mean 0?"],
    ),
    (
        "aws:cloudwatch/eventTarget:EventTarget",
        {"retryPolicy": {"maximumRetryAttempts": 186.0}},
        ["retryPolicy.maximumRetryAttempts: must be at most 185, not 186"],
    ),
    (
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {"toPort": 70000.0},
        ["toPort: must be at most 65535, not 70000"],
    ),
    # Lengths and patterns
    (FUNCTION, {"name": "f" * 65}, ["name: must have at most 64 characters, not 65"]),
    (FUNCTION, {"name": "my function"}, ["name: must match [a-zA-Z0-9-_]+, not 'my function'"]),
    (FUNCTION, {"handler": "a b"}, ["handler: must match [^\\s]+, not 'a b'"]),
    (LOG_GROUP, {"name": "a b"}, ["name: must match [\\.\\-_/#A-Za-z0-9]+, not 'a b'"]),
    (ROLE, {"name": "r" * 65}, ["name: must have at most 64 characters, not 65"]),
    (ROLE, {"name": "rôle"}, ["name: must match [\\w+=,.@-]+, not 'rôle'"]),
    (ROLE_POLICY, {"name": "a b", "policy": "{}"}, ["name: must match [\\w+=,.@-]+, not 'a b'"]),
    (TABLE, {"name": "t"}, ["name: must have at least 3 characters, not 1"]),
    (QUEUE, {"name": "q.fif"}, ["name: must match [a-zA-Z0-9_-]+(\\.fifo)?, not 'q.fif'"]),
    (TOPIC, {"name": "t" * 257}, ["name: must have at most 256 characters, not 257"]),
    (BUCKET, {"bucket": "My-Bucket"}, ["bucket: must match [a-z0-9][a-z0-9.-]*[a-z0-9], not 'My-Bucket'"]),
    (ALARM, {"name": "a" * 256}, ["name: must have at most 255 characters, not 256"]),
    (STAGE, {"stageName": "v1.0"}, ["stageName: must match [a-zA-Z0-9_-]+, not 'v1.0'"]),
    ("aws:apigatewayv2/api:Api", {"name": "a" * 129}, ["name: must have at most 128 characters, not 129"]),
    # WebSocket APIs, whose ids end in `wss` here
    (
        "aws:apigatewayv2/api:Api",
        {"protocolType": "WEBSOCKET", "routeSelectionExpression": "request.body.action"},
        [
            "routeSelectionExpression: must match "
            r"(\$request\.(body|header|querystring|path)\.[\w.-]+|\$\{request\.[\w.-]+\}.*), not 'request.body.action'"
        ],
    ),
    (V2_STAGE, {**WEBSOCKET, "name": "$default"}, ["name: must match [a-zA-Z0-9_-]+, not '$default'"]),
    (V2_STAGE, {"name": "s" * 129}, ["name: must have at most 128 characters, not 129"]),
    (
        V2_STAGE,
        {"defaultRouteSettings": {"throttlingRateLimit": -1.0, "throttlingBurstLimit": -1.0}},
        [
            "defaultRouteSettings.throttlingRateLimit: must be at least 0, not -1",
            "defaultRouteSettings.throttlingBurstLimit: must be at least 0, not -1",
        ],
    ),
    (
        V2_STAGE,
        {"routeSettings": [{"loggingLevel": "ALL"}]},
        ["routeSettings[0].loggingLevel: must be 'ERROR', 'INFO' or 'OFF', not 'ALL'"],
    ),
    (
        V2_ROUTE,
        {**WEBSOCKET, "routeKey": "$message", "target": "abc", "authorizationType": "JWT"},
        [
            r"routeKey: must match \$(connect|disconnect|default)|[^$\s].*, not '$message'",
            "target: must match integrations/.+, not 'abc'",
            "authorizationType: must be 'NONE', 'AWS_IAM' or 'CUSTOM', not 'JWT'",
        ],
    ),
    (
        "aws:apigatewayv2/integration:Integration",
        {**WEBSOCKET, "timeoutMilliseconds": 29001.0},
        ["timeoutMilliseconds: must be at most 29000, not 29001"],
    ),
    (
        "aws:apigatewayv2/authorizer:Authorizer",
        {
            **WEBSOCKET,
            "authorizerType": "JWT",
            "identitySources": ["method.request.header.Authorization"],
            "authorizerResultTtlInSeconds": 300.0,
        },
        [
            "authorizerType: must be 'REQUEST', not 'JWT'",
            r"identitySources[0]: must match (route\.request\.(header|querystring)|context|stageVariables)\.[\w.-]+, "
            "not 'method.request.header.Authorization'",
            "authorizerResultTtlInSeconds: must be at most 0, not 300",
        ],
    ),
    (
        "aws:apigatewayv2/integrationResponse:IntegrationResponse",
        {"integrationResponseKey": "default"},
        [r"integrationResponseKey: must match \$default|/.+/, not 'default'"],
    ),
    (
        "aws:apigatewayv2/routeResponse:RouteResponse",
        {"routeResponseKey": "chat"},
        ["routeResponseKey: must be '$default', not 'chat'"],
    ),
    ("aws:kms/alias:Alias", {"name": "mine"}, ["name: must match alias/[a-zA-Z0-9/_-]+, not 'mine'"]),
    (PERMISSION, {"statementId": "a b"}, ["statementId: must match ([a-zA-Z0-9-_]+), not 'a b'"]),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies.html
    (REST_API, {"securityPolicy": ENHANCED}, [f"securityPolicy: must be 'TLS_1_0' or 'TLS_1_2', not '{ENHANCED}'"]),
    (
        REST_API,
        {"endpointConfiguration": {"types": "REGIONAL"}, "endpointAccessMode": "BASIC", "securityPolicy": "TLS_1_2"},
        [f"securityPolicy: must be {REGIONAL_POLICIES}, not 'TLS_1_2'"],
    ),
    (
        "aws:apigateway/domainName:DomainName",
        {
            "endpointConfiguration": {"types": "REGIONAL"},
            "endpointAccessMode": "STRICT",
            "securityPolicy": "SecurityPolicy_TLS13_2025_EDGE",
        },
        [f"securityPolicy: must be {REGIONAL_POLICIES}, not 'SecurityPolicy_TLS13_2025_EDGE'"],
    ),
    ("aws:apigateway/response:Response", {"statusCode": "600"}, ["statusCode: must match [1-5]\\d\\d, not '600'"]),
    (
        GUARDRAIL,
        {"topicPolicyConfig": {"topicsConfigs": [{"name": "n", "examples": ["x", "y" * 101]}]}},
        ["topicPolicyConfig.topicsConfigs[0].examples[1]: must have at most 100 characters, not 101"],
    ),
    # Sizes
    (PARAMETER, {"value": "v" * 4097}, ["value: must have at most 4096 characters, not 4097"]),
    (PARAMETER, {"value": "v" * 8193, "tier": "Advanced"}, ["value: must have at most 8192 characters, not 8193"]),
    (ROLE_POLICY, {"policy": "p " * 10241}, ["policy: must have at most 10240 characters besides white space, not 10241"]),
    (
        ROLE,
        {"inlinePolicies": [{"policy": "p" * 6000}, {"policy": "p" * 6000}]},
        ["inlinePolicies: must have at most 10240 characters besides white space, not 12000"],
    ),
    (POLICY, {"policy": "p" * 6145}, ["policy: must have at most 6144 characters besides white space, not 6145"]),
    (
        FUNCTION,
        {"environment": {"variables": {"AB": "é" * 2048}}},
        ["environment.variables: must have at most 4096 bytes, not 4098"],
    ),
    # Lists
    (FUNCTION, {"architectures": ["arm64", "x86_64"]}, ["architectures: must have at most 1 item, not 2"]),
    (ALARM, {"alarmActions": ["a"] * 6}, ["alarmActions: must have at most 5 items, not 6"]),
    (
        FUNCTION,
        {"vpcConfig": {"subnetIds": ["subnet-1", "sn-1"]}},
        ["vpcConfig.subnetIds[1]: must match subnet-[0-9a-z]*, not 'sn-1'"],
    ),
    (
        DISTRIBUTION,
        {"defaultCacheBehavior": {"allowedMethods": ["GET", "FETCH"], "cachedMethods": ["LOAD"]}},
        [
            f"defaultCacheBehavior.{path}: must be 'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'OPTIONS' or 'DELETE', not {found!r}"
            for path, found in (("allowedMethods[1]", "FETCH"), ("cachedMethods[0]", "LOAD"))
        ],
    ),
    (
        "aws:cloudwatch/logMetricFilter:LogMetricFilter",
        {"metricTransformation": {"name": "n", "namespace": "a:b", "value": "1"}},
        ["metricTransformation.namespace: must match [^:*$]*, not 'a:b'"],
    ),
    # Maps
    (
        FUNCTION,
        {"environment": {"variables": {"1A": "x"}}},
        ["environment.variables.1A: its key must match [a-zA-Z]([a-zA-Z0-9_])+, not '1A'"],
    ),
    (ALARM, {"dimensions": {"Name": "v" * 1025}}, ["dimensions.Name: must have at most 1024 characters, not 1025"]),
    (ROLE, {"tags": {"k": "v" * 257}}, ["tags.k: must have at most 256 characters, not 257"]),
    (ROLE, {"tags": {"a b" * 50: "v"}}, [f"tags['{'a b' * 18}a …']: its key must have at most 128 characters, not 150"]),
    # What AWS's words say, and its models do not
    (
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
        {"frequency": "DAILY", "subscribers": [{"type": "EMAIL"}, {"type": "SNS"}]},
        ["subscribers[1].type: must be 'EMAIL', not 'SNS'"],
    ),
    (
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
        {"frequency": "IMMEDIATE", "subscribers": [{"type": "EMAIL"}]},
        ["subscribers[0].type: must be 'SNS', not 'EMAIL'"],
    ),
    (
        "aws:budgets/budget:Budget",
        {"notifications": [{"subscriberEmailAddresses": ["a@example.com"] * 11, "subscriberSnsTopicArns": ["a", "b"]}]},
        [
            "notifications[0].subscriberEmailAddresses: must have at most 10 items, not 11",
            "notifications[0].subscriberSnsTopicArns: must have at most 1 item, not 2",
        ],
    ),
    # Outputs that are known
    (FUNCTION, {"timeout": {SIGNATURE: OUTPUT_VALUE, "value": 901.0}}, ["timeout: must be at most 900, not 901"]),
]


@pytest.mark.parametrize(("token", "inputs", "expected"), BAD)
def test_a_value_that_aws_refuses_is_told(token: str, inputs: dict[str, Any], expected: list[str]) -> None:
    assert problems(token, inputs) == [f"{token}: {problem}" for problem in expected]


SECRETS: list[tuple[str, dict[str, Any], str]] = [
    (FUNCTION, {"handler": secret("hush hush")}, "handler: must match [^\\s]+, not a secret string"),
    (FUNCTION, {"memorySize": secret(77.0)}, "memorySize: must be at least 128, not a secret number"),
    (FUNCTION, {"runtime": secret("python3.77")}, "runtime: must be a value that the API knows, not a secret string"),
    (LOG_GROUP, {"retentionInDays": secret(77.0)}, "retentionInDays: must be a value that the API knows, not a secret number"),
    (PARAMETER, {"value": secret("hush" * 2000)}, "value: must have at most 4096 characters, not more"),
    (
        TABLE,
        {"name": {SIGNATURE: OUTPUT_VALUE, "secret": True, "value": "h"}},
        "name: must have at least 3 characters, not fewer",
    ),
    (
        FUNCTION,
        {"environment": secret({"variables": {"AB": "hush" * 2000}})},
        "environment.variables: must have at most 4096 bytes, not more",
    ),
    (ALARM, {"alarmActions": secret(["hush"] * 6)}, "alarmActions: must have at most 5 items, not more"),
    (
        FUNCTION,
        {"vpcConfig": {"subnetIds": secret(["hush"])}},
        "vpcConfig.subnetIds[0]: must match subnet-[0-9a-z]*, not a secret string",
    ),
]


@pytest.mark.parametrize(("token", "inputs", "expected"), SECRETS)
def test_a_secret_is_checked_but_never_shown(token: str, inputs: dict[str, Any], expected: str) -> None:
    assert problems(token, inputs) == [f"{token}: {expected}"]
    assert "hush" not in expected and "77" not in expected


GOOD: list[tuple[str, dict[str, Any]]] = [
    # What is right
    (FUNCTION, {"memorySize": 128.0, "timeout": 900.0, "runtime": "python3.13", "architectures": ["arm64"], "role": ROLE_ARN}),
    (FUNCTION, {"name": "f" * 64, "environment": {"variables": {"AB": "v" * 4094}}, "ephemeralStorage": {"size": 10240.0}}),
    (FUNCTION, {"code": pulumi.FileArchive("x"), "loggingConfig": {"logFormat": "JSON", "systemLogLevel": "WARN"}}),
    (ROLE, {"name": "r" * 64, "path": "/service/", "description": "A role.\nOf two lines.", "maxSessionDuration": 43200.0}),
    (ROLE, {"assumeRolePolicy": {"Version": "2012-10-17"}, "permissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
    (ROLE_POLICY, {"role": "mine", "name": "p", "policy": '{"Version": "2012-10-17",\n "Statement": []}' + " " * 20000}),
    (POLICY, {"name": "p", "policy": "p" * 6144, "path": "/a/b/"}),
    (TABLE, {"name": "a.b", "hashKey": "pk", "attributes": [{"name": "pk", "type": "S"}], "billingMode": "PAY_PER_REQUEST"}),
    (TABLE, {"ttl": {"attributeName": "expires", "enabled": True}, "streamViewType": "KEYS_ONLY"}),
    (LOG_GROUP, {"name": "/aws/lambda/f", "retentionInDays": 14.0, "logGroupClass": "INFREQUENT_ACCESS"}),
    (INTEGRATION, {"type": "AWS_PROXY", "timeoutMilliseconds": 900000.0, "responseTransferMode": "STREAM"}),
    (INTEGRATION, {"type": "MOCK", "timeoutMilliseconds": 29000.0, "httpMethod": "ANY", "requestTemplates": {"a/b": "{\n}"}}),
    (INTEGRATION, {"timeoutMilliseconds": 60000.0, "responseTransferMode": UNKNOWN}),
    (
        "aws:apigateway/restApi:RestApi",
        {"name": "a", "endpointConfiguration": {"types": "REGIONAL", "ipAddressType": "dualstack"}},
    ),
    (REST_API, {"securityPolicy": ENHANCED, "endpointAccessMode": "STRICT", "endpointConfiguration": {"types": "PRIVATE"}}),
    ("aws:apigateway/domainName:DomainName", {"securityPolicy": "TLS_1_2"}),
    ("aws:apigateway/resource:Resource", {"pathPart": "{proxy+}"}),
    ("aws:apigateway/response:Response", {"responseType": "DEFAULT_4XX", "responseTemplates": {"application/json": "{}"}}),
    ("aws:apigateway/authorizer:Authorizer", {"type": "REQUEST", "authorizerResultTtlInSeconds": 0.0}),
    (
        USAGE_PLAN,
        {"quotaSettings": {"limit": 10.0, "period": "MONTH", "offset": 27.0}, "throttleSettings": {"burstLimit": 0.0}},
    ),
    (STAGE, {"stageName": "v1", "cacheClusterSize": "0.5", "canarySettings": {"percentTraffic": 12.5}}),
    ("aws:apigatewayv2/api:Api", {"protocolType": "HTTP", "corsConfiguration": {"maxAge": -1.0}}),
    ("aws:apigatewayv2/api:Api", {"protocolType": "WEBSOCKET", "routeSelectionExpression": "${request.body.action}"}),
    (V2_STAGE, {"name": "$default", "defaultRouteSettings": {"loggingLevel": "OFF", "throttlingRateLimit": 0.5}}),
    (V2_ROUTE, {**WEBSOCKET, "routeKey": "$connect", "authorizationType": "CUSTOM", "target": "integrations/abc1234"}),
    (V2_ROUTE, {"apiId": "abcdefgweb", "routeKey": "GET /a", "authorizationType": "JWT"}),
    ("aws:apigatewayv2/integration:Integration", {"apiId": UNKNOWN, "timeoutMilliseconds": 30000.0}),
    ("aws:lambda/alias:Alias", {"name": "live", "functionName": "arn:aws:lambda:eu-west-1:123456789012:function:f"}),
    (PERMISSION, {"action": "lambda:InvokeFunction", "principal": "apigateway.amazonaws.com", "function": "f:live"}),
    (PERMISSION, {"sourceArn": "arn:aws:execute-api:us-east-1:123456789012:abc/*/POST/{id}", "sourceAccount": "123456789012"}),
    ("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", {"maximumRetryAttempts": 0.0, "qualifier": "$LATEST"}),
    ("aws:lambda/eventSourceMapping:EventSourceMapping", {"batchSize": 10.0, "startingPosition": "LATEST"}),
    ("aws:lambda/layerVersion:LayerVersion", {"layerName": "l", "compatibleRuntimes": ["python3.13"]}),
    (KEY, {"keyUsage": "SIGN_VERIFY", "rotationPeriodInDays": 365.0, "policy": "{}"}),
    ("aws:kms/alias:Alias", {"name": "alias/a/b_c-1", "targetKeyId": "1234"}),
    (PARAMETER, {"type": "SecureString", "name": "/a/b", "value": secret("v" * 4096), "tier": "Standard"}),
    (PARAMETER, {"value": "v" * 8192, "tier": UNKNOWN}),
    (SECRET_TOKEN, {"name": "a/b", "recoveryWindowInDays": 30.0}),
    ("aws:secretsmanager/secretVersion:SecretVersion", {"secretString": secret("v"), "versionStages": ["AWSCURRENT"]}),
    (QUEUE, {"name": "q.fifo", "messageRetentionSeconds": 1209600.0, "deduplicationScope": "queue", "delaySeconds": 0.0}),
    (TOPIC, {"name": "t.fifo", "signatureVersion": 2.0, "tracingConfig": "Active"}),
    ("aws:sns/topicSubscription:TopicSubscription", {"protocol": "sqs", "endpoint": "arn:aws:sqs:us-east-1:123456789012:q"}),
    (BUCKET, {"bucket": "my.bucket-1", "forceDestroy": True}),
    ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", {"rule": {"objectOwnership": "BucketOwnerEnforced"}}),
    (
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}, "bucketKeyEnabled": True}]},
    ),
    (
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        {"rules": [{"id": "i", "status": "Enabled", "transitions": [{"days": 30.0, "storageClass": "STANDARD_IA"}]}]},
    ),
    ("aws:s3/bucketObjectv2:BucketObjectv2", {"key": "k", "serverSideEncryption": "AES256", "source": {SIGNATURE: ASSET}}),
    ("aws:s3/vectorsIndex:VectorsIndex", {"dataType": "float32", "dimension": 1024.0, "distanceMetric": "cosine"}),
    (ALARM, {"name": "a b", "dimensions": {"FunctionName": "f"}, "statistic": "Sum", "unit": "Count/Second", "period": 60.0}),
    ("aws:cloudwatch/eventRule:EventRule", {"name": "r", "scheduleExpression": "rate(1 hour)", "state": "ENABLED"}),
    (
        DISTRIBUTION,
        {
            "defaultCacheBehavior": {"allowedMethods": ["GET", "HEAD"], "viewerProtocolPolicy": "https-only"},
            "origins": [{"originId": "o", "customOriginConfig": {"originSslProtocols": ["TLSv1.2"]}}],
            "restrictions": {"geoRestriction": {"restrictionType": "whitelist", "locations": ["DE"]}},
            "viewerCertificate": {"minimumProtocolVersion": "TLSv1.2_2021", "sslSupportMethod": "sni-only"},
            "httpVersion": "http2and3",
        },
    ),
    ("aws:cloudfront/function:Function", {"name": "f", "runtime": "cloudfront-js-2.0", "code": "x" * 10240}),
    ("aws:cloudfront/originAccessControl:OriginAccessControl", {"originAccessControlOriginType": "lambda"}),
    ("aws:wafv2/ipSet:IpSet", {"name": "mine", "scope": "REGIONAL", "ipAddressVersion": "IPV4", "addresses": ["10.0.0.0/8"]}),
    (WEB_ACL, {"scope": "REGIONAL", "rules": [{"name": "r", "statement": {"rateBasedStatement": {"limit": 100.0}}}]}),
    (GUARDRAIL, {"name": "g", "contentPolicyConfig": {"filtersConfigs": [{"type": "HATE", "inputStrength": "HIGH"}]}}),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": "Interface", "ipAddressType": "ipv4"}),
    ("aws:ec2/flowLog:FlowLog", {"trafficType": "ALL", "maxAggregationInterval": 60.0, "logDestinationType": "s3"}),
    (
        "aws:ec2/securityGroup:SecurityGroup",
        {"description": "Managed by Pulumi", "ingress": [{"fromPort": 0.0, "toPort": 65535.0}]},
    ),
    ("aws:route53/record:Record", {"type": "CNAME", "ttl": 300.0}),
    ("aws:acm/certificate:Certificate", {"domainName": "*.example.com", "validationMethod": "DNS"}),
    ("aws:budgets/budget:Budget", {"budgetType": "COST", "timeUnit": "MONTHLY", "limitAmount": "10"}),
    # What the provider takes and the API's model doesn't
    (FUNCTION, {"reservedConcurrentExecutions": -1.0}),
    (FUNCTION, MANAGED | {"memorySize": 32768.0, "timeout": 5400.0}),
    (METHOD_SETTINGS, {"methodPath": "*/*", "settings": {"throttlingBurstLimit": -1.0, "throttlingRateLimit": -1.0}}),
    (LOG_GROUP, {"retentionInDays": 0.0}),
    (SECRET_TOKEN, {"recoveryWindowInDays": 0.0}),
    (KEY, {"customerMasterKeySpec": "ML_DSA_44"}),
    ("aws:acm/certificate:Certificate", {"validationMethod": "NONE"}),
    ("aws:s3/bucketAcl:BucketAcl", {"acl": "log-delivery-write"}),
    ("aws:s3/bucketVersioning:BucketVersioning", {"versioningConfiguration": {"status": "Disabled"}}),
    ("aws:ec2/launchTemplate:LaunchTemplate", {"instanceType": "p99.48xlarge"}),
    # What can't be told
    (FUNCTION, {"memorySize": UNKNOWN, "packageType": UNKNOWN, "architectures": UNKNOWN, "layers": [UNKNOWN]}),
    (FUNCTION, {"tracingConfig": {"mode": UNKNOWN}, "environment": {"variables": {"AB": UNKNOWN + "v" * 5000}}}),
    (FUNCTION, {"packageType": secret(UNKNOWN), "timeout": {SIGNATURE: OUTPUT_VALUE}, "handler": f"{UNKNOWN} b"}),
    (FUNCTION, {"memorySize": pulumi.output.UNKNOWN, "runtime": None}),
    (ROLE_POLICY, {"policy": UNKNOWN + "p" * 20000}),
    (FUNCTION, {"code": {SIGNATURE: ARCHIVE, "path": "b.zip"}, "layers": [{SIGNATURE: ASSET}]}),
    # What is of another kind: `arguments` tells
    (FUNCTION, {"memorySize": "64", "timeout": True, "packageType": 7.0, "architectures": "arm", "tracingConfig": "on"}),
    (FUNCTION, {"environment": {"variables": ["1A"]}, "handler": ["a b"], "ephemeralStorage": [{"size": "1"}]}),
    # What is empty
    (FUNCTION, {"architectures": [], "handler": "", "packageType": "", "description": ""}),
    (LOG_GROUP, {"tags": {}, "name": ""}),
    # What has no counterpart
    (FUNCTION, {"noSuch": "a b", "skipDestroy": True, "__defaults": ["name"], "sourceCodeHash": "x" * 9999}),
    ("aws:nosuch/thing:Thing", {"name": "a b"}),
    ("aws:lambda/thing:Thing", {"name": "a b"}),
    ("aws:sqs/queuePolicy:QueuePolicy", {"policy": "{}", "queueUrl": "u"}),
    ("pulumi:providers:aws", {"region": "nowhere", "maxRetries": "-5"}),
    ("kubernetes:core/v1:ConfigMap", {"metadata": {"name": "A B"}}),
    ("llm:index:ServerlessBedrockApi", {"memorySize": 1.0}),
    ("pulumi:pulumi:Stack", {"name": "a b"}),
]


@pytest.mark.parametrize(("token", "inputs"), GOOD)
def test_a_value_that_aws_takes_or_that_cannot_be_told_passes(token: str, inputs: dict[str, Any]) -> None:
    assert problems(token, inputs) == []


def test_every_mistake_of_a_resource_is_told() -> None:
    found = problems(FUNCTION, {"memorySize": 1.0, "packageType": "zip", "layers": ["l", "arn:aws:lambda:::awslayer:a", "m"]})
    assert [line.split(": ")[1] for line in found] == ["memorySize", "packageType", "layers[0]", "layers[2]"]


# Our own resources.


def found_in(recording: Recording) -> list[str]:
    return [line for resource in recording.custom() for line in problems(resource.type, resource.inputs)]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_our_own_stacks_have_values_that_aws_takes(stack: str, request: pytest.FixtureRequest) -> None:
    recording: Recording = request.getfixturevalue(stack)
    assert {LOG_GROUP, FUNCTION, INTEGRATION} <= {resource.type for resource in recording.custom()}
    assert found_in(recording) == []


@pytest.mark.parametrize(("component", "label"), CASES)
def test_every_component_has_values_that_aws_takes(component: str, label: str) -> None:
    recording = recorded(component, label)
    assert recording.custom()
    assert found_in(recording) == []


def test_a_wrong_value_in_our_own_stack_would_be_found(prod: Recording) -> None:
    """Or the tests above prove nothing: in each type a value is made wrong that the program really sets."""
    wrong = {FUNCTION: ("memorySize", 1.0), LOG_GROUP: ("retentionInDays", 2.0), TABLE: ("billingMode", "FREE")}
    spoilt = [resource for resource in prod.custom() if resource.type in wrong]
    assert {resource.type for resource in spoilt} == set(wrong)
    for resource in spoilt:
        name, value = wrong[resource.type]
        assert name in resource.inputs
        assert len(problems(resource.type, {**resource.inputs, name: value})) == 1


# The table.

RULED = sorted(token for token, entry in TYPES.items() if entry.rules or entry.rules_by_inputs)
# What has nothing to check: settings made by a patch, and JSON documents or attributes alone.
WITHOUT_COUNTERPART = {
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:apigateway/account:Account",
    "aws:apigateway/methodSettings:MethodSettings",
    "aws:apigateway/restApiPolicy:RestApiPolicy",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sqs/queuePolicy:QueuePolicy",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
    "aws:sqs/redrivePolicy:RedrivePolicy",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
}


@pytest.mark.parametrize("token", sorted(TYPES))
def test_every_known_type_has_a_counterpart_or_is_known_to_have_none(token: str) -> None:
    assert bool(places(token)) != (token in WITHOUT_COUNTERPART)


@pytest.mark.parametrize("token", RULED)
def test_the_table_names_what_the_sdk_and_the_api_have(token: str) -> None:
    resource_class(token)
    rules = dict(TYPES[token].rules)
    if by_inputs := TYPES[token].rules_by_inputs:
        rules |= {path: rule for path, rule in by_inputs({}).items() if path not in rules}
    for path, rule in rules.items():
        assert rule.source.startswith("https://")
        assert rule.member or rule.limits or rule.exempt, f"{path}: the rule says nothing"
        assert not any("no such argument" in line for line in arguments.problems(token, nested(token, path))), path
        if rule.member and "." not in path:
            assert counterpart(token, path) is not None, f"{path}: the API has no {rule.member}"


def nested(token: str, path: str) -> Mapping[str, Any]:
    """An unknown at a path; a step is an object or a list of one, whichever the SDK has."""
    first, _, rest = path.partition(".")
    if not rest:
        return {first: UNKNOWN}
    inner = nested(token, rest)
    wrong_kind = any("must be a list" in line for line in arguments.problems(token, {first: inner}))
    return {first: [inner] if wrong_kind else inner}


def test_what_is_of_another_provider_reads_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.loaders", None)  # so that its import is an error
    api_values.places.cache_clear()
    assert problems("kubernetes:core/v1:ConfigMap", {"metadata": {}}) == []
    with pytest.raises(ImportError):
        problems("aws:mq/broker:Broker", {"brokerName": "b"})
