"""Lambda."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, PROVIDER_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import CREATED, Draft
from pulumi_llm_local.aws_types.values import UNKNOWN

FUNCTION: Final = "aws:lambda/function:Function"
ALIAS: Final = "aws:lambda/alias:Alias"
PERMISSION: Final = "aws:lambda/permission:Permission"
FUNCTION_URL: Final = "aws:lambda/functionUrl:FunctionUrl"
PUBLISHED: Final = ("version", "qualifiedArn", "qualifiedInvokeArn")
"""The outputs of a function that each version has of its own."""
UNPUBLISHED: Final = {"codeSigningConfigArn", "reservedConcurrentExecutions", "tags", "tagsAll"}
"""The inputs of a function whose change publishes no version."""
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/function.go (needsFunctionConfigUpdate)

_ARN: Final = "arn:{partition}:lambda:{region}:{account}:"
_QUOTAS: Final = AWS_DOCS + "lambda/latest/dg/gettingstarted-limits.html"


def _function(draft: Draft) -> Outputs:
    """A function that publishes has version 1; one that doesn't has $LATEST alone."""
    return {
        "id": "{name}",
        "arn": "arn:{partition}:lambda:{region}:{account}:function:{name}",
        "version": "1" if draft.inputs.get("publish") is True else "$LATEST",
        "qualifiedArn": "{arn}:{version}",
        "invokeArn": _invoke_arn("{arn}"),
        "qualifiedInvokeArn": _invoke_arn("{qualifiedArn}"),
        "responseStreamingInvokeArn": "arn:{partition}:apigateway:{region}:lambda:path/2021-11-15"
        "/functions/{arn}/response-streaming-invocations",
        "architectures": ["x86_64"],
        "codeSha256": "{sha256}",
        "ephemeralStorage": {"size": 512},
        "lastModified": "2026-01-01T00:00:00.000+0000",
        "loggingConfig": {"logFormat": "Text", "logGroup": f"/aws/lambda/{draft.physical_name}"},
        "memorySize": 128,
        "packageType": "Zip",
        "reservedConcurrentExecutions": -1,
        "signingJobArn": "",
        "signingProfileVersionArn": "",
        "sourceCodeHash": "{codeSha256}",
        "sourceCodeSize": 1024,
        "timeout": 3,
        "tracingConfig": {"mode": "PassThrough"},
    }


def _function_alias(draft: Draft) -> Outputs:
    """An alias has the function's ARN and a name, whether the function is given by name or by ARN."""
    return {"id": "{arn}", "arn": f"{_function_arn(draft)}:{{name}}", "invokeArn": _invoke_arn("{arn}")}


def _function_url(draft: Draft) -> Outputs:
    """The provider's id is the function's name, with the qualifier where there is one."""
    qualifier = draft.text("qualifier")
    return {
        "id": "{functionName}" + (f"/{qualifier}" if qualifier else ""),
        "functionArn": _function_arn(draft) + (f":{qualifier}" if qualifier else ""),
        "urlId": "{lower32}",
        "functionUrl": "https://{urlId}.lambda-url.{region}.on.aws/",
        "invokeMode": "BUFFERED",
    }


def _event_source_mapping(draft: Draft) -> Outputs:
    """The mapping is enabled, and has seen nothing yet."""
    return {
        "id": "{uuid}",
        "uuid": draft.uuid(),
        "arn": "arn:{partition}:lambda:{region}:{account}:event-source-mapping:{uuid}",
        "functionArn": _function_arn(draft),
        "lastModified": CREATED,
        "lastProcessingResult": "No records processed",
        "state": "Enabled",
        "stateTransitionReason": "USER_INITIATED",
    }


def _function_event_invoke_config(draft: Draft) -> Outputs:
    """The id is the function's name, with the qualifier where there is one."""
    return {"id": "{functionName}" + (":{qualifier}" if draft.text("qualifier") else "")}


def _function_arn(draft: Draft) -> str:
    named = draft.text("functionName")
    return named if named.startswith("arn:") else f"arn:{{partition}}:lambda:{{region}}:{{account}}:function:{named}"


def _invoke_arn(arn: str) -> str:
    return f"arn:{{partition}}:apigateway:{{region}}:lambda:path/2015-03-31/functions/{arn}/invocations"


def _function_rules(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """The model's bounds are those of functions on managed instances."""
    if inputs.get("capacityProviderConfig") is not None:
        return {}
    return {
        "timeout": ValueRule(_QUOTAS, high=900),
        "memorySize": ValueRule(_QUOTAS, high=10240),
        "ephemeralStorage.size": ValueRule(_QUOTAS, high=10240),
    }


def _bytes_of_variables(variables: Any) -> int:
    given = cast("dict[str, Any]", variables) if isinstance(variables, dict) else {}
    known = {name: value for name, value in given.items() if isinstance(value, str) and UNKNOWN not in value}
    return sum(len(f"{name}{value}".encode()) for name, value in known.items())


TYPES: Final[Mapping[str, AwsType]] = {
    ALIAS: AwsType(outputs=_function_alias, replaced_by="functionName name"),
    "aws:lambda/eventSourceMapping:EventSourceMapping": AwsType(
        outputs=_event_source_mapping,
        replaced_by=(
            "amazonManagedKafkaEventSourceConfig.consumerGroupId eventSourceArn queues selfManagedEventSource "
            "selfManagedKafkaEventSourceConfig.consumerGroupId startingPosition startingPositionTimestamp topics"
        ),
    ),
    FUNCTION: AwsType(
        outputs=_function,
        # durableConfig (only when it comes or goes) and tenancyConfig: the source of provider 6.
        replaced_by="durableConfig name packageType tenancyConfig",
        api="lambda CreateFunction CreateFunction.Code",
        # More bounds are in `_function_rules`: they depend on where the function runs.
        rules={
            "name": ValueRule(AWS_DOCS + "lambda/latest/api/API_CreateFunction.html", high=64, pattern="[a-zA-Z0-9-_]+"),
            "environment.variables": ValueRule(_QUOTAS, high=4096, size=_bytes_of_variables, unit="byte"),
            # -1, the provider's default, reserves none
            "reservedConcurrentExecutions": ValueRule(PROVIDER_DOCS + "lambda/function/", low=-1),
            "s3Key": ValueRule(AWS_DOCS + "AmazonS3/latest/userguide/object-keys.html", low=1, high=1024),
        },
        rules_by_inputs=_function_rules,
        # https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html: "all versions and aliases are deleted"
        contains=tuple(
            Relation(token, {theirs: mine})
            for token, theirs in ((ALIAS, "functionName"), (PERMISSION, "function"))
            for mine in ("name", "arn")
        ),
    ),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": AwsType(
        outputs=_function_event_invoke_config, replaced_by="functionName qualifier"
    ),
    FUNCTION_URL: AwsType(
        outputs=_function_url,
        replaced_by="functionName qualifier",
        stateful="callers have its address",
        api="lambda CreateFunctionUrlConfig",
        rules={
            "authorizationType": ValueRule(AWS_DOCS + "lambda/latest/api/API_CreateFunctionUrlConfig.html", member="AuthType")
        },
        # An alias has one. https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
        unique=("functionName", "qualifier"),
    ),
    "aws:lambda/layerVersion:LayerVersion": AwsType(
        outputs={
            "id": "{layerArn}:{version}",
            "layerArn": _ARN + "layer:{layerName}",
            "version": "1",
            "arn": "{layerArn}:{version}",
            "codeSha256": "{sha256}",
            "createdDate": CREATED,
            "signingJobArn": "",
            "signingProfileVersionArn": "",
            "sourceCodeHash": "{codeSha256}",
            "sourceCodeSize": 1024,
        },
        replaced_by=(
            "code compatibleArchitectures compatibleRuntimes description layerName licenseInfo s3Bucket s3Key "
            "s3ObjectVersion skipDestroy sourceCodeHash"
        ),
    ),
    PERMISSION: AwsType(
        outputs={"id": "{statementId}"},
        # invokedViaFunctionUrl: the source of provider 6.
        replaced_by=(
            "action eventSourceToken function functionUrlAuthType invokedViaFunctionUrl principal principalOrgId "
            "qualifier sourceAccount sourceArn statementId statementIdPrefix"
        ),
        name_property="statementId",
        rules={"function": ValueRule(AWS_DOCS + "lambda/latest/api/API_AddPermission.html", member="FunctionName")},
    ),
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": AwsType(
        outputs={"id": "{functionName},{qualifier}"}, replaced_by="functionName qualifier"
    ),
}
