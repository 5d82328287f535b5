"""Amazon Bedrock."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule
from pulumi_llm_local.aws_types.draft import CREATED

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:bedrock/guardrail:Guardrail": AwsType(
        outputs={
            "id": "{guardrailId},{version}",
            "guardrailId": "{lower12}",
            "guardrailArn": "arn:{partition}:bedrock:{region}:{account}:guardrail/{guardrailId}",
            "version": "DRAFT",
            "status": "READY",
            "createdAt": CREATED,
            "updatedAt": CREATED,
        },
        # A guardrail and its versions: their source. crossRegionConfig is newer; by CloudFormation it is updated in place.
        replaced_by="",
        stateful="callers have its id",
        rules={"kmsKeyArn": ValueRule(AWS_DOCS + "bedrock/latest/APIReference/API_CreateGuardrail.html", member="kmsKeyId")},
    ),
    "aws:bedrock/guardrailVersion:GuardrailVersion": AwsType(
        outputs={"id": "{guardrailArn},{version}", "version": "1"}, replaced_by="description guardrailArn"
    ),
    "aws:bedrock/inferenceProfile:InferenceProfile": AwsType(
        outputs={
            "id": "{lower12}",
            "arn": "arn:{partition}:bedrock:{region}:{account}:application-inference-profile/{id}",
            "status": "ACTIVE",
            "type": "APPLICATION",
            "createdAt": CREATED,
            "updatedAt": CREATED,
        },
        replaced_by="description modelSource name",
        stateful="callers have its id",
    ),
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": AwsType(
        outputs={"id": "{region}"}, replaced_by="", api="bedrock PutModelInvocationLoggingConfiguration"
    ),
}
