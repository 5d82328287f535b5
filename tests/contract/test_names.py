"""The lengths of physical names: a component refuses the name that would make one too long, before anything is made."""

import json

import pulumi
import pytest

import pulumi_llm
from contract.test_components import CASES, JOBS, make
from pulumi_llm.base import names
from pulumi_llm_local.aws_types.api_values import counterpart
from pulumi_llm_local.aws_types.registry import TYPES, name_property
from pulumi_llm_local.aws_types.sdk import takes
from support import programs
from support.programs import MODELS

# Longer ones bind nobody: a component's roles and functions bound its name long before.
LONGEST = 128
# The component makes the name itself.
OWN = {"aws:s3/vectorsIndex:VectorsIndex", "aws:s3/vectorsVectorBucket:VectorsVectorBucket"}


def length_of_name(token: str) -> int | None:
    """The most characters that a type's API takes as its name, by botocore's model and what corrects it."""
    name = name_property(token)
    shape = counterpart(token, name)
    rule = TYPES[token].rules.get(name) if token in TYPES else None
    bounds = {**(shape.metadata if shape is not None else {}), **(rule.limits if rule is not None else {})}
    return int(bounds["max"]) if "max" in bounds else None


@pytest.mark.parametrize(("component", "label"), CASES)
def test_each_name_that_pulumi_makes_has_the_bound_of_its_api(component: str, label: str) -> None:
    wrong: dict[str, tuple[int, int | None]] = {}
    for resource in programs.run(lambda: make(component, label, "x")).custom():
        token = resource.type
        if not token.startswith("aws:") or not takes(token, name_property(token)) or token in OWN:
            continue
        known = names.PHYSICAL.get(token)
        most = length_of_name(token)
        length = known.length if known is not None else None
        if name_property(token) not in resource.inputs and most is not None and most <= LONGEST and length != most:
            wrong[token] = (most, length)
    assert wrong == {}


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hook-AbCdEf"
NOTIFY = {"events": ["job.failed"], "webhook": {"url": "https://example.com/hook", "secret_arn": SECRET}}


@pytest.mark.parametrize(
    ("autonaming", "name", "changes", "expected"),
    [
        ("", "x" * 32, {}, ""),
        ("", "x" * 33, {}, "at most 32 leave room for '-archive' and Pulumi's random digits in the 48 that AWS takes"),
        ("", "x" * 33, {"customize": {"archive": {"name": "events"}}}, ""),
        # What stands behind a key counts.
        ("", "x" * 24, {"notifications": {"n" * 20: NOTIFY}}, f"at most 23 leave room for '-notify-rule-{'n' * 20}' and"),
        ("", "x" * 23, {"notifications": {"n" * 20: NOTIFY}}, ""),
        ("", "x" * 24, {"notifications": {"n" * 20: NOTIFY}, "customize": {f"notify-rule:{'n' * 20}": {"name": "n"}}}, ""),
        # And the stack's name, where the project has it in its names.
        ('{"pattern": "${name}-${stack}-${hex(6)}"}', "x" * 28, {}, ""),
        (
            '{"pattern": "${name}-${stack}-${hex(6)}"}',
            "x" * 29,
            {},
            "at most 28 leave room for '-archive' and the 12 characters of pulumi:autonaming in the 48 that AWS takes",
        ),
        ('{"mode": "verbatim"}', "x" * 40, {}, ""),
        (
            '{"providers": {"aws": {"pattern": "${project}-${name}-${uuid}"}}}',
            "x",
            {},
            "at most 0 leave room for '-archive' and",
        ),
        ('{"mode": "disabled"}', "x" * 33, {}, "at most 32 leave room"),
    ],
)
def test_the_strictest_of_all_names_bounds_a_component_s(
    autonaming: str, name: str, changes: dict[str, object], expected: str
) -> None:
    args = {"models": MODELS, "jobs": JOBS, "event_archive_days": 1, **changes}
    config = {"aws:region": "us-east-1", **({"pulumi:autonaming": autonaming} if autonaming else {})}

    def program() -> None:
        pulumi_llm.AsyncInference(name, args)  # type: ignore[arg-type]

    if not expected:
        programs.run(program, stack="prod", config=config)
        return
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        programs.run(program, stack="prod", config=config)
    assert expected in str(refused.value)


def test_the_project_s_own_names_fit_with_a_stack_of_19_letters() -> None:
    """By Pulumi.yaml's pattern; a notification's name of 20 letters is the longest part."""
    naming = json.dumps({"pattern": "${name}-${stack}-${hex(6)}"})
    args = {"models": MODELS, "jobs": JOBS, "notifications": {"n" * 20: NOTIFY}}

    def program() -> None:
        pulumi_llm.AsyncInference("jobs", args)  # type: ignore[arg-type]

    programs.run(program, stack="s" * 19, config={"aws:region": "us-east-1", "pulumi:autonaming": naming})
