"""The rules on logs, protection, backups, tags, runtimes and images."""

from typing import Any

from llm_policies import operations
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource
from pulumi_llm_local.aws_types.sdk import takes
from support.policies import BY_NAME, cases

GROUP = "aws:cloudwatch/logGroup:LogGroup"
FUNCTION = "aws:lambda/function:Function"
STAGE = "aws:apigateway/stage:Stage"
STAGE_2 = "aws:apigatewayv2/stage:Stage"
METHODS = "aws:apigateway/methodSettings:MethodSettings"
BEDROCK = "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration"
TABLE = "aws:dynamodb/table:Table"
DATABASE = "aws:rds/instance:Instance"
SECRET = "aws:secretsmanager/secret:Secret"
BUCKET = "aws:s3/bucket:Bucket"
POOL = "aws:cognito/userPool:UserPool"
REPOSITORY = "aws:ecr/repository:Repository"
CLUSTER = "aws:eks/cluster:Cluster"
MACHINE = "aws:sfn/stateMachine:StateMachine"
TAGS = {"Project": "chat", "Environment": "test"}


def text(flag: Any) -> list[Resource]:
    return [resource(BEDROCK, {"loggingConfig": {"textDataDeliveryEnabled": flag}})]


GOOD: list[tuple[str, list[Resource], dict[str, Any]]] = [
    ("log-retention", [resource(GROUP, {"retentionInDays": 30.0})], {"minimum_days": 30, "maximum_days": 30}),
    ("log-retention", [resource(GROUP, {"logGroupClass": "DELIVERY"})], {}),
    ("lambda-log-group-declared", [resource(FUNCTION, {"name": "chat", "loggingConfig": {"logGroup": "chat"}})], {}),
    (
        "lambda-log-group-declared",
        [resource(FUNCTION, {"name": "chat"}), resource(GROUP, {"name": "/aws/lambda/chat"}, name="logs")],
        {},
    ),
    ("lambda-log-group-declared", [resource(GROUP, {})], {}),
    ("apigateway-access-logs", [resource(STAGE, {"accessLogSettings": {"destinationArn": "arn:…", "format": "…"}})], {}),
    ("apigateway-bodies-not-logged", [resource(METHODS, {"settings": {"loggingLevel": "INFO"}})], {}),
    ("apigateway-bodies-not-logged", [resource(STAGE_2, {})], {}),
    ("eks-control-plane-logs", [resource(CLUSTER, {"enabledClusterLogTypes": ["audit", UNKNOWN]})], {"types": ["audit"]}),
    ("bedrock-prompts-not-logged", text(False), {}),
    ("bedrock-prompts-not-logged", text(True), {"allowed": True}),
    ("state-machine-logs", [resource(MACHINE, {"loggingConfiguration": {"level": "ERROR"}})], {}),
    (
        "state-machine-logs",
        [resource(MACHINE, {"loggingConfiguration": {"level": "ALL", "includeExecutionData": True}})],
        {"execution_data": True},
    ),
    ("deletion-protection", [resource(TABLE, {"deletionProtectionEnabled": True})], {}),
    ("deletion-protection", [resource(POOL, {"deletionProtection": "ACTIVE"}), resource(BUCKET, {})], {}),
    ("deletion-protection", [resource(TABLE, {"ttl": {"attributeName": "expires", "enabled": True}})], {}),
    (
        "deletion-protection",
        [resource(DATABASE, {"deletionProtection": True, "replicateSourceDb": "chat", "skipFinalSnapshot": True})],
        {},
    ),
    ("deletion-protection", [resource(SECRET, {}), resource(SECRET, {"recoveryWindowInDays": 7}, name="week")], {}),
    ("dynamodb-backups", [resource(TABLE, {"pointInTimeRecovery": {"enabled": True}})], {}),
    ("dynamodb-backups", [resource(TABLE, {"ttl": {"attributeName": "expires", "enabled": True}})], {}),
    ("required-tags", [resource(TABLE, {"tags": TAGS})], {}),
    ("required-tags", [resource(TABLE, {"tags": {"Project": "chat"}, "tagsAll": TAGS})], {}),
    ("required-tags", [resource(TABLE, {"tags": {**TAGS, "Project": UNKNOWN}, "tagsAll": UNKNOWN})], {}),
    ("required-tags", [resource(TABLE, {"tags": {"Project": "chat"}})], {"default_tags": ["Environment"]}),
    ("required-tags", [resource("aws:lambda/permission:Permission", {}), resource("kubernetes:core/v1:Pod", {})], {}),
    ("required-tags", [resource("aws:s3/bucketObjectv2:BucketObjectv2", {"key": "index.html"})], {}),
    ("lambda-runtime-supported", [resource(FUNCTION, {"runtime": "python3.13"})], {}),
    ("lambda-runtime-supported", [resource(FUNCTION, {"packageType": "Image"})], {}),
    ("ecr-images-fixed", [resource(REPOSITORY, {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"})], {"scan": False}),
    (
        "ecr-images-fixed",
        [resource(REPOSITORY, {"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}})],
        {},
    ),
]

BAD: list[tuple[str, list[Resource], dict[str, Any], list[str]]] = [
    ("log-retention", [resource(GROUP, {})], {}, ["retentionInDays is missing or 0"]),
    ("log-retention", [resource(GROUP, {"retentionInDays": 0})], {}, ["kept forever"]),
    ("log-retention", [resource(GROUP, {"retentionInDays": 7})], {"minimum_days": 90}, ["at least 90"]),
    ("log-retention", [resource(GROUP, {"retentionInDays": 3653})], {"maximum_days": 365}, ["at most 365"]),
    ("lambda-log-group-declared", [resource(FUNCTION, {"name": "chat"})], {}, ["loggingConfig.logGroup"]),
    (
        "lambda-log-group-declared",
        [resource(FUNCTION, {"name": "chat", "loggingConfig": {"logGroup": "/aws/lambda/chat"}})],
        {},
        ["loggingConfig.logGroup"],
    ),
    ("lambda-log-group-declared", [resource(FUNCTION, {"name": "chat", "loggingConfig": UNKNOWN})], {}, ["logGroup"]),
    ("apigateway-access-logs", [resource(STAGE_2, {})], {}, ["accessLogSettings is missing"]),
    ("apigateway-bodies-not-logged", [resource(METHODS, {"settings": {"dataTraceEnabled": True}})], {}, ["settings.dataTrace"]),
    (
        "apigateway-bodies-not-logged",
        [resource(STAGE_2, {"routeSettings": [{}, {"dataTraceEnabled": True}]})],
        {},
        ["routeSettings[1].dataTraceEnabled"],
    ),
    ("eks-control-plane-logs", [resource(CLUSTER, {})], {}, ["lacks api, audit, authenticator"]),
    ("eks-control-plane-logs", [resource(CLUSTER, {"enabledClusterLogTypes": ["api"]})], {"types": ["audit"]}, ["lacks audit"]),
    ("bedrock-prompts-not-logged", text(None), {}, ["textDataDeliveryEnabled"]),
    ("state-machine-logs", [resource(MACHINE, {})], {}, ["loggingConfiguration.level is missing"]),
    ("state-machine-logs", [resource(MACHINE, {"loggingConfiguration": {"level": "OFF"}})], {}, ["level is missing or OFF"]),
    (
        "state-machine-logs",
        [resource(MACHINE, {"loggingConfiguration": {"level": "ALL", "includeExecutionData": True}})],
        {},
        ["includeExecutionData"],
    ),
    ("deletion-protection", [resource(TABLE, {})], {}, ["deletionProtectionEnabled is not true"]),
    ("deletion-protection", [resource(POOL, {"deletionProtection": "INACTIVE"})], {}, ["deletionProtection is not ACTIVE"]),
    ("deletion-protection", [resource(BUCKET, {"forceDestroy": True})], {}, ["forceDestroy is true"]),
    (
        "deletion-protection",
        [resource(DATABASE, {"deletionProtection": True, "skipFinalSnapshot": True})],
        {},
        ["skipFinalSnapshot is true"],
    ),
    ("deletion-protection", [resource(SECRET, {"recoveryWindowInDays": 0})], {}, ["recoveryWindowInDays is 0"]),
    ("dynamodb-backups", [resource(TABLE, {})], {}, ["pointInTimeRecovery.enabled"]),
    (
        "dynamodb-backups",
        [resource(TABLE, {"pointInTimeRecovery": {"enabled": True}, "replicas": [{"regionName": "eu-west-1"}]})],
        {},
        ["replicas[0].pointInTimeRecovery"],
    ),
    ("required-tags", [resource(TABLE, {})], {}, ["tags lacks Project, Environment"]),
    ("required-tags", [resource(TABLE, {"tags": {**TAGS, "Project": ""}})], {}, ["tags lacks Project"]),
    ("required-tags", [resource(TABLE, {"tags": TAGS, "tagsAll": TAGS})], {"tags": ["Owner"]}, ["tags lacks Owner"]),
    ("lambda-runtime-supported", [resource(FUNCTION, {"runtime": "python3.9"})], {}, ["deprecated on 2025-12-15"]),
    ("ecr-images-fixed", [resource(REPOSITORY, {})], {}, ["imageTagMutability", "scanOnPush"]),
]

NOT_KNOWN: list[tuple[str, list[Resource], dict[str, Any], str, list[str]]] = [
    ("log-retention", [resource(GROUP, {"retentionInDays": UNKNOWN})], {}, "retentionInDays", []),
    (
        "lambda-log-group-declared",
        [
            resource(FUNCTION, {"name": UNKNOWN}),
            resource(FUNCTION, {"name": "other"}, name="other"),
            resource(GROUP, {"name": UNKNOWN}, name="logs"),
        ],
        {},
        "name",
        ["loggingConfig.logGroup"],
    ),
    ("apigateway-access-logs", [resource(STAGE, {"accessLogSettings": UNKNOWN})], {}, "accessLogSettings", []),
    (
        "apigateway-bodies-not-logged",
        [resource(STAGE_2, {"defaultRouteSettings": UNKNOWN, "routeSettings": [{"dataTraceEnabled": True}]})],
        {},
        "defaultRouteSettings",
        ["routeSettings[0]"],
    ),
    ("eks-control-plane-logs", [resource(CLUSTER, {"enabledClusterLogTypes": ["audit", UNKNOWN]})], {}, "Types[1]", []),
    ("bedrock-prompts-not-logged", text(UNKNOWN), {}, "textDataDeliveryEnabled", []),
    ("state-machine-logs", [resource(MACHINE, {"loggingConfiguration": UNKNOWN})], {}, "loggingConfiguration", []),
    ("deletion-protection", [resource(TABLE, {"deletionProtectionEnabled": UNKNOWN})], {}, "deletionProtectionEnabled", []),
    ("dynamodb-backups", [resource(TABLE, {"pointInTimeRecovery": UNKNOWN})], {}, "pointInTimeRecovery", []),
    ("required-tags", [resource(TABLE, {"tags": UNKNOWN})], {}, "tags", []),
    ("required-tags", [resource(TABLE, {"tags": {"Project": UNKNOWN}, "tagsAll": UNKNOWN})], {}, "tagsAll", []),
    ("lambda-runtime-supported", [resource(FUNCTION, {"runtime": UNKNOWN})], {}, "runtime", []),
    ("ecr-images-fixed", [resource(REPOSITORY, {"imageTagMutability": UNKNOWN})], {}, "imageTagMutability", []),
]


def test_retention_is_mended_to_a_number_that_cloudwatch_takes() -> None:
    rule = BY_NAME["log-retention"]
    assert rule.mend is not None

    def mended(days: int | None, **settings: int) -> Any:
        assert rule.mend is not None
        given = resource(GROUP, {"name": "chat"} if days is None else {"name": "chat", "retentionInDays": days})
        return (rule.mend(given, rule.settings_of(settings)) or {}).get("retentionInDays")

    assert mended(30) is None
    assert mended(None) == 30
    assert mended(0, default_days=14) == 14
    assert mended(None, default_days=31) == 60
    assert mended(7, minimum_days=90) == 90
    assert mended(3653, maximum_days=364) == 180
    assert rule.mend(resource(GROUP, {"name": "chat"}), rule.settings_of({})) == {"retentionInDays": 30}


def test_tags_are_mended_from_the_settings_alone() -> None:
    rule = BY_NAME["required-tags"]
    assert rule.mend is not None
    given = resource(TABLE, {"hashKey": "id", "tags": {"Project": "chat"}})
    settings = rule.settings_of({"values": {"Project": "another", "Environment": "test"}})
    assert rule.mend(given, settings) == {"tags": {"Environment": "test"}}
    assert rule.mend(given, rule.settings_of({})) is None
    assert rule.mend(resource(TABLE, {"tags": TAGS}), settings) is None
    joined = resource(TABLE, {"tags": {"Project": "chat"}, "tagsAll": {"Project": "chat", "Owner": "platform"}})
    assert rule.mend(joined, settings) == {"tags": {"Environment": "test"}, "tagsAll": {"Environment": "test"}}


def test_the_table_of_taggable_types_is_the_sdks() -> None:
    looked_at = BY_NAME["required-tags"].types
    for kind in (TABLE, GROUP, FUNCTION, STAGE, POOL, BUCKET):
        assert kind in looked_at
    for kind in (METHODS, "aws:s3/bucketPolicy:BucketPolicy", "aws:iam/rolePolicy:RolePolicy"):
        assert kind not in looked_at
    for kind in looked_at[::40]:
        assert takes(kind, "tags")


(
    test_every_rule_is_tried_as_good_as_bad_and_as_unknown,
    test_good,
    test_bad,
    test_what_is_not_known_is_said_and_hides_nothing,
) = cases(operations.RULES, GOOD, BAD, NOT_KNOWN)
