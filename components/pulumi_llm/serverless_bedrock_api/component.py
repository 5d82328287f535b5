"""ServerlessBedrockApi: a REST API in front of Amazon Bedrock, as a function behind API Gateway."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import pulumi
from pulumi_aws import apigateway, cloudwatch, dynamodb, iam, lambda_, route53, ssm

from llm_gateway.operations import PATHS
from pulumi_llm.api_edge import keys
from pulumi_llm.api_edge.authorizer import authorizer as make_authorizer
from pulumi_llm.api_edge.cors import Cors
from pulumi_llm.api_edge.gateway_responses import create_gateway_responses, gateway_responses
from pulumi_llm.api_edge.usage_plans import has_own_plan, usage_plans
from pulumi_llm.base.component import Component
from pulumi_llm.base.lambda_function import Published, Shared, let_api_gateway_invoke
from pulumi_llm.base.settings import read_arguments, valid_items
from pulumi_llm.models.catalogue import lifecycle_notice
from pulumi_llm.routing import Routing
from pulumi_llm.serverless_bedrock_api.args import (
    INTEGRATION_MARGIN_SECONDS,
    KEY_THROTTLE,
    STAGE_THROTTLE,
    ServerlessBedrockApiSettings,
)
from pulumi_llm.serverless_bedrock_api.args_types import ServerlessBedrockApiArgs
from pulumi_llm.serverless_bedrock_api.deployment import deploy
from pulumi_llm.serverless_bedrock_api.domain import create_domain
from pulumi_llm.serverless_bedrock_api.function import create_function
from pulumi_llm.serverless_bedrock_api.rest_api import CHILDREN as ROUTES
from pulumi_llm.serverless_bedrock_api.rest_api import Backend, create_routes, route_instances
from pulumi_llm.serverless_bedrock_api.stage import STAGE, create_stage

# The outputs that other stacks need.
PARAMETERS = ("url", "stream_url", "rest_api_id", "function_name", "function_alias_arn", "log_group_name")


class ServerlessBedrockApi(Component):
    """A chat API on Amazon Bedrock: a regional REST API that streams, a function, and least-privilege access to the models.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType(
        {
            "keys-table": dynamodb.Table,
            "key": apigateway.ApiKey,
            "key-item": dynamodb.TableItem,
            "logs": cloudwatch.LogGroup,
            "role": iam.Role,
            "logs-policy": iam.RolePolicy,
            "bedrock-policy": iam.RolePolicy,
            "bedrock-output-policy": iam.RolePolicy,
            "secrets-policy": iam.RolePolicy,
            "function": lambda_.Function,
            "alias": lambda_.Alias,
            "permission": lambda_.Permission,
            "authorizer-logs": cloudwatch.LogGroup,
            "authorizer-role": iam.Role,
            "authorizer-logs-policy": iam.RolePolicy,
            "authorizer-policy": iam.RolePolicy,
            "authorizer-function": lambda_.Function,
            "authorizer-alias": lambda_.Alias,
            "authorizer-permission": lambda_.Permission,
            "authorizer": apigateway.Authorizer,
            "api": apigateway.RestApi,
            **ROUTES,
            "gateway-response": apigateway.Response,
            "deployment": apigateway.Deployment,
            "access-logs": cloudwatch.LogGroup,
            "stage": apigateway.Stage,
            "stage-settings": apigateway.MethodSettings,
            "usage-plan": apigateway.UsagePlan,
            "usage-plan-key": apigateway.UsagePlanKey,
            "domain": apigateway.DomainName,
            "domain-mapping": apigateway.BasePathMapping,
            "domain-record": route53.Record,
            "parameter": ssm.Parameter,
        }
    )

    url: pulumi.Output[str]
    """The API's base URL, without a slash at its end: the custom domain's where there is one."""
    stream_url: pulumi.Output[str]
    """The URL of the stream of Server-Sent Events."""
    api_keys: pulumi.Output[Mapping[str, str]]
    """The keys' values by their names (secret). Empty without authentication."""
    default_api_key: pulumi.Output[str]
    """The first key's value (secret). Empty without authentication."""
    function_name: pulumi.Output[str]
    """The function that answers."""
    function_alias_arn: pulumi.Output[str]
    """The function's alias `live`."""
    log_group_name: pulumi.Output[str]
    """The function's log group."""
    rest_api_id: pulumi.Output[str]
    """The REST API."""
    stage_name: pulumi.Output[str]
    """The REST API's stage."""

    def __init__(self, name: str, args: ServerlessBedrockApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(
            type(self).__name__, name, ServerlessBedrockApiSettings, args, self.CHILDREN, opts, _instances
        )
        super().__init__(name, opts, settings.tags, settings.customize)
        self._settings = settings
        self._location = location
        self._shared = Shared(
            log_retention_days=settings.log_retention_days, kms_key_arn=settings.kms_key_arn, tracing=settings.tracing
        )
        stage_throttle = settings.stage_throttle.over(STAGE_THROTTLE)
        routing = settings.routing(location)
        self._report_lifecycle(routing)
        function = create_function(self, settings, self._shared, routing, location)
        api = apigateway.RestApi(
            self.child_name("api"),
            description="pulumi-llm chat API",
            endpoint_configuration={"types": "REGIONAL"},
            api_key_source="AUTHORIZER" if settings.auth == "api_key" else "HEADER",
            tags=self.tags,
            opts=self.child("api"),
        )
        api_keys: dict[str, apigateway.ApiKey] = {}
        authorizer, permissions = None, [self._let_call(api, function)]
        if settings.auth == "api_key":
            table = keys.keys_table(
                self,
                deletion_protection=settings.deletion_protection,
                kms_key_arn=settings.kms_key_arn,
                burst_limit=stage_throttle.burst_limit,
            )
            api_keys = keys.api_keys(self, settings.keys, table)
            authorizer, permission = make_authorizer(self, self._shared, api, table, settings.authorizer_cache_seconds)
            permissions.append(permission)
        elif settings.jwt is not None:
            authorizer, permission = make_authorizer(self, self._shared, api, settings.jwt, settings.authorizer_cache_seconds)
            permissions.append(permission)
        stage = create_stage(
            self,
            self._shared,
            api,
            deploy(self, api, self._parts(api, function, authorizer), ready=permissions),
            throttle=stage_throttle,
            access_logs=settings.access_logs,
            access_log_destination_arn=settings.access_log_destination_arn,
        )
        if settings.auth == "api_key":
            usage_plans(
                self,
                settings.keys,
                api_keys,
                api,
                stage,
                throttle=settings.throttle.over(KEY_THROTTLE),
                daily_quota=settings.daily_quota,
            )

        self.url = stage.invoke_url if settings.domain is None else create_domain(self, settings.domain, api, stage)
        self.stream_url = pulumi.Output.format("{}{}", self.url, PATHS["chat_stream"])
        values = {key: resource.value for key, resource in api_keys.items()}
        # Output.all() of nothing is a list.
        self.api_keys = pulumi.Output.secret(pulumi.Output.all(**values) if values else {})
        self.default_api_key = pulumi.Output.secret(next(iter(values.values()), ""))
        self.function_name = function.function.name
        self.function_alias_arn = function.alias.arn
        self.log_group_name = function.log_group.name
        self.rest_api_id = api.id
        self.stage_name = stage.stage_name
        self._parameters()
        self.finish()

    def _report_lifecycle(self, routing: Routing) -> None:
        """Say at preview which models are legacy, or past their end of life."""
        today = datetime.now(UTC).date()
        used = {model.model_id: (model.model, model.model_id) for model in routing.models}
        used |= {model.expected.name: (model.expected.model, model.expected.name) for model in routing.output_models}
        for model, name in used.values():
            notice = lifecycle_notice(model, name, today)
            if notice is not None:
                (pulumi.log.warn if notice.urgent else pulumi.log.info)(notice.text, resource=self)

    def _let_call(self, api: apigateway.RestApi, function: Published) -> lambda_.Permission:
        source_arn = pulumi.Output.format("{}/{}/*", api.execution_arn, STAGE)
        return let_api_gateway_invoke(self, "permission", function, source_arn)

    def _parts(
        self, api: apigateway.RestApi, function: Published, authorizer: apigateway.Authorizer | None
    ) -> list[pulumi.Resource]:
        """All that a deployment of the API freezes. What is not in the list does not reach the stage when it changes."""
        settings = self._settings
        # An alias has no such output; AWS documents the form:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
        uri = pulumi.Output.format(
            "arn:{}:apigateway:{}:lambda:path/2021-11-15/functions/{}/response-streaming-invocations",
            self._location.partition,
            self._location.region,
            function.alias.arn,
        )
        cors = Cors(settings.cors_allow_origin)
        backend = Backend(uri, settings.timeout_seconds + INTEGRATION_MARGIN_SECONDS, settings.auth, authorizer, cors)
        parts = create_routes(self, api, backend)
        parts += create_gateway_responses(self, api, settings.auth, cors)
        return [authorizer, *parts] if authorizer else parts

    def _parameters(self) -> None:
        """What other stacks need, as SSM parameters."""
        prefix = self._settings.parameter_prefix
        if prefix is None:
            return
        for output in PARAMETERS:
            ssm.Parameter(
                f"{self.child_name('parameter')}-{output.replace('_', '-')}",
                name=f"{prefix}/{output}",
                type="String",
                value=getattr(self, output),
                tags=self.tags,
                opts=self.child("parameter"),
            )


def _instances(settings: ServerlessBedrockApiSettings) -> Mapping[str, Collection[str]]:
    """The names within the keys of which there are several children."""
    keys = [key for _, key in valid_items(settings.keys) if key.valid("name")] if settings.auth == "api_key" else []
    names = [key.name for key in keys]
    return {
        **dict.fromkeys(("key", "key-item", "usage-plan-key"), names),
        "usage-plan": [key.name for key in keys if has_own_plan(key)],
        **route_instances(),
        "gateway-response": [response.lower().replace("_", "-") for response in gateway_responses(settings.auth)],
        "parameter": [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else [],
    }
