"""Amazon Bedrock."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule
from pulumi_llm_local.aws_types.draft import CREATED

TYPES: Final[Mapping[str, AwsType]] = {
    # A data source, whose knowledge base and bucket the provider changes in place:
    # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/bedrockagent/data_source.go
    # A knowledge base: CloudFormation.
    "aws:bedrock/agentDataSource:AgentDataSource": AwsType(
        outputs={"id": "{dataSourceId},{knowledgeBaseId}", "dataSourceId": "{source.upper10}"},
        replaced_by="name vectorIngestionConfiguration",
        api="bedrock-agent CreateDataSource",
    ),
    "aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase": AwsType(
        outputs={
            "id": "{base.upper10}",
            "arn": "arn:{partition}:bedrock:{region}:{account}:knowledge-base/{id}",
            "createdAt": CREATED,
            "updatedAt": CREATED,
            "failureReasons": [],
        },
        replaced_by="knowledgeBaseConfiguration storageConfiguration",
        stateful="callers have its id",
        api="bedrock-agent CreateKnowledgeBase",
    ),
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
