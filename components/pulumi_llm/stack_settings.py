"""A stack's configuration, made of the components' own descriptions, typed and checked.

Every mistake in it is reported at once, with its path and what would be right.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import AfterValidator, Field

from pulumi_llm import stack_models
from pulumi_llm.account_baseline.args import BaselineSettings
from pulumi_llm.api_edge.settings import CallerJobsSettings
from pulumi_llm.async_inference.args import AsyncInferenceBaseSettings
from pulumi_llm.base.function_settings import PolicyArn
from pulumi_llm.base.location import Location
from pulumi_llm.base.secret_settings import as_secrets
from pulumi_llm.base.settings import Flag, Input, Name, Problem, Region, read, regional_problems
from pulumi_llm.base.tags import OWN_TAG, TagKey, TagValue, tags_reason
from pulumi_llm.cdn_frontend.args import API_PATH, FrontendSettings
from pulumi_llm.gpu_inference_cluster.args import GpuSettings
from pulumi_llm.gpu_inference_cluster.workloads.place import HTTPS_PORT
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel
from pulumi_llm.inference_network.args import NetworkSettings
from pulumi_llm.knowledge_base.args import KnowledgeBaseBaseSettings
from pulumi_llm.observability.args import ObservabilityBaseSettings
from pulumi_llm.routing import Routing, RoutingSettings
from pulumi_llm.routing import read as read_routing
from pulumi_llm.serverless_bedrock_api.args import SHARED_JOBS, ApiSettings, UsageSettings
from pulumi_llm.usage_analytics.args import UsageAnalyticsBaseSettings
from pulumi_llm.websocket_chat.args import WebSocketSettings

if TYPE_CHECKING:
    from pulumi_llm.account_baseline.args_types import AccountBaselineArgs
    from pulumi_llm.async_inference import AsyncInference
    from pulumi_llm.async_inference.args_types import AsyncInferenceArgs
    from pulumi_llm.cdn_frontend.args_types import CdnFrontendArgs
    from pulumi_llm.gpu_inference_cluster import GpuInferenceCluster
    from pulumi_llm.gpu_inference_cluster.args_types import GpuInferenceClusterArgs
    from pulumi_llm.inference_network import InferenceNetwork
    from pulumi_llm.inference_network.args_types import InferenceNetworkArgs
    from pulumi_llm.knowledge_base import KnowledgeBase
    from pulumi_llm.knowledge_base.args_types import KnowledgeBaseArgs
    from pulumi_llm.observability.args_types import ObservabilityArgs
    from pulumi_llm.serverless_bedrock_api import ServerlessBedrockApi
    from pulumi_llm.serverless_bedrock_api.args_types import ServerlessBedrockApiArgs
    from pulumi_llm.usage_analytics.args_types import UsageAnalyticsArgs
    from pulumi_llm.websocket_chat import WebSocketChat
    from pulumi_llm.websocket_chat.args_types import WebSocketChatArgs

PROJECT = "pulumi-llm"


class SettingsError(pulumi.RunError):
    """The configuration is wrong; the text lists every mistake, one a line."""


class StackApiSettings(ApiSettings):
    """The serverless chat API."""

    enabled: Flag = True
    """Deploy the chat API."""
    parameters: Flag = True
    """Make SSM parameters `/pulumi-llm/ENVIRONMENT/chat/…` with the outputs, for other stacks."""
    log_role_exists: Flag = False
    """The Region has API Gateway's log role already, set by another stack or a person. `access_logs` requires this or
    `account_baseline.api_gateway_logs`. `aws apigateway get-account` tells."""


class StackWebSocketSettings(WebSocketSettings):
    """The chat API over WebSockets. Who may call the REST API (`api.auth`, its keys or tokens) may connect."""

    enabled: Flag = False
    """Deploy the WebSocket API."""
    parameters: Flag = True
    """Make SSM parameters `/pulumi-llm/ENVIRONMENT/websocket/…` with the outputs, for other stacks."""


class StackNetworkSettings(NetworkSettings):
    """The network of GPU nodes, and of the functions that call them."""

    enabled: Flag = False
    """Make the network; `gpu` needs it. The functions join it only where an alias has a model of `gpu`."""
    parameters: Flag = True
    """Make SSM parameters `/pulumi-llm/ENVIRONMENT/network/…` with the outputs, for other stacks."""


class StackGpuSettings(GpuSettings):
    """Open models on GPUs of the account's own. Each is a provider of its name: a target `{provider: NAME, model: NAME}`."""

    enabled: Flag = True
    """Deploy the cluster."""
    parameters: Flag = True
    """Make SSM parameters `/pulumi-llm/ENVIRONMENT/gpu/…` with the outputs, for other stacks."""
    permissions_boundary: PolicyArn | None = None
    """The ARN of the permissions boundary of the cluster's roles, whose pods and nodes do other things than functions. Default:
    none; `permissions_boundary` of the stack requires it."""


class StackKnowledgeBaseSettings(KnowledgeBaseBaseSettings):
    """Documents, passages of which stand in the prompts: `api.retrieval` says in which."""

    enabled: Flag = False
    """Make the knowledge base."""
    parameters: Flag = True
    """Make SSM parameters `/pulumi-llm/ENVIRONMENT/knowledge/…` with the outputs, for other stacks."""


class StackAsyncInferenceSettings(AsyncInferenceBaseSettings, CallerJobsSettings):
    """Jobs: chats that callers submit (`POST /jobs`) and ask for later, and workers for them."""

    enabled: Flag = False
    """Let the API take jobs, and deploy their workers."""
    parameters: Flag = True
    """Make SSM parameters `/pulumi-llm/ENVIRONMENT/jobs/…` with the outputs, for other stacks."""


class StackUsageAnalyticsSettings(UsageAnalyticsBaseSettings, UsageSettings):
    """What callers have used on past days, by alias and target (`GET /usage?by=alias`), counted from the logs."""

    enabled: Flag = False
    """Let the API tell it, and deploy what counts it."""


class StackFrontendSettings(FrontendSettings):
    """The web client on a CDN, with the chat API at the same address."""

    enabled: Flag = False
    """Deploy the CDN with the web client."""
    parameters: Flag = True
    """Make SSM parameters `/pulumi-llm/ENVIRONMENT/frontend/…` with the outputs, for other stacks."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.enabled:
            yield from self.folder_problems()


def _reason(text: str) -> str:
    if len(text.strip()) < 20:
        raise ValueError(f"must say why in a sentence, not {text!r}")
    return text


class StackObservabilitySettings(ObservabilityBaseSettings):
    """What is watched, and who is notified."""

    budget_waiver: Input[Annotated[str, AfterValidator(_reason)]] | None = None
    """Why this environment has no budget, such as "stack billing of this account makes one for the whole account". Without a
    budget, an environment that is not for development needs it. It becomes an output of the stack, and a warning at each
    deployment."""

    def problems(self) -> Iterator[Problem]:
        if self.given("budget") and self.given("budget_waiver"):
            yield Problem("budget_waiver", "is for an environment without a budget, and this one has a budget; leave it out")


class StackSettings(RoutingSettings):
    """The whole configuration of a stack."""

    environment: Name
    """The tag Environment. Default: the stack's name."""
    region: Region = Field(alias="aws:region")
    """The Region of everything, Bedrock's calls included. In another Region everything is made anew. Default: AWS_REGION."""
    owner: TagValue = ""
    """The tag Owner. Default: OWNER of the environment."""
    development: Flag = False
    """Allow what only a developer's own environment may do: `auth: none`, `debug`."""
    tags: Mapping[TagKey, TagValue] = Field(default_factory=dict)
    """More tags, for every resource. Default: none."""
    permissions_boundary: PolicyArn | None = None
    """The ARN of the permissions boundary of every role that is made here, but for a cluster's (`gpu.permissions_boundary`)
    and those for which `customize` names another. Default: none."""
    account_baseline: BaselineSettings = BaselineSettings()
    """What an account or a Region has only once."""
    observability: StackObservabilitySettings = StackObservabilitySettings()
    """What is watched, and who is notified."""
    api: StackApiSettings = StackApiSettings()
    """The serverless chat API."""
    websocket: StackWebSocketSettings = StackWebSocketSettings()
    """The chat API over WebSockets. Who may call the REST API may connect."""
    knowledge_base: StackKnowledgeBaseSettings = StackKnowledgeBaseSettings()
    """Documents, passages of which stand in the prompts: `api.retrieval` says in which."""
    async_inference: StackAsyncInferenceSettings = StackAsyncInferenceSettings()
    """Jobs: chats that callers submit (`POST /jobs`) and ask for later, and workers for them."""
    usage_analytics: StackUsageAnalyticsSettings = StackUsageAnalyticsSettings()
    """What callers have used on past days, by alias and target (`GET /usage?by=alias`), counted from the logs."""
    frontend: StackFrontendSettings = StackFrontendSettings()
    """The web client on a CDN, with the chat API at the same address."""
    network: StackNetworkSettings = StackNetworkSettings()
    """The network of GPU nodes, and of the functions that call them."""
    gpu: StackGpuSettings | None = None
    """Open models on GPUs of the account's own. Default: there are none."""

    def problems(self) -> Iterator[Problem]:
        if self.valid("tags", "environment", "owner") and (reason := tags_reason({OWN_TAG, *self.all_tags()})):
            yield Problem("tags", reason)
        if self.valid("region"):
            yield from regional_problems(self, self.region)
        timeout = self.api.timeout_seconds if self.valid("api") else None
        location = Location.of(self.region) if self.valid("region") else None
        limits = self.api.all_limits() if self.valid("api") else None
        rules = self.api.rule_documents() if self.valid("api") else ()
        routing = read_routing(self._routing(), location, timeout, stack_models.named(self.gpu, self), limits, rules=rules)
        yield from routing.problems
        yield from self._gpu_problems()
        if not self.valid("api"):
            return
        if self.api.auth == "none" and not self.development:
            yield Problem(
                "api.auth",
                "'none' lets anyone spend this account's money; use 'api_key', or set "
                f"{PROJECT}:development to true in a developer's own environment",
            )
        if self.api.debug and not self.development:
            yield Problem("api.debug", f"shows causes to callers, so it needs {PROJECT}:development to be true")
        baseline = self.account_baseline
        if self.api.enabled and self.api.access_logs and not (baseline.api_gateway_logs or self.api.log_role_exists):
            yield Problem(
                "api.access_logs",
                "API Gateway refuses a stage with access logs until the Region has its log role. Set "
                "account_baseline.api_gateway_logs to true in one stack of the Region; in the others, or if a person has set "
                "the role, api.log_role_exists to true (`aws apigateway get-account` tells). Or set api.access_logs to false",
            )
        watched = self.observability
        if self.api.enabled and not (self.development or watched.given("budget") or watched.given("budget_waiver")):
            yield Problem(
                "observability.budget",
                "is required: the caller of a model spends this account's money, and nobody would be notified. Give "
                "monthly_usd with emails or topic_arn, or say in observability.budget_waiver why there is none",
            )
        layer_problems = self.api.layer_problems(location) if location is not None else ()
        target_problems = self.api.target_problems(routing.routes, location) if location is not None else ()
        logged = self.api.logged_retention_problems() if baseline.bedrock_invocation_logs else ()
        for problem in [*self.api.model_problems(self.aliases()), *target_problems, *layer_problems, *logged]:
            yield Problem(f"api.{problem.path}", problem.reason)
        yield from self._retrieval_problems(routing, location)
        if self.valid("websocket") and self.websocket.enabled:
            yield from self._websocket_problems()
        if self._takes_jobs() and not self.api.enabled:
            yield Problem("async_inference.enabled", "must be false without the API (api.enabled), which takes the jobs")
        if self._takes_jobs() and self.api.enabled and self.api.auth == "none":
            yield Problem("async_inference.enabled", f"must be false with api.auth 'none': {SHARED_JOBS}")
        if self._counts_usage() and not self.api.enabled:
            yield Problem("usage_analytics.enabled", "must be false without the API (api.enabled), which tells what was used")
        if self._takes_jobs() and self.async_inference.debug and not self.development:
            yield Problem("async_inference.debug", f"shows causes to callers, so it needs {PROJECT}:development to be true")
        if self.valid("frontend") and self.frontend.enabled:
            yield from _problems_behind_cdn(self.api)
        elif self.valid("frontend") and self.api.enabled and self.api.function_url:
            yield Problem("api.function_url", "needs the CDN (frontend.enabled), which alone may call it")

    def _retrieval_problems(self, routing: Routing, location: Location | None) -> Iterator[Problem]:
        """Yield what is wrong with the knowledge base, and with its use."""
        made = self.valid("knowledge_base") and self.knowledge_base.enabled
        if made and location is not None:
            for problem in self.knowledge_base.place_problems(location):
                yield Problem(f"knowledge_base.{problem.path}", problem.reason)
        retrieval = self.api.retrieval
        if retrieval is None:
            return
        for problem in self.api.retrieval_problems(routing, arn_required=False):
            yield Problem(f"api.{problem.path}", problem.reason)
        if made and retrieval.given("knowledge_base_arn"):
            reason = (
                "is of another knowledge base than the one that is made here (knowledge_base.enabled); leave one of them out"
            )
            yield Problem("api.retrieval.knowledge_base_arn", reason)
        elif not made and not retrieval.given("knowledge_base_arn"):
            reason = "is required, unless a knowledge base is made here (knowledge_base.enabled)"
            yield Problem("api.retrieval.knowledge_base_arn", reason)

    def _websocket_problems(self) -> Iterator[Problem]:
        """Yield what the WebSocket API needs of the others' settings."""
        api, websocket = self.api, self.websocket
        if not api.enabled:
            yield Problem("websocket.enabled", "must be false without the API (api.enabled), whose callers may connect")
        if api.auth == "iam":
            yield Problem("websocket.enabled", "must be false with api.auth 'iam': a browser's WebSocket cannot be signed")
        if websocket.debug and not self.development:
            yield Problem("websocket.debug", f"shows causes to callers, so it needs {PROJECT}:development to be true")
        if websocket.access_logs and not (self.account_baseline.api_gateway_logs or api.log_role_exists):
            yield Problem(
                "websocket.access_logs",
                "needs account_baseline.api_gateway_logs or api.log_role_exists, as api.access_logs does; or set it to false",
            )
        if api.jwt is not None and api.jwt.in_vpc and websocket.vpc is None:
            yield Problem("websocket.vpc", "is required with api.jwt.in_vpc: the authorizer reaches the issuer from there")

    @property
    def has_gpu(self) -> bool:
        """Whether there is a cluster of one's own models."""
        return self.gpu is not None and self.gpu.enabled

    def _gpu_problems(self) -> Iterator[Problem]:
        """Yield what a cluster needs of the others' settings, and what targets among its models need."""
        if self.gpu is None:
            return
        yield from stack_models.target_problems(self.gpu, self.gpu.enabled is False, self._served(), self)
        if not self.has_gpu:
            return
        if self.valid("network") and not self.network.enabled:
            yield Problem("network.enabled", "must be true with gpu, whose nodes are in it; or set gpu.enabled to false")
        elif self.valid("network") and (own := self.network.existing) is not None and not own.given("balancer_subnet_ids"):
            reason = "is required with gpu: subnets with nothing else in them, for who is in them may call the model servers"
            yield Problem("network.existing.balancer_subnet_ids", reason)
        elif self.valid("network") and self.network.service_port != HTTPS_PORT:
            yield Problem("network.service_port", f"must be {HTTPS_PORT} with gpu, on which its servers listen; leave it out")
        if self.given("permissions_boundary") and not self.gpu.given("permissions_boundary"):
            reason = "is required with permissions_boundary, which bounds functions: a cluster's roles do other things"
            yield Problem("gpu.permissions_boundary", reason)
        for name in self.gpu.models or {}:
            if name in (self.providers or {}):
                yield Problem(f"gpu.models.{name}", "is the name of a provider already; give another one")
        if self.valid("api") and self.api.function_url and self._called():
            reason = "must be false where an alias has a model of gpu: a function in a VPC does not stream by its URL"
            yield Problem("api.function_url", reason)

    def _served(self) -> dict[str, ServedModel]:
        """The served models that are right, by their names."""
        return {model.name: model for model in self.gpu.served_models()} if self.gpu is not None else {}

    def _called(self) -> list[str]:
        """The names of the served models that are targets of aliases."""
        return [name for name in stack_models.named(self.gpu, self) if self.has_gpu and stack_models.is_target(name, self)]

    def _routing(self) -> RoutingSettings:
        """Aliases and providers, with the served models among these, and the bounds of their targets."""
        domain = self.gpu.domain.name if self.gpu is not None and self.gpu.valid("domain") else None
        # Without a domain, which is reported where it stands, the rest is checked all the same.
        region = self.region if self.valid("region") else None
        return stack_models.with_models(
            stack_models.named(self.gpu, self), self._served(), domain or "models.example.com", region, self
        )

    def warnings(self) -> list[str]:
        """What is allowed, and yet likely not meant."""
        return list(stack_models.warnings(self.gpu, self.network, self)) if self.gpu is not None and self.has_gpu else []

    def _shared(self, cluster: "GpuInferenceCluster | None") -> dict[str, Any]:
        """The arguments of what calls models: aliases, and providers with the queues that wake them."""
        shared = self._routing().model_dump(include={"models", "providers"}, exclude_unset=True)
        if cluster is not None and (called := self._called()):
            shared["providers"] |= {name: cluster.providers[name] for name in called}
        return shared

    def _vpc(self, network: "InferenceNetwork | None") -> dict[str, Any]:
        """The VPC of the functions, where they call a served model."""
        if network is None or not self._called():
            return {}
        groups = [network.function_security_group_id]
        return {"vpc": {"subnet_ids": network.private_subnet_ids, "security_group_ids": groups}}

    def network_args(self) -> "InferenceNetworkArgs":
        """The arguments of InferenceNetwork."""
        given = self.network.model_dump(exclude={"enabled", "parameters"}, exclude_unset=True)
        if self.network.parameters:
            given["parameter_prefix"] = f"/{PROJECT}/{self.environment}/network"
        return cast("InferenceNetworkArgs", {**given, "region": self.region, "tags": self.all_tags()})

    def gpu_args(self, network: "InferenceNetwork") -> "GpuInferenceClusterArgs":
        """The arguments of GpuInferenceCluster in `network`."""
        assert self.gpu is not None
        given = self.gpu.model_dump(exclude={"enabled", "parameters", "permissions_boundary"}, exclude_unset=True)
        if self.gpu.parameters:
            given["parameter_prefix"] = f"/{PROJECT}/{self.environment}/gpu"
        names = ("vpc_id", "private_subnet_ids", "balancer_subnet_ids", "balancer_subnet_cidrs")
        names += ("balancer_security_group_id", "service_security_group_id")
        given["network"] = {name: getattr(network, name) for name in names}
        return cast("GpuInferenceClusterArgs", {**given, "region": self.region, "tags": self.all_tags()})

    def _issues_tickets(self) -> bool:
        """Whether the REST API issues tickets for the WebSocket API: where there is one that does not let in anyone."""
        return self.websocket.enabled and self.api.auth in ("api_key", "jwt")

    def _takes_jobs(self) -> bool:
        """Whether the API takes jobs."""
        return self.valid("async_inference") and self.async_inference.enabled

    def _counts_usage(self) -> bool:
        """Whether it is counted what callers use."""
        return self.valid("usage_analytics") and self.usage_analytics.enabled

    def all_tags(self) -> dict[str, str]:
        """The tags of every resource. The configuration's own win."""
        own = {"Project": PROJECT, "Environment": self.environment, "ManagedBy": "Pulumi"}
        return {**own, **({"Owner": self.owner} if self.owner else {}), **self.tags}

    def account_baseline_args(self) -> "AccountBaselineArgs":
        """The arguments of AccountBaseline."""
        given = self.account_baseline.model_dump(exclude_unset=True)
        return cast("AccountBaselineArgs", {**given, "tags": self.all_tags()})

    def observability_args(self) -> "ObservabilityArgs":
        """The arguments of Observability."""
        given = self.observability.model_dump(exclude={"budget_waiver"}, exclude_unset=True)
        return cast("ObservabilityArgs", {**given, "tags": self.all_tags()})

    def knowledge_base_args(self) -> "KnowledgeBaseArgs":
        """The arguments of KnowledgeBase."""
        given = self.knowledge_base.model_dump(exclude={"enabled", "parameters"}, exclude_unset=True)
        if self.knowledge_base.parameters:
            given["parameter_prefix"] = f"/{PROJECT}/{self.environment}/knowledge"
        return cast("KnowledgeBaseArgs", {**given, "region": self.region, "tags": self.all_tags()})

    def _retrieval(self, knowledge_base: "KnowledgeBase | None") -> dict[str, Any]:
        """The argument of what asks the knowledge base: the one that is made here, or the one that is given."""
        if self.api.retrieval is None:
            return {}
        arn = self.api.retrieval.knowledge_base_arn if knowledge_base is None else knowledge_base.knowledge_base_arn
        return {"retrieval": self.api.retrieval_beside(arn)}

    def api_args(
        self,
        network: "InferenceNetwork | None" = None,
        cluster: "GpuInferenceCluster | None" = None,
        knowledge_base: "KnowledgeBase | None" = None,
    ) -> "ServerlessBedrockApiArgs":
        """The arguments of ServerlessBedrockApi, which calls the models of `cluster` from `network`, and asks
        `knowledge_base`."""
        given = self.api.model_dump(exclude={"enabled", "parameters", "log_role_exists"}, exclude_unset=True)
        if self.api.parameters:
            given["parameter_prefix"] = f"/{PROJECT}/{self.environment}/chat"
        if self._issues_tickets():
            given["websocket_tickets"] = True
        if self._takes_jobs():
            given["jobs"] = True
            given |= {"batches": True} if self.async_inference.batches is not None else {}
            given |= self.async_inference.model_dump(include=set(CallerJobsSettings.model_fields), exclude_unset=True)
        if self._counts_usage():
            given["usage"] = self.usage_analytics.model_dump(include={"tenant_readers"}, exclude_unset=True)
        given = {**self._vpc(network), **given, **self._retrieval(knowledge_base), **self._shared(cluster)}
        return cast("ServerlessBedrockApiArgs", {**given, "region": self.region, "tags": self.all_tags()})

    def websocket_args(
        self,
        api: "ServerlessBedrockApi",
        network: "InferenceNetwork | None" = None,
        cluster: "GpuInferenceCluster | None" = None,
        knowledge_base: "KnowledgeBase | None" = None,
    ) -> "WebSocketChatArgs":
        """The arguments of WebSocketChat, to which the callers of `api` may connect."""
        given = self.websocket.model_dump(exclude={"enabled", "parameters"}, exclude_unset=True)
        if self.websocket.parameters:
            given["parameter_prefix"] = f"/{PROJECT}/{self.environment}/websocket"
        given = {**self._vpc(network), **given, **self._shared(cluster)}
        callers = self.api.model_dump(include={"auth", "jwt", "cache"}, exclude_unset=True)
        if self.api.auth == "api_key":
            table = {"name": api.keys_table_name, "arn": api.keys_table_arn, "kms_key_arn": self.api.kms_key_arn}
            callers["keys_table"] = table
        if self._issues_tickets():
            table = {"name": api.tickets_table_name, "arn": api.tickets_table_arn, "kms_key_arn": self.api.kms_key_arn}
            callers["tickets_table"] = table
        callers |= self._beside(api, knowledge_base)
        return cast("WebSocketChatArgs", {**given, **callers, "region": self.region, "tags": self.all_tags()})

    def async_inference_args(
        self,
        api: "ServerlessBedrockApi",
        network: "InferenceNetwork | None" = None,
        cluster: "GpuInferenceCluster | None" = None,
        knowledge_base: "KnowledgeBase | None" = None,
    ) -> "AsyncInferenceArgs":
        """The arguments of AsyncInference, which works off the jobs that `api` takes."""
        of_stack = {"enabled", "parameters", *CallerJobsSettings.model_fields}
        given = self.async_inference.model_dump(exclude=of_stack, exclude_unset=True)
        if self.async_inference.parameters:
            given["parameter_prefix"] = f"/{PROJECT}/{self.environment}/jobs"
        jobs = {
            "table_name": api.jobs_table_name,
            "table_arn": api.jobs_table_arn,
            "stream_arn": api.jobs_stream_arn,
            "bucket_name": api.jobs_bucket_name,
            "kms_key_arn": self.api.kms_key_arn,
        }
        given = {**self._vpc(network), **given, **self._shared(cluster), **self._beside(api, knowledge_base), "jobs": jobs}
        return cast("AsyncInferenceArgs", {**given, "region": self.region, "tags": self.all_tags()})

    def _beside(self, api: "ServerlessBedrockApi", knowledge_base: "KnowledgeBase | None") -> dict[str, Any]:
        """The arguments of what answers the callers of `api` as that does: limits, rules, safety and so on."""
        given: dict[str, Any] = {"limits": {}, "rules": [], "safety": {}}
        given |= self.api.model_dump(include={"limits", "tenant_limits", "rules", "otlp"}, exclude_unset=True)
        limited = [key for key in self.api.keys if key.given("limits")] if self.api.auth == "api_key" else []
        if limited:
            given["key_limits"] = {key.name: key.limits.model_dump(exclude_unset=True) for key in limited}
        if self.api.all_limits() is not None:
            table = {"name": api.ledger_table_name, "arn": api.ledger_table_arn, "kms_key_arn": self.api.kms_key_arn}
            given["ledger_table"] = table
        if (metrics := self.api.all_metrics()) is not None:
            given["metrics"] = {
                "namespace": metrics.namespace,
                **({"tenants": list(metrics.tenants)} if metrics.tenants else {}),
            }
        if self.api.log_costs or self._counts_usage():
            given["log_costs"] = True
        if self.api.safety is not None:
            given["safety"] = self.api.safety_beside(api.guardrail_arn, api.guardrail_version)
        if self.api.flags:
            given["flags"] = {"configuration": api.flags_configuration, "arn": api.flags_configuration_arn}
        return {**given, **self._retrieval(knowledge_base)}

    def usage_analytics_args(
        self, api: "ServerlessBedrockApi", websocket: "WebSocketChat | None", jobs: "AsyncInference | None"
    ) -> "UsageAnalyticsArgs":
        """The arguments of UsageAnalytics, which counts what the callers of `api` use."""
        excluded = {"enabled", "tenant_readers"}
        given = self.usage_analytics.model_dump(exclude=excluded, exclude_unset=True)
        made = {"chat": api, "websocket": websocket, "jobs": jobs}
        groups = {name: each.log_group_arn for name, each in made.items() if each is not None}
        table = {"name": api.usage_table_name, "arn": api.usage_table_arn, "kms_key_arn": self.api.kms_key_arn}
        given = {**given, "table": table, "log_groups": groups, "region": self.region, "tags": self.all_tags()}
        return cast("UsageAnalyticsArgs", given)

    def frontend_args(self, api: "ServerlessBedrockApi", websocket: "WebSocketChat | None") -> "CdnFrontendArgs":
        """The arguments of CdnFrontend in front of `api` and, where there is one, of `websocket`."""
        given = self.frontend.model_dump(exclude={"enabled", "parameters"}, exclude_unset=True)
        if self.frontend.parameters:
            given["parameter_prefix"] = f"/{PROJECT}/{self.environment}/frontend"
        addresses = {"api_url": api.url, "api_stage_arn": api.stage_arn}
        if self.api.function_url:
            addresses |= {"function_url": api.function_url_endpoint, "function_alias_arn": api.function_alias_arn}
        if websocket is not None:
            addresses["websocket_url"] = websocket.websocket_url
        return cast("CdnFrontendArgs", {**given, **addresses, "tags": self.all_tags()})


def _problems_behind_cdn(api: StackApiSettings) -> Iterator[Problem]:
    """Yield what of the API a CDN cannot reach or pass on."""
    needs = "the CDN (frontend.enabled)"
    if not api.enabled:
        yield Problem("api.enabled", f"must be true for {needs}, which serves the API")
    if api.endpoint == "private":
        yield Problem("api.endpoint", f"must be 'regional' for {needs}, which is in no VPC")
    if api.auth == "iam":
        yield Problem("api.auth", f"must not be 'iam' for {needs}: a signature is of one host name, and the CDN has another")
    below = API_PATH.removeprefix("/")
    if api.domain is not None and isinstance(api.domain.base_path, str | None) and api.domain.base_path != below:
        yield Problem("api.domain.base_path", f"must be {below!r} for {needs}, which asks for {API_PATH} as the browser does")
    if api.domain is None and api.existing_api is not None and api.existing_api.stage_name != below:
        yield Problem("api.existing_api.stage_name", f"must be {below!r} for {needs}, whose path the stage's name is")


# At the end of a configuration's mistakes.
_HELP = "docs/settings.md explains each setting; docs/troubleshooting.md helps with what AWS refuses."

# The keys whose value is text, whatever it looks like.
_TEXTS = ("environment", "owner")


def load() -> StackSettings:
    """Read the running stack's configuration.

    Raises:
        SettingsError: lists every mistake.
    """
    values = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    raw: dict[str, Any] = {"environment": pulumi.get_stack(), "owner": os.environ.get("OWNER", "")}
    encrypted: list[str] = []
    for key, value in values.items():
        namespace, _, name = key.partition(":")
        if namespace == PROJECT:
            raw[name] = value if name in _TEXTS else _parsed(value)
            if runtime_config.is_config_secret(key):
                encrypted.append(name)
    raw["aws:region"] = values.get("aws:region") or os.environ.get("AWS_REGION", "")
    settings = parse(raw)
    sections = [name for name in encrypted if name not in _PLAIN]
    # The function gets what it needs of a provider, ARNs included, in its environment.
    return settings.model_copy(
        update={name: as_secrets(getattr(settings, name), resources=name == "providers") for name in sections}
    )


# What names and tags resources, and which there are, is not kept secret.
_PLAIN = ("environment", "owner", "development", "tags", "models", "permissions_boundary")


def parse(raw: Mapping[str, Any]) -> StackSettings:
    """Read settings from plain values.

    Raises:
        SettingsError: lists every mistake.
    """
    settings, problems = read(StackSettings, raw)
    if problems:
        count = f"{len(problems)} mistakes" if len(problems) > 1 else "a mistake"
        lines = [f"  {_in_namespace(problem.path)}: {problem.reason}" for problem in problems]
        raise SettingsError("\n".join([f"the configuration has {count}:", *lines, _HELP]))
    return settings


def _in_namespace(path: str) -> str:
    return path if path == "aws:region" else f"{PROJECT}:{path}"


def _parsed(value: Any) -> Any:
    """A configuration value: the engine hands structured ones, numbers and booleans over as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
