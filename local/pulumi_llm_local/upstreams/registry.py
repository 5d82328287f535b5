"""The providers of models that a stack's functions call, each as the stand-in that plays it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web

from llm_gateway.providers.anthropic.protocol import ANTHROPIC
from llm_gateway.providers.openai.protocol import OPENAI_COMPATIBLE
from llm_gateway.routes import BEDROCK, Endpoint, Routes, Target
from pulumi_llm.models.catalogue import ModelError, find
from pulumi_llm_local.upstreams.anthropic import app as anthropic_upstream
from pulumi_llm_local.upstreams.bedrock import app as bedrock
from pulumi_llm_local.upstreams.bedrock.app import Credentials, Model, ModelTraits
from pulumi_llm_local.upstreams.fault import Fault
from pulumi_llm_local.upstreams.openai import app as openai_upstream
from pulumi_llm_local.upstreams.openai.app import Flavour


@dataclass(frozen=True)
class ModelUpstreams:
    """What the routes documents of a stack call, by the names that its settings have for them."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    targets: Mapping[str, Mapping[str, Target]] = field(default_factory=dict[str, dict[str, Target]])

    @classmethod
    def of(cls, documents: Iterable[Routes]) -> "ModelUpstreams":
        endpoints: dict[str, Endpoint] = {}
        targets: dict[str, dict[str, Target]] = {BEDROCK: {}}
        for routes in documents:
            for endpoint in routes.endpoints:
                endpoints[endpoint.name] = endpoint
                targets.setdefault(endpoint.name, {})
            for target in (target for alias in routes.aliases for target in alias.targets):
                if target.provider in targets:
                    targets[target.provider][target.model] = target
        return cls(endpoints, targets)

    @property
    def names(self) -> list[str]:
        return list(self.targets)

    def bedrock(self, region: str, key: Credentials, model: Model, faults: Sequence[Fault]) -> web.Application:
        return bedrock.create_app(region=region, credentials=key, models=self._traits(BEDROCK), model=model, faults=faults)

    def endpoint(self, endpoint: Endpoint, key: str | None, model: Model, faults: Sequence[Fault]) -> web.Application:
        """`key` is what the endpoint wants to see; None: no key."""
        create_app = STAND_INS[endpoint.type](endpoint)
        return create_app(models=self._traits(endpoint.name), model=model, name=endpoint.name, key=key, faults=faults)

    def _traits(self, provider: str) -> dict[str, ModelTraits]:
        return {model: _traits(target) for model, target in self.targets[provider].items()}


def _traits(target: Target) -> ModelTraits:
    return ModelTraits(
        accepts=frozenset(target.accepts),
        exclusive=frozenset(target.exclusive),
        reasoning=_reasons(target),
        max_output_tokens=target.max_output_tokens,
        context_tokens=target.context_tokens,
    )


def _reasons(target: Target) -> bool:
    """Whether the model shows its reasoning unasked: by the catalogue, else by its name."""
    for name in (target.name.partition("/")[2], target.model.rpartition("/")[2]):
        try:
            return find(name)[0].reasoning
        except ModelError:
            continue
    return any(word in target.model.lower() for word in ("reasoner", "-r1", "thinking"))


# By the protocol that an endpoint speaks.
STAND_INS: Mapping[str, Callable[[Endpoint], Callable[..., web.Application]]] = {
    OPENAI_COMPATIBLE.name: lambda endpoint: partial(openai_upstream.create_app, flavour=_flavour(endpoint.base_url)),
    ANTHROPIC.name: lambda _: anthropic_upstream.create_app,
}


def _flavour(base_url: str) -> Flavour:
    """Whose dialect of OpenAI's API an address speaks; a host that is nobody's known one is a vLLM."""
    host = urlsplit(base_url).hostname or ""
    if host.endswith("deepseek.com"):
        return "deepseek"
    return "openai" if host.endswith(("openai.com", "openai.azure.com")) else "vllm"
