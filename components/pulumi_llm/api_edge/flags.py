"""The feature flags: their configuration in AWS AppConfig, which operators change without a deployment.

The program makes what holds the document, and a first document, which is empty. From then on the document is its operators':
nothing here changes or deploys it again. What is kept when the stack is destroyed is what they have written: AppConfig deletes
no profile that has versions, and the program knows only the first one.
https://github.com/hashicorp/terraform-provider-aws/issues/31585
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import msgspec
import pulumi
from pulumi_aws import appconfig

from llm_gateway import environment as variables
from llm_gateway.flags import document_type
from llm_gateway.routes import Routes
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.base.settings import Flag, Problem, Settings

# https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_Validator.html
VALIDATOR_CHARACTERS = 32_768
CHILDREN: Mapping[str, type[pulumi.Resource]] = {
    "flags-application": appconfig.Application,
    "flags-environment": appconfig.Environment,
    "flags-profile": appconfig.ConfigurationProfile,
    "flags-strategy": appconfig.DeploymentStrategy,
    "flags-version": appconfig.HostedConfigurationVersion,
    "flags-deployment": appconfig.Deployment,
}


class FlaggedSettings(Settings):
    """What an API says of feature flags."""

    flags: Flag = False
    """Make a configuration in AWS AppConfig by which the running service is changed without a deployment: switched off, as a
    whole or by alias; weights of targets; filters and the guardrail; limits. Each process asks for it once a minute."""

    def flags_problems(self, routes: Routes) -> Iterator[Problem]:
        """Yield what keeps AppConfig from taking the validator."""
        if self.valid("flags") and self.flags and (length := len(validator(routes))) > VALIDATOR_CHARACTERS:
            reason = (
                f"needs a validator of {length:,} characters, which names every alias and target, and AppConfig takes "
                f"{VALIDATOR_CHARACTERS:,}; give fewer models"
            )
            yield Problem("flags", reason)


class UsedFlags(NamedTuple):
    """A configuration that functions read: the ids of the application, the environment and the profile with slashes between
    them, and its ARN. `strategy_id` is that of the strategy by which documents are deployed."""

    configuration: pulumi.Input[str]
    arn: pulumi.Input[str]
    strategy_id: pulumi.Input[str] = ""

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
        opts=component.child("flags-strategy"),
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


def validator(routes: Routes) -> str:
    """Return the JSON Schema of the documents that functions with these routes accept, as text."""
    return json.dumps(json_schema(routes), separators=(",", ":"))


def json_schema(routes: Routes) -> dict[str, Any]:
    """Return the JSON Schema of the documents that functions with these routes accept, in AppConfig's draft 4.

    https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-configuration-and-profile-validators.html
    """
    schema = msgspec.json.schema(document_type(routes))
    definitions = {name: _draft_4(each) for name, each in schema["$defs"].items()}
    root = definitions.pop(schema["$ref"].rpartition("/")[2])
    return {"$schema": "http://json-schema.org/draft-04/schema#", **root, "definitions": definitions}


def _draft_4(value: Any) -> Any:
    if isinstance(value, list):
        return [_draft_4(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, each in cast("dict[str, Any]", value).items():
        match name:
            case "title" | "description" | "default":
                pass
            case "required" if not each:  # draft 4 takes no empty list
                pass
            case "properties":
                found[name] = {key: _draft_4(schema) for key, schema in each.items()}
            case "$ref":
                found[name] = each.replace("#/$defs/", "#/definitions/")
            case _:
                found[name] = _draft_4(each)
    if "propertyNames" in found:  # newer than draft 4
        pattern = found.pop("propertyNames")["pattern"]
        found |= {"patternProperties": {pattern: found["additionalProperties"]}, "additionalProperties": False}
    return found
