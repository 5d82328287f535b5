"""What a configuration says of providers, aliases and their targets: the routes that it means, and every mistake in it.

A stack's settings and a component's arguments have the same shapes, and both are read here, as plain values: what is wrong with
them is said once. Keys that are not known are the caller's to tell.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

import msgspec
import pulumi

from llm_gateway.routes import MOCK, Alias, Routes, Strategy, Target
from pulumi_llm.models.catalogue import BedrockModel
from pulumi_llm.routing.providers import Providers
from pulumi_llm.routing.targets import OF_BEDROCK, Targets, called_as
from pulumi_llm.routing.values import Mistake, Reading, is_number

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


class Routing(NamedTuple):
    """What was read; where there are mistakes, what could be read in spite of them.

    `models` are Bedrock's, which a policy must allow. `environment` is what the function's must hold for the routes;
    `secret_arns` are the secrets that it must read, and `kms_key_arns` what encrypts them.
    """

    mistakes: Sequence[Mistake]
    routes: Routes
    models: Sequence[BedrockModel]
    environment: Mapping[str, pulumi.Input[str]]
    secret_arns: Sequence[pulumi.Input[str]]
    kms_key_arns: Sequence[pulumi.Input[str]]


def read(models: Any, providers: Any, region: str, timeout_seconds: Any) -> Routing:
    """What `models` and `providers` mean in `region`, where they are checked less if it is empty.

    `timeout_seconds` is how long an answer may take in all.
    """
    reading = Reading()
    known = Providers(reading, providers, region)
    targets = Targets(reading, known.protocols, region)
    aliases = _Aliases(reading, targets, timeout_seconds)
    found = [aliases.read(f"models[{index}]", value) for index, value in enumerate(reading.items("models", models))]
    for name in known.protocols:
        if name not in targets.used:
            reading.tell(f"providers.{name}", "is used by no target; name it as a target's provider, or leave it out")
    return Routing(
        reading.mistakes,
        Routes(tuple(alias for alias in found if alias is not None), tuple(known.endpoints)),
        targets.models,
        known.environment,
        _unique(known.secret_arns),
        _unique(known.kms_key_arns),
    )


class _Aliases:
    def __init__(self, reading: Reading, targets: Targets, timeout_seconds: Any) -> None:
        self._reading = reading
        self._targets = targets
        self._timeout = timeout_seconds
        self._names: set[str] = set()

    def read(self, path: str, value: Any) -> Alias | None:
        """The alias, None where it has no name or no target that can be read. A text alone is its name and its model."""
        reading, alone = self._reading, isinstance(value, str)
        given = {"name": value, "model": value} if alone else reading.fields(path, value)
        name = reading.required_text(f"{path}.name", given.get("name"))
        if name in self._names:
            reading.tell(f"{path}.name", f"{name!r} is there already; every alias needs a name of its own")
        self._names |= {name} if name is not None else set()
        strategy = reading.one_of(f"{path}.strategy", given.get("strategy", "priority"), STRATEGIES)
        retries = reading.whole(f"{path}.retries", given.get("retries"), 0, 5)
        first_token = reading.number(f"{path}.first_token_seconds", given.get("first_token_seconds"), 1, 300)
        stall = reading.number(f"{path}.stall_seconds", given.get("stall_seconds"), 5, 300)
        places = self._places(path, given)
        found = [self._targets.read(place, target, strategy, alone=alone) for place, target in places]
        self._check_strategy(path, strategy, [target for _, target in places])
        self._check_each_answers(strategy, [place for place, _ in places], found)
        if first_token is not None and len(places) > 1 and is_number(self._timeout) and first_token >= self._timeout:
            reason = f"must be below timeout_seconds, which is {self._timeout}, not {first_token}, or no other target has time"
            reading.tell(f"{path}.first_token_seconds", reason)
        targets = tuple(target for target in found if target is not None)
        if name is None or not targets:
            return None
        alias = Alias(name, targets, strategy or "priority")
        said = {"retries": retries, "first_token_seconds": first_token, "stall_seconds": stall}
        return msgspec.structs.replace(alias, **{key: value for key, value in said.items() if value is not None})

    def _places(self, path: str, given: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The targets as they are given, with their paths."""
        if "targets" not in given:
            if "model" not in given:
                self._reading.tell(f"{path}.model", "is required, but not given; or give targets, a list of models")
                return []
            return [(path, {key: given[key] for key in ("model", *OF_BEDROCK) if key in given})]
        for key in ("model", *OF_BEDROCK):
            if key in given:
                self._reading.tell(f"{path}.{key}", "stands beside targets; move it into one of them, or leave it out")
        items = self._reading.items(f"{path}.targets", given["targets"])
        if not items:
            self._reading.tell(f"{path}.targets", "must hold at least one target")
        paths = [f"{path}.targets[{position}]" for position in range(len(items))]
        return [(place, self._reading.fields(place, item)) for place, item in zip(paths, items, strict=True)]

    def _check_strategy(self, path: str, strategy: Strategy | None, targets: Sequence[Mapping[str, Any]]) -> None:
        if strategy is not None and strategy != "priority" and len(targets) == 1:
            self._reading.tell(f"{path}.strategy", f"{strategy!r} needs several targets; give more of them, or leave it out")
        small = ["short_prompt_tokens" in target for target in targets]
        if strategy == "workload" and len(targets) > 1 and (all(small) or not any(small)):
            self._reading.tell(
                f"{path}.strategy",
                "'workload' needs a small target, which has short_prompt_tokens, and a large one, which has none",
            )

    def _check_each_answers(self, strategy: Strategy | None, paths: Sequence[str], targets: Sequence[Target | None]) -> None:
        """A target that can never answer is a mistake: one that is there twice, one behind what never fails."""
        mock = ""
        seen: dict[tuple[str, str], str] = {}
        for path, target in zip(paths, targets, strict=True):
            if target is None:
                continue
            before = seen.get(called_as(target))
            if before is not None:
                self._reading.tell(path, f"is {before} again, which cannot answer what that cannot; give another model")
            elif mock and strategy == "priority":
                self._reading.tell(
                    path, f"can never answer, for {mock} before it is the mock, which never fails; put that last"
                )
            here = path.rpartition(".")[2]
            seen.setdefault(called_as(target), here)
            mock = mock or (here if target.provider == MOCK else "")


def _unique(values: Sequence[pulumi.Input[str]]) -> list[pulumi.Input[str]]:
    """Each text once, in order; Outputs cannot be compared."""
    texts = {value for value in values if isinstance(value, str)}
    return [*sorted(texts), *(value for value in values if not isinstance(value, str))]
