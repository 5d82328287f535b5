"""The providers of a configuration: where each is, and where its key stands."""

import re
from collections.abc import Mapping

import pulumi

from llm_gateway.providers.protocol import ProviderProtocol
from llm_gateway.providers.registry import PROTOCOLS
from llm_gateway.routes import BEDROCK, MOCK, Endpoint
from pulumi_llm.base.settings import Problem, valid_items
from pulumi_llm.routing.settings import ProviderSettings


class Providers:
    """The providers that were read.

    `protocols` are what they speak by their names, None where that is wrong, `regions` where they are, as far as that is given.
    `environment` is what the function's has to hold
    for `endpoints`; `secret_arns` and `kms_key_arns` are what it has to read, `queue_arns` the queues to which it has to send,
    and `queue_kms_key_arns` what encrypts them.
    """

    def __init__(self, settings: Mapping[str, ProviderSettings], region: str, problems: list[Problem]) -> None:
        self._region = region
        self._problems = problems
        self.protocols: dict[str, ProviderProtocol | None] = {}
        self.regions: dict[str, tuple[str, ...]] = {}
        self.endpoints: list[Endpoint] = []
        self.environment: dict[str, pulumi.Input[str]] = {}
        self.secret_arns: list[pulumi.Input[str]] = []
        self.kms_key_arns: list[pulumi.Input[str]] = []
        self.queue_arns: list[pulumi.Input[str]] = []
        self.queue_kms_key_arns: list[pulumi.Input[str]] = []
        # A map has no order, and may arrive in another: what is made of it must not depend on that.
        for name in sorted(settings):
            self.protocols[name] = self._read(name, settings[name]) if settings[name] else None

    def _read(self, name: str, provider: ProviderSettings) -> ProviderProtocol | None:
        path = f"providers.{name}"
        protocol = PROTOCOLS[provider.type] if provider.valid("type") else None
        prefix = self._prefix(path, name)
        base_url = provider.base_url
        if base_url is None and protocol is not None and not provider.given("base_url"):
            base_url = protocol.base_url
        if base_url:
            self.environment[f"{prefix}_BASE_URL"] = base_url
        if provider.secret_arn is not None:
            self.environment[f"{prefix}_SECRET_ARN"] = provider.secret_arn
            self.secret_arns.append(provider.secret_arn)
        if provider.regions is not None:
            self.regions[name] = tuple(region for _, region in valid_items(provider.regions))
        if provider.kms_key_arn is not None:
            self.kms_key_arns.append(provider.kms_key_arn)
        queue = provider.wake_queue
        if queue is not None and queue.valid("url", "arn"):
            self.environment[f"{prefix}_WAKE_QUEUE_URL"] = queue.url
            self.queue_arns.append(queue.arn)
            if queue.kms_key_arn is not None:
                self.queue_kms_key_arns.append(queue.kms_key_arn)
        if protocol is not None:
            self.endpoints.append(
                Endpoint(
                    name,
                    provider.type,
                    base_url_variable=f"{prefix}_BASE_URL",
                    secret_arn_variable=f"{prefix}_SECRET_ARN" if provider.secret_arn is not None else "",
                    wake_queue_url_variable=f"{prefix}_WAKE_QUEUE_URL" if queue is not None else "",
                    stickiness_cookie=provider.stickiness_cookie or "",
                    cache_salt=provider.cache_salt,
                    trace_context=provider.trace_context,
                )
            )
        return protocol.at(base_url) if protocol is not None and isinstance(base_url, str) else protocol

    def _prefix(self, path: str, name: str) -> str:
        """How the names of its environment variables begin."""
        prefix = f"PROVIDER_{re.sub('[.-]', '_', name).upper()}"
        if name in (BEDROCK, MOCK):
            self._problems.append(Problem(path, f"{name!r} is there already; every provider needs a name of its own"))
        elif f"{prefix}_BASE_URL" in self.environment:
            reason = f"{name!r} and another provider share the variable {prefix}_BASE_URL; let other letters or digits differ"
            self._problems.append(Problem(path, reason))
        return prefix
