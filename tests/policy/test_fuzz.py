"""No rule fails, whatever shape a resource's properties have: a failing rule would stop every preview of its program."""

import json
import random
from typing import Any, Final

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_policies import properties
from llm_policies.rule import Resource, Rule, judge, judge_stack
from llm_policies.rules import RULES
from llm_policies.values import UNKNOWN, NotVerified, Value

# The most types of a rule that are tried, and how often.
TYPES, TRIES = 12, 6
ANY_SHAPE = settings(max_examples=TRIES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

TEXTS: Final = (
    *(
        "",
        " ",
        "*",
        "**",
        "?",
        "true",
        "false",
        "0",
        "-1",
        "1e400",
        "NaN",
        "null",
        "[]",
        "{}",
        '"',
        "{",
        "a",
        "Ünïcode",
        "::::",
    ),
    *("arn:aws:iam::123456789012:root", "arn:aws:s3:::bucket/*", "arn:aws", "arn:::::", "123456789012", "s3:*", "sqs:Send*"),
    *("Allow", "Deny", "2012-10-17", "0.0.0.0/0", "::/0", "10.0.0.0/99", "g5.xlarge", "p5.48xlarge", "rate(1 day)", "100%"),
    *("${aws:username}", "https://example.com", "lambda.amazonaws.com", "ENABLED", "1.30", "python3.8", "2026-01-01"),
)
NUMBERS: Final = (0, 1, -1, 2, 443, 10_000, 2**63, 0.5, -0.0, float("inf"), float("-inf"), float("nan"))


class Shapeless(dict[str, Any]):
    """A map that has an entry, of any shape, for every key that is asked for."""

    def __init__(self, chance: random.Random, depth: int = 0) -> None:
        super().__init__()
        self._chance, self._depth = chance, depth
        for key in chance.sample(("Statement", "a", "*", "", "Principal", "aws:SourceArn", "StringLike"), chance.randint(0, 3)):
            self.get(key)

    def get(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = shape(self._chance, self._depth + 1)
        return self[key]


def shape(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(10 if depth < 6 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return UNKNOWN
    if kind == 2:
        return chance.choice((True, False))
    if kind == 3:
        return chance.choice(NUMBERS)
    if kind in (4, 5):
        return chance.choice(TEXTS) if chance.random() < 0.7 else json.dumps(document(chance))
    if kind in (6, 7):
        return [shape(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    return Shapeless(chance, depth)


def document(chance: random.Random) -> Any:
    """A policy document, or nearly one."""

    def part() -> Any:
        value = chance.choice(
            (*TEXTS, None, 1, True, [], {}, [1], [None], {"AWS": "*"}, {"Service": ["a", 1]}, {"AWS": {"a": []}})
        )
        return [value, chance.choice(TEXTS)] if chance.random() < 0.3 else value

    keys = ("Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Sid")
    statement: dict[str, Any] = {key: part() for key in keys if chance.random() < 0.5}
    if chance.random() < 0.5:
        operators = ("StringLike", "ForAnyValue:StringEquals", "ArnLikeIfExists", "Null", "Bool", "IpAddress", "", "nonsense")
        condition_keys = ("aws:SourceArn", "aws:PrincipalOrgID", "AWS:SourceIp", "iam:PassedToService", "", "x")
        inner: Any = {chance.choice(condition_keys): part()} if chance.random() < 0.8 else part()
        statement["Condition"] = {chance.choice(operators): inner} if chance.random() < 0.8 else part()
    statements = chance.choice(([statement], statement, [statement, part()], part()))
    return chance.choice(({"Version": "2012-10-17", "Statement": statements}, {"Statement": statements}, statements, part()))


def resources(rule: Rule, chance: random.Random) -> list[Resource]:
    kinds = list(rule.types)
    made: list[Resource] = []
    for number, kind in enumerate(chance.sample(kinds, min(TYPES, len(kinds)))):
        sources = {key: chance.sample(made, min(len(made), 2)) for key in ("role", "policy", "bucket", "restApi")}
        name = f"r{number}"
        inputs: Any = Shapeless(chance) if chance.random() < 0.95 else {}
        provider = Value(chance.choice((None, UNKNOWN, Shapeless(chance))), "provider")
        kind = kind.replace("*", "x/y:Z")  # noqa: PLW2901
        made.append(Resource(kind, name, Value(inputs, origin=name), f"urn:x::{kind}::{name}", sources, provider))
    return made


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(seed=st.integers(0, 2**32))
@ANY_SHAPE
def test_a_rule_takes_any_shape(rule: Rule, seed: int) -> None:
    given = resources(rule, random.Random(seed))
    problems = [problem for each in given for problem in judge(rule, each)[0]]
    problems += [problem for _, problem in judge_stack(rule, given)[0]]
    assert all(isinstance(problem, str) and "\n" not in problem for problem in problems)
    for each in given:
        if rule.mend is not None:
            try:
                changes = rule.mend(each, rule.settings_of({}))
            except NotVerified:
                continue
            assert changes is None or changes


SIGNATURES: Final = ("4dabf18193072939515e22adb298388d", "value", "text", "a")
JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.sampled_from((*TEXTS, "[secret]", "1b47061264138c4ac30d75fd1eb44270")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SIGNATURES), inner, max_size=3),
    max_leaves=8,
)


@given(inputs=st.dictionaries(st.sampled_from(SIGNATURES), JSON, max_size=3))
@settings(ANY_SHAPE, max_examples=100)
def test_any_properties_are_read_and_changed(inputs: dict[str, Any]) -> None:
    sent = Struct()
    sent.update(inputs)
    assert set(properties.read(sent)) == set(inputs)
    try:
        properties.merge(sent, {"text": 1, "value": {"a": "b"}})
    except NotVerified:
        return
    read = properties.read(sent)
    assert read["text"] == 1
    assert read["value"]["a"] == "b"
