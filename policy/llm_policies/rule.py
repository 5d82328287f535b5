"""What a rule is, and how it checks a single resource or the resources of a stack together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from llm_policies.values import NotVerified, T, Value

Severity = Literal["low", "medium", "high", "critical"]
Settings = Mapping[str, Any]

# JSON schemas that many settings have, and where AWS's guides are.
STRINGS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "string"}}
BOOLEAN: Final[dict[str, Any]] = {"type": "boolean"}
AWS_DOCS: Final = "https://docs.aws.amazon.com"


@dataclass(frozen=True)
class Resource:
    """A resource of a program as the engine passes it to a policy: its inputs in a resource rule, its state in a stack rule."""

    type: str
    name: str
    properties: Value
    urn: str = ""
    dependencies: Mapping[str, Sequence["Resource"]] = field(default_factory=dict[str, Sequence["Resource"]])
    """In a stack rule: for each property, the resources that its value came from."""
    provider: Value = field(default=Value(None, "provider"))
    """The properties of the resource's provider, such as `defaultTags`, which is a map as JSON text."""

    def __getitem__(self, key: str) -> Value:
        return self.properties[key]

    def at(self, path: str) -> Value:
        return self.properties.at(path)


@dataclass(frozen=True)
class Setting:
    """A setting of a rule that an environment may change: its default, and the JSON schema of its value."""

    default: Any
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True)
class Rule:
    """A rule: what it requires (`title`), why, how to fix a violation, and how it checks resources.

    `check` yields one line for each problem of a resource of one of `types`. `check_stack` yields problems of the stack's
    resources together, each with the resource that it is told of (None: the stack). A rule has one of the two, or both:
    then each resource is judged by one of them.
    `mend` gives the properties that a resource lacks, the entries of maps among them, or None where all is right: for level
    `remediate`. The pack merges them with the resource's own.
    """

    name: str
    title: str
    severity: Severity
    why: str
    fix: str
    check: Callable[[Resource, Settings], Iterator[str]] | None = None
    check_stack: Callable[[Sequence[Resource], Settings], Iterator[tuple[Resource | None, str]]] | None = None
    types: tuple[str, ...] = ()
    """The resource types that the rule checks. A name that ends in `*` stands for all types that begin with it."""
    mend: Callable[[Resource, Settings], dict[str, Any] | None] | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    frameworks: tuple[str, ...] = ()
    """The same rule in a framework, such as `CIS AWS 3.0 1.16` or `AWS FSBP Lambda.1`. Empty if there is none."""
    url: str = ""
    once: bool = False
    """Whether a problem that several resources have is told in one line, for the whole stack."""

    def looks_at(self, kind: str) -> bool:
        return any(kind == each or (each.endswith("*") and kind.startswith(each[:-1])) for each in self.types)

    def settings_of(self, given: Settings | None) -> dict[str, Any]:
        """All settings: the given value, or the default."""
        return {name: setting.default for name, setting in self.settings.items()} | dict(given or {})


def judge(rule: Rule, resource: Resource, settings: Settings | None = None) -> tuple[list[str], str]:
    """The result of a resource rule for one resource: its problems, and the path of a value that it could not verify.

    Both are empty if the rule does not check the resource's type.
    """
    if rule.check is None or not rule.looks_at(resource.type):
        return [], ""
    return _collected(rule.check(resource, rule.settings_of(settings)))


def judge_stack(
    rule: Rule, resources: Sequence[Resource], settings: Settings | None = None
) -> tuple[list[tuple[Resource | None, str]], str]:
    """The result of a stack rule for a stack's resources: the problems, and the path of a value that it could not verify."""
    return _collected(rule.check_stack(resources, rule.settings_of(settings))) if rule.check_stack is not None else ([], "")


def _collected(problems: Iterator[T]) -> tuple[list[T], str]:
    """All problems, and the path of the value that ended the check because it is not known; empty if it came to its end."""
    found: list[T] = []
    try:
        for problem in problems:
            found.append(problem)
    except NotVerified as error:
        return found, error.path
    return found, ""
