"""Rules on what is attached to roles, users and groups: AWS's own policies, boundaries, and long-lived credentials."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from llm_policies.aws_policies import is_broad_policy, name_of
from llm_policies.documents import BOUNDARIES, is_boundary
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.values import Value, each

# Managed policies.

_ATTACHING: Final[Mapping[str, str]] = {
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment": "policyArn",
    "aws:iam/groupPolicyAttachmentsExclusive:GroupPolicyAttachmentsExclusive": "policyArns",
    "aws:iam/policyAttachment:PolicyAttachment": "policyArn",
    "aws:iam/role:Role": "managedPolicyArns",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "policyArn",
    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive": "policyArns",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment": "policyArn",
    "aws:iam/userPolicyAttachmentsExclusive:UserPolicyAttachmentsExclusive": "policyArns",
}


def _no_administrator_policy(resource: Resource, settings: Settings) -> Iterator[str]:
    def check(item: Value) -> Iterator[str]:
        name = name_of(item.text())
        if is_broad_policy(item.text()) and name not in settings["accepted_policies"]:
            yield f"{item.path}: AWS's {name} allows more than a workload needs; write a policy of what is used"

    yield from each(resource[_ATTACHING[resource.type]].items(), check)


IAM_NO_ADMINISTRATOR_POLICY: Final = Rule(
    name="iam-no-administrator-policy",
    title="No administrator's policy and no FullAccess policy of AWS is attached.",
    severity="critical",
    why="AdministratorAccess, PowerUserAccess and the FullAccess policies are made to try a service out: they reach every "
    "resource of the account, and some of them pass any role.",
    fix="Attach a policy of the actions and resources that are used. People get theirs through IAM Identity Center.",
    check=_no_administrator_policy,
    types=tuple(_ATTACHING),
    settings={"accepted_policies": Setting([], STRINGS, "Names of AWS's policies that are accepted all the same.")},
    frameworks=("AWS FSBP IAM.1", "CIS AWS 3.0 1.16"),
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
)


def _boundary_not_attached(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    for resource in resources:
        key = _ATTACHING.get(resource.type, "")
        for policy in resource.dependencies.get(key, ()) if key else ():
            if is_boundary(policy, settings):
                yield (
                    resource,
                    f"{key}: {policy.name} is a permissions boundary by its name, and gives rights where it is attached",
                )


IAM_BOUNDARY_NOT_ATTACHED: Final = Rule(
    name="iam-boundary-not-attached",
    title="A permissions boundary is not attached as a policy.",
    severity="high",
    why="A boundary is wide by its nature and the other rules let it be; attached as a policy, it gives what it should limit.",
    fix="Give it as `permissions_boundary` of the role or user, or name the policy so that it is judged as one.",
    check_stack=_boundary_not_attached,
    types=(*_ATTACHING, "aws:iam/policy:Policy"),
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
