"""Programs of others' making (tests/policy/foreign), evaluated without an engine and judged by every rule of the pack."""

import functools
import json
import runpy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llm_policies.rule import Resource, judge, judge_stack
from llm_policies.rules import RULES
from llm_policies.taggable import TAGGABLE
from llm_policies.values import UNKNOWN, Value
from pulumi_llm_local.aws_types import registry, values
from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.program.recorder import Recorded
from support import programs
from support.programs import ROOT, Recording

FOLDER: Path = ROOT / "tests" / "policy" / "foreign"
NAMES = sorted(file.stem for file in FOLDER.glob("*.py"))

Findings = dict[str, list[str]]
"""The resources that break a rule, each as its type and name (`Bucket site`), by the rule; the stack itself is `Stack`."""


@dataclass
class Judged:
    """What the rules say of a program."""

    findings: Findings = field(default_factory=dict[str, list[str]])
    problems: list[str] = field(default_factory=list[str])
    """A line each: the rule, the resource and what is wrong."""
    not_verified: list[str] = field(default_factory=list[str])


def run(name: str, *, preview: bool = False) -> Recording:
    """Evaluate a program. Raises what it raises."""
    return programs.run(
        lambda: runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__"), project="program", preview=preview
    )


@functools.cache
def judged(name: str, *, preview: bool = False, with_ids: bool = True) -> Judged:
    """Judge a program by every rule. `with_ids`: whether a resource's state has its id, as most providers' states have."""
    recording = run(name, preview=preview)
    resources = [_checked(each, recording) for each in recording.of_type()]
    found = Judged()
    by_rule: dict[str, set[str]] = defaultdict(set)

    def tell(rule: str, resource: str, problem: str) -> None:
        by_rule[rule].add(resource)
        found.problems.append(f"{rule}: {resource}: {problem}")

    for rule in RULES:
        if rule.check_stack is not None:
            looked_at = [each for each in resources if not rule.types or rule.looks_at(each.type)]
            told, not_verified = judge_stack(rule, _together(looked_at, preview, with_ids))
            for resource, problem in told:
                tell(rule.name, told_of(resource.urn) if resource else "Stack", problem)
            if not_verified:
                found.not_verified.append(f"{rule.name}: {not_verified}")
        for recorded in resources if rule.check is not None else ():
            resource = Resource(recorded.type, recorded.name, Value(plain(recorded.inputs)), recorded.urn)
            problems, not_verified = judge(rule, resource)
            for problem in problems:
                tell(rule.name, told_of(recorded.urn), problem)
            if not_verified:
                found.not_verified.append(f"{rule.name}: {told_of(recorded.urn)}: {not_verified}")
    found.findings = {rule: sorted(names) for rule, names in sorted(by_rule.items())}
    return found


def told_of(urn: str) -> str:
    """A resource's type, without its module, and name."""
    _, _, types, name = urn.split("::", maxsplit=3)
    return f"{types.rpartition(':')[2]} {name}"


def _checked(recorded: Recorded, recording: Recording) -> Recorded:
    """A resource as the AWS provider's check leaves it: its tags and the provider's default ones are joined in `tagsAll`."""
    provider = recording.recorded.get(recorded.provider.rpartition("::")[0])
    defaults = plain(provider.inputs).get("defaultTags") if provider is not None else None
    if not defaults or recorded.type not in TAGGABLE:
        return recorded
    joined = {"tagsAll": {**json.loads(defaults)["tags"], **(plain(recorded.inputs).get("tags") or {})}}
    return replace(recorded, inputs={**recorded.inputs, **joined}, state={**recorded.state, **joined})


def _together(given: Sequence[Recorded], preview: bool, with_ids: bool) -> list[Resource]:
    """The resources with their state, each with those that its properties' values came from."""
    dependencies: dict[str, dict[str, list[Resource]]] = {each.urn: {} for each in given}
    made: dict[str, Resource] = {}
    for each in given:
        state = _state(each, preview)
        if with_ids and each.custom:
            state["id"] = UNKNOWN if preview else each.id
        made[each.urn] = Resource(each.type, each.name, Value(state, origin=each.name), each.urn, dependencies[each.urn])
    for each in given:
        for name, urns in each.property_dependencies.items():
            dependencies[each.urn][name] = [made[urn] for urn in urns if urn in made]
    return list(made.values())


def _state(recorded: Recorded, preview: bool) -> dict[str, Any]:
    """A resource's state: at preview, what AWS computes is there, but unknown."""
    inputs: dict[str, Any] = plain(recorded.inputs)
    if not preview:
        return {**inputs, **plain(recorded.state)}
    if not recorded.custom:
        return inputs
    given = {key: value for key, value in recorded.inputs.items() if value is not None}
    _, state = registry.outputs(recorded.type, recorded.name, given, Place(region=programs.REGION))
    return {**dict.fromkeys(state, UNKNOWN), **inputs}


def plain(value: Any) -> Any:
    """Recorded data as a rule reads it: secrets revealed, and what is unknown is `UNKNOWN`."""
    return _with_unknowns(revealed(value))


def _with_unknowns(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_unknowns(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_unknowns(item) for item in value]
    return UNKNOWN if isinstance(value, str) and values.UNKNOWN in value else value
