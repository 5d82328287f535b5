"""Rules on doors that are no method, route or port: keys in clients, guests, shares, public endpoints of managed services."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from llm_policies import bedrock, networks
from llm_policies.boundaries import LIMITED
from llm_policies.rule import AWS_DOCS, Resource, Rule, Settings
from llm_policies.stacks import Found, each_resource, of_type, refers
from llm_policies.values import State, Value, each, each_at, some

# AppSync

_GRAPHQL: Final = "aws:appsync/graphQLApi:GraphQLApi"
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    _GRAPHQL: ("authenticationType", "additionalAuthenticationProviders[].authenticationType"),
    "aws:appsync/api:Api": (
        "eventConfig.connectionAuthModes[].authType",
        "eventConfig.defaultPublishAuthModes[].authType",
        "eventConfig.defaultSubscribeAuthModes[].authType",
    ),
    "aws:appsync/channelNamespace:ChannelNamespace": ("publishAuthModes[].authType", "subscribeAuthModes[].authType"),
}


def _appsync_authorized(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _GRAPHQL and resource["visibility"].equals("PRIVATE"):
        return  # only a VPC endpoint reaches it

    def by_key(kind: Value) -> Iterator[str]:
        if kind.equals("API_KEY"):
            yield f"{kind.path} is API_KEY: one key for all, which every client shows; ask for IAM, Cognito, OIDC or a function"

    yield from each_at(resource.properties, ((path, by_key) for path in _KEYS[resource.type]))


# Cognito

_POOL: Final = "aws:cognito/userPool:UserPool"
_PROVIDER: Final = "aws:cognito/identityProvider:IdentityProvider"
_SOCIAL: Final = ("Facebook", "Google", "LoginWithAmazon", "SignInWithApple")
_IDENTITIES: Final = "aws:cognito/identityPool:IdentityPool"


def _no_strangers(resources: Sequence[Resource], _: Settings) -> Found:
    def check(resource: Resource) -> Iterator[str]:
        if resource.type == _IDENTITIES:
            if resource["allowUnauthenticatedIdentities"].flag():
                yield "allowUnauthenticatedIdentities is true: anyone who knows the pool's id gets credentials of AWS"
            return
        if resource.type == _PROVIDER:
            decided = any(pool.at("lambdaConfig.preSignUp").data for pool in of_type(resources, _POOL))
            kind = resource["providerType"].text()
            if kind in _SOCIAL and not decided and bedrock.any_calls_models(resources, {}):
                yield f"providerType is {kind}: whoever has an account there is a user, in a stack that calls models"
            return
        closed = resource.at("adminCreateUserConfig.allowAdminCreateUserOnly")
        # A function that is asked before each registration decides who may.
        if closed.flag() or resource.at("lambdaConfig.preSignUp").data:
            return
        if closed.equals(False, "false"):
            yield "adminCreateUserConfig.allowAdminCreateUserOnly is false: anyone with a mail address makes himself a user"
        elif bedrock.any_calls_models(resources, {}):
            yield (
                "adminCreateUserConfig.allowAdminCreateUserOnly is not true: anyone with a mail address makes himself a user, "
                "in a stack that calls models"
            )

    yield from each_resource(of_type(resources, _POOL, _IDENTITIES, _PROVIDER), check)


# OpenSearch Serverless

_NETWORK: Final = "aws:opensearch/serverlessSecurityPolicy:ServerlessSecurityPolicy"
_ACCESS: Final = "aws:opensearch/serverlessAccessPolicy:ServerlessAccessPolicy"


def _serverless_private(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _NETWORK and not resource["type"].equals("network"):
        return
    try:
        data: Any = json.loads(resource["policy"].text() or "[]")
    except ValueError:
        return

    def part(one: Value) -> Iterator[str]:
        if resource.type == _NETWORK and one["AllowFromPublic"].flag():
            yield f"{one.path}.AllowFromPublic is true: the collection answers the internet; name SourceVPCEs or SourceServices"
        if resource.type == _ACCESS:
            yield from each(one["Principal"].items(), _wide_principal)
            yield from each(one.all_at("Rules[].Resource[]"), _wide_resource)

    yield from each(Value(data, "policy").items(), part)


def _wide_principal(principal: Value) -> Iterator[str]:
    text = principal.text()
    parts = text.split(":", 5)
    if text == "*" or (text.startswith("arn:") and (len(parts) < 6 or "*" in parts[4])):
        yield f"{principal.path} is {text}: the data are anyone's; name roles or users"


def _wide_resource(resource: Value) -> Iterator[str]:
    if resource.text() in ("index/*/*", "index/*", "collection/*"):
        yield f"{resource.path} is {resource.text()}: the data of every collection; name the collection"


# App Runner


def _app_runner_private(service: Resource, _: Settings) -> Iterator[str]:
    if service.at("networkConfiguration.ingressConfiguration.isPubliclyAccessible").flag(default=True):
        yield (
            "networkConfiguration.ingressConfiguration.isPubliclyAccessible is not false: the service answers the internet, "
            "and App Runner asks nobody who he is"
        )


# VPC Lattice

_LATTICE: Final = "aws:vpclattice/service:Service"
_LATTICE_NETWORK: Final = "aws:vpclattice/serviceNetwork:ServiceNetwork"
_JOINED: Final = "aws:vpclattice/serviceNetworkServiceAssociation:ServiceNetworkServiceAssociation"


def _lattice_authorized(resources: Sequence[Resource], _: Settings) -> Found:
    def asks(holder: Resource) -> bool:
        return holder["authType"].equals("AWS_IAM")

    def check(service: Resource) -> Iterator[str]:
        joined = [one for one in of_type(resources, _JOINED) if refers(one, "serviceIdentifier", service, "id", "arn")]
        networks = [
            [net for net in of_type(resources, _LATTICE_NETWORK) if refers(one, "serviceNetworkIdentifier", net, "id", "arn")]
            for one in joined
        ]
        if not asks(service) and not (networks and all(any(map(asks, several)) for several in networks)):
            yield (
                "authType is not AWS_IAM, of the service or of each of its networks: whatever runs in the networks that are "
                "joined may call it"
            )

    yield from each_resource(of_type(resources, _LATTICE), check)


# SageMaker

_NOTEBOOK: Final = "aws:sagemaker/notebookInstance:NotebookInstance"
_STUDIO: Final = "aws:sagemaker/domain:Domain"


def _notebooks_private(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _NOTEBOOK:
        if not resource["directInternetAccess"].equals("Disabled"):
            yield "directInternetAccess is not Disabled: SageMaker's own network carries what it reads out, past yours"
    elif not resource["appNetworkAccessType"].equals("VpcOnly"):
        yield "appNetworkAccessType is not VpcOnly: SageMaker's own network carries what notebooks read out, past yours"


# AgentCore

_AGENTS: Final = (
    "aws:bedrock/agentcoreGateway:AgentcoreGateway",
    "aws:bedrock/agentcoreRegistry:AgentcoreRegistry",
    "aws:bedrock/agentcoreAgentRuntime:AgentcoreAgentRuntime",
    "aws:bedrock/agentcoreHarness:AgentcoreHarness",
)
_NARROWS_A_TOKEN: Final = ("allowedAudiences", "allowedClients", "allowedScopes", "customClaims")


def _agents_authorized(resource: Resource, _: Settings) -> Iterator[str]:
    if resource["authorizerType"].equals("NONE"):
        yield "authorizerType is NONE: anyone may call the tools behind it; ask for CUSTOM_JWT or AWS_IAM"
    token = resource.at("authorizerConfiguration.customJwtAuthorizer")
    if not token.missing and not any(_is_given(token[name]) for name in _NARROWS_A_TOKEN):
        yield f"{token.path}: any token of the issuer is taken, also another application's; name allowed audiences or clients"


def _is_given(value: Value) -> bool:
    return value.state is State.UNKNOWN or bool(value.items())


# Kubernetes

_ANNOTATION: Final = "service.beta.kubernetes.io/aws-load-balancer-"
_RELEASE: Final = "kubernetes:helm.sh/v3:Release"
_CONTROLLER_CLASSES: Final = ("service.k8s.aws/nlb", "eks.amazonaws.com/nlb")


def _service_internal(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _RELEASE:  # charts have what becomes a service under this name, with its annotations
        yield from each(_services(resource["values"]), lambda held: _internal(held, held["annotations"]))
    else:
        yield from _internal(resource["spec"], resource.at("metadata.annotations"))


def _services(values: Value) -> Iterator[Value]:
    for name, held in values.entries().items():
        if name.lower().endswith("service"):
            yield held
        if isinstance(held.data, Mapping):
            yield from _services(held)


def _internal(spec: Value, annotations: Value) -> Iterator[str]:
    if not spec["type"].equals("LoadBalancer"):
        return
    scheme = annotations[f"{_ANNOTATION}scheme"].text()
    if scheme == "internal" or annotations[f"{_ANNOTATION}internal"].text().lower() in ("true", "0.0.0.0/0"):
        return
    # https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/nlb/: the controller's are internal
    # by themselves, Kubernetes' own are not.
    ours = spec["loadBalancerClass"].equals(*_CONTROLLER_CLASSES) or annotations[f"{_ANNOTATION}type"].equals(
        "external", "nlb-ip"
    )
    if ours and not scheme:
        return
    ranges = [*spec["loadBalancerSourceRanges"].items()]
    listed = annotations["service.beta.kubernetes.io/load-balancer-source-ranges"].text()
    cidrs = [item.text() for item in ranges] or [part.strip() for part in listed.split(",") if part.strip()]
    if not cidrs or any(networks.is_everywhere(cidr) for cidr in cidrs):
        what = f"is {scheme}" if scheme else "is missing, which is internet-facing"
        yield (
            f"{spec.path}.type is LoadBalancer, and the annotation {_ANNOTATION}scheme {what}: the pods answer the internet; "
            "write internal, or name networks in loadBalancerSourceRanges"
        )


# Shares

_SHARE: Final = "aws:ram/resourceShare:ResourceShare"
_SHARED_WITH: Final = "aws:ram/principalAssociation:PrincipalAssociation"
_SERVICE_SETTING: Final = "aws:ssm/serviceSetting:ServiceSetting"
_DOCUMENTS: Final = "/ssm/documents/console/public-sharing-permission"
_PUBLIC_VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    "aws:ec2/amiLaunchPermission:AmiLaunchPermission": {"group": "all"},
    "aws:rds/snapshot:Snapshot": {"sharedAccounts[]": "all"},
    "aws:rds/snapshotCopy:SnapshotCopy": {"sharedAccounts[]": "all"},
    "aws:rds/clusterSnapshot:ClusterSnapshot": {"sharedAccounts[]": "all"},
    "aws:rds/clusterSnapshotCopy:ClusterSnapshotCopy": {"sharedAccounts[]": "all"},
    "aws:imagebuilder/distributionConfiguration:DistributionConfiguration": {
        "distributions[].amiDistributionConfiguration.launchPermission.userGroups[]": "all"
    },
    "aws:ssm/document:Document": {"permissions.account_ids": "all", "permissions.accountIds": "all"},
    "aws:codebuild/project:Project": {"projectVisibility": "public_read"},
    "aws:ec2/imageBlockPublicAccess:ImageBlockPublicAccess": {"state": "unblocked"},
    "aws:ebs/snapshotBlockPublicAccess:SnapshotBlockPublicAccess": {"state": "unblocked"},
}


def _not_shared_with_anyone(resources: Sequence[Resource], _: Settings) -> Found:
    def check(resource: Resource) -> Iterator[str]:
        if resource.type == _SHARE:
            yield from _open_share(resource, resources)
            return
        if resource.type == _SERVICE_SETTING:
            if resource["settingId"].text().endswith(_DOCUMENTS) and resource["settingValue"].text().lower() == "enable":
                yield "settingValue is Enable: documents of the account may be shared with every account of AWS"
            return

        def public(value: Value, word: str) -> Iterator[str]:
            if word in [part.strip().lower() for part in value.text().split(",")]:
                yield f"{value.path} is {value.text()}: every account of AWS may have it; name accounts, or your organization"

        for path, word in _PUBLIC_VALUES[resource.type].items():
            yield from each(resource.properties.all_at(path), lambda value, word=word: public(value, word))

    yield from each_resource(of_type(resources, _SHARE, _SERVICE_SETTING, *_PUBLIC_VALUES), check)


def _open_share(share: Resource, resources: Sequence[Resource]) -> Iterator[str]:
    if not share["allowExternalPrincipals"].flag():
        return
    named = some(of_type(resources, _SHARED_WITH), lambda one: refers(one, "resourceShareArn", share, "arn", "id"))
    if not named:
        yield "allowExternalPrincipals is true, and the program names nobody: any account can be let in; leave it out"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="appsync-authorized",
        title="An AppSync API asks who calls, not for a key that all clients share.",
        severity="high",
        why="A key of AppSync stands in every browser that uses it, names nobody and has no quota: whoever reads it may ask "
        "the models behind the API without end.",
        fix="authentication_type AWS_IAM, AMAZON_COGNITO_USER_POOLS, OPENID_CONNECT or AWS_LAMBDA, or visibility PRIVATE.",
        check=_appsync_authorized,
        types=tuple(_KEYS),
        frameworks=("AWS FSBP AppSync.5",),
        url=f"{AWS_DOCS}/appsync/latest/devguide/security-authz.html",
    ),
    Rule(
        name="cognito-no-strangers",
        title="Nobody becomes a user, or a guest with credentials, by himself.",
        severity="high",
        why="Who can register himself, or needs no account at all, spends on models at the owner's expense: scripts register "
        "users by the thousand.",
        fix="admin_create_user_config={'allow_admin_create_user_only': True}, or a pre_sign_up function that decides; "
        "allow_unauthenticated_identities=False.",
        check_stack=_no_strangers,
        types=(_POOL, _PROVIDER, _IDENTITIES, *bedrock.POLICIES, *LIMITED),
        frameworks=("AWS FSBP Cognito.2",),
        url=f"{AWS_DOCS}/cognito/latest/developerguide/user-pool-settings-admin-create-user-policy.html",
    ),
    Rule(
        name="opensearch-serverless-private",
        title="A collection of OpenSearch Serverless is reached from named networks, by principals that need it.",
        severity="high",
        why="What a knowledge base knows lies in the collection: with a public network policy one wide data policy, or one "
        "leaked credential, hands all of it out.",
        fix="`AllowFromPublic: false` with SourceVPCEs, or SourceServices such as bedrock.amazonaws.com; roles as principals.",
        check=_serverless_private,
        types=(_NETWORK, _ACCESS),
        url=f"{AWS_DOCS}/opensearch-service/latest/developerguide/serverless-network.html",
    ),
    Rule(
        name="app-runner-private",
        title="An App Runner service answers only a network of yours.",
        severity="high",
        why="A service is public by default and asks nobody who he is: a chat page or a model's proxy in it is everybody's.",
        fix="`is_publicly_accessible=False` and a VpcIngressConnection, behind what authorizes the callers.",
        check=_app_runner_private,
        types=("aws:apprunner/service:Service",),
        url=f"{AWS_DOCS}/apprunner/latest/dg/network-pl.html",
    ),
    Rule(
        name="sagemaker-notebooks-private",
        title="Notebooks reach the internet by a network of yours alone.",
        severity="medium",
        why="Who works in a notebook has its role, and often conversations to evaluate: by SageMaker's network they leave "
        "without a flow log, an endpoint's policy or a firewall in between.",
        fix="`direct_internet_access='Disabled'` with a `subnet_id`; `app_network_access_type='VpcOnly'` for a domain.",
        check=_notebooks_private,
        types=(_NOTEBOOK, _STUDIO),
        frameworks=("AWS FSBP SageMaker.1",),
        url=f"{AWS_DOCS}/sagemaker/latest/dg/appendix-notebook-and-internet-access.html",
    ),
    Rule(
        name="vpc-lattice-authorized",
        title="A service of VPC Lattice asks who calls.",
        severity="high",
        why="A service network spans accounts: without authorization, any instance or function in it has the model for free.",
        fix="`auth_type='AWS_IAM'` and an `AuthPolicy` that names the callers, or their organization.",
        check_stack=_lattice_authorized,
        types=(_LATTICE, _LATTICE_NETWORK, _JOINED),
        url=f"{AWS_DOCS}/vpc-lattice/latest/ug/auth-policies.html",
    ),
    Rule(
        name="agentcore-authorized",
        title="Gateways and agents of AgentCore ask who calls, and for a token that is meant for them.",
        severity="critical",
        why="A gateway's tools act with its role: without an authorizer, or with one that takes any token of an issuer, "
        "strangers act with it.",
        fix="authorizer_type CUSTOM_JWT with allowed audiences, clients or scopes; or AWS_IAM.",
        check=_agents_authorized,
        types=_AGENTS,
        url=f"{AWS_DOCS}/bedrock-agentcore/latest/devguide/gateway-inbound-auth.html",
    ),
    Rule(
        name="kubernetes-load-balancer-internal",
        title="A service's load balancer is internal, or takes named networks.",
        severity="high",
        why="vLLM and its like have no login worth the name: a service of type LoadBalancer puts them on the internet.",
        fix="The annotation service.beta.kubernetes.io/aws-load-balancer-scheme: internal, or type ClusterIP behind a gateway.",
        check=_service_internal,
        types=("kubernetes:core/v1:Service", _RELEASE),
        url="https://kubernetes.io/docs/concepts/services-networking/service/#internal-load-balancer",
    ),
    Rule(
        name="not-shared-with-anyone",
        title="Images, snapshots, documents and shares are for named accounts.",
        severity="critical",
        why="A public snapshot or image is copied by strangers within minutes, with the weights, conversations and keys in it.",
        fix="Name accounts or your organization; leave the account's blocks of public sharing on.",
        check_stack=_not_shared_with_anyone,
        types=(_SHARE, _SHARED_WITH, _SERVICE_SETTING, *_PUBLIC_VALUES),
        frameworks=("AWS FSBP EC2.1", "AWS FSBP RDS.1", "AWS FSBP SSM.4"),
        url=f"{AWS_DOCS}/AWSEC2/latest/UserGuide/sharing-amis.html",
    ),
)
