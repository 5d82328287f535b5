"""The pack's configuration: each rule's level and settings, and the exceptions; all mistakes are told together."""

import datetime
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from llm_policies.rule import Rule

Level = Literal["advisory", "mandatory", "remediate", "disabled"]

ALL: Final = "all"
EXCEPTIONS: Final = "exceptions"
NOT_JUDGED: Final = "not-judged"
REASON: Final = "reason"
# The engine checks the form of a configuration by these schemas, and lets names that they lack pass.
REASON_SCHEMA: Final = {
    "type": "string",
    "description": "Why this environment has another level or setting than the others.",
}
_TEXT: Final = {"type": "string", "minLength": 1}
EXCEPTIONS_SCHEMA: Final = {
    "type": "array",
    "description": "Resources that are excepted from a rule: each with the rule, the resource (its name or URN), the reason, "
    "and `until`, the last day of the exception (2026-12-31).",
    "items": {
        "type": "object",
        "properties": {"rule": _TEXT, "resource": _TEXT, "reason": _TEXT, "until": _TEXT},
        "required": ["rule", "resource", "reason", "until"],
        "additionalProperties": False,
    },
}


class ConfigurationError(Exception):
    """A configuration has mistakes. `mistakes` has a line for each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Given:
    """What the configuration gives a rule, as the engine passes it on: its level, that of `all` included, and the settings."""

    level: Level
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class ResourceException:
    """A resource that a rule does not apply to, until the end of a day."""

    rule: str
    resource: str
    """The resource's name or URN."""
    reason: str
    until: datetime.date

    def __str__(self) -> str:
        return f"{self.rule} of {self.resource}"


@dataclass(frozen=True)
class Configuration:
    """The levels and settings of all rules, and the exceptions."""

    levels: Mapping[str, Level]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    exceptions: Sequence[ResourceException] = ()

    def excepting(self, rule: str, name: str, urn: str, today: datetime.date) -> Iterator[ResourceException]:
        """Yield the exceptions from a rule that a resource has today."""
        for each in self.exceptions:
            if each.rule == rule and each.resource in (name, urn) and today <= each.until:
                yield each


def default_level(rule: Rule) -> Level:
    """What is critical or high is mandatory, and the rest advisory."""
    return "mandatory" if rule.severity in ("critical", "high") else "advisory"


def defaults(rules: Iterable[Rule]) -> Configuration:
    levels: dict[str, Level] = {rule.name: default_level(rule) for rule in rules}
    return Configuration({**levels, NOT_JUDGED: "advisory"})


def configuration(rules: Sequence[Rule], given: Mapping[str, Given]) -> Configuration:
    """Take over what the engine passes on.

    Raises:
        ConfigurationError: a name, a setting or an exception is wrong. It lists all mistakes.
    """
    by_name = {rule.name: rule for rule in rules}
    mistakes: list[str] = []
    for name, entry in given.items():
        if name in by_name:
            mistakes += _mistakes_of_rule(by_name[name], entry, given.get(ALL))
        elif name not in (ALL, EXCEPTIONS, NOT_JUDGED):
            mistakes.append(_no_rule(name, by_name))
    exceptions: list[ResourceException] = []
    for number, entry in enumerate(given[EXCEPTIONS].settings.get("list", ()) if EXCEPTIONS in given else ()):
        try:
            exceptions.append(_exception(entry, by_name))
        except ValueError as error:
            mistakes.append(f"{EXCEPTIONS}.list[{number}]: {error}")
    if mistakes:
        raise ConfigurationError(mistakes)
    known = defaults(rules)
    return Configuration(
        levels={**known.levels, **{name: entry.level for name, entry in given.items()}},
        settings={name: {k: v for k, v in entry.settings.items() if k != REASON} for name, entry in given.items()},
        exceptions=exceptions,
    )


def _mistakes_of_rule(rule: Rule, entry: Given, everything: Given | None) -> Iterator[str]:
    for name in entry.settings:
        if name != REASON and name not in rule.settings:
            known = f"it has {', '.join(sorted(rule.settings))}" if rule.settings else "it has none"
            yield f"{rule.name}: there is no setting {name!r}{_meant(name, rule.settings)}; {known}"
    of_all = everything is not None and entry.level == everything.level
    if of_all and entry.level == "disabled" and set(entry.settings) - {REASON}:
        yield (
            f'{rule.name}: it has settings, but "all" disables it: give it an "enforcementLevel", such as '
            f'"{default_level(rule)}", or leave the settings out'
        )
    if entry.level == "remediate" and rule.mend is None and not of_all:
        yield f'{rule.name}: nothing can remediate it: its "enforcementLevel" may be "mandatory", "advisory" or "disabled"'


def _exception(entry: Mapping[str, Any], rules: Iterable[str]) -> ResourceException:
    rule, until = str(entry["rule"]), str(entry["until"])
    if rule not in rules:
        raise ValueError(_no_rule(rule, rules))
    if not str(entry[REASON]).strip():
        raise ValueError("reason is empty: write why the rule does not apply to the resource")
    try:
        day = datetime.date.fromisoformat(until)
    except ValueError:
        raise ValueError(f"until is {until!r}: write the last day of the exception, as in 2026-12-31") from None
    return ResourceException(rule, str(entry["resource"]), str(entry[REASON]), day)


def _no_rule(name: str, rules: Iterable[str]) -> str:
    return f"there is no rule {name!r}{_meant(name, [*rules, EXCEPTIONS, NOT_JUDGED])}"


def _meant(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; {near[0]!r} is meant?" if near else ""
