"""Permissions boundaries: which managed policies are used as one, and whom they limit.

A boundary allows nothing, it limits: the rules on what identities may do let it be. What makes a policy one is its use as
`permissions_boundary`, which only the stack's resources together show. So a rule on identities' documents judges all but
managed policies by themselves, before they are made (`alone`), and managed policies with the stack (`in_stack`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, cast

from llm_policies.aws_policies import name_of
from llm_policies.documents import BOUNDARIES, Statement, each_statement
from llm_policies.rule import Resource, Settings
from llm_policies.stacks import Found, each_resource, of_type, same
from llm_policies.values import State, Value, each

Check = Callable[[Resource, Settings], Iterator[str]]

POLICY: Final = "aws:iam/policy:Policy"
ROLE: Final = "aws:iam/role:Role"
USER: Final = "aws:iam/user:User"
_PERMISSION_SET: Final = "aws:ssoadmin/permissionsBoundaryAttachment:PermissionsBoundaryAttachment"
LIMITED: Final = (ROLE, USER, _PERMISSION_SET)
"""The types that have a permissions boundary, or give one."""

ATTACHING: Final[Mapping[str, str]] = {
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": "policyArn",
    "aws:iam/groupPolicyAttachmentsExclusive:GroupPolicyAttachmentsExclusive": "policyArns",
    "aws:iam/policyAttachment:PolicyAttachment": "policyArn",
    "aws:iam/role:Role": "managedPolicyArns",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "policyArn",
    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive": "policyArns",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": "policyArn",
    "aws:iam/userPolicyAttachmentsExclusive:UserPolicyAttachmentsExclusive": "policyArns",
}
"""The types that attach managed policies, and the property with their ARNs."""

# By the type of what gives rights to a role or user: the properties that name them, and the type that each names.
_HOLDERS: Final[Mapping[str, Mapping[str, str]]] = {
    "aws:iam/policyAttachment:PolicyAttachment": {"roles": ROLE, "users": USER},
    "aws:iam/rolePolicy:RolePolicy": {"role": ROLE},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {"role": ROLE},
    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive": {"roleName": ROLE},
    "aws:iam/userPolicy:UserPolicy": {"user": USER},
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": {"user": USER},
    "aws:iam/userPolicyAttachmentsExclusive:UserPolicyAttachmentsExclusive": {"userName": USER},
}


def alone(check: Check) -> Check:
    """The part of a rule that judges each resource by itself: all but managed policies."""

    def judged(resource: Resource, settings: Settings) -> Iterator[str]:
        if resource.type != POLICY:
            yield from check(resource, settings)

    return judged


def in_stack(check: Check) -> Callable[[Sequence[Resource], Settings], Found]:
    """The part of a rule that judges managed policies, but for those that are boundaries."""

    def judged(resources: Sequence[Resource], settings: Settings) -> Found:
        def of_policy(policy: Resource) -> Iterator[str]:
            if not is_boundary(policy, resources, settings):
                yield from check(policy, settings)

        yield from each_resource(of_type(resources, POLICY), of_policy)

    return judged


# Boundaries.


def is_boundary(policy: Resource, resources: Sequence[Resource], settings: Settings) -> bool:
    """Whether a managed policy is a permissions boundary: of a role or user, or one that a policy demands for new ones."""
    patterns = cast("Sequence[str]", settings.get("boundaries", BOUNDARIES.default))
    if any(fnmatchcase(policy.name.lower(), pattern.lower()) for pattern in patterns):
        return True
    if any(policy in _boundaries_of(holder, [policy]) for holder in of_type(resources, *LIMITED)):
        return True
    return any(each(resources, lambda one: _demands(one, policy)))


def grants(policy: Resource, resources: Sequence[Resource], settings: Settings) -> bool:
    """Whether a managed policy gives rights: it is no boundary, or is attached as a policy, too."""
    return not is_boundary(policy, resources, settings) or bool(_attachments(policy, resources))


def _attachments(policy: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """The resources that attach a managed policy."""
    return [
        one
        for one in resources
        if (key := ATTACHING.get(one.type))
        and one[key].state is not State.MISSING
        and any(refers(one, key, value, policy) for value in _items(one[key]))
    ]


def _demands(resource: Resource, policy: Resource) -> Iterator[str]:
    """Yield where a resource's document demands a policy as the boundary of the roles that it lets make."""

    def check(one: Statement) -> Iterator[str]:
        for condition in one.conditions("iam:permissionsboundary"):
            if any(_is_name_of(value, policy) for value in condition.values):
                yield one.path

    came_from = any(same(source, policy) for sources in resource.dependencies.values() for source in sources)
    if came_from or "iam:permissionsboundary" in str(resource.properties.data).lower():
        yield from each_statement(resource, ("identity",), check)


def _boundary(holder: Resource) -> Value:
    """The value that names a role's or user's boundary."""
    value = holder["permissionsBoundary"]
    if holder.type != _PERMISSION_SET or value.state is not State.KNOWN:
        return value
    arn = value["managedPolicyArn"]
    return value.at("customerManagedPolicyReference.name") if arn.data is None else arn


def _boundaries_of(holder: Resource, policies: Sequence[Resource]) -> list[Resource]:
    """Those of the stack's managed policies that are the boundary of a role or user: one, or none."""
    return [policy for policy in policies if refers(holder, "permissionsBoundary", _boundary(holder), policy)]


def refers(resource: Resource, name: str, value: Value, policy: Resource) -> bool:
    """Whether a property names a managed policy of the stack. One that is not known, and came from no policy, names none."""
    sources = of_type(resource.dependencies.get(name, ()), POLICY)
    if sources:
        return any(same(source, policy) for source in sources)
    return value.state is State.KNOWN and _is_name_of(value.text(), policy)


def _is_name_of(arn: str, policy: Resource) -> bool:
    """Whether an ARN, or a name, is that of a managed policy of the stack."""
    own = policy["name"]
    known = own.text() if own.state is State.KNOWN else policy.name
    return arn == policy["arn"].data or (":aws:policy/" not in arn and arn.rpartition("/")[2] == known)


# Whom a boundary limits.


def limits(resource: Resource, resources: Sequence[Resource]) -> list[Resource] | None:
    """The stack's managed policies that bound all whom a resource gives rights to; None if somebody has no boundary.

    A boundary that is not of this stack is not among them: nothing is known of it, but that somebody has set it. AWS's
    AdministratorAccess bounds nothing.
    """
    found: list[Resource] = []
    who = holders(resource, resources)
    for holder in who or ():
        value = _boundary(holder)
        if value.data in (None, "") or (value.state is State.KNOWN and name_of(value.text()).startswith("AdministratorAccess")):
            return None
        found += _boundaries_of(holder, of_type(resources, POLICY))
    return found if who else None


def holders(resource: Resource, resources: Sequence[Resource]) -> list[Resource] | None:
    """The roles and users that a resource gives rights to; None if one of them is not a resource of the stack, or a group."""
    if resource.type == ROLE:
        return [resource]
    if resource.type == POLICY:
        attachments = _attachments(resource, resources)
        held = [holders(one, resources) for one in attachments]
        return None if any(one is None for one in held) else [holder for one in held for holder in one or ()]
    if resource.type not in _HOLDERS or resource["groups"].data:
        return None
    found: list[Resource] = []
    for key, kind in _HOLDERS[resource.type].items():
        if resource[key].state is State.MISSING:
            continue
        sources = of_type(resource.dependencies.get(key, ()), kind)
        named = [value.data for value in _items(resource[key]) if isinstance(value.data, str)]
        here = sources or [
            one
            for one in of_type(resources, kind)
            if any(name in (one["name"].data, one["id"].data, one.name) for name in named)
        ]
        if not here:
            return None
        found += here
    return found


def _items(value: Value) -> list[Value]:
    """The items of a list, or the value itself if it is not known."""
    return [value] if value.state is State.UNKNOWN else value.items()
