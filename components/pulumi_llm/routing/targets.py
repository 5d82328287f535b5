"""The targets of a configuration: each a model of Bedrock's, of a provider's, or the mock."""

import re
from collections.abc import Iterator, Mapping

import msgspec

from llm_gateway.providers.protocol import ProviderProtocol
from llm_gateway.providers.registry import PROTOCOLS
from llm_gateway.routes import BEDROCK, MOCK, Parameter, Strategy, Target
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import Problem, hint, valid_items
from pulumi_llm.models.catalogue import MOCK_TARGET, BedrockModel, ModelError, find, resolve
from pulumi_llm.routing.settings import TargetSettings

# What only Bedrock's targets have, and what only a provider's do.
_BEDROCK_ONLY = ("base_model", "destination_regions")
_PROVIDER_ONLY = (
    "context_tokens",
    "max_output_tokens",
    "accepts",
    "exclusive",
    "temperature_max",
    "stop_max",
    "max_tokens_name",
)


class Targets:
    """Reads targets, one after another. `models` are Bedrock's that were read, `used` the providers that were named."""

    def __init__(
        self, protocols: Mapping[str, ProviderProtocol | None], location: Location | None, problems: list[Problem]
    ) -> None:
        self._protocols = protocols
        self._location = location
        self._problems = problems
        self.models: list[BedrockModel] = []
        self.used: set[str] = set()
        self._by_name: dict[str, list[tuple[str, str]]] = {}

    def read(self, path: str, model_path: str, settings: TargetSettings, strategy: Strategy | None) -> Target | None:
        """The target; None where it cannot be told. `model_path` is where its model stands."""
        for key, needed in (("weight", "weight"), ("short_prompt_tokens", "workload")):
            if settings.given(key) and strategy not in (None, needed):
                self._report(f"{path}.{key}", f"is only for the strategy {needed!r}, not {strategy!r}")
        provider = settings.provider
        if provider == BEDROCK:
            target = self._of_bedrock(path, model_path, settings)
        elif provider in self._protocols:
            self.used.add(provider)
            target = self._of_provider(path, settings, self._protocols[provider])
        else:
            if settings.valid("provider"):
                known = [*self._protocols, BEDROCK]
                self._report(f"{path}.provider", f"{provider!r} is not among the providers; {hint(provider, known)}")
            return None
        if target is None:
            return None
        short = settings.short_prompt_tokens
        if short is not None and short >= target.context_tokens:
            reason = f"must be below the model's context, which is {target.context_tokens}, not {short}"
            self._report(f"{path}.short_prompt_tokens", reason)
        return self._named(msgspec.structs.replace(target, weight=settings.weight or 1, short_prompt_tokens=short))

    def _named(self, target: Target) -> Target:
        """With a number where another target has the name, such as a second import: the router tells targets by their names."""
        same = self._by_name.setdefault(target.name, [])
        key = (target.provider, target.model)
        if key not in same:
            same.append(key)
        number = same.index(key) + 1
        return target if number == 1 else msgspec.structs.replace(target, name=f"{target.name}-{number}")

    # Bedrock's, and the mock.

    def _of_bedrock(self, path: str, model_path: str, settings: TargetSettings) -> Target | None:
        for key in _PROVIDER_ONLY:
            if settings.given(key):
                self._report(f"{path}.{key}", "is only for a provider's target; what the catalogue says of this one holds")
        model = settings.model
        if model == MOCK:
            for key in _BEDROCK_ONLY:
                if getattr(settings, key):
                    self._report(f"{path}.{key}", "is only for a model of Bedrock's, which the mock is not")
            return MOCK_TARGET
        regions = settings.destination_regions
        if not settings.valid("model", *_BEDROCK_ONLY) or len(valid_items(regions)) < len(regions):
            return None
        try:
            if self._location is None:
                if not model.startswith("arn:"):
                    find(model)  # what can be said without a Region
                return None
            region, partition = self._location
            base_model = settings.base_model
            resolved = resolve(model, region, partition=partition, base_model=base_model, destination_regions=regions)
        except ModelError as error:
            self._report(model_path, str(error))
            return None
        self.models.append(resolved)
        return resolved.target()

    # A provider's.

    def _of_provider(self, path: str, settings: TargetSettings, protocol: ProviderProtocol | None) -> Target | None:
        name = settings.provider
        for key in _BEDROCK_ONLY:
            if settings.given(key):
                self._report(f"{path}.{key}", f"is only for a model of Bedrock's, not for one of {name!r}")
        for key in ("context_tokens", "max_output_tokens"):
            if not settings.given(key):
                self._report(f"{path}.{key}", "is required at a provider's target, whose models the catalogue does not know")
        context, output = settings.context_tokens, settings.max_output_tokens
        if context is not None and output is not None and output > context:
            self._report(f"{path}.max_output_tokens", f"must be at most context_tokens, which is {context}, not {output}")
        # It stands in a header of the answer.
        if settings.valid("model") and not re.fullmatch(r"[!-~]{1,256}", settings.model):
            reason = f"{settings.model!r} is no id of a model; give at most 256 characters, no white space"
            self._report(f"{path}.model", reason)
        if protocol is None:
            return None
        self._problems += _provider_problems(path, settings, protocol)
        if not settings.valid("model") or context is None or output is None:
            return None
        accepts = accepted(settings, protocol)
        exclusive = settings.exclusive
        if exclusive is None:
            exclusive = protocol.exclusive if set(protocol.exclusive) <= set(accepts) else ()
        stops = settings.stop_max or protocol.stop_max
        temperature = protocol.temperature_max if settings.temperature_max is None else float(settings.temperature_max)
        return Target(
            name=f"{name}/{settings.model}",
            provider=name,
            model=settings.model,
            max_output_tokens=output,
            context_tokens=context,
            accepts=accepts,
            exclusive=tuple(dict.fromkeys(exclusive)),
            temperature_max=temperature,
            stop_max=stops if "stop" in accepts else None,
            max_tokens_name=settings.max_tokens_name or "max_tokens",
        )

    def _report(self, path: str, reason: str) -> None:
        self._problems.append(Problem(path, reason))


def accepted(settings: TargetSettings, protocol: ProviderProtocol) -> tuple[Parameter, ...]:
    """The parameters that a provider's model takes, each once."""
    if settings.accepts is None:
        return protocol.accepts
    return tuple(dict.fromkeys(parameter for _, parameter in valid_items(settings.accepts)))


def _provider_problems(path: str, settings: TargetSettings, protocol: ProviderProtocol) -> Iterator[Problem]:
    """What is wrong between the parameters of a provider's target."""
    accepts = accepted(settings, protocol)
    if settings.accepts is not None and len(valid_items(settings.accepts)) == len(settings.accepts):
        if "max_tokens" not in accepts:
            yield Problem(f"{path}.accepts", "must hold 'max_tokens', which is always sent")
        if "stream_tools" in accepts and "tools" not in accepts:
            yield Problem(f"{path}.accepts", "holds 'stream_tools' without 'tools'; give both or neither")
        for parameter in protocol.never_sent:
            if parameter in accepts:
                reason = f"must not hold {parameter!r}, which is not sent to the type {protocol.name!r}"
                yield Problem(f"{path}.accepts", reason)
    exclusive = tuple(dict.fromkeys(parameter for _, parameter in valid_items(settings.exclusive)))
    if len(exclusive) == 1:
        reason = f"must hold those of which only one may be sent, or none, not {exclusive[0]!r} alone"
        yield Problem(f"{path}.exclusive", reason)
    for parameter in exclusive:
        if parameter not in accepts:
            yield Problem(f"{path}.exclusive", f"holds {parameter!r}, which is not among accepts; leave it out")
    if settings.given("stop_max") and "stop" not in accepts:
        yield Problem(f"{path}.stop_max", "is only for a target that accepts 'stop'")
    if settings.max_tokens_name is not None and not protocol.names_max_tokens:
        named = " or ".join(repr(each.name) for each in PROTOCOLS.values() if each.names_max_tokens)
        reason = f"is only for the type {named}, which {settings.provider!r} is not"
        yield Problem(f"{path}.max_tokens_name", reason)


def model_key(target: Target) -> tuple[str, str]:
    """What tells a model from others, however it is spelled: the ARN of a foundation model or a profile holds its id."""
    spelled = re.search(r":(foundation-model|inference-profile)/(.+)", target.model)
    return target.provider, spelled[2] if spelled and target.provider == BEDROCK else target.model
