"""Rules on what a role, user or group may do: no more than it needs, decided from AWS's own list of actions.

A problem is said of an Allow that stands in a document that gives rights. A permissions boundary gives none.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from llm_policies import actions
from llm_policies.actions import Action, is_pattern, matches
from llm_policies.arns import is_open
from llm_policies.attachments import IAM_BOUNDARY_NOT_ATTACHED, IAM_NO_ADMINISTRATOR_POLICY, IAM_NO_LONG_LIVED_CREDENTIALS
from llm_policies.boundaries import LIMITED, alone, in_stack
from llm_policies.documents import BOUNDARIES, Statement, each_statement, types
from llm_policies.escalation import ESCALATIONS, IAM_NO_PRIVILEGE_ESCALATION, listed
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
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


# Actions that read what resources are, not what is in them.
_METADATA: Final = (
    *("*:Describe*", "*:List*", "*:Get*Tags*", "*:Get*Tagging", "iam:Get*", "s3:GetBucket*", "sqs:GetQueue*"),
    *("sns:Get*Attributes", "bedrock:GetFoundationModel*", "bedrock:GetInferenceProfile"),
)
# And lists that are themselves the content: the names of objects, the vectors and memories of an application.
_CONTENT: Final = (
    "s3:ListBucket*",
    "s3vectors:ListVectors",
    "bedrock-agentcore:ListEvents",
    "bedrock-agentcore:ListMemoryRecords",
)
# Actions whose resource is an option that most calls leave out: a terminology, a lexicon, a model of one's own.
_OPTIONAL: Final = (
    *(
        "comprehend:DetectEntities",
        "polly:StartSpeechSynthesis*",
        "polly:SynthesizeSpeech",
        "rekognition:DetectModerationLabels",
    ),
    *("rekognition:StartMediaAnalysisJob", "translate:StartTextTranslationJob", "translate:Translate*"),
)


def _needs_no_resource(action: Action) -> bool:
    """Whether an action may be allowed on every resource: it only reads metadata, or its resource is an option."""
    if any(matches(pattern, action.name) for pattern in _OPTIONAL):
        return True
    reads = action.level in ("List", "Read") and any(matches(pattern, action.name) for pattern in _METADATA)
    return reads and not any(matches(pattern, action.name) for pattern in _CONTENT)


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
            and not _needs_no_resource(action)
            and not any(matches(accepted, action.name) for accepted in settings["accepted_actions"])
        }
        made = {name for name in scopable if name.startswith(_MAKING)}

        def closed(item: Value) -> Iterator[str]:
            text = item.text()
            named = sorted(scopable - made if text.startswith("arn:") else scopable)
            if is_open(text) and named:
                yield f"{item.path}: {text} where {listed(named)} can be scoped to a resource; name it"

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
