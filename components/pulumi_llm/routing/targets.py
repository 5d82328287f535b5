"""The targets of a configuration: each a model of Bedrock's, of a provider's, or the mock."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import pulumi

from llm_gateway.providers.protocol import ProviderProtocol
from llm_gateway.providers.registry import PROTOCOLS
from llm_gateway.request import EMBEDDING_PARAMETERS
from llm_gateway.routes import BEDROCK, MOCK, Parameter, Price, Strategy, Target
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import Problem, hint, valid_items
from pulumi_llm.models.catalogue import ModelError, UnknownModelError, find
from pulumi_llm.models.resolve import MOCK_TARGET, Asked, BedrockModel, Bounds, resolve
from pulumi_llm.routing.settings import TargetSettings

# What only Bedrock's targets have, and what only a provider's do.
_BEDROCK_ONLY = ("base_model", "router_models", "destination_regions")
_PROVIDER_ONLY = ("max_tokens_name", "kind")
# What only a model that chats has.
_CHAT_ONLY = (
    *("max_output_tokens", "exclusive", "temperature_max", "stop_max", "max_tokens_name", "short_prompt_tokens"),
    "think_tags",
)
_BOUNDS = ("context_tokens", "max_output_tokens", "accepts", "exclusive", "temperature_max", "stop_max", "think_tags")
_LISTS = ("router_models", "destination_regions", "accepts", "exclusive")

# Converse has no field for these.
_NEVER_SENT_TO_BEDROCK: tuple[Parameter, ...] = ("json_object", "json_schema", "system_messages", "anthropic_tools")


class OutputModel(NamedTuple):
    """A model of Bedrock's whose ARN is another resource's output.

    `expected` is what is said of it before the ARN is known: its bounds, and the length of what a policy needs for it.
    `resolved` is what the ARN means; it fails with `pulumi.InputPropertiesError` where that cannot be called.
    """

    expected: BedrockModel
    resolved: pulumi.Output[BedrockModel]


class Targets:
    """Reads targets, one after another.

    `models` and `output_models` are Bedrock's that were read, `used` the providers that were named. `model_names` are the names
    of Bedrock's models by those of their targets. `environment` is what the function's must hold for the models whose ARNs are
    not known yet. `prices`: targets have their prices, all of them ("required") or those of which they are "known". `regions`
    are those of providers, by their names.
    """

    def __init__(
        self,
        protocols: Mapping[str, ProviderProtocol | None],
        regions: Mapping[str, Sequence[str]],
        location: Location | None,
        problems: list[Problem],
        served: Sequence[str],
        *,
        prices: Literal["required", "known"] | None,
    ) -> None:
        self._protocols = protocols
        self._regions = regions
        self._served = served
        self._prices = prices
        self._location = location
        self._problems = problems
        self.models: list[BedrockModel] = []
        self.output_models: list[OutputModel] = []
        self.environment: dict[str, pulumi.Input[str]] = {}
        self.used: set[str] = set()
        self.model_names: dict[str, str] = {}
        self._catalogue_prices: dict[str, Price | None] = {}
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
            places = self._regions.get(provider)
            if target is not None and places and self._location is not None:
                # The function reads it in its own Region.
                target = msgspec.structs.replace(target, regions=tuple(dict.fromkeys((self._location.region, *places))))
        else:
            if settings.valid("provider"):
                known = list(dict.fromkeys([*self._protocols, *self._served, BEDROCK]))
                self._report(f"{path}.provider", f"{provider!r} is not among the providers; {hint(provider, known)}")
            return None
        if target is None:
            return None
        short = settings.short_prompt_tokens
        if target.kind == "embedding" and settings.given("short_prompt_tokens"):
            self._report(f"{path}.short_prompt_tokens", "is only for a model that chats")
        elif short is not None and short >= target.context_tokens:
            reason = f"must be below the model's context, which is {target.context_tokens}, not {short}"
            self._report(f"{path}.short_prompt_tokens", reason)
        if settings.cache_prompts and "prompt_caching" not in target.accepts:
            self._report(f"{path}.cache_prompts", "is only for a model that accepts prompt_caching; leave it out")
        target = msgspec.structs.replace(target, cache_prompts=settings.cache_prompts or False)
        if self._prices is not None:
            target = msgspec.structs.replace(target, price=self._price(model_path, settings, target))
        return self._named(msgspec.structs.replace(target, weight=settings.weight or 1, short_prompt_tokens=short))

    def _named(self, target: Target) -> Target:
        """With a number where another target has the name, such as a second import: the router tells targets by their names."""
        same = self._by_name.setdefault(target.name, [])
        key = (target.provider, target.model or target.model_variable)
        if key not in same:
            same.append(key)
        number = same.index(key) + 1
        return target if number == 1 else msgspec.structs.replace(target, name=f"{target.name}-{number}")

    def _price(self, model_path: str, settings: TargetSettings, target: Target) -> Price | None:
        """The price that is given, or the catalogue's."""
        if settings.price is not None and settings.price.valid("input", "output"):
            return settings.price.document()
        if target.provider == MOCK:
            return Price(0, 0, 0, 0, 0)
        found = self._catalogue_prices.get(target.model or target.model_variable) if target.provider == BEDROCK else None
        if found is None and self._prices == "required" and not settings.given("price"):
            reason = "has no price in the catalogue, and limits of money count by it; give price, in US dollars a million"
            self._report(model_path, reason)
        return found

    # Bedrock's, and the mock.

    def _of_bedrock(self, path: str, model_path: str, settings: TargetSettings) -> Target | None:
        for key in _PROVIDER_ONLY:
            if settings.given(key):
                self._report(f"{path}.{key}", "is only for a provider's target, which one of Bedrock's is not")
        model = settings.model
        if model == MOCK:
            for key in (*_BEDROCK_ONLY, *_BOUNDS):
                if settings.given(key):
                    self._report(f"{path}.{key}", "is only for a model of Bedrock's, which the mock is not")
            return msgspec.structs.replace(MOCK_TARGET, regions=(self._location.region,) if self._location else ())
        if isinstance(model, str) and model in self._served and not _is_in_catalogue(model):
            target = f"{{provider: {model}, model: {model}}}"
            right = f"the target {target}" if ".targets[" in path else f"targets: [{target}]"
            self._report(model_path, f"{model!r} is none of Bedrock's, but a model of gpu; write {right}")
            return None
        problems = list(_bounds_problems(path, settings, None))
        if settings.temperature_max is not None and settings.temperature_max > 1:
            problems.append(Problem(f"{path}.temperature_max", f"is at most 1 on Bedrock, not {settings.temperature_max:g}"))
        self._problems += problems
        if problems or not settings.valid("model") or not _lists_are_valid(settings):
            return None
        asked = Asked(
            *(self._location or Location("", "")),
            settings.base_model,
            settings.router_models,
            settings.destination_regions,
            Bounds(**{key: getattr(settings, key) for key in _BOUNDS}),
        )
        try:
            if isinstance(model, pulumi.Output):
                return self._of_output(model_path, model, asked) if self._location is not None else None
            if self._location is None:
                if not model.startswith("arn:") and not asked.bounds.complete:
                    find(model)  # what can be said without a Region
                return None
            resolved = resolve(model, asked)
        except ModelError as error:
            self._report(model_path, str(error))
            return None
        target = self._checked(path, settings, resolved)
        if target is not None:
            self.models.append(resolved)
            self.model_names[target.model] = resolved.model.name
            self._catalogue_prices[target.model] = resolved.price()
        return target

    def _of_output(self, model_path: str, arn: pulumi.Output[str], asked: Asked) -> Target | None:
        """A model whose ARN is known at deployment only: the routes document names an environment variable for it."""
        expected = _expected(asked)

        def resolved(value: str) -> BedrockModel:
            try:
                if not value.startswith("arn:"):
                    raise ModelError(f"{value!r} is no ARN; an Output has to be the ARN of a model or an inference profile")
                found = resolve(value, asked)
                if found.target().api != expected.target().api:
                    raise ModelError(f"{value!r} is called in another way than its base_model; give the ARN in plain text")
            except ModelError as error:
                # The value is not shown: it may be a secret.
                reason = str(error).replace(repr(value), "what the Output resolved to")
                details = pulumi.InputPropertyErrorDetails(property_path=model_path, reason=reason)
                raise pulumi.InputPropertiesError(f"{model_path}: {reason}", [details]) from None
            return found

        found = arn.apply(resolved)
        self.output_models.append(OutputModel(expected, found))
        variable = f"BEDROCK_MODEL_{len(self.output_models)}"
        self.environment[variable] = found.apply(lambda model: model.model_id)
        self.model_names[variable] = expected.model.name
        self._catalogue_prices[variable] = expected.price()
        return msgspec.structs.replace(expected.target(), model="", model_variable=variable)

    def _checked(self, path: str, settings: TargetSettings, resolved: BedrockModel) -> Target | None:
        """The target; None where its bounds do not fit each other, some given and some of the catalogue's."""
        target = resolved.target()
        if target.max_output_tokens > target.context_tokens:
            key = "max_output_tokens" if settings.given("max_output_tokens") else "context_tokens"
            reason = f"does not fit: {target.max_output_tokens} tokens of output in a context of {target.context_tokens}"
            self._report(f"{path}.{key}", reason)
            return None
        return target

    # A provider's.

    def _of_provider(self, path: str, settings: TargetSettings, protocol: ProviderProtocol | None) -> Target | None:
        name = settings.provider
        is_embedding = settings.valid("kind") and settings.kind == "embedding"
        for key in _BEDROCK_ONLY:
            if settings.given(key):
                self._report(f"{path}.{key}", f"is only for a model of Bedrock's, not for one of {name!r}")
        for key in ("context_tokens",) if is_embedding else ("context_tokens", "max_output_tokens"):
            if not settings.given(key):
                self._report(f"{path}.{key}", "is required at a provider's target, whose models the catalogue does not know")
        context, output = settings.context_tokens, settings.max_output_tokens
        if isinstance(settings.model, pulumi.Output):
            self._report(f"{path}.model", "must be a plain value at a provider's target, known before anything is made")
            return None
        # It stands in a header of the answer.
        if settings.valid("model") and not re.fullmatch(r"[!-~]{1,256}", settings.model):
            reason = f"{settings.model!r} is no id of a model; give at most 256 characters, no white space"
            self._report(f"{path}.model", reason)
        if protocol is None:
            return None
        if is_embedding:
            return self._of_embedding_provider(path, settings, protocol)
        self._problems += _bounds_problems(path, settings, protocol)
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
            think_tags=settings.think_tags,
        )

    def _of_embedding_provider(self, path: str, settings: TargetSettings, protocol: ProviderProtocol) -> Target | None:
        if not protocol.embeddings:
            self._report(f"{path}.kind", f"must be 'chat', for the type {protocol.name!r} has no embeddings")
        for key in _CHAT_ONLY:
            if settings.given(key):
                self._report(f"{path}.{key}", "is only for a model that chats; leave it out")
        accepts = accepted(settings, protocol) if settings.given("accepts") else ("dimensions",)
        for parameter in accepts:
            if parameter not in (*EMBEDDING_PARAMETERS, "user"):
                reason = f"must not hold {parameter!r}, which is not sent for embeddings"
                self._report(f"{path}.accepts", reason)
        if not settings.valid("model") or settings.context_tokens is None or isinstance(settings.model, pulumi.Output):
            return None
        return Target(
            name=f"{settings.provider}/{settings.model}",
            provider=settings.provider,
            model=settings.model,
            max_output_tokens=0,
            context_tokens=settings.context_tokens,
            accepts=accepts,
            kind="embedding",
        )

    def _report(self, path: str, reason: str) -> None:
        self._problems.append(Problem(path, reason))


def accepted(settings: TargetSettings, protocol: ProviderProtocol) -> tuple[Parameter, ...]:
    """The parameters that a provider's model takes, each once."""
    if settings.accepts is None:
        return protocol.accepts
    return tuple(dict.fromkeys(parameter for _, parameter in valid_items(settings.accepts)))


def _bounds_problems(path: str, settings: TargetSettings, protocol: ProviderProtocol | None) -> Iterator[Problem]:
    """What is wrong between the bounds of a target. Without `protocol` it is one of Bedrock's."""
    never_sent = protocol.never_sent if protocol is not None else _NEVER_SENT_TO_BEDROCK
    recipient = f"the type {protocol.name!r}" if protocol is not None else "Bedrock"
    context, output = settings.context_tokens, settings.max_output_tokens
    if context is not None and output is not None and output > context:
        yield Problem(f"{path}.max_output_tokens", f"must be at most context_tokens, which is {context}, not {output}")
    accepts = accepted(settings, protocol) if protocol is not None else settings.accepts
    if settings.accepts is not None and len(valid_items(settings.accepts)) == len(settings.accepts):
        if "max_tokens" not in settings.accepts:
            yield Problem(f"{path}.accepts", "must hold 'max_tokens', which is always sent")
        if "stream_tools" in settings.accepts and "tools" not in settings.accepts:
            yield Problem(f"{path}.accepts", "holds 'stream_tools' without 'tools'; give both or neither")
        for parameter in (*never_sent, *EMBEDDING_PARAMETERS):
            if parameter in settings.accepts:
                yield Problem(f"{path}.accepts", f"must not hold {parameter!r}, which is not sent to {recipient}")
    exclusive = tuple(dict.fromkeys(parameter for _, parameter in valid_items(settings.exclusive)))
    if len(exclusive) == 1:
        reason = f"must hold those of which only one may be sent, or none, not {exclusive[0]!r} alone"
        yield Problem(f"{path}.exclusive", reason)
    for parameter in exclusive:
        if accepts is not None and parameter not in accepts:
            yield Problem(f"{path}.exclusive", f"holds {parameter!r}, which is not among accepts; leave it out")
    if settings.given("stop_max") and accepts is not None and "stop" not in accepts:
        yield Problem(f"{path}.stop_max", "is only for a target that accepts 'stop'")
    if protocol is not None and settings.max_tokens_name is not None and not protocol.names_max_tokens:
        named = " or ".join(repr(each.name) for each in PROTOCOLS.values() if each.names_max_tokens)
        reason = f"is only for the type {named}, which {settings.provider!r} is not"
        yield Problem(f"{path}.max_tokens_name", reason)


def _is_in_catalogue(name: str) -> bool:
    with contextlib.suppress(UnknownModelError):
        find(name)
        return True
    return False


def _lists_are_valid(settings: TargetSettings) -> bool:
    return all(len(valid_items(getattr(settings, key))) == len(getattr(settings, key) or ()) for key in _LISTS) and (
        settings.valid("base_model", "router_models", "destination_regions")
    )


def _expected(asked: Asked) -> BedrockModel:
    """What is said of a model before its ARN is known, by an ARN of the kind that it is likely to be."""
    if not asked.base_model and not asked.router_models and not asked.bounds.complete:
        raise ModelError(
            "is an Output, which does not tell which model it is; name that as base_model, such as 'gpt-oss-120b', or give its "
            "bounds: context_tokens and max_output_tokens"
        )
    kind = "prompt-router" if asked.router_models else "application-inference-profile"
    if asked.base_model:
        with contextlib.suppress(UnknownModelError):  # it has the user's bounds, or resolve() reports it
            kind = "imported-model" if find(asked.base_model)[0].access == "imported_model" else kind
    elif not asked.router_models:
        kind = "provisioned-model"
    return resolve(f"arn:{asked.partition}:bedrock:{asked.region}:{'0' * 12}:{kind}/{'0' * 12}", asked)


def model_key(target: Target) -> tuple[str, str]:
    """What tells a model from others, however it is spelled: the ARN of a foundation model or a profile holds its id."""
    spelled = re.search(r":(foundation-model|inference-profile)/(.+)", target.model)
    return target.provider, spelled[2] if spelled and target.provider == BEDROCK else target.model or target.model_variable
