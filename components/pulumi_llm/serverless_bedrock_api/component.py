"""ServerlessBedrockApi: a REST API in front of Amazon Bedrock, as a function behind API Gateway."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import apigateway, get_caller_identity_output, route53, ssm

from llm_gateway import environment as variables
from pulumi_llm.api_edge import keys
from pulumi_llm.api_edge.authorizer import authorizer as make_authorizer
from pulumi_llm.api_edge.settings import Throttle
from pulumi_llm.api_edge.usage_plans import usage_plans
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import invoke_models, read_secrets
from pulumi_llm.base.lambda_function import Published, Shared, let_api_gateway_invoke, log_group, publish
from pulumi_llm.base.settings import read_arguments
from pulumi_llm.routing import Routing
from pulumi_llm.serverless_bedrock_api.args import (
    INTEGRATION_MARGIN_SECONDS,
    KEY_THROTTLE,
    STAGE_THROTTLE,
    DomainSettings,
    ServerlessBedrockApiSettings,
)
from pulumi_llm.serverless_bedrock_api.args_types import ServerlessBedrockApiArgs
from pulumi_llm.serverless_bedrock_api.rest_api import DEPLOYED_CHILDREN, deploy

# The stage's name is the first part of the path. A CDN in front can route /api/* here as it is.
STAGE = "api"
# The account that publishes the Web Adapter's layers. https://github.com/awslabs/aws-lambda-web-adapter
_WEB_ADAPTER_ACCOUNT = "753240598075"

_ACCESS_LOG = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "source_ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "response_ms": "$context.responseLatency",
    "integration_ms": "$context.integrationLatency",
    "bytes": "$context.responseLength",
    "tenant": "$context.authorizer.tenant",
    "api_key": "$context.authorizer.key",
    "error": "$context.error.responseType",
}


class ServerlessBedrockApi(Component):
    """A chat API on Amazon Bedrock: a regional REST API that streams, a function, and least-privilege access to the models.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = (
        "keys-table",
        "key",
        "key-item",
        "logs",
        "role",
        "logs-policy",
        "bedrock-policy",
        "secrets-policy",
        "function",
        "alias",
        "permission",
        "authorizer-logs",
        "authorizer-role",
        "authorizer-logs-policy",
        "authorizer-policy",
        "authorizer-function",
        "authorizer-alias",
        "authorizer-permission",
        "authorizer",
        "api",
        *DEPLOYED_CHILDREN,
        "deployment",
        "access-logs",
        "stage",
        "stage-settings",
        "usage-plan",
        "usage-plan-key",
        "domain",
        "domain-mapping",
        "domain-record",
        "parameter",
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
        settings = read_arguments(type(self).__name__, ServerlessBedrockApiSettings, args, self.CHILDREN)
        super().__init__(name, opts, settings.tags, settings.customize)
        self._settings = settings
        self._region = settings.in_region()
        self._shared = Shared(
            log_retention_days=settings.log_retention_days, kms_key_arn=settings.kms_key_arn, tracing=settings.tracing
        )
        routing = settings.routing()
        self._warn_of_legacy(routing)
        function = self._function(routing)
        api = apigateway.RestApi(
            self.child_name("api"),
            description="pulumi-llm chat API",
            endpoint_configuration={"types": "REGIONAL"},
            api_key_source="AUTHORIZER" if settings.auth == "api_key" else "HEADER",
            tags=self.tags,
            opts=self.child("api"),
        )
        api_keys: dict[str, apigateway.ApiKey] = {}
        authorizer = None
        if settings.auth == "api_key":
            table = keys.keys_table(
                self,
                deletion_protection=settings.deletion_protection,
                kms_key_arn=settings.kms_key_arn,
                burst_limit=self._stage_throttle.burst_limit,
            )
            api_keys = keys.api_keys(self, settings.keys, table)
            authorizer = make_authorizer(self, self._shared, api, table, settings.authorizer_cache_seconds)
        elif settings.jwt is not None:
            authorizer = make_authorizer(self, self._shared, api, settings.jwt, settings.authorizer_cache_seconds)
        stage = self._stage(api, self._routes(api, function, authorizer))
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

        self.url = stage.invoke_url if settings.domain is None else self._domain(settings.domain, api, stage)
        self.stream_url = pulumi.Output.concat(self.url, "/chat/stream")
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

    def _warn_of_legacy(self, routing: Routing) -> None:
        for used in {model.model_id: model for model in routing.models}.values():
            if used.model.status == "legacy":
                instead = f"; consider {used.model.replaced_by!r}" if used.model.replaced_by else ""
                pulumi.log.warn(f"{used.model_id} is legacy: Bedrock has closed it to new customers{instead}", resource=self)

    # The function that answers.

    def _function(self, routing: Routing) -> Published:
        settings = self._settings
        environment: dict[str, pulumi.Input[str]] = {
            variables.AUTHORIZATION: settings.auth,
            variables.CORS_ALLOW_ORIGIN: settings.cors_allow_origin,
            # The Web Adapter: https://github.com/awslabs/aws-lambda-web-adapter#configurations
            "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
            "AWS_LWA_INVOKE_MODE": "response_stream",
            "AWS_LWA_PORT": "8080",
            "AWS_LWA_READINESS_CHECK_PATH": "/health",
            **routing.environment,
        }
        if settings.debug:
            environment[variables.DEBUG] = "true"
        layer = settings.web_adapter_layer_arn
        if layer is None:
            version = settings.web_adapter_layer_version
            layer = f"arn:aws:lambda:{self._region}:{_WEB_ADAPTER_ACCOUNT}:layer:LambdaAdapterLayerArm64:{version}"
        return publish(
            self,
            "",
            self._shared,
            description="Answers chats with Amazon Bedrock",
            code=bundle.archive(routing.routes),
            handler=bundle.RUN_SCRIPT,
            memory_mb=settings.memory_mb,
            timeout_seconds=settings.timeout_seconds,
            environment=environment,
            policies=self._policies(routing),
            layers=[layer],
            reserved_concurrency=settings.reserved_concurrency,
        )

    def _policies(self, routing: Routing) -> Mapping[str, pulumi.Input[Sequence[Mapping[str, Any]]]]:
        """Documents of their own, of values that are known at preview, so that policies can judge them there."""
        policies: dict[str, pulumi.Input[Sequence[Mapping[str, Any]]]] = {}
        if routing.models:
            account = get_caller_identity_output(opts=self.invoke_options()).account_id
            policies["bedrock-policy"] = account.apply(lambda account: invoke_models(routing.models, self._region, account))
        if routing.secret_arns:
            policies["secrets-policy"] = read_secrets(routing.secret_arns, routing.kms_key_arns, self._region)
        return policies

    # The routes, the stage and its address.

    def _routes(
        self, api: apigateway.RestApi, function: Published, authorizer: apigateway.Authorizer | None
    ) -> apigateway.Deployment:
        let_api_gateway_invoke(self, "permission", function, pulumi.Output.concat(api.execution_arn, f"/{STAGE}/*"))
        # An alias has no such output; AWS documents the form:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
        uri = pulumi.Output.concat(
            f"arn:aws:apigateway:{self._region}:lambda:path/2021-11-15/functions/",
            function.alias.arn,
            "/response-streaming-invocations",
        )
        return deploy(
            self,
            api,
            uri,
            self._settings.auth,
            authorizer,
            timeout_seconds=self._settings.timeout_seconds + INTEGRATION_MARGIN_SECONDS,
            origin=self._settings.cors_allow_origin,
        )

    def _stage(self, api: apigateway.RestApi, deployment: apigateway.Deployment) -> apigateway.Stage:
        throttle = self._stage_throttle
        access_logs = log_group(self, "access-logs", self._shared) if self._settings.access_logs else None
        stage = apigateway.Stage(
            self.child_name("stage"),
            rest_api=api.id,
            deployment=deployment.id,
            stage_name=STAGE,
            xray_tracing_enabled=self._shared.tracing,
            access_log_settings=(
                {"destination_arn": access_logs.arn, "format": json.dumps(_ACCESS_LOG)} if access_logs else None
            ),
            tags=self.tags,
            opts=self.child("stage"),
        )
        apigateway.MethodSettings(
            self.child_name("stage-settings"),
            rest_api=api.id,
            stage_name=stage.stage_name,
            method_path="*/*",
            settings={
                "metrics_enabled": True,
                "logging_level": "OFF",
                "data_trace_enabled": False,
                "throttling_rate_limit": throttle.rate_limit,
                "throttling_burst_limit": throttle.burst_limit,
            },
            opts=self.child("stage-settings"),
        )
        return stage

    @property
    def _stage_throttle(self) -> Throttle:
        return self._settings.stage_throttle.over(STAGE_THROTTLE)

    def _domain(self, domain: DomainSettings, api: apigateway.RestApi, stage: apigateway.Stage) -> pulumi.Output[str]:
        """A regional custom domain whose root is the stage; its address."""
        made = apigateway.DomainName(
            self.child_name("domain"),
            domain_name=domain.name,
            regional_certificate_arn=domain.certificate_arn,
            endpoint_configuration={"types": "REGIONAL"},
            security_policy="TLS_1_2",
            tags=self.tags,
            opts=self.child("domain"),
        )
        apigateway.BasePathMapping(
            self.child_name("domain-mapping"),
            rest_api=api.id,
            stage_name=stage.stage_name,
            domain_name=made.domain_name,
            opts=self.child("domain-mapping"),
        )
        if domain.zone_id is not None:
            route53.Record(
                self.child_name("domain-record"),
                zone_id=domain.zone_id,
                name=domain.name,
                type="A",
                aliases=[
                    {"name": made.regional_domain_name, "zone_id": made.regional_zone_id, "evaluate_target_health": False}
                ],
                opts=self.child("domain-record"),
            )
        return pulumi.Output.concat("https://", made.domain_name)

    def _parameters(self) -> None:
        """What other stacks need, as SSM parameters."""
        prefix = self._settings.parameter_prefix
        if prefix is None:
            return
        for key, value in {
            "url": self.url,
            "stream_url": self.stream_url,
            "rest_api_id": self.rest_api_id,
            "function_name": self.function_name,
            "function_alias_arn": self.function_alias_arn,
            "log_group_name": self.log_group_name,
        }.items():
            ssm.Parameter(
                f"{self.child_name('parameter')}-{key.replace('_', '-')}",
                name=f"{prefix}/{key}",
                type="String",
                value=value,
                tags=self.tags,
                opts=self.child("parameter"),
            )
