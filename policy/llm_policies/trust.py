"""Rules on trust: who may assume a role, who may use a resource, and for whom a service may do that."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from llm_policies import permissions
from llm_policies.actions import is_pattern
from llm_policies.conditions import is_named, split_arn
from llm_policies.confused_deputy import KEY, RESOURCE, TRUST, UNCONDITIONAL
from llm_policies.denies import is_denied
from llm_policies.documents import Document, Statement, each_document, each_statement, types
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, each_resource, of_type, refers
from llm_policies.values import State, Value, each

_REST_API: Final = "aws:apigateway/restApi:RestApi"
_REST_API_POLICY: Final = "aws:apigateway/restApiPolicy:RestApiPolicy"
_DOMAINS: Final = ("aws:elasticsearch/domain:Domain", "aws:opensearch/domain:Domain")
_DOMAIN_POLICIES: Final = ("aws:elasticsearch/domainPolicy:DomainPolicy", "aws:opensearch/domainPolicy:DomainPolicy")

# Anyone.


def _no_public_principal(resource: Resource, settings: Settings) -> Iterator[str]:
    if resource.type in permissions.TYPES:
        yield from permissions.public_permission(resource)
    elif resource.type not in _DOMAIN_POLICIES and not (resource.type in _DOMAINS and _guarded_domain(resource)):
        yield from each_document(resource, ("resource",), _public)


def _no_public_domain(resources: Sequence[Resource], settings: Settings) -> Found:
    """Check the policies that are resources of their own: what guards their domain stands in the domain."""

    def check(policy: Resource) -> Iterator[str]:
        domains = [one for one in of_type(resources, *_DOMAINS) if refers(policy, "domainName", one, "domainName", "id")]
        if domains and not any(_guarded_domain(one) for one in domains):
            yield from each_document(policy, ("resource",), _public)

    yield from each_resource(of_type(resources, *_DOMAIN_POLICIES), check)


def _public(document: Document) -> Iterator[str]:
    def check(one: Statement) -> Iterator[str]:
        if one.allows and _is_anyone(one) and not one.limited("caller") and not _denied_to_others(one, document):
            yield (
                f"{one.path}: lets anyone do {', '.join(one.texts('Action')[:3])}; name who may, or demand aws:SourceArn, "
                + ("aws:SourceVpce or aws:PrincipalOrgID")
            )

    yield from document.each_statement(check)


def _is_anyone(one: Statement) -> bool:
    return any(principal.text() == "*" for principal in one.principals("AWS"))


def _denied_to_others(one: Statement, document: Document) -> bool:
    """Whether the document denies the same to all but some callers, as in API Gateway's guide: Deny with NotIpAddress."""
    denies = [other for other in document.statements() if other.denies and _is_for_all_but_some(other)]
    given = one.texts("Action") or ["*"]
    resources = one.texts("Resource") or ["*"]
    return bool(denies) and all(
        is_denied(action, resource, denies, lambda condition: condition.excludes and condition.limits("caller"))
        for action in given
        for resource in resources
    )


def _is_for_all_but_some(deny: Statement) -> bool:
    """Whether a Deny is for anyone (whom its conditions spare is another question), or for all but named principals."""
    if deny.value["NotPrincipal"].missing:
        return _is_anyone(deny)
    excepted = deny.value["NotPrincipal"]
    named = [item for kind in excepted.entries().values() for item in kind.items()] or excepted.items()
    return all(not is_pattern(item.text()) for item in named)


def _guarded_domain(resource: Resource) -> bool:
    """Whether an OpenSearch domain is in a VPC or has fine-grained access control. Its guide then shows an open policy."""
    return bool(resource.at("vpcOptions.subnetIds").items()) or resource.at("advancedSecurityOptions.enabled").flag()


_PUBLIC_TYPES: Final = (
    # Of a REST API the methods' authorization decides, as it does without a policy; private ones have a rule of their own.
    *(token for token in types("resource") if token not in (_REST_API, _REST_API_POLICY)),
    *permissions.TYPES,
)

IAM_NO_PUBLIC_PRINCIPAL: Final = Rule(
    name="iam-no-public-principal",
    title="No resource's policy lets anyone in.",
    severity="critical",
    why='Principal "*" means every account of AWS, and for some services everybody on the internet: prompts, keys and '
    "queues are then anyone's who knows the name.",
    fix="Name accounts, roles or services, or keep `*` with a condition that says who: aws:PrincipalOrgID, aws:SourceArn, "
    "aws:SourceVpce, aws:SourceIp.",
    check=_no_public_principal,
    check_stack=_no_public_domain,
    types=_PUBLIC_TYPES,
    frameworks=("AWS FSBP Lambda.1", "AWS FSBP SNS.4", "AWS FSBP SQS.3"),
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html",
)


def _private_api_scoped(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    private = [
        resource
        for resource in resources
        if resource.type == _REST_API
        and (kinds := resource.at("endpointConfiguration.types")).state is not State.UNKNOWN
        and any(kind.equals("PRIVATE") for kind in kinds.items())
    ]
    ids = [resource["id"].data for resource in private if isinstance(resource["id"].data, str)]
    for resource in resources:
        is_private = resource in private or (
            resource.type == _REST_API_POLICY
            and (
                any(api in private for api in resource.dependencies.get("restApiId", ()))
                or resource["restApiId"].known_text in ids
            )
        )
        if is_private:
            for problem in each_document(resource, ("resource",), _public):
                yield resource, problem


APIGATEWAY_PRIVATE_API_SCOPED: Final = Rule(
    name="apigateway-private-api-scoped",
    title="A private API's policy says which VPC endpoints reach it.",
    severity="high",
    why="A private API is reached from any VPC endpoint of any account that its policy lets in: an open policy makes it "
    "private in name only.",
    fix="Demand aws:SourceVpce (or aws:SourceVpc) in the API's policy, or deny all others with StringNotEquals.",
    check_stack=_private_api_scoped,
    types=(_REST_API, _REST_API_POLICY),
    url="https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-api-create.html",
)


# Services.


def _service_principal_scoped(resource: Resource, settings: Settings) -> Iterator[str]:
    is_key = resource.type.startswith("aws:kms/")

    def check(one: Statement) -> Iterator[str]:
        if not one.allows or one.limited("source"):
            return
        table = TRUST if one.document.kind == "trust" else KEY if is_key else RESOURCE

        def service(item: Value) -> Iterator[str]:
            name = _service(item.text())
            known = name in table or name in settings["additional_services"]
            if known and name not in settings["accepted_services"] and resource.type not in UNCONDITIONAL.get(name, ()):
                page = f" ({table[name]})" if name in table else ""
                yield f"{one.path}: {item.text()} may act for anyone; demand aws:SourceAccount or aws:SourceArn{page}"

        yield from each(one.principals("Service"), service)

    yield from each_statement(resource, ("trust", "resource"), check)


def _service(principal: str) -> str:
    """A service principal's name without the domain and the region: `logs.us-east-1.amazonaws.com` → `logs`."""
    return re.sub(r"(\.[a-z]{2}(-[a-z]+)+-\d)?\.amazonaws\.com(\.cn)?$", "", principal)


IAM_SERVICE_PRINCIPAL_SCOPED: Final = Rule(
    name="iam-service-principal-scoped",
    title="A service that acts for others says for whom.",
    severity="medium",
    why="A service acts for all its customers: without aws:SourceAccount or aws:SourceArn, somebody else's job, topic or rule "
    "can use your role or write to your bucket through it (the confused deputy).",
    fix='Add {"StringEquals": {"aws:SourceAccount": account}}, or ArnLike with the ARN of what uses it, to the statement.',
    check=_service_principal_scoped,
    types=types("trust", "resource"),
    settings={
        "accepted_services": Setting([], STRINGS, "Services (such as `states`) that need no condition here."),
        "additional_services": Setting([], STRINGS, "More services (such as `ecs-tasks`) that must have the condition."),
    },
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
)


def _permission_source(resource: Resource, settings: Settings) -> Iterator[str]:
    principal = resource["principal"].text()
    if (
        not principal.endswith((".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"))
        or resource["sourceAccount"].text()
        or resource["principalOrgId"].text()
    ):
        return
    source = resource["sourceArn"].text()
    parts = source.split(":", 5)
    if not source:
        if not resource["eventSourceToken"].text():
            yield f"sourceArn: missing, so that {principal} may invoke for anyone; give the caller's ARN or sourceAccount"
    elif len(parts) < 6 or is_pattern(parts[4]):
        yield f"sourceArn: {source} is of any account; name the account, or give sourceAccount"
    elif parts[2] == "s3" and not parts[4]:
        # A bucket's name is free for another account once the bucket is deleted.
        yield f"sourceAccount: missing, and {source} names no account; give the bucket's account"


LAMBDA_PERMISSION_SOURCE: Final = Rule(
    name="lambda-permission-source",
    title="A service invokes a function only for a named source.",
    severity="high",
    why="Without a source, anyone's API, bucket or rule can invoke the function through the service.",
    fix="Set `source_arn` to the ARN of the API, rule, topic or bucket; for a bucket, `source_account` too.",
    check=_permission_source,
    types=(permissions.LAMBDA,),
    frameworks=("AWS FSBP Lambda.1",),
    url="https://docs.aws.amazon.com/lambda/latest/dg/permissions-function-services.html",
)


# Roles.

_GITHUB: Final = "token.actions.githubusercontent.com"
# These give the application in a key of their own, and have no account's provider.
_SOCIAL: Final[Mapping[str, str]] = {
    "accounts.google.com": "aud",
    "cognito-identity.amazonaws.com": "aud",
    "graph.facebook.com": "app_id",
    "www.amazon.com": "app_id",
}


def _trust_limited(resource: Resource, settings: Settings) -> Iterator[str]:
    """Judge all principals but whole accounts, of which only the stack shows whether one is its own."""

    def check(one: Statement) -> Iterator[str]:
        if one.allows:
            yield from each(one.principals("AWS"), lambda item: _anyone(one, item))
            yield from each(one.principals("Federated"), lambda item: _federated(one, item))

    yield from each_statement(resource, ("trust",), check)


def _anyone(one: Statement, item: Value) -> Iterator[str]:
    if item.text() == "*" and not one.limited("caller"):
        yield f"{one.path}: anyone may take the role; name who may, or demand aws:PrincipalOrgID or aws:PrincipalArn"


def _accounts_trusted(resources: Sequence[Resource], settings: Settings) -> Found:
    trusted = {str(account) for account in settings["trusted_accounts"]}.union(*map(_own_accounts, resources))

    def check(resource: Resource) -> Iterator[str]:
        def of_statement(one: Statement) -> Iterator[str]:
            if one.allows and not one.limited("part of account"):
                yield from each(one.principals("AWS"), lambda item: account(one, item))

        def account(one: Statement, item: Value) -> Iterator[str]:
            whole = re.fullmatch(r"(?:arn:[a-z-]+:iam::)?(\d{12})(?::root)?", item.text())
            if whole and whole[1] not in trusted:
                resource["arn"].text()  # it tells which account is the stack's own
                yield (
                    f"{one.path}: all of account {whole[1]} may take the role; name a role of it, demand sts:ExternalId, or "
                    "list the account in trusted_accounts"
                )

        yield from each_statement(resource, ("trust",), of_statement)

    yield from each_resource(resources, check)


def _own_accounts(role: Resource) -> Iterator[str]:
    """The account that a role is in, as its own ARN tells it, or that of its policies, which are in no other."""
    for value in (role["arn"], role["permissionsBoundary"]):
        parts = split_arn(value.data) if isinstance(value.data, str) else None
        if parts is not None and parts[4].isdigit():
            yield parts[4]


def _federated(one: Statement, item: Value) -> Iterator[str]:
    provider = item.text()
    if ":saml-provider/" in provider:
        if not one.demands("saml:aud"):
            yield f"{one.path}: a SAML provider without a condition on SAML:aud; demand https://signin.aws.amazon.com/saml"
        return
    if provider in _SOCIAL:
        key = f"{provider}:{_SOCIAL[provider]}"
        if not one.demands(key.lower()):
            yield f"{one.path}: {provider} without a condition on {key}: every application's users may take the role"
        return
    if ":oidc-provider/" not in provider:
        return
    host = provider.partition(":oidc-provider/")[2]
    if host == _GITHUB and not one.demands(f"{host}:aud"):
        yield f"{one.path}: {host} without a condition on {host}:aud; demand sts.amazonaws.com"
    key = f"{host}:sub".lower()
    if one.demands(key, lambda subject: not _is_any_subject(subject)):
        return
    subjects = one.demanded(key)
    # Some providers put what a subject would say into a claim of its own: then that one is the condition.
    if subjects is None and (host == _GITHUB or not _other_claim(one, host)):
        yield f"{one.path}: {host} without a condition on {host}:sub: everyone it knows may take the role; name the subject"
    for subject in subjects or ():
        if _is_any_subject(subject):
            yield f"{one.path}: {host}:sub may be {subject}, which is anyone; name the repository or the service account"


def _other_claim(one: Statement, host: str) -> bool:
    return any(
        condition.demands and condition.key[-4:] != ":aud" and all(is_named(value) for value in condition.values)
        for condition in one.conditions(f"{host}:*".lower())
    )


def _is_any_subject(subject: str) -> bool:
    """Whether a subject is not specific: `*`, `repo:*`, `repo:*/app:*`, `system:serviceaccount:*:*`."""
    if not is_pattern(subject):
        return False
    kind, _, rest = subject.rpartition("serviceaccount:") if "serviceaccount:" in subject else subject.partition(":")
    owner = re.split("[:/]", rest)[0]
    if kind == "repo":  # `repo:acme*` is also acme-but-not-you
        return is_pattern(owner) or not owner
    return kind.strip("*?") == "" or owner.strip("*?") == ""


IAM_TRUST_LIMITED: Final = Rule(
    name="iam-trust-limited",
    title="A role trusts named principals, and of an identity provider named subjects.",
    severity="critical",
    why="Whoever may take a role has all that it allows. A trust in `*`, or in all of GitHub's repositories, is a trust in "
    "everybody.",
    fix="Name roles as principals; of another account's root demand sts:ExternalId; of OpenID Connect demand `aud` and a `sub` "
    "that names the repository or service account; of SAML demand SAML:aud.",
    check=_trust_limited,
    check_stack=_accounts_trusted,
    types=types("trust"),
    settings={
        "trusted_accounts": Setting(
            [], STRINGS, "Accounts that may be trusted as a whole. The stack's own is known from its roles' ARNs."
        )
    },
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html",
)


RULES: Final[tuple[Rule, ...]] = (
    IAM_NO_PUBLIC_PRINCIPAL,
    APIGATEWAY_PRIVATE_API_SCOPED,
    IAM_SERVICE_PRINCIPAL_SCOPED,
    LAMBDA_PERMISSION_SOURCE,
    IAM_TRUST_LIMITED,
)
