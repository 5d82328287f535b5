"""AWS AppConfig."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType, Relation

# From the source of provider 6: https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service/appconfig
_PATH: Final = "arn:{partition}:appconfig:{region}:{account}:application"
_VERSION: Final = "aws:appconfig/hostedConfigurationVersion:HostedConfigurationVersion"
_PROFILE: Final = "aws:appconfig/configurationProfile:ConfigurationProfile"
_ENVIRONMENT: Final = "aws:appconfig/environment:Environment"

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:appconfig/application:Application": AwsType(
        outputs={"id": "{lower7}", "arn": f"{_PATH}/{{id}}"},
        replaced_by="",
        stateful="its profiles and what operators have written go with it",
        blocked_by=(
            Relation(_PROFILE, {"applicationId": "id"}, "Cannot delete application because it has configuration profiles"),
            Relation(_ENVIRONMENT, {"applicationId": "id"}, "Cannot delete application because it has environments"),
        ),
    ),
    _ENVIRONMENT: AwsType(
        outputs={
            "environmentId": "{lower7}",
            "id": "{environmentId}:{applicationId}",
            "arn": f"{_PATH}/{{applicationId}}/environment/{{environmentId}}",
            "state": "READY_FOR_DEPLOYMENT",
        },
        replaced_by="applicationId",
        stateful="what is deployed in it is gone with it",
    ),
    _PROFILE: AwsType(
        outputs={
            "configurationProfileId": "{lower7}",
            "id": "{configurationProfileId}:{applicationId}",
            "arn": f"{_PATH}/{{applicationId}}/configurationprofile/{{configurationProfileId}}",
        },
        replaced_by="applicationId locationUri type",
        stateful="what operators have written goes with it",
        blocked_by=(
            Relation(
                _VERSION,
                {"configurationProfileId": "configurationProfileId"},
                "Cannot delete configuration profile because there are still hosted configuration versions existing under it.",
            ),
        ),
    ),
    _VERSION: AwsType(
        outputs={
            "versionNumber": 1,
            "id": "{applicationId}/{configurationProfileId}/1",
            "arn": f"{_PATH}/{{applicationId}}/configurationprofile/{{configurationProfileId}}/hostedconfigurationversion/1",
        },
        replaced_by="applicationId configurationProfileId content contentType description versionLabel",
    ),
    "aws:appconfig/deploymentStrategy:DeploymentStrategy": AwsType(
        outputs={"id": "{lower7}", "arn": "arn:{partition}:appconfig:{region}:{account}:deploymentstrategy/{id}"},
        replaced_by="name replicateTo",
    ),
    "aws:appconfig/deployment:Deployment": AwsType(
        outputs={
            "deploymentNumber": 1,
            "id": "{applicationId}/{environmentId}/1",
            "arn": f"{_PATH}/{{applicationId}}/environment/{{environmentId}}/deployment/1",
            "state": "COMPLETE",
        },
        replaced_by=(
            "applicationId configurationProfileId configurationVersion deploymentStrategyId description environmentId"
        ),
        api="appconfig StartDeployment",
    ),
}
