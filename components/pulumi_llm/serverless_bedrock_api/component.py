"""ServerlessBedrockApi: a REST API in front of Amazon Bedrock, as a function behind API Gateway."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import apigateway, get_caller_identity_output, route53, ssm

from llm_gateway import environment as variables
from pulumi_llm.api_edge import callers
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import invoke_models, read_secrets
from pulumi_llm.base.lambda_function import Published, Shared, let_api_gateway_invoke, log_group, publish
from pulumi_llm.routing import Routing
from pulumi_llm.serverless_bedrock_api.args import (
    INTEGRATION_MARGIN_SECONDS,
    STAGE_THROTTLE,
    DomainArgs,
    ServerlessBedrockApiArgs,
    checked,
)
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
        region, routing = checked(args, self.CHILDREN)
        super().__init__(name, opts, args.get("tags"), args.get("customize"))
        self._warn_of_legacy(routing)
        self._args = args
        self._region = region
        self._auth = args.get("auth", "api_key")
        self._shared = Shared(
            log_retention_days=args.get("log_retention_days", 30),
            kms_key_arn=args.get("kms_key_arn"),
            tracing=args.get("tracing", False),
        )
        function = self._function(routing)
        api = apigateway.RestApi(
            self.child_name("api"),
            description="pulumi-llm chat API",
            endpoint_configuration={"types": "REGIONAL"},
            api_key_source="AUTHORIZER" if self._auth == "api_key" else "HEADER",
            tags=self.tags,
            opts=self.child("api"),
        )
        declared = args.get("keys", [{"name": "default"}]) if self._auth == "api_key" else []
        keys: dict[str, apigateway.ApiKey] = {}
        authorizer = None
        if self._auth == "api_key":
            table = callers.keys_table(self, args)
            keys = callers.api_keys(self, declared, table)
            authorizer = callers.authorizer(self, self._shared, api, table, args.get("authorizer_cache_seconds", 0))
        elif "jwt" in args:
            authorizer = callers.authorizer(self, self._shared, api, args["jwt"], args.get("authorizer_cache_seconds", 0))
        stage = self._stage(api, self._routes(api, function, authorizer))
        callers.usage_plans(self, args, declared, keys, api, stage)

        self.url = self._domain(args["domain"], api, stage) if "domain" in args else stage.invoke_url
        self.stream_url = pulumi.Output.concat(self.url, "/chat/stream")
        values = {key: resource.value for key, resource in keys.items()}
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
        args = self._args
        environment: dict[str, pulumi.Input[str]] = {
            variables.AUTHORIZATION: self._auth,
            variables.CORS_ALLOW_ORIGIN: args.get("cors_allow_origin", "*"),
            # The Web Adapter: https://github.com/awslabs/aws-lambda-web-adapter#configurations
            "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
            "AWS_LWA_INVOKE_MODE": "response_stream",
            "AWS_LWA_PORT": "8080",
            "AWS_LWA_READINESS_CHECK_PATH": "/health",
            **routing.environment,
        }
        if args.get("debug"):
            environment[variables.DEBUG] = "true"
        version = args.get("web_adapter_layer_version", 27)
        layer = f"arn:aws:lambda:{self._region}:{_WEB_ADAPTER_ACCOUNT}:layer:LambdaAdapterLayerArm64:{version}"
        return publish(
            self,
            "",
            self._shared,
            description="Answers chats with Amazon Bedrock",
            code=bundle.archive(routing.routes),
            handler=bundle.RUN_SCRIPT,
            memory_mb=args.get("memory_mb", 512),
            timeout_seconds=self._timeout,
            environment=environment,
            policies=self._policies(routing),
            layers=[args.get("web_adapter_layer_arn", layer)],
            reserved_concurrency=args.get("reserved_concurrency"),
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

    @property
    def _timeout(self) -> int:
        return self._args.get("timeout_seconds", 300)

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
            self._auth,
            authorizer,
            timeout_seconds=self._timeout + INTEGRATION_MARGIN_SECONDS,
            origin=self._args.get("cors_allow_origin", "*"),
        )

    def _stage(self, api: apigateway.RestApi, deployment: apigateway.Deployment) -> apigateway.Stage:
        throttle = self._args.get("stage_throttle", STAGE_THROTTLE)
        access_logs = log_group(self, "access-logs", self._shared) if self._args.get("access_logs", True) else None
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
                "throttling_rate_limit": throttle["rate_limit"],
                "throttling_burst_limit": throttle["burst_limit"],
            },
            opts=self.child("stage-settings"),
        )
        return stage

    def _domain(self, domain: DomainArgs, api: apigateway.RestApi, stage: apigateway.Stage) -> pulumi.Output[str]:
        """A regional custom domain whose root is the stage; its address."""
        made = apigateway.DomainName(
            self.child_name("domain"),
            domain_name=domain["name"],
            regional_certificate_arn=domain["certificate_arn"],
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
        if "zone_id" in domain:
            route53.Record(
                self.child_name("domain-record"),
                zone_id=domain["zone_id"],
                name=domain["name"],
                type="A",
                aliases=[
                    {"name": made.regional_domain_name, "zone_id": made.regional_zone_id, "evaluate_target_health": False}
                ],
                opts=self.child("domain-record"),
            )
        return pulumi.Output.concat("https://", made.domain_name)

    def _parameters(self) -> None:
        """What other stacks need, as SSM parameters."""
        prefix = self._args.get("parameter_prefix", "")
        if not prefix:
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
