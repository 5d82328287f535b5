"""From the settings of aliases, targets and providers to the routes document and what a function needs for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pulumi

from llm_gateway.limits import CallerLimits
from llm_gateway.metrics import Metrics
from llm_gateway.routes import MOCK, Alias, Routes, Target
from llm_gateway.rules import Rule
from pulumi_llm.base.function_settings import ENVIRONMENT_BYTES, OWN_ENVIRONMENT_BYTES
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import Problem, number_text, valid_items
from pulumi_llm.models.resolve import BedrockModel
from pulumi_llm.routing.providers import Providers
from pulumi_llm.routing.settings import ModelBounds, ModelSettings, RoutingSettings, TargetSettings
from pulumi_llm.routing.targets import OutputModel, Targets, model_key

# What an Output counts where sizes are checked: its value is not known yet, and most are ARNs.
ARN_LENGTH = 120


def input_length(value: pulumi.Input[str]) -> int:
    """The bytes of a value; of one that is not known yet, those of an ARN."""
    return len(value.encode()) if isinstance(value, str) else ARN_LENGTH


class Routing(NamedTuple):
    """What the settings mean; where there are problems, what could be read in spite of them.

    `models` are Bedrock's, which a policy must allow, and `output_models` those whose ARN is another resource's output.
    `environment` is what the function's must hold for the routes; `secret_arns` are the secrets that it must read, `queue_arns`
    the queues to which it must send messages, and `kms_key_arns` and `queue_kms_key_arns` what encrypts them.
    """

    problems: Sequence[Problem]
    routes: Routes
    models: Sequence[BedrockModel]
    output_models: Sequence[OutputModel]
    environment: Mapping[str, pulumi.Input[str]]
    secret_arns: Sequence[pulumi.Input[str]]
    kms_key_arns: Sequence[pulumi.Input[str]]
    queue_arns: Sequence[pulumi.Input[str]]
    queue_kms_key_arns: Sequence[pulumi.Input[str]]


def read(
    settings: RoutingSettings,
    location: Location | None,
    timeout_seconds: int | None,
    served: Sequence[str] = (),
    limits: CallerLimits | None = None,
    metrics: Metrics | None = None,
    rules: Sequence[Rule] = (),
    *,
    costs: bool = False,
) -> Routing:
    """Read what `models` and `providers` mean.

    Args:
        settings: models and providers. Where they are wrong by themselves, the settings' own check has reported it.
        location: where Bedrock is called. None: not known, and less is checked.
        timeout_seconds: how long an answer may take in all. None: not known.
        served: the names of the models of one's own, each a provider that no target has to name.
        limits: those of callers, which the routes document has, too. For limits of money, each target needs a price.
        metrics: those of requests, which the routes document has, too. Where a price is known, costs are among them.
        rules: those of callers, which the routes document has, too.
        costs: whether the records of requests have what they cost, where a price is known.
    """
    problems: list[Problem] = []
    providers = Providers(settings.providers or {}, location.region if location else "", problems)
    prices = "required" if limits is not None and limits.has_money else "known" if costs or metrics is not None else None
    targets = Targets(providers.protocols, providers.regions, location, problems, served, prices=prices)
    aliases: list[Alias] = []
    names: set[str] = set()
    for index, model in valid_items(settings.models):
        path = f"models[{index}]"
        if model.name in names:
            problems.append(Problem(f"{path}.name", f"{model.name!r} is there already; every alias needs a name of its own"))
        names |= {model.name} if model.valid("name") else set()
        alias = _alias(path, model, targets, timeout_seconds, problems)
        aliases += [alias] if alias is not None else []
    for name in providers.protocols:
        if name not in targets.used:
            reason = "is used by no target; name it as a target's provider, or leave it out"
            problems.append(Problem(f"providers.{name}", reason))
    environment = {**providers.environment, **targets.environment}
    problems += _environment_problems(environment, "providers" if providers.environment else "models")
    return Routing(
        problems,
        Routes(tuple(aliases), tuple(providers.endpoints), limits, metrics, rules=tuple(rules), costs=costs),
        targets.models,
        targets.output_models,
        environment,
        unique(providers.secret_arns),
        unique(providers.kms_key_arns),
        unique(providers.queue_arns),
        unique(providers.queue_kms_key_arns),
    )


def _alias(
    path: str, model: ModelSettings, targets: Targets, timeout_seconds: int | None, problems: list[Problem]
) -> Alias | None:
    """The alias; None where it has no name or no target that can be read."""
    places = list(_places(path, model, problems))
    found = [targets.read(place, model_path, target, model.strategy) for place, model_path, target in places]
    problems += _strategy_problems(path, model, [target for _, _, target in places])
    problems += _unreachable_targets(model, [place for place, _, _ in places], found)
    problems += _kind_problems(path, model, [place for place, _, _ in places], found, targets.model_names)
    limit = model.first_token_seconds
    if model.valid("first_token_seconds") and timeout_seconds is not None and len(places) > 1 and limit >= timeout_seconds:
        reason = (
            f"must be below timeout_seconds, which is {timeout_seconds}, not {number_text(limit)}, or no other target has time"
        )
        problems.append(Problem(f"{path}.first_token_seconds", reason))
    known = tuple(target for target in found if target is not None)
    if not known or not model.valid("name", "strategy", *_LIMITS):
        return None
    given = {name: _whole(getattr(model, name)) for name in _LIMITS if model.given(name)}
    return Alias(model.name, known, model.strategy, **given)


# What the routes document leaves to the gateway's own defaults.
_LIMITS = ("retries", "first_token_seconds", "stall_seconds", "default_max_tokens")


def _whole(number: float) -> Any:
    """A whole number without the decimal point that validation gave it: the document's bytes do not depend on it."""
    return int(number) if float(number).is_integer() else number


def _places(path: str, model: ModelSettings, problems: list[Problem]) -> Iterator[tuple[str, str, TargetSettings]]:
    """Each target with its path, and the path of its model."""
    of_one_model = [name for name in ("model", *ModelBounds.model_fields) if model.given(name)]
    if model.given("targets"):
        for name in of_one_model:
            reason = "stands beside targets; move it into one of them, or leave it out"
            problems.append(Problem(f"{path}.{name}", reason))
        for position, target in valid_items(model.targets):
            place = f"{path}.targets[{position}]"
            yield place, f"{place}.model", target
    elif model.given("model"):
        given = {name: getattr(model, name) for name in of_one_model}
        yield path, path if model.is_name_alone else f"{path}.model", TargetSettings.model_construct(set(given), **given)
    else:
        problems.append(Problem(f"{path}.model", "is required, but not given; or give targets, a list of models"))


def _strategy_problems(path: str, model: ModelSettings, targets: Sequence[TargetSettings]) -> Iterator[Problem]:
    if model.strategy not in (None, "priority") and len(targets) == 1:
        yield Problem(f"{path}.strategy", f"{model.strategy!r} needs several targets; give more of them, or leave it out")
    small = [target.given("short_prompt_tokens") for target in targets]
    if model.strategy == "workload" and len(targets) > 1 and (all(small) or not any(small)):
        reason = "'workload' needs a small target, which has short_prompt_tokens, and a large one, which has none"
        yield Problem(f"{path}.strategy", reason)


def _unreachable_targets(model: ModelSettings, paths: Sequence[str], targets: Sequence[Target | None]) -> Iterator[Problem]:
    """A target that can never answer is a mistake: one that is there twice, one behind a target that never fails."""
    mock = ""
    seen: dict[tuple[str, str], str] = {}
    for path, target in zip(paths, targets, strict=True):
        if target is None:
            continue
        before = seen.get(model_key(target))
        if before is not None:
            yield Problem(path, f"is {before} again, which cannot answer what that cannot; give another model")
        elif mock and model.strategy == "priority":
            yield Problem(path, f"can never answer, for {mock} before it is the mock, which never fails; put that last")
        here = path.rpartition(".")[2]
        seen.setdefault(model_key(target), here)
        mock = mock or (here if target.provider == MOCK else "")


def _kind_problems(
    path: str, model: ModelSettings, paths: Sequence[str], targets: Sequence[Target | None], names: Mapping[str, str]
) -> Iterator[Problem]:
    """Targets of one alias are of one kind. Those of embeddings are one model: vectors of another cannot be compared to its."""
    known = [(place, target) for place, target in zip(paths, targets, strict=True) if target is not None]
    if not known:
        return
    _, first = known[0]
    if first.kind == "embedding" and model.strategy == "workload":
        yield Problem(f"{path}.strategy", "'workload' is only for models that chat; give 'priority', 'weight' or 'latency'")
    name = names.get(first.model or first.model_variable)
    for place, target in known[1:]:
        other = names.get(target.model or target.model_variable)
        if target.kind != first.kind:
            kinds = {"chat": "chats", "embedding": "embeddings"}
            reason = f"is for {kinds[target.kind]}, and the first target for {kinds[first.kind]}; give it an alias of its own"
            yield Problem(place, reason)
        elif first.kind == "embedding" and name is not None and other is not None and name != other:
            yield Problem(
                place, f"is {other!r}, whose vectors cannot be compared to those of {name!r}; give it an alias of its own"
            )


def _environment_problems(environment: Mapping[str, pulumi.Input[str]], path: str) -> Iterator[Problem]:
    """What is wrong where the routes need more of the function's environment than Lambda leaves them."""
    taken = {name: len(name) + input_length(value) for name, value in environment.items()}
    allowed = ENVIRONMENT_BYTES - OWN_ENVIRONMENT_BYTES
    if sum(taken.values()) > allowed:
        largest = [f"{name} takes {size:,}" for name, size in sorted(taken.items(), key=lambda item: -item[1])[:3]]
        reason = (
            f"take {sum(taken.values()):,} bytes of the function's environment, and Lambda's {ENVIRONMENT_BYTES:,} leave "
            f"them {allowed:,}; give fewer or shorter ones: {', '.join(largest)}"
        )
        yield Problem(path, reason)


def unique(values: Sequence[pulumi.Input[str]]) -> list[pulumi.Input[str]]:
    """Each text once, in order; Outputs cannot be compared."""
    texts = {value for value in values if isinstance(value, str)}
    return [*sorted(texts), *(value for value in values if not isinstance(value, str))]
