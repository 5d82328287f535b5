"""The pack's side of the engine's protocol for policy packs: it reads each resource once, for all rules.

Pulumi's own library for packs (pulumi-policy) reads a resource anew for each policy, which took most of the pack's time, and
shows a policy only its own configuration, so that a misspelt rule would go unnoticed.
https://github.com/pulumi/pulumi/blob/master/proto/pulumi/analyzer.proto
"""

import datetime
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from google.protobuf.struct_pb2 import Struct

from llm_policies import configuration, properties
from llm_policies.configuration import (
    EXCEPTIONS,
    NOT_JUDGED,
    ConfigurationError,
    Given,
    Level,
    ResourceException,
)
from llm_policies.protocol import analyzer_pb2 as protocol
from llm_policies.protocol import analyzer_pb2_grpc, plugin_pb2
from llm_policies.rule import Resource, Rule, judge, judge_stack
from llm_policies.values import NotVerified, Value

# The engine takes PulumiPolicy.yaml's in its place.
_VERSION: Final = "0.0.1"
_LEVELS: Final[Mapping[Level, "protocol.EnforcementLevel.ValueType"]] = {
    "advisory": protocol.ADVISORY,
    "mandatory": protocol.MANDATORY,
    "remediate": protocol.REMEDIATE,
    "disabled": protocol.DISABLED,
}
_LEVEL_NAMES: Final[Mapping[int, Level]] = {number: name for name, number in _LEVELS.items()}
_SEVERITIES: Final = {
    "low": protocol.POLICY_SEVERITY_LOW,
    "medium": protocol.POLICY_SEVERITY_MEDIUM,
    "high": protocol.POLICY_SEVERITY_HIGH,
    "critical": protocol.POLICY_SEVERITY_CRITICAL,
}
# Types of the packages that the rules read which hold other resources, in a form that the rules do not read.
_CONTAINERS: Final = frozenset(
    {
        "aws:cloudcontrol/resource:Resource",
        "aws:cloudformation/stack:Stack",
        "aws:cloudformation/stackSet:StackSet",
        "aws:serverlessrepository/cloudFormationStack:CloudFormationStack",
        "aws:servicecatalog/provisionedProduct:ProvisionedProduct",
        "kubernetes:helm.sh/v3:Release",
    }
)
# Packages whose resources are only in the state.
_NOTHING_MADE: Final = frozenset({"pulumi", "random", "std", "time", "tls"})
_STACK: Final = "pulumi:pulumi:Stack"
# What the pack tells besides its rules: the name, what it is, and the JSON schemas of its settings.
_OF_THE_PACK: Final[tuple[tuple[str, str, Mapping[str, Any]], ...]] = (
    (
        EXCEPTIONS,
        "Resources may be excepted from rules, with a reason and an end date.",
        {"list": configuration.EXCEPTIONS_SCHEMA},
    ),
    (
        NOT_JUDGED,
        "Resources of types that no rule reads are not judged.",
        {configuration.REASON: configuration.REASON_SCHEMA},
    ),
)
# How many resources a line names that tells of several.
_NAMED: Final = 8


_Gathered = dict[str, dict[str, list[str]]]


@dataclass
class _Run:
    """What is kept of a run's resources until all are known. Calls of several resources come at the same time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    problems: _Gathered = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Of the rules that are told once: the names of the resources, by the rule and the problem."""
    unseen: _Gathered = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """The same, by the rule and what is not known."""
    used: dict[ResourceException, str] = field(default_factory=dict[ResourceException, str])
    """The exceptions that a problem was found for, each with the resource's URN."""
    perhaps_used: set[ResourceException] = field(default_factory=set[ResourceException])
    """The exceptions whose resource could not be verified."""


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """Answers the engine for some rules, under the pack's name. `today` is for tests."""

    def __init__(self, name: str, rules: Sequence[Rule], *, today: Callable[[], datetime.date] = datetime.date.today) -> None:
        self._name = name
        self._rules = rules
        self._today = today
        self._configuration = configuration.defaults(rules)
        self._preview = False
        self._analysis = True
        self._run = _Run()
        self._by_type: dict[str, list[Rule]] = {}
        self._packages = {kind.partition(":")[0] for rule in rules for kind in rule.types}

    # What the pack is.

    def GetAnalyzerInfo(self, request: Any, context: Any) -> protocol.AnalyzerInfo:
        policies = [_info(rule) for rule in self._rules]
        for name, description, settings in _OF_THE_PACK:
            info = protocol.PolicyInfo(
                name=name,
                description=description,
                enforcementLevel=protocol.ADVISORY,
                policy_type=protocol.POLICY_TYPE_STACK,
                configSchema=_schema(settings),
            )
            policies.append(info)
        return protocol.AnalyzerInfo(name=self._name, version=_VERSION, supportsConfig=True, policies=policies)

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=_VERSION)

    def ConfigureStack(self, request: Any, context: Any) -> protocol.AnalyzerStackConfigureResponse:
        """Called before a preview or an `up`, and not by `pulumi policy analyze`."""
        self._analysis, self._preview = False, request.dry_run
        return protocol.AnalyzerStackConfigureResponse()

    def Configure(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        given = {
            name: Given(_LEVEL_NAMES[entry.enforcementLevel], properties.read(entry.properties))
            for name, entry in request.policyConfig.items()
        }
        try:
            self._configuration = configuration.configuration(self._rules, given)
        except ConfigurationError as error:
            text = "\n".join(["the pack's configuration has mistakes:", *(f"  {mistake}" for mistake in error.mistakes)])
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        return empty_pb2.Empty()

    # What the engine asks of resources.

    def Analyze(self, request: Any, context: Any) -> protocol.AnalyzeResponse:
        """Judge a resource by itself."""
        return protocol.AnalyzeResponse(diagnostics=self._of_resource(request))

    def AnalyzeStack(self, request: Any, context: Any) -> protocol.AnalyzeResponse:
        """Judge the resources together; the engine asks for it at the end, unless something failed before."""
        told = list(self._of_stack(request.resources))
        self._run = _Run()
        # `pulumi policy analyze` ends with a panic where nothing is named.
        urns = [each.urn for each in sorted(request.resources, key=lambda each: each.type != _STACK)]
        for each in told:
            each.urn = each.urn or next(iter(urns), "")
        return protocol.AnalyzeResponse(diagnostics=told)

    def Remediate(self, request: Any, context: Any) -> protocol.RemediateResponse:
        """Change a resource's properties to what its rules ask for, where the level is `remediate`."""
        response = protocol.RemediateResponse()
        for rule in self._rules_for(request.type):
            if rule.mend is None or self._level(rule) != "remediate":
                continue
            resource = _resource(request)
            if any(self._configuration.excepting(rule.name, resource.name, resource.urn, self._today())):
                continue
            try:
                changes = rule.mend(resource, rule.settings_of(self._settings(rule)))
                if not changes:
                    continue
                properties.merge(request.properties, changes)
            except NotVerified:
                continue  # the resource is judged after this: then it is told what is not known
            remediation = protocol.Remediation(
                policyName=rule.name,
                policyPackName=self._name,
                policyPackVersion=_VERSION,
                description=rule.title,
                properties=request.properties,
            )
            response.remediations.append(remediation)
        return response

    # How resources are judged.

    def _of_resource(self, request: Any) -> Iterator[protocol.AnalyzeDiagnostic]:
        rules = [rule for rule in self._rules_for(request.type) if rule.check is not None]
        if not rules:
            return
        resource = _resource(request)
        unseen: dict[str, list[Rule]] = {}
        for rule in rules:
            problems, not_verified = judge(rule, resource, self._settings(rule))
            if self._excepted(rule, resource, bool(problems), bool(not_verified)):
                continue
            if rule.once and not self._stops(rule):
                with self._run.lock:
                    for problem in problems:
                        self._run.problems[rule.name][problem].append(resource.name)
                    if not_verified:
                        self._run.unseen[rule.name][not_verified].append(resource.name)
                continue
            for problem in problems:
                yield self._diagnostic(rule, _with_fix(problem, rule))
            if not_verified:
                unseen.setdefault(not_verified, []).append(rule)
        for path, blind in unseen.items():
            yield self._not_verified(resource.name, path, blind)

    def _of_stack(self, sent: Sequence[Any]) -> Iterator[protocol.AnalyzeDiagnostic]:
        resources = _together(sent)
        stack = next((each for each in resources if each.type == _STACK), None)
        for rule in self._rules:
            if rule.once:
                yield from self._gathered(rule)
            if rule.check_stack is None or self._level(rule) == "disabled":
                continue
            seen = [each for each in resources if not rule.types or rule.looks_at(each.type)]
            problems, not_verified = judge_stack(rule, seen, self._settings(rule))
            for resource, problem in problems:
                told_of = resource or stack
                if told_of is None or not self._excepted(rule, told_of, True, False):
                    yield self._diagnostic(rule, _with_fix(problem, rule), urn=resource.urn if resource else "")
            if not_verified:
                self._run.perhaps_used.update(each for each in self._configuration.exceptions if each.rule == rule.name)
                yield self._not_verified("the stack", not_verified, [rule])
        yield from self._exceptions()
        if self._configuration.levels.get(NOT_JUDGED) != "disabled":
            yield from self._not_judged(sent)

    def _gathered(self, rule: Rule) -> Iterator[protocol.AnalyzeDiagnostic]:
        """A line for each problem of a rule that is told once."""
        for problem, names in self._run.problems[rule.name].items():
            yield self._diagnostic(rule, _with_fix(f"{_listed(names)}: {problem}", rule))
        for path, names in self._run.unseen[rule.name].items():
            yield self._not_verified(_listed(names), path, [rule])

    def _excepted(self, rule: Rule, resource: Resource, found: bool, not_verified: bool) -> bool:
        """Whether a resource is excepted from a rule; it is kept which exceptions were needed."""
        exceptions = list(self._configuration.excepting(rule.name, resource.name, resource.urn, self._today()))
        with self._run.lock:
            for each in exceptions:
                if found:
                    self._run.used.setdefault(each, resource.urn)
                elif not_verified:
                    self._run.perhaps_used.add(each)
        return bool(exceptions)

    def _exceptions(self) -> Iterator[protocol.AnalyzeDiagnostic]:
        for each in self._configuration.exceptions:
            urn = self._run.used.get(each, "")
            if each.until < self._today():
                text = (
                    f"{each}: the exception ended on {each.until}, so that the rule applies: correct the resource, or renew it"
                )
            elif each in self._run.used:
                text = f"{each}: excepted until {each.until}: {each.reason}"
            elif each in self._run.perhaps_used:
                continue
            else:
                text = f"{each}: the exception is of no use: nothing is found there, or there is no such resource; remove it"
            yield self._told(EXCEPTIONS, "Resources excepted from a rule.", text, "advisory", urn)

    def _not_judged(self, sent: Iterable[Any]) -> Iterator[protocol.AnalyzeDiagnostic]:
        """One line that names the types of the resources that no rule can judge. Components are only groups of others."""
        types: dict[str, int] = defaultdict(int)
        for each in sent:
            package = each.type.partition(":")[0]
            if each.HasField("provider") and (
                each.type in _CONTAINERS or (package not in self._packages and package not in _NOTHING_MADE)
            ):
                types[each.type] += 1
        if types:
            listed = ", ".join(f"{kind} ({count})" for kind, count in sorted(types.items()))
            text = f"no rule reads what these make, so that it may break any of them: {listed}"
            yield self._told(NOT_JUDGED, "Resources that are not judged.", text, "advisory")

    # The parts of an answer.

    def _rules_for(self, kind: str) -> list[Rule]:
        """The rules that look at a type and are not disabled. (The engine configures before it asks.)"""
        if kind not in self._by_type:
            self._by_type[kind] = [rule for rule in self._rules if rule.looks_at(kind)]
        return [rule for rule in self._by_type[kind] if self._level(rule) != "disabled"]

    def _level(self, rule: Rule) -> Level:
        return self._configuration.levels[rule.name]

    def _settings(self, rule: Rule) -> Mapping[str, Any]:
        return self._configuration.settings.get(rule.name, {})

    def _stops(self, rule: Rule) -> bool:
        """Whether a violation has to be told at once, so that the resource is not made."""
        return not self._preview and not self._analysis and self._level(rule) != "advisory"

    def _not_verified(self, whose: str, path: str, rules: Sequence[Rule]) -> protocol.AnalyzeDiagnostic:
        """One warning for a value that is not known, which names all rules that need it. It stops no preview."""
        if self._analysis:
            why = "is a secret that is not decrypted here, or is not known"
        else:
            why = "is not known before `up`, which verifies it then"
        text = f"{whose}: {path} {why}. Not verified now: {', '.join(rule.name for rule in rules)}"
        return self._diagnostic(rules[0], text, level="advisory")

    def _diagnostic(self, rule: Rule, text: str, *, level: Level | None = None, urn: str = "") -> protocol.AnalyzeDiagnostic:
        # What could not be remediated stops a deployment.
        own = self._level(rule)
        level = level or ("mandatory" if own == "remediate" else own)
        told = self._told(rule.name, rule.title, text, level, urn)
        told.severity = _SEVERITIES[rule.severity]
        return told

    def _told(self, policy: str, title: str, text: str, level: Level, urn: str = "") -> protocol.AnalyzeDiagnostic:
        return protocol.AnalyzeDiagnostic(
            policyName=policy,
            policyPackName=self._name,
            policyPackVersion=_VERSION,
            description=title,
            message=f"{title}\n{text}",
            enforcementLevel=_LEVELS[level],
            urn=urn,
        )


def _info(rule: Rule) -> protocol.PolicyInfo:
    settings = {name: {**setting.schema, "description": setting.description} for name, setting in rule.settings.items()}
    return protocol.PolicyInfo(
        name=rule.name,
        description=rule.title,
        enforcementLevel=_LEVELS[configuration.default_level(rule)],
        policy_type=protocol.POLICY_TYPE_STACK if rule.check_stack or rule.once else protocol.POLICY_TYPE_RESOURCE,
        severity=_SEVERITIES[rule.severity],
        tags=rule.frameworks,
        remediation_steps=rule.fix,
        url=rule.url,
        configSchema=_schema({**settings, configuration.REASON: configuration.REASON_SCHEMA}),
    )


def _schema(given: Mapping[str, Any]) -> protocol.PolicyConfigSchema:
    schema = Struct()
    schema.update(given)
    return protocol.PolicyConfigSchema(properties=schema)


def _with_fix(problem: str, rule: Rule) -> str:
    """What is told of a problem: how to fix it, and where the rule comes from."""
    sources = ", ".join((*rule.frameworks, *([rule.url] if rule.url else [])))
    return f"{problem.rstrip('.')}. {rule.fix.rstrip('.')}." + (f" [{sources}]" if sources else "")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _resource(sent: Any) -> Resource:
    """A resource of a request, with its inputs."""
    return Resource(sent.type, sent.name, Value(properties.read(sent.properties)), sent.urn, provider=_provider(sent))


def _provider(sent: Any) -> Value:
    return (
        Value(properties.read(sent.provider.properties), "provider") if sent.HasField("provider") else Value(None, "provider")
    )


def _together(sent: Sequence[Any]) -> list[Resource]:
    """A stack's resources with their state, each with the resources that its properties' values came from."""
    dependencies: dict[str, dict[str, list[Resource]]] = {each.urn: {} for each in sent}
    made = {
        each.urn: Resource(
            each.type,
            each.name,
            Value(properties.read(each.properties), origin=each.name),
            each.urn,
            dependencies[each.urn],
            _provider(each),
        )
        for each in sent
    }
    for each in sent:
        for name, sources in each.propertyDependencies.items():
            dependencies[each.urn][name] = [made[urn] for urn in sources.urns if urn in made]
    return list(made.values())
