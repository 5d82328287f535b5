"""Rules on what a role, user or group may do: no more than it needs, decided from AWS's own list of actions.

A problem is said of an Allow that stands in a document that gives rights. A permissions boundary gives none.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from llm_policies import actions
from llm_policies.actions import Action, is_pattern, matches
from llm_policies.arns import is_open
from llm_policies.attachments import IAM_BOUNDARY_NOT_ATTACHED, IAM_NO_ADMINISTRATOR_POLICY, IAM_NO_LONG_LIVED_CREDENTIALS
from llm_policies.boundaries import ATTACHING, LIMITED, POLICY, ROLE, alone, in_stack, is_boundary, limits
from llm_policies.conditions import Condition
from llm_policies.denies import is_denied
from llm_policies.documents import BOUNDARIES, Document, Statement, each_document, each_statement, types
from llm_policies.escalation import ESCALATIONS, Escalation
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, each_resource, of_type
from llm_policies.values import Value, each
from llm_policies.well_formed import IAM_DOCUMENT_VALID


def _each_allow(resource: Resource, check: Callable[[Statement], Iterator[str]]) -> Iterator[str]:
    """Check every statement that allows something to a role, user or group."""
    yield from each_statement(resource, ("identity",), lambda one: check(one) if one.allows else iter(()))


# Actions that exist.


def _actions_exist(resource: Resource, settings: Settings) -> Iterator[str]:
    def exists(item: Value) -> Iterator[str]:
        text = item.text()
        if text == "*" or any(matches(known, text) for known in settings["known_actions"]) or actions.expanded(text):
            return
        meant = actions.meant(text)
        hint = f"; did you mean {meant}?" if meant else ""
        yield f"{item.path}: {text} {'matches no action' if is_pattern(text) else 'is no action'} of AWS{hint}"

    def check(one: Statement) -> Iterator[str]:
        yield from each([one.value["Action"], one.value["NotAction"]], lambda held: each(held.items(), exists))

    yield from each_statement(resource, ("identity", "trust", "resource", "limit"), check)


IAM_ACTIONS_EXIST: Final = Rule(
    name="iam-actions-exist",
    title="Every action that a policy names is one that AWS has.",
    severity="medium",
    why="IAM takes a misspelled action without a word: an Allow of it allows nothing, and a Deny of it protects nothing.",
    fix="Name the action as the service's page of the Service Authorization Reference does; Converse, for one, is allowed by "
    "bedrock:InvokeModel. An action newer than the list goes into `known_actions`.",
    check=_actions_exist,
    types=types("identity", "trust", "resource", "limit"),
    settings={
        # AWS's own default policies and guides have these, and its reference does not.
        "known_actions": Setting(
            ["bedrock:InvokeModelWithBidirectionalStream", "logs:PutLogEventsBatch", "sns:Receive"],
            STRINGS,
            "Actions (with *) that exist, though the list does not have them.",
        )
    },
    url="https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html",
)


# Wildcards.


def _no_wildcard_action(resource: Resource, settings: Settings) -> Iterator[str]:
    def only_reads(pattern: str) -> bool:
        name = pattern.partition(":")[2]
        return any(name.lower().startswith(str(prefix).lower()) for prefix in settings["read_only_prefixes"]) and all(
            action.level in ("List", "Read") for action in actions.expanded(pattern)
        )

    def narrow(item: Value) -> Iterator[str]:
        text = item.text()
        if is_pattern(text) and not only_reads(text):
            found = actions.expanded(text)
            yield f"{item.path}: {text} allows {len(found)} actions{_such_as(found)}; name those that are used"

    yield from _each_allow(resource, lambda one: each(one.value["Action"].items(), narrow))


def _such_as(found: Sequence[Action]) -> str:
    """The most dangerous ones of some actions, to show what a wildcard allows."""
    order = ("Permissions management", "Write", "Tagging", "Read", "List")
    worst = min(found, key=lambda action: order.index(action.level), default=None)
    return f", {worst.name} among them" if worst is not None and len(found) > 1 else ""


IAM_NO_WILDCARD_ACTION: Final = Rule(
    name="iam-no-wildcard-action",
    title="An identity's policy names each action it allows.",
    severity="high",
    why="A wildcard allows what nobody decided, and what AWS adds to the service later: `s3:*` can delete the bucket and "
    "open it to the public.",
    fix="Write the actions one by one. `Describe*` and `List*` of one service are accepted where all they match only reads.",
    check=alone(_no_wildcard_action),
    check_stack=in_stack(_no_wildcard_action),
    types=(*types("identity"), *LIMITED),
    settings={
        "read_only_prefixes": Setting(
            ["Describe", "List"],
            STRINGS,
            "Beginnings of action names after which a * is accepted, if all that it matches lists or reads. "
            "`Get` reads data too: objects, parameters and secrets.",
        ),
        "boundaries": BOUNDARIES,
    },
    frameworks=("AWS FSBP IAM.1", "AWS FSBP IAM.21", "CIS AWS 3.0 1.16"),
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
)


_MAKING: Final = tuple(
    f"{service}:{verb}" for service in ("bedrock", "ec2") for verb in ("Allocate", "Create", "Request", "Run")
)
"""Actions that create a resource with an id from AWS. Nobody knows the ARN of an instance or a job before it exists."""

_REPORTED_ELSEWHERE: Final = frozenset(way.actions[0] for way in ESCALATIONS)
"""Actions that `iam-no-privilege-escalation` and `iam-pass-role-limited` already report if allowed on every resource."""


def _no_wildcard_resource(resource: Resource, settings: Settings) -> Iterator[str]:
    def check(one: Statement) -> Iterator[str]:
        if _is_scoped(one):
            return
        scopable = {
            action.name
            for pattern in one.known("Action")
            for action in actions.expanded(pattern)
            if action.scopable
            and action.name not in _REPORTED_ELSEWHERE
            and not any(matches(accepted, action.name) for accepted in settings["accepted_actions"])
        }
        made = {name for name in scopable if name.startswith(_MAKING)}

        def closed(item: Value) -> Iterator[str]:
            text = item.text()
            named = sorted(scopable - made if text.startswith("arn:") else scopable)
            if is_open(text) and named:
                yield f"{item.path}: {text} where {_listed(named)} can be scoped to a resource; name it"

        yield from each(one.value["Resource"].items(), closed)
        one.texts("Action")  # of one that is not known yet nothing was said

    yield from _each_allow(resource, check)


def _is_scoped(one: Statement) -> bool:
    """Whether a condition limits the resources: by one of the keys, or by requiring a tag."""
    tagged = any(
        condition.operator.lower() == "null" and condition.values == ("false",) and _is_tag(condition.key)
        for condition in one.conditions()
    )
    return tagged or one.limited("resource")


def _is_tag(key: str) -> bool:
    return ":resourcetag/" in key or ":requesttag/" in key


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


IAM_NO_WILDCARD_RESOURCE: Final = Rule(
    name="iam-no-wildcard-resource",
    title="An action that can be scoped to a resource is.",
    severity="high",
    why="`*`, and an ARN whose name is `*`, mean every table, bucket, key or model of the account, also those of others: one "
    "leaked credential then reads them all.",
    fix="Give the ARN of what is used (`table.arn`), or a condition such as aws:ResourceTag. Put the actions that AWS can't "
    "scope (xray:PutTraceSegments, ecr:GetAuthorizationToken) into a statement of their own.",
    check=alone(_no_wildcard_resource),
    check_stack=in_stack(_no_wildcard_resource),
    types=(*types("identity"), *LIMITED),
    settings={
        "accepted_actions": Setting(
            # What AWS's guide gives a function in a VPC: Lambda checks the role for these on `*`. A lexicon is an option. An
            # instance of a group registers at Systems Manager by an id that nobody knows before.
            [
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:UnassignPrivateIpAddresses",
                "polly:SynthesizeSpeech",
                "ssm:UpdateInstanceInformation",
            ],
            STRINGS,
            "Actions (with *) that are accepted on every resource.",
        ),
        "boundaries": BOUNDARIES,
    },
    frameworks=("AWS FSBP KMS.1", "AWS FSBP KMS.2"),
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
)


# The complement.


def _no_not_action(resource: Resource, settings: Settings) -> Iterator[str]:
    def check(one: Statement) -> Iterator[str]:
        if one.allows:
            for name in ("NotAction", "NotResource", "NotPrincipal"):
                if not one.value[name].missing:
                    yield f"{one.path}: Allow with {name} allows all that it does not name; give its {name[3:]} instead"

    yield from each_statement(resource, ("identity", "trust", "resource"), check)


IAM_NO_NOT_ACTION: Final = Rule(
    name="iam-no-not-action",
    title="An Allow says what it allows, not what it leaves out.",
    severity="high",
    why="Allow with NotAction, NotResource or NotPrincipal lets in everything else: also the service that AWS adds next year.",
    fix="Write Action, Resource and Principal; to leave something out, Deny it in a statement of its own.",
    check=alone(_no_not_action),
    check_stack=in_stack(_no_not_action),
    types=(*types("identity", "trust", "resource"), *LIMITED),
    settings={"boundaries": BOUNDARIES},
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html",
)


# From some rights to all.


def _pass_role_limited(resource: Resource, settings: Settings) -> Iterator[str]:
    def check(one: Statement) -> Iterator[str]:
        # Of `*` the rule on wildcards speaks.
        if not any(matches(pattern, "iam:PassRole") and pattern != "*" for pattern in one.known("Action")):
            one.texts("Action")
            return
        if not one.limited("passed role"):
            yield f"{one.path}: iam:PassRole without a condition on iam:PassedToService; say which service may get the role"
        for item in one.value["Resource"].items():
            if is_open(item.text()):
                yield f"{item.path}: iam:PassRole of every role ({item.text()}); name the roles that may be passed"

    yield from _each_allow(resource, check)


IAM_PASS_ROLE_LIMITED: Final = Rule(
    name="iam-pass-role-limited",
    title="Only named roles may be passed, and only to a named service.",
    severity="high",
    why="Who may pass any role to a service that runs code has what the strongest role of the account has.",
    fix='Give the role\'s ARN as Resource and the condition {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}.',
    check=alone(_pass_role_limited),
    check_stack=in_stack(_pass_role_limited),
    types=(*types("identity"), *LIMITED),
    settings={"boundaries": BOUNDARIES},
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",
)


def _no_privilege_escalation(resource: Resource, settings: Settings) -> Iterator[str]:
    """Judge what no boundary can limit: the policies of groups and permission sets, and of roles without one."""
    if resource.type not in _PERHAPS_LIMITED or (resource.type == ROLE and resource["permissionsBoundary"].data is None):
        yield from _ways(resource, ESCALATIONS, settings)


_PERHAPS_LIMITED: Final = (ROLE, POLICY, "aws:iam/rolePolicy:RolePolicy", "aws:iam/userPolicy:UserPolicy")


def _no_privilege_escalation_unlimited(resources: Sequence[Resource], settings: Settings) -> Found:
    def check(resource: Resource) -> Iterator[str]:
        if resource.type == POLICY and is_boundary(resource, resources, settings):
            return
        boundaries = limits(resource, resources)
        if boundaries is None:
            yield from _ways(resource, ESCALATIONS, settings)
        elif boundaries:
            # What its boundary does not allow is no way.
            left = [way for way in ESCALATIONS if any(_allows_way(boundary, way) for boundary in boundaries)]
            yield from _ways(resource, left, settings)

    judged = (one for one in of_type(resources, *_PERHAPS_LIMITED) if one.type != ROLE or one["permissionsBoundary"].data)
    yield from each_resource(judged, check)


def _allows_way(boundary: Resource, way: Escalation) -> bool:
    return any(
        each_document(boundary, ("identity",), lambda document: iter([document.path] if _escalates(way, document) else []))
    )


def _ways(resource: Resource, possible: Sequence[Escalation], settings: Settings) -> Iterator[str]:
    def check(document: Document) -> Iterator[str]:
        ways = [way for way in possible if way.name not in settings["accepted"] and _escalates(way, document)]
        if len(ways) > 5:
            yield f"{document.path}: leads to all rights, in {len(ways)} ways: {_listed([way.name for way in ways])}"
        else:
            for way in ways:
                yield f"{document.path}: {way.name} on every resource {way.leads}; name the resources, or leave it out"

    yield from each_document(resource, ("identity",), check)


def _escalates(way: Escalation, document: Document) -> bool:
    """Whether a document allows everything that an escalation needs: the first action on any resource, the others on some."""
    statements = document.statements()
    allows = [one for one in statements if one.allows]
    denies = [one for one in statements if one.denies]

    def given(action: str, *, anywhere: bool) -> bool:
        return any(
            not is_denied(action, resource, denies, lambda condition: _leaves_way_closed(condition, way, action))
            for one in allows
            if one.covers(action) and not (anywhere and _is_closed(one, way))
            # NotResource is everything else.
            for resource in (one.texts("Resource") if one.value["NotResource"].missing else ["*"])
            if not anywhere or is_open(resource)
        )

    first, *others = way.actions
    return given(first, anywhere=True) and all(given(action, anywhere=False) for action in others)


def _is_closed(one: Statement, way: Escalation) -> bool:
    """Whether an Allow's conditions close a way: they say which resources, or pass a role to other services alone."""
    passed_to = one.demanded("iam:passedtoservice")
    if way.service and passed_to is not None and not any(matches(pattern, way.service) for pattern in passed_to):
        return True
    return one.limited("escalation", way.actions[0])


def _leaves_way_closed(condition: Condition, way: Escalation, action: str) -> bool:
    """Whether a Deny with this condition leaves a way closed: what it does not deny is limited, or is no part of the way."""
    if condition.key == "iam:passedtoservice" and way.service:
        named = any(matches(pattern, way.service) for pattern in condition.values)
        return named if condition.demands else condition.excludes and not named
    return condition.excludes and condition.limits("escalation", action)


IAM_NO_PRIVILEGE_ESCALATION: Final = Rule(
    name="iam-no-privilege-escalation",
    title="No policy gives rights with which its holder can take all others.",
    severity="critical",
    why="Some actions, alone or together, let their holder give itself any right: to write a policy, to take over a role, to "
    "run code with a stronger role.",
    fix="Name the resources of these actions, demand iam:PermissionsBoundary where roles are made, or leave the actions out.",
    check=_no_privilege_escalation,
    check_stack=_no_privilege_escalation_unlimited,
    types=(*types("identity"), *LIMITED, *ATTACHING),
    settings={
        "accepted": Setting([], STRINGS, "Ways that are accepted, by name, such as `iam:CreateAccessKey`."),
        "boundaries": BOUNDARIES,
    },
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
)


RULES: Final[tuple[Rule, ...]] = (
    IAM_DOCUMENT_VALID,
    IAM_ACTIONS_EXIST,
    IAM_NO_WILDCARD_ACTION,
    IAM_NO_WILDCARD_RESOURCE,
    IAM_NO_NOT_ACTION,
    IAM_PASS_ROLE_LIMITED,
    IAM_NO_PRIVILEGE_ESCALATION,
    IAM_NO_ADMINISTRATOR_POLICY,
    IAM_BOUNDARY_NOT_ATTACHED,
    IAM_NO_LONG_LIVED_CREDENTIALS,
)
