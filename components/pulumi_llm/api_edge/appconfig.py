"""The feature flags' configuration in AWS AppConfig, which operators change without a deployment.

The program makes what holds the document, and a first document, which is empty. From then on the document is its operators':
nothing here changes or deploys it again. What is kept when the stack is destroyed is what they have written: AppConfig deletes
no profile that has versions, and the program knows only the first one.
https://github.com/hashicorp/terraform-provider-aws/issues/31585
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import pulumi
from pulumi_aws import appconfig

from llm_gateway import environment as variables
from llm_gateway.routes import Routes
from pulumi_llm.api_edge.flags import validator
from pulumi_llm.api_edge.used import FlagsSettings
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow

CHILDREN: Mapping[str, type[pulumi.Resource]] = {
    "flags-application": appconfig.Application,
    "flags-environment": appconfig.Environment,
    "flags-profile": appconfig.ConfigurationProfile,
    "flags-strategy": appconfig.DeploymentStrategy,
    "flags-version": appconfig.HostedConfigurationVersion,
    "flags-deployment": appconfig.Deployment,
}


class UsedFlags(NamedTuple):
    """A configuration that functions read: the ids of the application, the environment and the profile with slashes between
    them, and its ARN. `strategy_id` is that of the strategy by which documents are deployed."""

    configuration: pulumi.Input[str]
    arn: pulumi.Input[str]
    strategy_id: pulumi.Input[str] = ""

    @classmethod
    def of(cls, settings: FlagsSettings) -> Self:
        """The configuration of another component."""
        return cls(settings.configuration, settings.arn)

    @property
    def variables(self) -> dict[str, pulumi.Input[str]]:
        """The environment of a function that reads it."""
        return {variables.FLAGS_CONFIGURATION: self.configuration}

    def read(self) -> list[dict[str, Any]]:
        """Statements that allow to read this configuration alone.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsappconfig.html
        """
        return [allow("ReadFlags", ["appconfig:GetLatestConfiguration", "appconfig:StartConfigurationSession"], self.arn)]


def make_flags(component: Component, routes: Routes) -> UsedFlags:
    """Make the configuration, and deploy an empty document, with which everything is as it is deployed."""
    application = appconfig.Application(
        component.child_name("flags-application"),
        description="Feature flags of pulumi-llm",
        tags=component.tags,
        opts=component.child("flags-application", retain_on_delete=True),
    )
    environment = appconfig.Environment(
        component.child_name("flags-environment"),
        application_id=application.id,
        description="The functions that read the flags",
        tags=component.tags,
        opts=component.child("flags-environment"),
    )
    profile = appconfig.ConfigurationProfile(
        component.child_name("flags-profile"),
        application_id=application.id,
        description="The flags, see docs/flags.md",
        location_uri="hosted",
        type="AWS.Freeform",
        validators=[{"type": "JSON_SCHEMA", "content": validator(routes)}],
        tags=component.tags,
        opts=component.child("flags-profile", retain_on_delete=True),
    )
    # The predefined strategies wait for ten minutes and more, in which AppConfig starts no further deployment.
    strategy = appconfig.DeploymentStrategy(
        component.child_name("flags-strategy"),
        description="At once, and ready for the next one",
        deployment_duration_in_minutes=0,
        final_bake_time_in_minutes=0,
        growth_factor=100,
        replicate_to="NONE",
        tags=component.tags,
        # Where it were deleted first, the deployment would be made anew.
        opts=component.child("flags-strategy", delete_before_replace=False),
    )
    version = appconfig.HostedConfigurationVersion(
        component.child_name("flags-version"),
        application_id=application.id,
        configuration_profile_id=profile.configuration_profile_id,
        content="{}",
        content_type="application/json",
        description="As deployed",
        opts=component.child("flags-version", retain_on_delete=True),
    )
    # Any change would deploy the empty document again, over the one that is there.
    kept = ["configuration_version", "deployment_strategy_id", "description"]
    appconfig.Deployment(
        component.child_name("flags-deployment"),
        application_id=application.id,
        environment_id=environment.environment_id,
        configuration_profile_id=profile.configuration_profile_id,
        configuration_version=version.version_number.apply(str),
        deployment_strategy_id=strategy.id,
        description="As deployed",
        tags=component.tags,
        opts=component.child("flags-deployment", ignore_changes=kept),
    )
    ids = (application.id, environment.environment_id, profile.configuration_profile_id)
    arn = pulumi.Output.format("{}/configuration/{}", environment.arn, profile.configuration_profile_id)
    return UsedFlags(pulumi.Output.format("{}/{}/{}", *ids), arn, strategy.id)
