"""The targets of a configuration: each a model of Bedrock's, of a provider's, or the mock."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

import msgspec

from llm_gateway.providers.registry import PROTOCOLS, Protocol
from llm_gateway.request import Parameter
from llm_gateway.routes import BEDROCK, MOCK, Strategy, Target
from pulumi_llm.base.component import hint
from pulumi_llm.models.catalogue import MOCK_TARGET, BedrockModel, ModelError, find, resolve
from pulumi_llm.routing.values import Reading

PARAMETERS: tuple[Parameter, ...] = get_args(Parameter)
MAX_TOKENS_NAMES: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
# Those of which a model may take only one.
RIVALS: tuple[Parameter, ...] = ("temperature", "top_p", "reasoning_effort")

# What only Bedrock's targets say, and what only a provider's do.
OF_BEDROCK = ("base_model", "destination_regions")
OF_PROVIDERS = (
    "context_tokens",
    "max_output_tokens",
    "accepts",
    "exclusive",
    "temperature_max",
    "stop_max",
    "max_tokens_name",
)


class Bounds(NamedTuple):
    """What a provider's target takes."""

    accepts: tuple[Parameter, ...]
    exclusive: tuple[Parameter, ...]
    temperature_max: float
    stop_max: int | None


class Targets:
    """Reads targets, one after another. `models` are Bedrock's that were read, `used` the providers that were named."""

    def __init__(self, reading: Reading, providers: Mapping[str, Protocol | None], region: str) -> None:
        self._reading = reading
        self._providers = providers
        self._region = region
        self.models: list[BedrockModel] = []
        self.used: set[str] = set()
        self._named: dict[str, list[tuple[str, str]]] = {}

    def read(self, path: str, given: Mapping[str, Any], strategy: Strategy | None, *, alone: bool = False) -> Target | None:
        """The target, None where it cannot be told. `alone`: it was given as a name alone, which has no keys."""
        reading = self._reading
        weight = reading.whole(f"{path}.weight", given.get("weight"), 1, 1_000)
        short = reading.whole(f"{path}.short_prompt_tokens", given.get("short_prompt_tokens"), 1)
        for key, needed in (("weight", "weight"), ("short_prompt_tokens", "workload")):
            if key in given and strategy not in (None, needed):
                reading.tell(f"{path}.{key}", f"is only for the strategy {needed!r}, not {strategy!r}")
        model = reading.required_text(f"{path}.model", given.get("model"))
        provider = reading.text(f"{path}.provider", given.get("provider", BEDROCK))
        if provider is None:
            return None
        if provider == BEDROCK:
            target = self._of_bedrock(path, path if alone else f"{path}.model", model, given)
        elif provider in self._providers:
            self.used.add(provider)
            target = self._of_provider(path, provider, self._providers[provider], model, given)
        else:
            known = [*self._providers, BEDROCK]
            reading.tell(f"{path}.provider", f"{provider!r} is not among the providers; {hint(provider, known)}")
            return None
        if target is None:
            return None
        if short is not None and short >= target.context_tokens:
            reason = f"must be below the model's context, which is {target.context_tokens}, not {short}"
            reading.tell(f"{path}.short_prompt_tokens", reason)
        target = msgspec.structs.replace(target, weight=weight or 1, short_prompt_tokens=short)
        return self._named_apart(target)

    def _named_apart(self, target: Target) -> Target:
        """With a number where a target that is another has the name, such as a second import: the router goes by names."""
        same = self._named.setdefault(target.name, [])
        called = (target.provider, target.model)
        if called not in same:
            same.append(called)
        number = same.index(called) + 1
        return target if number == 1 else msgspec.structs.replace(target, name=f"{target.name}-{number}")

    # Bedrock's, and the mock.

    def _of_bedrock(self, path: str, model_path: str, model: str | None, given: Mapping[str, Any]) -> Target | None:
        reading = self._reading
        base_model = reading.text(f"{path}.base_model", given.get("base_model")) or ""
        regions_path = f"{path}.destination_regions"
        listed = reading.items(regions_path, given.get("destination_regions"))
        regions = [reading.text(f"{regions_path}[{index}]", region) for index, region in enumerate(listed)]
        for key in OF_PROVIDERS:
            if key in given:
                reading.tell(f"{path}.{key}", "is only for a provider's target; what the catalogue says of this one holds")
        if model is None:
            return None
        if model == MOCK:
            for key in OF_BEDROCK:
                if given.get(key):
                    reading.tell(f"{path}.{key}", "is only for a model of Bedrock's, which the mock is not")
            return MOCK_TARGET
        try:
            if not self._region:
                if not model.startswith("arn:"):
                    find(model)  # what can be said without a Region
                return None
            known = [region for region in regions if region is not None]
            resolved = resolve(model, self._region, base_model=base_model, destination_regions=known)
        except ModelError as error:
            reading.tell(model_path, str(error))
            return None
        self.models.append(resolved)
        return resolved.target()

    # A provider's.

    def _of_provider(
        self, path: str, provider: str, protocol: Protocol | None, model: str | None, given: Mapping[str, Any]
    ) -> Target | None:
        reading = self._reading
        for key in OF_BEDROCK:
            if key in given:
                reading.tell(f"{path}.{key}", f"is only for a model of Bedrock's, not for one of {provider!r}")
        for key in ("context_tokens", "max_output_tokens"):
            if key not in given:
                reading.tell(f"{path}.{key}", "is required at a provider's target, whose models the catalogue does not know")
        context = reading.whole(f"{path}.context_tokens", given.get("context_tokens"), 1)
        output = reading.whole(f"{path}.max_output_tokens", given.get("max_output_tokens"), 1)
        if context is not None and output is not None and output > context:
            reading.tell(f"{path}.max_output_tokens", f"must be at most context_tokens, which is {context}, not {output}")
        # It stands in a header of the answer.
        if model is not None and not re.fullmatch(r"[!-~]{1,256}", model):
            reading.tell(f"{path}.model", f"{model!r} is no id of a model; give at most 256 characters, no white space")
            model = None
        bounds = Bounds((), (), 1.0, None) if protocol is None else self._bounds(path, protocol, given)
        name = reading.one_of(f"{path}.max_tokens_name", given.get("max_tokens_name"), MAX_TOKENS_NAMES)
        if name is not None and protocol is not None and not protocol.names_max_tokens:
            types = " or ".join(repr(each.name) for each in PROTOCOLS.values() if each.names_max_tokens)
            reading.tell(f"{path}.max_tokens_name", f"is only for the type {types}, which {provider!r} is not")
        if model is None or context is None or output is None:
            return None
        return Target(
            name=f"{provider}/{model}",
            provider=provider,
            model=model,
            max_output_tokens=output,
            context_tokens=context,
            accepts=bounds.accepts,
            exclusive=bounds.exclusive,
            temperature_max=bounds.temperature_max,
            stop_max=bounds.stop_max,
            max_tokens_name="max_completion_tokens" if name == "max_completion_tokens" else "max_tokens",
        )

    def _bounds(self, path: str, defaults: Protocol, given: Mapping[str, Any]) -> Bounds:
        """What the target says of itself, and the protocol's defaults for the rest."""
        reading = self._reading
        accepts = self._accepts(f"{path}.accepts", defaults, given["accepts"]) if "accepts" in given else defaults.accepts
        exclusive = defaults.exclusive if set(defaults.exclusive) <= set(accepts) else ()
        if "exclusive" in given:
            exclusive = self._exclusive(f"{path}.exclusive", accepts, given["exclusive"])
        temperature = reading.number(f"{path}.temperature_max", given.get("temperature_max"), 0, 2)
        stops = reading.whole(f"{path}.stop_max", given.get("stop_max"), 1)
        if "stop_max" in given and "stop" not in accepts:
            reading.tell(f"{path}.stop_max", "is only for a target that accepts 'stop'")
        return Bounds(
            accepts,
            exclusive,
            defaults.temperature_max if temperature is None else float(temperature),
            (stops or defaults.stop_max) if "stop" in accepts else None,
        )

    def _accepts(self, path: str, protocol: Protocol, value: Any) -> tuple[Parameter, ...]:
        accepts = self._parameters(path, value, PARAMETERS)
        if "max_tokens" not in accepts:
            self._reading.tell(path, "must hold 'max_tokens', which is always sent")
        if "stream_tools" in accepts and "tools" not in accepts:
            self._reading.tell(path, "holds 'stream_tools' without 'tools'; give both or neither")
        for parameter in protocol.never_sent:
            if parameter in accepts:
                self._reading.tell(path, f"must not hold {parameter!r}, which is not sent to the type {protocol.name!r}")
        return accepts

    def _exclusive(self, path: str, accepts: Sequence[Parameter], value: Any) -> tuple[Parameter, ...]:
        exclusive = self._parameters(path, value, RIVALS)
        if len(exclusive) == 1:
            self._reading.tell(path, f"must hold those of which only one may be sent, or none, not {exclusive[0]!r} alone")
        for parameter in exclusive:
            if parameter not in accepts:
                self._reading.tell(path, f"holds {parameter!r}, which is not among accepts; leave it out")
        return exclusive

    def _parameters(self, path: str, value: Any, known: Sequence[Parameter]) -> tuple[Parameter, ...]:
        found: list[Parameter] = []
        for index, item in enumerate(self._reading.items(path, value)):
            parameter = self._reading.one_of(f"{path}[{index}]", item, known)
            if parameter is not None and parameter not in found:
                found.append(parameter)
        return tuple(found)


def called_as(target: Target) -> tuple[str, str]:
    """What tells a model from others, however it is spelled: the ARN of a foundation model or a profile holds its id."""
    spelled = re.search(r":(foundation-model|inference-profile)/(.+)", target.model)
    return target.provider, spelled[2] if spelled and target.provider == BEDROCK else target.model
