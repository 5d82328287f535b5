"""Rules on what is attached to roles, users and groups: AWS's own policies, boundaries, and long-lived credentials."""

from collections.abc import Iterator, Sequence
from typing import Final

from llm_policies.aws_policies import is_broad_policy, name_of
from llm_policies.boundaries import ATTACHING, LIMITED, POLICY, ROLE, is_boundary, limits, refers
from llm_policies.documents import BOUNDARIES, Statement, each_statement, types
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, each_resource, of_type
from llm_policies.values import State, Value, each

# Managed policies.


def _administrator_policies(resource: Resource, settings: Settings) -> Iterator[str]:
    def check(item: Value) -> Iterator[str]:
        name = name_of(item.text())
        if is_broad_policy(item.text()) and name not in settings["accepted_policies"]:
            yield f"{item.path}: AWS's {name} allows more than a workload needs; write a policy of what is used"

    yield from each(resource[ATTACHING[resource.type]].items(), check)


def _no_administrator_policy(resource: Resource, settings: Settings) -> Iterator[str]:
    """Judge what no boundary can limit: a group, or a role without one."""
    if resource.type.startswith("aws:iam/group") or (resource.type == ROLE and resource["permissionsBoundary"].data is None):
        yield from _administrator_policies(resource, settings)


def _no_administrator_policy_unlimited(resources: Sequence[Resource], settings: Settings) -> Found:
    def check(resource: Resource) -> Iterator[str]:
        boundaries = limits(resource, resources)
        if boundaries is None or any(limits_nothing(boundary) for boundary in boundaries):
            yield from _administrator_policies(resource, settings)

    attaching = [one for one in of_type(resources, *ATTACHING) if not one.type.startswith("aws:iam/group")]
    yield from each_resource((one for one in attaching if one.type != ROLE or one["permissionsBoundary"].data), check)


IAM_NO_ADMINISTRATOR_POLICY: Final = Rule(
    name="iam-no-administrator-policy",
    title="No administrator's policy and no FullAccess policy of AWS is attached.",
    severity="critical",
    why="AdministratorAccess, PowerUserAccess and the FullAccess policies are made to try a service out: they reach every "
    "resource of the account, and some of them pass any role.",
    fix="Attach a policy of the actions and resources that are used. People get theirs through IAM Identity Center.",
    check=_no_administrator_policy,
    check_stack=_no_administrator_policy_unlimited,
    types=(*ATTACHING, *LIMITED, POLICY),
    settings={"accepted_policies": Setting([], STRINGS, "Names of AWS's policies that are accepted all the same.")},
    frameworks=("AWS FSBP IAM.1", "CIS AWS 3.0 1.16"),
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
)


def limits_nothing(policy: Resource) -> bool:
    """Whether a managed policy allows everything and denies nothing."""

    def everything(one: Statement) -> Iterator[str]:
        if one.allows and "*" in one.texts("Action") and "*" in one.texts("Resource") and one.value["Condition"].missing:
            yield one.path

    def anything_denied(one: Statement) -> Iterator[str]:
        if one.denies:
            yield one.path

    return any(each_statement(policy, ("identity",), everything)) and not any(
        each_statement(policy, ("identity",), anything_denied)
    )


def _boundary_limits(resources: Sequence[Resource], settings: Settings) -> Found:
    policies = of_type(resources, POLICY)

    def check(resource: Resource) -> Iterator[str]:
        if resource.type == POLICY and is_boundary(resource, resources, settings) and limits_nothing(resource):
            yield "as a permissions boundary it allows everything and denies nothing: it limits nobody; allow what is used"
        boundary = resource["permissionsBoundary"]
        if resource.type in LIMITED and name_of(str(boundary.data)).startswith("AdministratorAccess"):
            yield f"{boundary.path}: AWS's {name_of(boundary.text())} as a permissions boundary limits nothing"
        key = ATTACHING.get(resource.type, "")
        for policy in policies if key and resource[key].data is not None else ():
            named = [resource[key]] if resource[key].state is State.UNKNOWN else resource[key].items()
            if any(refers(resource, key, one, policy) for one in named) and is_boundary(policy, resources, settings):
                yield f"{key}: {policy.name} is a permissions boundary, and gives rights where it is attached"

    yield from each_resource(resources, check)


IAM_BOUNDARY_NOT_ATTACHED: Final = Rule(
    name="iam-boundary-not-attached",
    title="A permissions boundary limits, and is not attached as a policy.",
    severity="high",
    why="A boundary is wide by its nature and the other rules let it be: attached as a policy, it gives what it should limit, "
    "and one that allows everything limits nothing.",
    fix="Give it as `permissions_boundary` of the role or user alone, and let it allow what is used, or deny what must not be.",
    check_stack=_boundary_limits,
    types=(*ATTACHING, *LIMITED, POLICY, *types("identity")),
    settings={"boundaries": BOUNDARIES},
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
)


# Credentials that stay.


def _no_long_lived_credentials(resource: Resource, settings: Settings) -> Iterator[str]:
    if resource.type.endswith(":UserLoginProfile"):
        user = resource["user"].data
        yield f"a console password{f' of {user}' if isinstance(user, str) else ''}; sign in through IAM Identity Center"
    elif not resource["status"].equals("Inactive"):
        if resource.type.endswith(":AccessKey"):
            yield "an access key, which never expires and stands in Pulumi's state; give the workload a role"
        elif not 0 < resource["credentialAgeDays"].number() <= settings["credential_age_days"]:
            yield f"credentialAgeDays: the credential must expire, within {settings['credential_age_days']} days"


IAM_NO_LONG_LIVED_CREDENTIALS: Final = Rule(
    name="iam-no-long-lived-credentials",
    title="No access key, console password or service credential that does not expire.",
    severity="high",
    why="A key that never expires works for whoever finds it, years later too; most break-ins into accounts begin with one.",
    fix="Give workloads a role, continuous integration an OpenID Connect provider, and people IAM Identity Center; for "
    "Bedrock's API keys set `credential_age_days`.",
    check=_no_long_lived_credentials,
    types=(
        "aws:iam/accessKey:AccessKey",
        "aws:iam/serviceSpecificCredential:ServiceSpecificCredential",
        "aws:iam/userLoginProfile:UserLoginProfile",
    ),
    settings={
        "credential_age_days": Setting(
            30, {"type": "integer", "minimum": 1}, "How many days a service's credential (such as Bedrock's API key) may live."
        )
    },
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#lock-away-credentials",
)
