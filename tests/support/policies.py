"""What the tests of the policy pack share: its rules by name, the bad programs, and the tests of every table of cases."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
import yaml

from llm_policies.rule import Resource, Rule
from llm_policies.rules import RULES
from llm_policies.testing import problems, resource, unverified
from support.programs import ROOT

BY_NAME = {rule.name: rule for rule in RULES}
# By the module of their rules: programs with one mistake each (`resources`), and without it (`mended`).
PROGRAMS: dict[str, list[dict[str, Any]]] = {
    file.stem: yaml.safe_load(file.read_text()) for file in sorted((ROOT / "tests" / "policy" / "programs").glob("*.yaml"))
}

TOLD_ONCE = {rule.name for rule in RULES if rule.once}

Tests = tuple[Callable[..., None], ...]


def found(name: str, *given: Resource, **settings: Any) -> list[str]:
    """What a rule finds, with settings."""
    return problems(BY_NAME[name], *given, settings=settings)


def cases(
    rules: Iterable[Rule],
    good: Sequence[tuple[str, list[Resource], dict[str, Any]]],
    bad: Sequence[tuple[str, list[Resource], dict[str, Any], list[str]]],
    not_known: Sequence[tuple[str, list[Resource], dict[str, Any], str, list[str]]],
) -> Tests:
    """The tests of tables whose rows begin with the rule's name, the resources and the settings.

    A bad row ends with a part of each line that is told; one that is not known with the path's end, and those parts.
    """

    def test_every_rule_is_tried_as_good_as_bad_and_as_unknown() -> None:
        for table in (good, bad, not_known):
            assert {name for name, *_ in table} == {rule.name for rule in rules}

    @pytest.mark.parametrize(("name", "given", "settings"), good)
    def test_good(name: str, given: list[Resource], settings: dict[str, Any]) -> None:
        assert found(name, *given, **settings) == []
        assert unverified(BY_NAME[name], *given, settings=settings) == ""

    @pytest.mark.parametrize(("name", "given", "settings", "parts"), bad)
    def test_bad(name: str, given: list[Resource], settings: dict[str, Any], parts: list[str]) -> None:
        lines = found(name, *given, **settings)
        assert len(lines) == len(parts), lines
        for line, part in zip(lines, parts, strict=True):
            assert part in line
            assert "\n" not in line

    @pytest.mark.parametrize(("name", "given", "settings", "path", "parts"), not_known)
    def test_what_is_not_known_is_said_and_hides_nothing(
        name: str, given: list[Resource], settings: dict[str, Any], path: str, parts: list[str]
    ) -> None:
        lines = found(name, *given, **settings)
        assert [part for line, part in zip(lines, parts, strict=True) if part not in line] == []
        assert unverified(BY_NAME[name], *given, settings=settings).endswith(path)

    return (
        test_every_rule_is_tried_as_good_as_bad_and_as_unknown,
        test_good,
        test_bad,
        test_what_is_not_known_is_said_and_hides_nothing,
    )


def cases_by_rule(
    rules: Iterable[Rule],
    good: Mapping[str, Sequence[Resource]],
    bad: Mapping[str, Sequence[tuple[Resource, str]]],
    unseen: Mapping[str, Sequence[tuple[Resource, str]]],
) -> Tests:
    """The tests of tables by the rule's name: of a resource alone, with what is told, or with the path that is not known."""

    @pytest.mark.parametrize(("name", "tested"), [(name, one) for name, several in good.items() for one in several])
    def test_what_is_right_passes(name: str, tested: Resource) -> None:
        assert problems(BY_NAME[name], tested) == []
        assert unverified(BY_NAME[name], tested) == ""

    @pytest.mark.parametrize(("name", "tested", "said"), [(name, *one) for name, several in bad.items() for one in several])
    def test_what_is_wrong_is_told(name: str, tested: Resource, said: str) -> None:
        told = problems(BY_NAME[name], tested)
        assert any(said in problem for problem in told), told
        assert all("\n" not in problem for problem in told)

    @pytest.mark.parametrize(("name", "tested", "path"), [(name, *one) for name, several in unseen.items() for one in several])
    def test_what_is_not_known_yet_is_named(name: str, tested: Resource, path: str) -> None:
        assert problems(BY_NAME[name], tested) == []
        assert unverified(BY_NAME[name], tested) == path

    def test_every_rule_has_all_three_kinds_of_cases() -> None:
        assert {rule.name for rule in rules if rule.check} == set(good) == set(bad) == set(unseen)

    return (
        test_what_is_right_passes,
        test_what_is_wrong_is_told,
        test_what_is_not_known_yet_is_named,
        test_every_rule_has_all_three_kinds_of_cases,
    )


def counted_cases(rules: Iterable[Rule], table: Mapping[str, Sequence[tuple[Any, ...]]]) -> Tests:
    """The tests of a table by the rule's name: a title, the stack, good, bad or unknown, how many lines, and settings."""

    @pytest.mark.parametrize(
        ("rule", "number"), [(rule, number) for rule, several in table.items() for number in range(len(several))]
    )
    def test_case(rule: str, number: int) -> None:
        title, stack, kind, count, *rest = table[rule][number]
        settings = rest[0] if rest else {}
        sources = [source for one in stack for origins in one.dependencies.values() for source in origins]
        # The engine's side hands a rule the types that it looks at, no others.
        assert all(BY_NAME[rule].looks_at(one.type) for one in (*stack, *sources))
        told = problems(BY_NAME[rule], *stack, settings=settings)
        assert len(told) == count, (title, told)
        assert bool(unverified(BY_NAME[rule], *stack, settings=settings)) == (kind == "unknown"), title

    def test_every_rule_has_all_kinds_of_case() -> None:
        assert set(table) == {rule.name for rule in rules}
        for rule, several in table.items():
            assert {case[2] for case in several} == {"good", "bad", "unknown"}, rule

    return test_case, test_every_rule_has_all_kinds_of_case


def names_told(event: Mapping[str, Any]) -> list[str]:
    """The names of the resources in a violation that is told in one line for several: `a, b: what they lack`."""
    return event["message"].partition("\n")[2].partition(": ")[0].split(", ")


def broken(program: Mapping[str, Any]) -> set[str]:
    """The rules of the whole pack that a program's resources break, or cannot be verified by."""
    given = [resource(made["type"], made["inputs"], name=name) for name, made in program.items()]
    found: set[str] = set()
    for rule in RULES:
        seen = [each for each in given if rule.looks_at(each.type)]
        if problems(rule, *seen) or unverified(rule, *seen):
            found.add(rule.name)
    return found
