"""ServerlessBedrockApi: a REST API in front of Amazon Bedrock, as a function behind API Gateway."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import apigateway, cloudwatch, dynamodb, get_caller_identity_output, iam, lambda_

from llm_gateway import environment as variables
from llm_gateway import keys
from llm_gateway.auth import Caller, key_hash
from pulumi_llm import bundle
from pulumi_llm.component import Component
from pulumi_llm.iam import allow, assume_role, invoke_models, policy_document, write_logs
from pulumi_llm.models import BedrockModel
from pulumi_llm.serverless_bedrock_api.args import (
    INTEGRATION_MARGIN_SECONDS,
    ApiKeyArgs,
    ServerlessBedrockApiArgs,
    ThrottleArgs,
    checked,
    routes_of,
)
from pulumi_llm.serverless_bedrock_api.rest_api import deploy

# The stage's name is the first part of the path. A CDN in front can route /api/* here as it is.
STAGE = "api"
# Every integration, permission and event source calls the functions by this alias, never by $LATEST.
ALIAS = "live"
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
        "function",
        "alias",
        "permission",
        "authorizer-logs",
        "authorizer-role",
        "authorizer-policy",
        "authorizer-function",
        "authorizer-alias",
        "authorizer-permission",
        "authorizer",
        "api",
        "validator",
        "body-model",
        "resource",
        "method",
        "integration",
        "cors-method",
        "cors-integration",
        "cors-method-response",
        "cors-response",
        "gateway-response",
        "deployment",
        "access-logs",
        "stage",
        "stage-settings",
        "usage-plan",
        "usage-plan-key",
    )

    url: pulumi.Output[str]
    """The API's base URL, without a slash at its end."""
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
        region, models = checked(args, self.CHILDREN)
        super().__init__(name, opts, args.get("tags"), args.get("customize"))
        self._args = args
        self._region = region
        for used in models:
            if used.model.status == "legacy":
                instead = f"; consider {used.model.replaced_by!r}" if used.model.replaced_by else ""
                pulumi.log.warn(f"{used.model_id} is legacy: Bedrock has closed it to new customers{instead}", resource=self)
        self._code = bundle.archive(routes_of(args, models))
        self._authorized = args.get("auth", "api_key") != "none"

        function = self._function(models)
        api = apigateway.RestApi(
            self.child_name("api"),
            description="pulumi-llm chat API",
            endpoint_configuration={"types": "REGIONAL"},
            api_key_source="AUTHORIZER" if self._authorized else "HEADER",
            tags=self.tags,
            opts=self.child("api"),
        )
        callers = self._callers() if self._authorized else None
        authorizer = self._authorizer(api, callers[0]) if callers else None
        stage = self._stage(api, self._routes(api, function, authorizer))
        if callers:
            self._usage_plan(api, stage, callers[1])

        self.url = stage.invoke_url
        self.stream_url = pulumi.Output.concat(stage.invoke_url, "/chat/stream")
        values = {key: resource.value for key, resource in callers[1].items()} if callers else {}
        # Output.all() of nothing is a list.
        self.api_keys = pulumi.Output.secret(pulumi.Output.all(**values) if values else {})
        self.default_api_key = pulumi.Output.secret(next(iter(values.values()), ""))
        self.function_name = function.function_name
        self.function_alias_arn = function.arn
        self.log_group_name = self._log_group.name
        self.rest_api_id = api.id
        self.stage_name = stage.stage_name
        self.finish()

    # The function that answers.

    def _function(self, models: Sequence[BedrockModel]) -> lambda_.Alias:
        args = self._args
        self._log_group = self._logs("logs")
        role = self._role("role")
        logs = self._policy("logs-policy", role, [write_logs(pulumi.Output.concat(self._log_group.arn, ":*"))])
        policies: list[pulumi.Resource] = [logs]
        if models:
            # A document of its own, of values that are known at preview, so that policies can judge it there.
            account = get_caller_identity_output(opts=self.invoke_options()).account_id
            statements = account.apply(lambda account: invoke_models(models, self._region, account))
            policies.append(self._policy("bedrock-policy", role, statements))
        values = {
            variables.AUTHORIZATION: "api_key" if self._authorized else "none",
            variables.CORS_ALLOW_ORIGIN: args.get("cors_allow_origin", "*"),
            # The Web Adapter: https://github.com/awslabs/aws-lambda-web-adapter#configurations
            "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
            "AWS_LWA_INVOKE_MODE": "response_stream",
            "AWS_LWA_PORT": "8080",
            "AWS_LWA_READINESS_CHECK_PATH": "/health",
        }
        if args.get("debug"):
            values[variables.DEBUG] = "true"
        layer = args.get("web_adapter_layer_version", 27)
        function = lambda_.Function(
            self.child_name("function"),
            description="Answers chats with Amazon Bedrock",
            runtime=bundle.RUNTIME,
            architectures=["arm64"],
            handler=bundle.RUN_SCRIPT,
            code=self._code,
            layers=[f"arn:aws:lambda:{self._region}:{_WEB_ADAPTER_ACCOUNT}:layer:LambdaAdapterLayerArm64:{layer}"],
            role=role.arn,
            memory_size=args.get("memory_mb", 512),
            timeout=self._timeout,
            environment={"variables": values},
            logging_config={"log_format": "JSON", "log_group": self._log_group.name},
            publish=True,
            tags=self.tags,
            opts=self.child("function", depends_on=policies),
        )
        return self._alias("alias", function)

    @property
    def _timeout(self) -> int:
        return self._args.get("timeout_seconds", 300)

    # Who may call.

    def _callers(self) -> tuple[dynamodb.Table, dict[str, apigateway.ApiKey]]:
        """The keys, and the table that holds their hashes for the authorizer."""
        table = dynamodb.Table(
            self.child_name("keys-table"),
            billing_mode="PAY_PER_REQUEST",
            hash_key=keys.HASH_KEY,
            attributes=[{"name": keys.HASH_KEY, "type": "S"}],
            deletion_protection_enabled=self._args.get("deletion_protection", True),
            server_side_encryption={"enabled": True},
            point_in_time_recovery={"enabled": True},
            tags=self.tags,
            opts=self.child("keys-table"),
        )
        made: dict[str, apigateway.ApiKey] = {}
        for key in self._keys():
            name = key["name"]
            made[name] = apigateway.ApiKey(
                f"{self.child_name('key')}-{name}",
                description=f"pulumi-llm key {name} of tenant {_tenant(key)}",
                tags=self.tags,
                opts=self.child("key", additional_secret_outputs=["value"]),
            )
            caller = Caller(tenant=_tenant(key), key=name, models=tuple(key.get("models", ())))
            dynamodb.TableItem(
                f"{self.child_name('key-item')}-{name}",
                table_name=table.name,
                hash_key=keys.HASH_KEY,
                item=made[name].value.apply(_item_of(caller)),
                opts=self.child("key-item"),
            )
        return table, made

    def _keys(self) -> Sequence[ApiKeyArgs]:
        return self._args.get("keys", [{"name": "default"}])

    def _authorizer(self, api: apigateway.RestApi, table: dynamodb.Table) -> apigateway.Authorizer:
        logs = self._logs("authorizer-logs")
        role = self._role("authorizer-role")
        policy = self._policy(
            "authorizer-policy",
            role,
            [
                write_logs(pulumi.Output.concat(logs.arn, ":*")),
                allow("ReadKeys", ["dynamodb:GetItem"], table.arn),
            ],
        )
        function = lambda_.Function(
            self.child_name("authorizer-function"),
            description="Checks API keys",
            runtime=bundle.RUNTIME,
            architectures=["arm64"],
            handler="llm_functions.authorizer.handler",
            code=self._code,
            role=role.arn,
            memory_size=512,
            timeout=10,
            environment={"variables": {variables.KEYS_TABLE: table.name}},
            logging_config={"log_format": "JSON", "log_group": logs.name},
            publish=True,
            tags=self.tags,
            opts=self.child("authorizer-function", depends_on=[policy]),
        )
        alias = self._alias("authorizer-alias", function)
        authorizer = apigateway.Authorizer(
            self.child_name("authorizer"),
            rest_api=api.id,
            type="REQUEST",
            authorizer_uri=alias.invoke_arn,
            # A key may stand in either of two headers, and API Gateway asks for every identity source that is named: so
            # the source is one that is always there. It is a cache's key too, hence no cache: the function has its own.
            identity_source="context.identity.sourceIp",
            authorizer_result_ttl_in_seconds=0,
            opts=self.child("authorizer"),
        )
        lambda_.Permission(
            self.child_name("authorizer-permission"),
            action="lambda:InvokeFunction",
            function=function.name,
            qualifier=alias.name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(api.execution_arn, "/authorizers/", authorizer.id),
            opts=self.child("authorizer-permission"),
        )
        return authorizer

    # The routes, the stage and its limits.

    def _routes(
        self, api: apigateway.RestApi, function: lambda_.Alias, authorizer: apigateway.Authorizer | None
    ) -> apigateway.Deployment:
        lambda_.Permission(
            self.child_name("permission"),
            action="lambda:InvokeFunction",
            function=function.function_name,
            qualifier=function.name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(api.execution_arn, f"/{STAGE}/*"),
            opts=self.child("permission"),
        )
        # An alias has no such output; AWS documents the form:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
        uri = pulumi.Output.concat(
            f"arn:aws:apigateway:{self._region}:lambda:path/2021-11-15/functions/",
            function.arn,
            "/response-streaming-invocations",
        )
        return deploy(
            self,
            api,
            uri,
            authorizer,
            timeout_seconds=self._timeout + INTEGRATION_MARGIN_SECONDS,
            origin=self._args.get("cors_allow_origin", "*"),
        )

    def _stage(self, api: apigateway.RestApi, deployment: apigateway.Deployment) -> apigateway.Stage:
        throttle = self._args.get("stage_throttle", ThrottleArgs(rate_limit=100, burst_limit=200))
        access_logs = self._logs("access-logs") if self._args.get("access_logs", True) else None
        stage = apigateway.Stage(
            self.child_name("stage"),
            rest_api=api.id,
            deployment=deployment.id,
            stage_name=STAGE,
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

    def _usage_plan(self, api: apigateway.RestApi, stage: apigateway.Stage, made: Mapping[str, apigateway.ApiKey]) -> None:
        """A coarse shield per key, in front of the function."""
        throttle = self._args.get("throttle", ThrottleArgs(rate_limit=10, burst_limit=20))
        plan = apigateway.UsagePlan(
            self.child_name("usage-plan"),
            api_stages=[{"api_id": api.id, "stage": stage.stage_name}],
            throttle_settings={"rate_limit": throttle["rate_limit"], "burst_limit": throttle["burst_limit"]},
            quota_settings={"limit": self._args.get("daily_quota", 1_000), "period": "DAY"},
            tags=self.tags,
            opts=self.child("usage-plan"),
        )
        for name, key in made.items():
            apigateway.UsagePlanKey(
                f"{self.child_name('usage-plan-key')}-{name}",
                usage_plan_id=plan.id,
                key_id=key.id,
                key_type="API_KEY",
                opts=self.child("usage-plan-key"),
            )

    # What both functions have.

    def _logs(self, key: str) -> cloudwatch.LogGroup:
        return cloudwatch.LogGroup(
            self.child_name(key),
            retention_in_days=self._args.get("log_retention_days", 30),
            tags=self.tags,
            opts=self.child(key),
        )

    def _role(self, key: str) -> iam.Role:
        return iam.Role(
            self.child_name(key),
            assume_role_policy=json.dumps(assume_role("lambda.amazonaws.com")),
            tags=self.tags,
            opts=self.child(key),
        )

    def _policy(self, key: str, role: iam.Role, statements: pulumi.Input[Sequence[Mapping[str, Any]]]) -> iam.RolePolicy:
        document = pulumi.Output.from_input(statements).apply(lambda resolved: policy_document(*map(dict, resolved)))
        return iam.RolePolicy(
            self.child_name(key), role=role.id, policy=pulumi.Output.json_dumps(document), opts=self.child(key)
        )

    def _alias(self, key: str, function: lambda_.Function) -> lambda_.Alias:
        return lambda_.Alias(
            self.child_name(key),
            name=ALIAS,
            function_name=function.name,
            function_version=function.version,
            opts=self.child(key),
        )


def _item_of(caller: Caller) -> Callable[[str], str]:
    return lambda value: json.dumps(keys.item(key_hash(value), caller))


def _tenant(key: ApiKeyArgs) -> str:
    return key.get("tenant", "default")
