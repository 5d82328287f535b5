"""The deployment of the REST API: a snapshot of all that a stage serves, taken anew whenever any of it changes."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_aws import apigateway

from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.snapshot import digest
from pulumi_llm.base.component import Component


def deploy(
    component: Component,
    api: Api,
    parts: Sequence[pulumi.Resource],
    *,
    ready: Sequence[pulumi.Resource],
    redeploy_on: Mapping[str, pulumi.Input[str]],
) -> apigateway.Deployment:
    """Deploy `api`. A change of the API's own settings or of any of its parts makes a new deployment.

    Pulumi deletes a part that a program no longer makes only after the new deployment is made, which therefore still has it:
    the stage serves such a part until the deployment after that one. So a part may be changed, but must not come and go by a
    setting; for those that do, a user's own routes and the resource policy, there is the setting `redeploy`.

    Args:
        parts: The resources of the API that a deployment freezes: authorizers, gateway responses, models, validators,
            resources, methods, integrations and their responses.
            https://docs.aws.amazon.com/apigateway/latest/developerguide/updating-api.html
        redeploy_on: More values with which the deployment changes. The API is deployed after what they come from: methods and
            integrations that others have made on it.
        ready: What must be there before the deployment is served, but is no part of it: the permissions to call the functions.
    """
    return apigateway.Deployment(
        component.child_name("deployment"),
        rest_api=api.id,
        triggers={"definition": digest([*api.parts, *parts], redeploy_on)},
        opts=component.child("deployment", depends_on=[*api.parts, *parts, *ready]),
    )
