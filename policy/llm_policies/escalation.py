"""The known ways to turn some permissions in an account into all permissions, and the rule that tells them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from llm_policies.actions import matches
from llm_policies.arns import is_open
from llm_policies.boundaries import ATTACHING, LIMITED, POLICY, ROLE, holders, is_boundary, limits
from llm_policies.conditions import Condition, split_arn
from llm_policies.denies import is_denied
from llm_policies.documents import BOUNDARIES, Document, Statement, each_document, types
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, each_resource, of_type
from llm_policies.values import State


@dataclass(frozen=True)
class Escalation:
    """A way to more permissions: the first action on any resource, all the other actions, and what they lead to.

    `service` is whom a passed role goes to: a condition on iam:PassedToService that names another one closes the way.
    """

    actions: tuple[str, ...]
    leads: str
    service: str = ""
    makes: bool = False
    """Whether the first action makes what the others change: then it is enough that all are allowed on the same resources."""

    @property
    def name(self) -> str:
        return " with ".join((self.actions[0], " and ".join(self.actions[1:]))) if self.actions[1:] else self.actions[0]


_ALONE: Final = {
    "rewrites any policy": ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"),
    "gives any identity any policy": (
        "iam:AttachGroupPolicy",
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:PutGroupPolicy",
        "iam:PutRolePolicy",
        "iam:PutUserPolicy",
        "iam:AddUserToGroup",
    ),
    "opens any role to its holder": ("iam:UpdateAssumeRolePolicy", "sts:AssumeRole"),
    "makes credentials of any user": ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile"),
    "takes the limits off any identity": (
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteUserPermissionsBoundary",
        "iam:PutRolePermissionsBoundary",
        "iam:PutUserPermissionsBoundary",
    ),
    "runs code with any function's role": ("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    "runs commands with any instance's role": ("ec2-instance-connect:SendSSHPublicKey", "ssm:SendCommand", "ssm:StartSession"),
    "runs commands with any task's role": ("ecs:ExecuteCommand",),
    "runs code with any project's role": ("codebuild:UpdateProject",),
    "changes any stack with its service role": ("cloudformation:UpdateStack",),
    "makes its holder any cluster's administrator": ("eks:AssociateAccessPolicy",),
    "opens any notebook with its role": ("sagemaker:CreatePresignedNotebookInstanceUrl",),
}

_PASSED: Final = {
    "lambda.amazonaws.com": (
        ("lambda:CreateFunction", "lambda:InvokeFunction"),
        ("lambda:CreateFunction", "lambda:AddPermission"),
        ("lambda:CreateFunction", "lambda:CreateEventSourceMapping"),
    ),
    "ec2.amazonaws.com": (("ec2:RunInstances",),),
    "ecs-tasks.amazonaws.com": (
        ("ecs:RegisterTaskDefinition", "ecs:RunTask"),
        ("ecs:RegisterTaskDefinition", "ecs:CreateService"),
    ),
    "glue.amazonaws.com": (("glue:CreateDevEndpoint",), ("glue:CreateJob", "glue:StartJobRun")),
    "cloudformation.amazonaws.com": (("cloudformation:CreateStack",),),
    "codebuild.amazonaws.com": (("codebuild:CreateProject", "codebuild:StartBuild"),),
    "sagemaker.amazonaws.com": (
        ("sagemaker:CreateNotebookInstance", "sagemaker:CreatePresignedNotebookInstanceUrl"),
        ("sagemaker:CreateTrainingJob",),
        ("sagemaker:CreateProcessingJob",),
    ),
    "states.amazonaws.com": (("states:CreateStateMachine", "states:StartExecution"),),
    "scheduler.amazonaws.com": (("scheduler:CreateSchedule",),),
    "bedrock-agentcore.amazonaws.com": (
        ("bedrock-agentcore:CreateAgentRuntime", "bedrock-agentcore:InvokeAgentRuntime"),
        ("bedrock-agentcore:CreateCodeInterpreter", "bedrock-agentcore:InvokeCodeInterpreter"),
    ),
    "pods.eks.amazonaws.com": (("eks:CreatePodIdentityAssociation",),),
}

ESCALATIONS: Final[tuple[Escalation, ...]] = (
    *(Escalation((action,), leads) for leads, actions in _ALONE.items() for action in actions),
    *(
        Escalation(("iam:PassRole", *actions), f"runs what {service} runs with any role", service)
        for service, ways in _PASSED.items()
        for actions in ways
    ),
    *(
        Escalation((f"iam:Create{kind}", f"iam:{verb}{kind}Policy"), f"makes a {kind.lower()} with any right", makes=True)
        for kind in ("Role", "User")
        for verb in ("Put", "Attach")
    ),
)
"""All ways. The first action counts only if it is allowed on every resource, and no condition limits the resources."""

_OF_ITSELF: Final = frozenset(
    f"iam:{what.format(kind)}"
    for kind in ("Role", "User")
    for what in ("Put{}Policy", "Attach{}Policy", "Put{}PermissionsBoundary", "Delete{}PermissionsBoundary")
)
"""Actions that need no other resource than their holder itself, to give it any right."""


# The rule.


def listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _no_privilege_escalation(resource: Resource, settings: Settings) -> Iterator[str]:
    """Judge what no boundary can limit: the policies of groups and permission sets, and of roles without one."""
    if resource.type not in _PERHAPS_LIMITED or (resource.type == ROLE and resource["permissionsBoundary"].data is None):
        yield from _ways(resource, ESCALATIONS, settings, [resource] if resource.type == ROLE else [])


_PERHAPS_LIMITED: Final = (ROLE, POLICY, "aws:iam/rolePolicy:RolePolicy", "aws:iam/userPolicy:UserPolicy")


def _no_privilege_escalation_unlimited(resources: Sequence[Resource], settings: Settings) -> Found:
    def check(resource: Resource) -> Iterator[str]:
        if resource.type == POLICY and is_boundary(resource, resources, settings):
            return
        boundaries = limits(resource, resources)
        who = holders(resource, resources) or []
        if boundaries is None:
            yield from _ways(resource, ESCALATIONS, settings, who)
        elif boundaries:
            # What its boundary does not allow is no way.
            left = [way for way in ESCALATIONS if any(_allows_way(boundary, way) for boundary in boundaries)]
            yield from _ways(resource, left, settings, who)

    judged = (one for one in of_type(resources, *_PERHAPS_LIMITED) if one.type != ROLE or one["permissionsBoundary"].data)
    yield from each_resource(judged, check)


def _allows_way(boundary: Resource, way: Escalation) -> bool:
    return any(
        each_document(boundary, ("identity",), lambda document: iter([document.path] if _escalates(way, document) else []))
    )


def _ways(
    resource: Resource, possible: Sequence[Escalation], settings: Settings, holders: Sequence[Resource] = ()
) -> Iterator[str]:
    own = [name for holder in holders if (name := _own_name(holder))]

    def check(document: Document) -> Iterator[str]:
        ways = [way for way in possible if way.name not in settings["accepted"] and _escalates(way, document, own)]
        alone = {way.name for way in ways}
        ways = [way for way in ways if not way.makes or not alone & {*way.actions}]
        if len(ways) > 5:
            yield f"{document.path}: leads to all rights, in {len(ways)} ways: {listed([way.name for way in ways])}"
            return
        for way in ways:
            if way.makes:
                yield f"{document.path}: {way.name} {way.leads}; demand iam:PermissionsBoundary"
            elif _escalates(way, document):
                yield f"{document.path}: {way.name} on every resource {way.leads}; name the resources, or leave it out"
            else:
                yield f"{document.path}: {way.name} on {own[0]} gives its holder any right; leave it out"

    yield from each_document(resource, ("identity",), check)


def _own_name(holder: Resource) -> str:
    """The last part of a role's or user's own ARN; empty if its name is not known."""
    name, path = holder["name"], holder["path"]
    if name.state is not State.KNOWN or path.state is State.UNKNOWN:
        return ""
    return f"{'role' if holder.type == ROLE else 'user'}{path.text('/')}{name.text()}"


def _escalates(way: Escalation, document: Document, own: Sequence[str] = ()) -> bool:
    """Whether a document allows everything that an escalation needs: the first action on any resource, the others on some.

    `own` are the names of those whom the document gives rights to.
    """
    statements = document.statements()
    allows = [one for one in statements if one.allows]
    denies = [one for one in statements if one.denies]

    def given(action: str, *, anywhere: bool, limited: bool = False) -> list[str]:
        """The resources on which an action is allowed; `limited`: also those that conditions limit."""
        return [
            resource
            for one in allows
            if one.covers(action) and (limited or not _is_closed(one, way, action))
            # NotResource is everything else.
            for resource in (one.texts("Resource") if one.value["NotResource"].missing else ["*"])
            if not anywhere or is_open(resource) or (action in _OF_ITSELF and _is_own(resource, own))
            if not is_denied(action, resource, denies, lambda condition: _leaves_way_closed(condition, way, action))
        ]

    first, *others = way.actions
    if way.makes:
        return any(
            matches(made, changed) or matches(changed, made)
            for made in given(first, anywhere=False)
            for changed in given(others[0], anywhere=False)
        )
    return bool(given(first, anywhere=True)) and all(given(action, anywhere=False, limited=True) for action in others)


def _is_own(resource: str, own: Sequence[str]) -> bool:
    parts = split_arn(resource)
    return parts is not None and any(
        matches(parts[5], name) or parts[5].lower() == "user/${aws:username}" for name in own if name.startswith(parts[5][:4])
    )


def _is_closed(one: Statement, way: Escalation, action: str) -> bool:
    """Whether an Allow's conditions close a way: they say which resources, or pass a role to other services alone."""
    passed_to = one.demanded("iam:passedtoservice")
    if way.service and passed_to is not None and not any(matches(pattern, way.service) for pattern in passed_to):
        return True
    return one.limited("escalation", action)


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
