"""Least-privilege policy documents, each statement scoped to exactly what is used."""

from collections.abc import Sequence
from typing import Any

from llm_gateway.aws.regions import dns_suffix
from pulumi_llm.base.location import Location
from pulumi_llm.models.resolve import BedrockModel

# What IAM allows a role's inline policies in all, spaces not counted.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ROLE_POLICY_CHARACTERS = 10_240

# Converse is authorized as InvokeModel, ConverseStream as InvokeModelWithResponseStream; there is no bedrock:Converse.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]


def policy_document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(sid: str, actions: Sequence[str], resources: Any, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    """One statement. `resources` is an ARN or a list of them, plain or Outputs."""
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resources}
    if condition is not None:
        statement["Condition"] = condition
    return statement


def assume_role(service: str, source_account: str = "", source_arn: str = "") -> dict[str, Any]:
    """The trust policy that lets one AWS service take a role; with `source_account`, only where that account uses it, and with
    `source_arn` only for a resource with an ARN of this form."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    if source_account:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": source_account}}
    if source_arn:
        statement.setdefault("Condition", {})["ArnLike"] = {"aws:SourceArn": source_arn}
    return policy_document(statement)


def manage_network_interfaces() -> list[dict[str, Any]]:
    """What Lambda does with the role of a function in a VPC, and what the function's own code may not do.

    Lambda checks the role for these actions on every resource. Requests of the function's code have the condition key
    lambda:SourceFunctionArn, and Lambda's own have not.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    """
    actions = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ]
    by_code = {"ArnLike": {"lambda:SourceFunctionArn": "arn:*:lambda:*:*:function:*"}}
    return [
        allow("NetworkInterfaces", actions, "*"),
        {"Sid": "NotByCode", "Effect": "Deny", "Action": actions, "Resource": "*", "Condition": by_code},
    ]


def write_logs(log_group_arn: Any) -> dict[str, Any]:
    """Write to one log group that exists already."""
    return allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], log_group_arn)


def invoke_models(models: Sequence[BedrockModel], location: Location, account: str) -> list[dict[str, Any]]:
    """Call exactly these models.

    A call through an inference profile is authorized twice: for the profile, without a condition, and for the foundation
    model in the Region of the call and in each Region where it may run, where the condition pairs the model with that profile,
    so that the model cannot be called past it. A global profile's models are the one in the Region of the call and the one
    without a Region. (AWS's page restricts these by aws:RequestedRegion, too, which the ARNs do already.)
    https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html
    https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
    """
    statements: list[dict[str, Any]] = []
    direct = sorted({arn for model in models if not model.profile for arn in (model.own, *model.foundation_models) if arn})
    if direct:
        statements.append(allow("InvokeModels", INVOKE, direct))

    def profile_arn(model: BedrockModel) -> str:
        if model.profile.startswith("arn:"):
            return model.profile
        return f"arn:{location.partition}:bedrock:{location.region}:{account}:inference-profile/{model.profile}"

    through: dict[str, set[str]] = {}
    for model in models:
        if model.profile:
            through.setdefault(profile_arn(model), set()).update(model.foundation_models)
    if through:
        statements.append(allow("InvokeProfiles", INVOKE, sorted(through)))
    # Profiles over the same models share a statement: a role's policies may hold 10,240 characters in all.
    shared: dict[frozenset[str], list[str]] = {}
    for profile, arns in sorted(through.items()):
        shared.setdefault(frozenset(arns), []).append(profile)
    for number, (arns, profiles) in enumerate(shared.items(), 1):
        paired = {"StringEquals": {"bedrock:InferenceProfileArn": profiles if len(profiles) > 1 else profiles[0]}}
        statements.append(allow(f"InvokeModelsOfProfile{number}", INVOKE, sorted(arns), paired))
    # What is behind a prompt router, only through it.
    routers = {model.own: model.routed for model in models if model.routed}
    for number, (router, routed) in enumerate(sorted(routers.items()), 1):
        behind = {arn for model in routed for arn in model.foundation_models}
        behind |= {profile_arn(model) for model in routed if model.profile}
        paired = {"StringEquals": {"bedrock:PromptRouterArn": router}}
        statements.append(allow(f"InvokeModelsOfRouter{number}", INVOKE, sorted(behind), paired))
    return statements


def read_secrets(secret_arns: Sequence[Any], kms_key_arns: Sequence[Any], region: str) -> list[dict[str, Any]]:
    """Read exactly these secrets, and decrypt with exactly these keys where Secrets Manager asks for it.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    statements: list[dict[str, Any]] = []
    if secret_arns:
        statements.append(allow("ReadSecrets", ["secretsmanager:GetSecretValue"], list(secret_arns)))
    if kms_key_arns:
        through = {"StringEquals": {"kms:ViaService": f"secretsmanager.{region}.{dns_suffix(region)}"}}
        statements.append(allow("DecryptSecrets", ["kms:Decrypt"], list(kms_key_arns), through))
    return statements


def send_messages(queue_arns: Sequence[Any], kms_key_arns: Sequence[Any], region: str) -> list[dict[str, Any]]:
    """Send messages to exactly these queues, and use exactly these keys where SQS encrypts what is sent.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    """
    statements: list[dict[str, Any]] = []
    if queue_arns:
        statements.append(allow("SendMessages", ["sqs:SendMessage"], list(queue_arns)))
    if kms_key_arns:
        through = {"StringEquals": {"kms:ViaService": f"sqs.{region}.{dns_suffix(region)}"}}
        statements.append(allow("EncryptMessages", ["kms:Decrypt", "kms:GenerateDataKey"], list(kms_key_arns), through))
    return statements


def decrypt_table(sid: str, kms_key_arn: Any) -> dict[str, Any]:
    """Use a table that this customer key encrypts. DynamoDB decrypts the table's own key on behalf of each caller.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
    """
    through = {
        "StringLike": {"kms:ViaService": ["dynamodb.*.amazonaws.com", "dynamodb.*.amazonaws.com.cn", "dynamodb.*.amazonaws.eu"]}
    }
    return allow(sid, ["kms:Decrypt"], kms_key_arn, through)


def only_by_tls(bucket: str) -> dict[str, Any]:
    """The statement of a bucket's policy, by the bucket's ARN, that refuses whoever asks without TLS."""
    return {
        "Sid": "OnlyByTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def only_by_tls_to_queue(queue: str) -> dict[str, Any]:
    """The statement of a queue's policy, by the queue's ARN, that refuses whoever asks without TLS."""
    without_tls = {"Bool": {"aws:SecureTransport": "false"}}
    return {
        "Sid": "OnlyByTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": queue,
        "Condition": without_tls,
    }
