"""ServerlessBedrockApi: a REST API in front of Amazon Bedrock, as a function behind API Gateway."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import pulumi
from pulumi_aws import apigateway, bedrock, cloudwatch, dynamodb, iam, lambda_, route53, ssm

from llm_gateway.operations import PATHS
from pulumi_llm.api_edge import keys
from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.appconfig import CHILDREN as FLAGS
from pulumi_llm.api_edge.appconfig import UsedFlags, make_flags
from pulumi_llm.api_edge.authorizer import Made
from pulumi_llm.api_edge.authorizer import authorizer as make_authorizer
from pulumi_llm.api_edge.cors import Cors
from pulumi_llm.api_edge.gateway_responses import create_gateway_responses, gateway_responses
from pulumi_llm.api_edge.guardrail import UsedGuardrail, use_guardrail
from pulumi_llm.api_edge.jobs import CHILDREN as JOBS
from pulumi_llm.api_edge.jobs import make_jobs
from pulumi_llm.api_edge.journal import journal_table
from pulumi_llm.api_edge.ledger import ledger_table
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.api_edge.tickets import tickets_table
from pulumi_llm.api_edge.usage import usage_table
from pulumi_llm.api_edge.usage_plans import has_own_plan, starvation_warnings, usage_plans
from pulumi_llm.base.component import Children, Component
from pulumi_llm.base.lambda_function import Published, Shared, let_api_gateway_invoke
from pulumi_llm.base.location import Location
from pulumi_llm.base.parameters import create_parameters
from pulumi_llm.base.settings import read_arguments, valid_items
from pulumi_llm.models.catalogue import lifecycle_notice
from pulumi_llm.routing import Routing
from pulumi_llm.serverless_bedrock_api.api import create_api
from pulumi_llm.serverless_bedrock_api.args import (
    INTEGRATION_MARGIN_SECONDS,
    KEY_THROTTLE,
    STAGE_THROTTLE,
    ServerlessBedrockApiSettings,
)
from pulumi_llm.serverless_bedrock_api.args_types import ServerlessBedrockApiArgs
from pulumi_llm.serverless_bedrock_api.deployment import deploy
from pulumi_llm.serverless_bedrock_api.domain import create_domain
from pulumi_llm.serverless_bedrock_api.function import Stores, create_function, create_function_url
from pulumi_llm.serverless_bedrock_api.rest_api import CHILDREN as ROUTES
from pulumi_llm.serverless_bedrock_api.rest_api import Backend, create_routes, route_instances
from pulumi_llm.serverless_bedrock_api.stage import create_stage, open_operations

# The outputs that other stacks need.
PARAMETERS = (
    "url",
    "stream_url",
    "rest_api_id",
    "root_resource_id",
    "execution_arn",
    "stage_name",
    "stage_arn",
    "function_name",
    "function_arn",
    "function_alias_arn",
    "role_name",
    "role_arn",
    "log_group_name",
    "log_group_arn",
)


class ServerlessBedrockApi(Component):
    """A chat API on Amazon Bedrock: a regional REST API that streams, a function, and least-privilege access to the models.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = Children(
        {
            "keys-table": dynamodb.Table,
            "tickets-table": dynamodb.Table,
            "ledger-table": dynamodb.Table,
            "journal-table": dynamodb.Table,
            **JOBS,
            "usage-table": dynamodb.Table,
            "guardrail": bedrock.Guardrail,
            "guardrail-version": bedrock.GuardrailVersion,
            **FLAGS,
            "key": apigateway.ApiKey,
            "key-item": dynamodb.TableItem,
            "logs": cloudwatch.LogGroup,
            "role": iam.Role,
            "logs-policy": iam.RolePolicy,
            "bedrock-policy": iam.RolePolicy,
            "bedrock-output-policy": iam.RolePolicy,
            "secrets-policy": iam.RolePolicy,
            "wake-policy": iam.RolePolicy,
            "keys-policy": iam.RolePolicy,
            "tickets-policy": iam.RolePolicy,
            "ledger-policy": iam.RolePolicy,
            "journal-policy": iam.RolePolicy,
            "jobs-policy": iam.RolePolicy,
            "usage-policy": iam.RolePolicy,
            "guardrail-policy": iam.RolePolicy,
            "flags-policy": iam.RolePolicy,
            "retrieval-policy": iam.RolePolicy,
            "traces-policy": iam.RolePolicy,
            "vpc-policy": iam.RolePolicy,
            "managed-policy": iam.RolePolicyAttachment,
            "inline-policy": iam.RolePolicy,
            "function": lambda_.Function,
            "alias": lambda_.Alias,
            "function-url": lambda_.FunctionUrl,
            "permission": lambda_.Permission,
            "authorizer-logs": cloudwatch.LogGroup,
            "authorizer-role": iam.Role,
            "authorizer-logs-policy": iam.RolePolicy,
            "authorizer-policy": iam.RolePolicy,
            "authorizer-vpc-policy": iam.RolePolicy,
            "authorizer-function": lambda_.Function,
            "authorizer-alias": lambda_.Alias,
            "authorizer-permission": lambda_.Permission,
            "authorizer": apigateway.Authorizer,
            "api": apigateway.RestApi,
            "resource-policy": apigateway.RestApiPolicy,
            **ROUTES,
            "gateway-response": apigateway.Response,
            "deployment": apigateway.Deployment,
            "access-logs": cloudwatch.LogGroup,
            "stage": apigateway.Stage,
            "stage-settings": apigateway.MethodSettings,
            "method-settings": apigateway.MethodSettings,
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
    api_key_ids: pulumi.Output[Mapping[str, str]]
    """The keys' ids by their names. Empty without API keys."""
    usage_plan_ids: pulumi.Output[Mapping[str, str]]
    """The ids of the keys' usage plans by the keys' names. Empty without API keys."""
    keys_table_name: pulumi.Output[str]
    """The table of the keys' hashes. Empty without API keys."""
    keys_table_arn: pulumi.Output[str]
    """Its ARN. Empty without API keys."""
    tickets_table_name: pulumi.Output[str]
    """The table of tickets for WebSockets. Empty without them."""
    tickets_table_arn: pulumi.Output[str]
    """Its ARN. Empty without tickets."""
    ledger_table_name: pulumi.Output[str]
    """The table of what callers have used. Empty without limits."""
    ledger_table_arn: pulumi.Output[str]
    """Its ARN. Empty without limits."""
    journal_table_name: pulumi.Output[str]
    """The table of answers that are kept. Empty without `idempotency` and `cache`."""
    journal_table_arn: pulumi.Output[str]
    """Its ARN. Empty without `idempotency` and `cache`."""
    jobs_table_name: pulumi.Output[str]
    """The table of jobs. Empty without `jobs`."""
    jobs_table_arn: pulumi.Output[str]
    """Its ARN. Empty without `jobs`."""
    jobs_stream_arn: pulumi.Output[str]
    """The stream of its changes. Empty without `jobs`."""
    jobs_bucket_name: pulumi.Output[str]
    """The bucket of what jobs ask, and of their results. Empty without `jobs`."""
    usage_table_name: pulumi.Output[str]
    """The table of what callers have used on past days, for a UsageAnalytics. Empty without `usage`."""
    usage_table_arn: pulumi.Output[str]
    """Its ARN. Empty without `usage`."""
    guardrail_arn: pulumi.Output[str]
    """The guardrail that conversations are checked by. Empty without one."""
    guardrail_version: pulumi.Output[str]
    """Its version. Empty without a guardrail."""
    flags_configuration: pulumi.Output[str]
    """The configuration of the feature flags in AppConfig: the ids of the application, the environment and the profile, with
    slashes between them. Empty without `flags`."""
    flags_configuration_arn: pulumi.Output[str]
    """Its ARN, for what else may read it. Empty without `flags`."""
    flags_strategy_id: pulumi.Output[str]
    """The deployment strategy of the feature flags: at once. Empty without `flags`."""
    function_name: pulumi.Output[str]
    """The function that answers."""
    function_arn: pulumi.Output[str]
    """Its ARN, without a version."""
    function_alias_name: pulumi.Output[str]
    """The name of the function's alias, `live`, by which it is called."""
    function_alias_arn: pulumi.Output[str]
    """The function's alias `live`."""
    function_alias_invoke_arn: pulumi.Output[str]
    """The URI by which an API of your own calls the alias for whole answers."""
    function_url_endpoint: pulumi.Output[str]
    """The function's own URL, for a CDN of your own. Empty without one."""
    role_name: pulumi.Output[str]
    """The function's role, for policies of your own."""
    role_arn: pulumi.Output[str]
    """Its ARN, for resource policies."""
    log_group_name: pulumi.Output[str]
    """The function's log group."""
    log_group_arn: pulumi.Output[str]
    """Its ARN."""
    rest_api_id: pulumi.Output[str]
    """The REST API."""
    root_resource_id: pulumi.Output[str]
    """The REST API's root resource, below which routes of your own are made."""
    execution_arn: pulumi.Output[str]
    """The REST API's execution ARN, for permissions to call it and to be called by it."""
    stage_name: pulumi.Output[str]
    """The REST API's stage."""
    stage_arn: pulumi.Output[str]
    """Its ARN, for a web ACL."""
    access_log_group_name: pulumi.Output[str]
    """The log group of the access logs. Empty where none is made."""
    access_log_group_arn: pulumi.Output[str]
    """Its ARN. Empty where none is made."""
    authorizer_id: pulumi.Output[str]
    """The authorizer, for routes of your own. Empty without one."""
    authorizer_function_name: pulumi.Output[str]
    """The authorizer's function. Empty without an authorizer."""
    authorizer_function_arn: pulumi.Output[str]
    """Its ARN, without a version. Empty without an authorizer."""
    authorizer_role_name: pulumi.Output[str]
    """The role of the authorizer's function. Empty without an authorizer."""
    authorizer_role_arn: pulumi.Output[str]
    """Its ARN. Empty without an authorizer."""
    authorizer_log_group_name: pulumi.Output[str]
    """The log group of the authorizer's function. Empty without an authorizer."""
    authorizer_log_group_arn: pulumi.Output[str]
    """Its ARN. Empty without an authorizer."""

    def __init__(self, name: str, args: ServerlessBedrockApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(
            type(self).__name__, name, ServerlessBedrockApiSettings, args, self.CHILDREN, opts, _made
        )
        super().__init__(name, opts, settings.tags, settings.customize)
        self._settings, self._location = settings, location
        self._shared = Shared(
            log_retention_days=settings.log_retention_days, kms_key_arn=settings.kms_key_arn, tracing=settings.tracing
        )
        stage_throttle = settings.stage_throttle.over(STAGE_THROTTLE)
        routing = settings.routing(location)
        self._report_lifecycle(routing)
        table, checks, checking = None, None, None
        if settings.auth == "api_key":
            authorized = sum(operation.authorized for operation in settings.operations())
            table = keys.keys_table(
                self,
                deletion_protection=settings.deletion_protection,
                kms_key_arn=settings.kms_key_arn,
                # Each route has a limit of its own.
                reads_per_second=authorized * (math.ceil(stage_throttle.rate_limit) + stage_throttle.burst_limit),
            )
            checks = UsedTable(table.name, table.arn)
        function = create_function(
            self,
            settings,
            self._shared,
            routing,
            location,
            keys=checks if settings.function_url else None,
            stores=self._stores(routing),
            guardrail=self._guardrail(),
            flags=self._flags(routing),
        )
        url = create_function_url(self, function) if settings.function_url else None
        api = create_api(self, settings)
        api_keys: dict[str, apigateway.ApiKey] = {}
        if table is not None and checks is not None:
            api_keys = keys.api_keys(self, settings.keys, table, deletion_protection=settings.deletion_protection)
            checking = make_authorizer(self, self._shared, api, checks, settings.authorizer_cache_seconds, None)
        elif settings.jwt is not None:
            network = settings.vpc if settings.jwt.in_vpc else None
            checking = make_authorizer(self, self._shared, api, settings.jwt, settings.authorizer_cache_seconds, network)
        ready: list[pulumi.Resource] = [self._let_call(api, function), *([checking.permission] if checking else [])]
        authorizer = checking.authorizer if checking else None
        stage, access_logs = create_stage(
            self,
            self._shared,
            api,
            self._deploy(api, function, authorizer, ready),
            throttle=stage_throttle,
            access_logs=settings.access_logs,
            access_log_destination_arn=settings.access_log_destination_arn,
        )
        plans = self._usage_plans(api, api_keys, stage) if settings.auth == "api_key" else {}

        address = stage.invoke_url if settings.domain is None else create_domain(self, settings.domain, api, stage)
        self.url = pulumi.Output.format("{}{}", address, api.path_prefix)
        self.stream_url = pulumi.Output.format("{}{}", self.url, PATHS["chat_stream"])
        values = {key: resource.value for key, resource in api_keys.items()}
        self.api_keys = pulumi.Output.secret(_by_name(values))
        self.default_api_key = pulumi.Output.secret(next(iter(values.values()), ""))
        self.api_key_ids = _by_name({key: resource.id for key, resource in api_keys.items()})
        self.usage_plan_ids = _by_name({key: plan.id for key, plan in plans.items()})
        self.rest_api_id, self.root_resource_id, self.execution_arn = api.id, api.root_resource_id, api.execution_arn
        self.stage_name, self.stage_arn = stage.stage_name, stage.arn
        self._function_outputs(function, url)
        self._authorizer_outputs(table, checking)
        self.access_log_group_name = access_logs.name if access_logs else _nothing()
        self.access_log_group_arn = access_logs.arn if access_logs else _nothing()
        if settings.parameter_prefix is not None:
            create_parameters(self, settings.parameter_prefix, PARAMETERS)
        self.finish()

    def _stores(self, routing: Routing) -> Stores:
        """Make what only the function keeps."""
        settings, key = self._settings, self._settings.kms_key_arn
        tickets = tickets_table(self, key) if settings.websocket_tickets else None
        self.tickets_table_name, self.tickets_table_arn = (tickets.name, tickets.arn) if tickets else (_nothing(), _nothing())
        ledger = None
        if routing.routes.limits is not None:
            ledger = ledger_table(self, key, deletion_protection=settings.deletion_protection)
        self.ledger_table_name, self.ledger_table_arn = (ledger.name, ledger.arn) if ledger else (_nothing(), _nothing())
        journal = journal_table(self, key) if settings.keeps_answers else None
        self.journal_table_name, self.journal_table_arn = (journal.name, journal.arn) if journal else (_nothing(), _nothing())
        protected = settings.deletion_protection
        jobs = make_jobs(self, key, deletion_protection=protected, batches=settings.batches) if settings.jobs else None
        self.jobs_table_name, self.jobs_table_arn = (jobs.table.name, jobs.table.arn) if jobs else (_nothing(), _nothing())
        self.jobs_stream_arn = jobs.table.stream_arn if jobs else _nothing()
        self.jobs_bucket_name = pulumi.Output.from_input(jobs.used.bucket) if jobs else _nothing()
        usage = None
        if settings.usage is not None:
            usage = usage_table(self, key, deletion_protection=settings.deletion_protection)
        self.usage_table_name, self.usage_table_arn = (usage.name, usage.arn) if usage else (_nothing(), _nothing())
        used = [UsedTable(made.name, made.arn) if made else None for made in (tickets, ledger, journal, usage)]
        return Stores(used[0], used[1], used[2], jobs.used if jobs else None, used[3])

    def _guardrail(self) -> UsedGuardrail | None:
        """Make the guardrail, unless one is given."""
        settings, guardrail = self._settings, None
        if settings.guardrail is not None:
            guardrail = use_guardrail(self, settings.guardrail, self._location, settings.customize)
        self.guardrail_arn = pulumi.Output.from_input(guardrail.arn if guardrail else "")
        self.guardrail_version = pulumi.Output.from_input(guardrail.version if guardrail else "")
        return guardrail

    def _flags(self, routing: Routing) -> UsedFlags | None:
        """Make the configuration of the feature flags, where there are any."""
        flags = make_flags(self, routing.routes) if self._settings.flags else None
        values = flags or UsedFlags("", "")
        self.flags_configuration = pulumi.Output.from_input(values.configuration)
        self.flags_configuration_arn = pulumi.Output.from_input(values.arn)
        self.flags_strategy_id = pulumi.Output.from_input(values.strategy_id)
        return flags

    def _function_outputs(self, function: Published, url: lambda_.FunctionUrl | None) -> None:
        self.function_url_endpoint = url.function_url if url else _nothing()
        self.function_name, self.function_arn = function.function.name, function.function.arn
        self.function_alias_name, self.function_alias_arn = function.alias.name, function.alias.arn
        self.function_alias_invoke_arn = function.alias.invoke_arn
        self.role_name, self.role_arn = function.role.name, function.role.arn
        self.log_group_name, self.log_group_arn = function.log_group.name, function.log_group.arn

    def _authorizer_outputs(self, table: dynamodb.Table | None, checking: Made | None) -> None:
        self.keys_table_name, self.keys_table_arn = (table.name, table.arn) if table else (_nothing(), _nothing())
        self.authorizer_id = checking.authorizer.id if checking else _nothing()
        checker = checking.published if checking else None
        self.authorizer_function_name = checker.function.name if checker else _nothing()
        self.authorizer_function_arn = checker.function.arn if checker else _nothing()
        self.authorizer_role_name = checker.role.name if checker else _nothing()
        self.authorizer_role_arn = checker.role.arn if checker else _nothing()
        self.authorizer_log_group_name = checker.log_group.name if checker else _nothing()
        self.authorizer_log_group_arn = checker.log_group.arn if checker else _nothing()

    def _report_lifecycle(self, routing: Routing) -> None:
        """Say at preview which models are legacy, or past their end of life."""
        today = datetime.now(UTC).date()
        used = {model.model_id: (model.model, model.model_id) for model in routing.models}
        used |= {model.expected.name: (model.expected.model, model.expected.name) for model in routing.output_models}
        for model, name in used.values():
            notice = lifecycle_notice(model, name, today)
            if notice is not None:
                (pulumi.log.warn if notice.urgent else pulumi.log.info)(notice.text, resource=self)

    def _let_call(self, api: Api, function: Published) -> lambda_.Permission:
        source_arn = pulumi.Output.format("{}/{}/*", api.execution_arn, api.stage_name)
        return let_api_gateway_invoke(self, "permission", function, source_arn)

    def _usage_plans(
        self, api: Api, api_keys: Mapping[str, apigateway.ApiKey], stage: apigateway.Stage
    ) -> dict[str, apigateway.UsagePlan]:
        settings, throttle = self._settings, self._settings.throttle.over(KEY_THROTTLE)
        for warning in starvation_warnings(
            settings.keys, throttle=throttle, timeout_seconds=settings.timeout_seconds, reserved=settings.reserved_concurrency
        ):
            pulumi.log.warn(warning, resource=self)
        if settings.function_url and settings.reserved_concurrency is None:
            pulumi.log.warn(
                "function_url: what comes that way counts for no key's throttle and daily_quota; set reserved_concurrency, "
                "which bounds the answers at once",
                resource=self,
            )
        return usage_plans(self, settings.keys, api_keys, api, stage, throttle=throttle, daily_quota=settings.daily_quota)

    def _throttled_seconds(self) -> int:
        """After how long any caller that is throttled has a request again. One answer has to do for all of them."""
        settings = self._settings
        throttles = [settings.stage_throttle.over(STAGE_THROTTLE)]
        if settings.auth == "api_key":
            throttle = settings.throttle.over(KEY_THROTTLE)
            enabled = [key for key in settings.keys if key.enabled]
            throttles += [key.throttle.over(throttle) for key in enabled or settings.keys]
        return math.ceil(1 / min(each.rate_limit for each in throttles))

    def _deploy(
        self, api: Api, function: Published, authorizer: apigateway.Authorizer | None, ready: Sequence[pulumi.Resource]
    ) -> apigateway.Deployment:
        """Deploy all that a deployment of the API freezes. What is not in the list does not reach the stage when it changes."""
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
        parts, permissions = create_routes(self, api, backend, settings.operations(), settings.routes)
        existing = settings.existing_api
        if existing is None:  # the responses are the whole API's
            parts += create_gateway_responses(self, api, settings.auth, cors, throttled_seconds=self._throttled_seconds())
        if authorizer is not None:
            parts.append(authorizer)
        redeploy_on: dict[str, pulumi.Input[str]] = {} if existing is None else dict(existing.redeploy_on)
        if settings.redeploy is not None:
            redeploy_on["redeploy"] = settings.redeploy
        return deploy(self, api, parts, ready=[*ready, *permissions], redeploy_on=redeploy_on)


def _nothing() -> pulumi.Output[str]:
    """What an output is where its resource is not made."""
    return pulumi.Output.from_input("")


def _by_name(values: Mapping[str, pulumi.Output[str]]) -> pulumi.Output[Mapping[str, str]]:
    # Output.all() of nothing is a list.
    return pulumi.Output.all(**values) if values else pulumi.Output.from_input({})


def _made(settings: ServerlessBedrockApiSettings, location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children: "" where nothing does, nothing where there is none."""
    routing, auth, network, domain = settings.routing(location), settings.auth, settings.vpc, settings.domain
    keys = [key for _, key in valid_items(settings.keys) if key.valid("name")] if auth == "api_key" else []
    names = [key.name for key in keys]
    routes = [route for _, route in valid_items(settings.routes) if route.valid("method", "path")]
    existing = settings.existing_api
    prefix = existing.path_prefix if existing and existing.valid("path_prefix") else ""
    single = {
        "keys-table": auth == "api_key",
        "bedrock-policy": bool(routing.models),
        "bedrock-output-policy": bool(routing.output_models),
        "secrets-policy": bool(routing.secret_arns),
        "wake-policy": bool(routing.queue_arns),
        "keys-policy": settings.function_url and auth == "api_key",
        "retrieval-policy": settings.retrieval is not None,
        **dict.fromkeys(("tickets-table", "tickets-policy"), settings.websocket_tickets),
        **dict.fromkeys(("ledger-table", "ledger-policy"), routing.routes.limits is not None),
        **dict.fromkeys(("journal-table", "journal-policy"), settings.keeps_answers),
        **dict.fromkeys((*JOBS, "jobs-policy"), settings.jobs),
        **dict.fromkeys(("usage-table", "usage-policy"), settings.usage is not None),
        **dict.fromkeys(("guardrail", "guardrail-version"), settings.makes_guardrail),
        "guardrail-policy": settings.guardrail is not None,
        **dict.fromkeys((*FLAGS, "flags-policy"), settings.flags),
        "traces-policy": settings.sends_to_xray,
        "function-url": settings.function_url,
        "vpc-policy": network is not None,
        **{key: auth in ("api_key", "jwt") for key in ServerlessBedrockApi.CHILDREN if key.startswith("authorizer")},
        "authorizer-policy": auth == "api_key",
        "authorizer-vpc-policy": network is not None and settings.jwt is not None and settings.jwt.in_vpc,
        "api": existing is None,
        "resource-policy": settings.resource_policy is not None or (existing is None and settings.endpoint == "private"),
        "access-logs": settings.access_logs and settings.access_log_destination_arn is None,
        "domain": domain is not None and not domain.existing,
        "domain-mapping": domain is not None,
        "domain-record": domain is not None and domain.zone_id is not None,
    }
    return {
        **{key: [""] if made else [] for key, made in single.items()},
        **dict.fromkeys(("key", "usage-plan-key"), names),
        "key-item": [key.name for key in keys if key.enabled],
        "method-settings": [operation.id.replace("_", "-") for operation in open_operations()],
        "managed-policy": list(settings.policies.managed) if settings.valid("policies") else [],
        "inline-policy": list(settings.policies.inline) if settings.valid("policies") else [],
        "usage-plan": list(dict.fromkeys(key.name if has_own_plan(key) else "" for key in keys)),
        **route_instances(prefix, settings.operations(), routes),
        "gateway-response": [r.lower().replace("_", "-") for r in gateway_responses(auth)] if existing is None else [],
        "parameter": [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else [],
    }
