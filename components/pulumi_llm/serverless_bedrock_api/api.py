"""The REST API itself, with its resource policy; or the one that exists."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import apigateway

from llm_gateway.operations import OPERATIONS
from pulumi_llm.api_edge.api import STAGE, Api
from pulumi_llm.base.component import Component
from pulumi_llm.serverless_bedrock_api.args import ApiSettings, ExistingApiSettings, any_value


def create_api(component: Component, settings: ApiSettings) -> Api:
    """Make the REST API, unless one is given."""
    if settings.existing_api is not None:
        return _existing(settings.existing_api)
    # Said in so many words, for a switch between the two: AWS makes a private API with dualstack alone.
    endpoint: apigateway.RestApiEndpointConfigurationArgsDict = {
        "types": settings.endpoint.upper(),
        "ip_address_type": "dualstack" if settings.endpoint == "private" else "ipv4",
    }
    if settings.vpc_endpoint_ids is not None:
        endpoint["vpc_endpoint_ids"] = settings.vpc_endpoint_ids
    api = apigateway.RestApi(
        component.child_name("api"),
        description="pulumi-llm chat API",
        endpoint_configuration=endpoint,
        # By default a Regional API takes TLS 1.0. A newer policy needs an access mode; STRICT would refuse a CDN in front.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies.html
        security_policy="SecurityPolicy_TLS13_1_2_2021_06",
        endpoint_access_mode="BASIC",
        disable_execute_api_endpoint=settings.domain is not None and not settings.domain.default_endpoint,
        api_key_source="AUTHORIZER" if settings.auth == "api_key" else "HEADER",
        tags=component.tags,
        opts=component.child("api", protect=settings.deletion_protection or None),
    )
    return Api(api.id, api.root_resource_id, api.execution_arn, (api, *_resource_policy(component, settings, api)))


def _existing(api: ExistingApiSettings) -> Api:
    return Api(
        pulumi.Output.from_input(api.rest_api_id),
        pulumi.Output.from_input(api.root_resource_id),
        pulumi.Output.from_input(api.execution_arn),
        stage_name=api.stage_name,
        path_prefix=api.path_prefix,
    )


def _resource_policy(
    component: Component, settings: ApiSettings, api: apigateway.RestApi
) -> Sequence[apigateway.RestApiPolicy]:
    """Attach the policy that is given. A private API always has one, for AWS deploys none without."""
    document: pulumi.Input[Mapping[str, Any]] | None = settings.resource_policy
    if document is None and settings.endpoint == "private":
        document = _private(settings, settings.vpc_endpoint_ids or ())
    if document is None:
        return ()
    policy = apigateway.RestApiPolicy(
        component.child_name("resource-policy"),
        rest_api_id=api.id,
        policy=pulumi.Output.all(document, api.execution_arn).apply(_of_this_api),
        opts=component.child("resource-policy"),
    )
    return (policy,)


def _private(settings: ApiSettings, endpoints: Sequence[pulumi.Input[str]]) -> pulumi.Output[Mapping[str, Any]]:
    """Let calls in through these VPC endpoints alone.

    With AWS signatures, a policy that allows every route would let in whoever has a signature of this account, whatever IAM
    says of them. So it allows only the routes that ask for none.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
    """
    public = [f"{operation.method}{operation.path}" for operation in OPERATIONS if not operation.authorized]
    own = [f"{route.method.replace('ANY', '*')}{any_value(route.path)}" for route in settings.routes if not route.authorized]
    routes = ["execute-api:/*"]
    if settings.auth == "iam":
        routes = [f"execute-api:/{STAGE}/{route}" for route in (*public, *own, "OPTIONS/*")]

    def document(endpoints: Sequence[str]) -> Mapping[str, Any]:
        everyone = {"Principal": "*", "Action": "execute-api:Invoke"}
        through = {"aws:SourceVpce": endpoints}
        return {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", **everyone, "Resource": routes, "Condition": {"StringEquals": through}},
                {"Effect": "Deny", **everyone, "Resource": "execute-api:/*", "Condition": {"StringNotEquals": through}},
            ],
        }

    return pulumi.Output.all(*endpoints).apply(document)


def _of_this_api(document_and_arn: Sequence[Any]) -> str:
    """Return a document as JSON, with the API's ARN where it is abbreviated: AWS writes it out, so a refresh would differ."""
    document, arn = document_and_arn
    return json.dumps(document).replace('"execute-api:/', f'"{arn}/')
