"""The rules on doors that are no method, route or port."""

import json
from typing import Any

from llm_policies.doors import RULES
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource
from support.policies import counted_cases

GRAPHQL, EVENTS = "aws:appsync/graphQLApi:GraphQLApi", "aws:appsync/api:Api"
NAMESPACE = "aws:appsync/channelNamespace:ChannelNamespace"
USERS, IDENTITIES = "aws:cognito/userPool:UserPool", "aws:cognito/identityPool:IdentityPool"
PROVIDER = "aws:cognito/identityProvider:IdentityProvider"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
NETWORK = "aws:opensearch/serverlessSecurityPolicy:ServerlessSecurityPolicy"
ACCESS = "aws:opensearch/serverlessAccessPolicy:ServerlessAccessPolicy"
APP = "aws:apprunner/service:Service"
GATEWAY = "aws:bedrock/agentcoreGateway:AgentcoreGateway"
RUNTIME = "aws:bedrock/agentcoreAgentRuntime:AgentcoreAgentRuntime"
RELEASE = "kubernetes:helm.sh/v3:Release"
SERVICE = "kubernetes:core/v1:Service"
IMAGE = "aws:ec2/amiLaunchPermission:AmiLaunchPermission"
SNAPSHOT, CLUSTER_SNAPSHOT = "aws:rds/snapshot:Snapshot", "aws:rds/clusterSnapshot:ClusterSnapshot"
DOCUMENT = "aws:ssm/document:Document"
IMAGES_BLOCKED = "aws:ec2/imageBlockPublicAccess:ImageBlockPublicAccess"
SNAPSHOTS_BLOCKED = "aws:ebs/snapshotBlockPublicAccess:SnapshotBlockPublicAccess"
DISTRIBUTED = "aws:imagebuilder/distributionConfiguration:DistributionConfiguration"
BUILD = "aws:codebuild/project:Project"
SETTING, SHARING = "aws:ssm/serviceSetting:ServiceSetting", "/ssm/documents/console/public-sharing-permission"
SHARE, SHARED_WITH = "aws:ram/resourceShare:ResourceShare", "aws:ram/principalAssociation:PrincipalAssociation"
LATTICE, LATTICE_NETWORK = "aws:vpclattice/service:Service", "aws:vpclattice/serviceNetwork:ServiceNetwork"
JOINED = "aws:vpclattice/serviceNetworkServiceAssociation:ServiceNetworkServiceAssociation"
NOTEBOOK, STUDIO = "aws:sagemaker/notebookInstance:NotebookInstance", "aws:sagemaker/domain:Domain"
LOAD_BALANCER = "service.beta.kubernetes.io/aws-load-balancer-"
CALLING = json.dumps({"Statement": [{"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"}]})
CALLS = resource(ROLE_POLICY, {"policy": CALLING}, name="calls")
MOST = resource("aws:iam/policy:Policy", {"arn": "arn:aws:iam::1:policy/most", "policy": CALLING}, name="most")
LIMITED = resource("aws:iam/role:Role", {"permissionsBoundary": "arn:aws:iam::1:policy/most"}, name="limited")


def one(kind: str, **properties: Any) -> list[Resource]:
    return [resource(kind, properties)]


def network(*rules: dict[str, Any], kind: str = "network") -> list[Resource]:
    return one(NETWORK, type=kind, policy=json.dumps(rules))


def access(*principals: str) -> list[Resource]:
    rules = [{"ResourceType": "index", "Resource": ["index/chat/*"], "Permission": ["aoss:ReadDocument"]}]
    return one(ACCESS, type="data", policy=json.dumps([{"Rules": rules, "Principal": principals}]))


def joined(service: Any = None, network: Any = "AWS_IAM", *, link: Any = "svc-1") -> list[Resource]:
    """A service of VPC Lattice in a network, each with its kind of authorization."""
    return [
        resource(LATTICE, {"id": "svc-1", "authType": service}, name="service"),
        resource(LATTICE_NETWORK, {"id": "sn-1", "authType": network}, name="network"),
        resource(JOINED, {"serviceIdentifier": link, "serviceNetworkIdentifier": "sn-1"}, name="joined"),
    ]


def ingress(public: Any) -> dict[str, Any]:
    return {"ingressConfiguration": {"isPubliclyAccessible": public}}


def token(kind: str = GATEWAY, **narrows: Any) -> list[Resource]:
    issuer = {"discoveryUrl": "https://login.example.com/.well-known/openid-configuration", **narrows}
    return one(kind, authorizerConfiguration={"customJwtAuthorizer": issuer})


def balancer(scheme: str = "", ranges: Any = None, *, annotations: dict[str, str] | None = None, **spec: Any) -> list[Resource]:
    given = {f"{LOAD_BALANCER}scheme": scheme} if scheme else {}
    spec = {"type": "LoadBalancer", "loadBalancerSourceRanges": ranges, **spec}
    return one(SERVICE, metadata={"annotations": {**given, **(annotations or {})}}, spec=spec)


def chart(values: dict[str, Any]) -> list[Resource]:
    return one(RELEASE, chart="open-webui", values=values)


TABLE: dict[str, list[tuple[Any, ...]]] = {
    "appsync-authorized": [
        ("IAM", one(GRAPHQL, authenticationType="AWS_IAM"), "good", 0),
        ("a key within a VPC", one(GRAPHQL, authenticationType="API_KEY", visibility="PRIVATE"), "good", 0),
        ("events with users", one(EVENTS, eventConfig={"connectionAuthModes": [{"authType": "AWS_IAM"}]}), "good", 0),
        ("a key", one(GRAPHQL, authenticationType="API_KEY"), "bad", 1),
        (
            "a key besides",
            one(
                GRAPHQL,
                authenticationType="AWS_IAM",
                additionalAuthenticationProviders=[{"authenticationType": "API_KEY"}],
            ),
            "bad",
            1,
        ),
        (
            "events by a key",
            one(
                EVENTS,
                eventConfig={
                    "connectionAuthModes": [{"authType": "API_KEY"}],
                    "defaultPublishAuthModes": [{"authType": "API_KEY"}],
                },
            ),
            "bad",
            2,
        ),
        ("a channel by a key", one(NAMESPACE, publishAuthModes=[{"authType": "API_KEY"}]), "bad", 1),
        ("unknown", one(GRAPHQL, authenticationType=UNKNOWN), "unknown", 0),
    ],
    "cognito-no-strangers": [
        ("an administrator adds users", one(USERS, adminCreateUserConfig={"allowAdminCreateUserOnly": True}), "good", 0),
        ("a pool of an application without models", one(USERS), "good", 0),
        ("a function decides", [*one(USERS, lambdaConfig={"preSignUp": "arn:aws:lambda:…"}), CALLS], "good", 0),
        ("no guests", one(IDENTITIES, allowUnauthenticatedIdentities=False), "good", 0),
        ("anyone signs up", one(USERS, adminCreateUserConfig={"allowAdminCreateUserOnly": False}), "bad", 1),
        ("anyone signs up beside models", [*one(USERS), CALLS], "bad", 1),
        ("a boundary that has models", [*one(USERS), MOST, LIMITED], "good", 0),
        ("users of Google", [*one(PROVIDER, providerType="Google"), CALLS], "bad", 1),
        ("users of one's own directory", [*one(PROVIDER, providerType="SAML"), CALLS], "good", 0),
        (
            "users of Google of whom a function decides",
            [*one(PROVIDER, providerType="Google"), *one(USERS, lambdaConfig={"preSignUp": "arn:aws:lambda:…"}), CALLS],
            "good",
            0,
        ),
        ("guests", one(IDENTITIES, allowUnauthenticatedIdentities=True), "bad", 1),
        ("unknown", one(IDENTITIES, allowUnauthenticatedIdentities=UNKNOWN), "unknown", 0),
    ],
    "opensearch-serverless-private": [
        ("an endpoint", network({"Rules": [], "AllowFromPublic": False, "SourceVPCEs": ["vpce-1"]}), "good", 0),
        ("Bedrock", network({"AllowFromPublic": False, "SourceServices": ["bedrock.amazonaws.com"]}), "good", 0),
        ("encryption", network({"Rules": [], "AWSOwnedKey": True}, kind="encryption"), "good", 0),
        ("a role", access("arn:aws:iam::123456789012:role/kb"), "good", 0),
        ("the internet", network({"AllowFromPublic": True}), "bad", 1),
        ("an endpoint and the internet", network({"AllowFromPublic": False}, {"AllowFromPublic": True}), "bad", 1),
        ("the internet in an object", one(NETWORK, type="network", policy='{"AllowFromPublic": true}'), "bad", 1),
        ("everybody", access("*"), "bad", 1),
        (
            "every index",
            one(ACCESS, policy=json.dumps([{"Rules": [{"Resource": ["index/*/*"]}], "Principal": ["arn:aws:iam::1:role/a"]}])),
            "bad",
            1,
        ),
        ("a role of any account", access("arn:aws:iam::*:role/kb"), "bad", 1),
        ("unknown", one(ACCESS, policy=UNKNOWN), "unknown", 0),
    ],
    "app-runner-private": [
        ("private", one(APP, networkConfiguration=ingress(False)), "good", 0),
        ("by default", one(APP), "bad", 1),
        ("in words", one(APP, networkConfiguration=ingress(True)), "bad", 1),
        ("with a way out alone", one(APP, networkConfiguration={"egressConfiguration": {"egressType": "VPC"}}), "bad", 1),
        ("unknown", one(APP, networkConfiguration=UNKNOWN), "unknown", 0),
    ],
    "vpc-lattice-authorized": [
        ("IAM", one(LATTICE, authType="AWS_IAM"), "good", 0),
        ("IAM of its network", joined(), "good", 0),
        ("a network, whose services are asked", one(LATTICE_NETWORK, authType="NONE"), "good", 0),
        ("nothing", one(LATTICE), "bad", 1),
        ("none", one(LATTICE, authType="NONE"), "bad", 1),
        ("none, in an open network", joined(network="NONE"), "bad", 1),
        ("IAM of another service's network", joined(link="svc-2"), "bad", 1),
        (
            "a second network, which is open",
            [
                *joined(),
                resource(LATTICE_NETWORK, {"id": "sn-2"}, name="open"),
                resource(JOINED, {"serviceIdentifier": "svc-1", "serviceNetworkIdentifier": "sn-2"}, name="second"),
            ],
            "bad",
            1,
        ),
        ("not known", one(LATTICE, authType=UNKNOWN), "unknown", 0),
    ],
    "sagemaker-notebooks-private": [
        ("within a network", one(NOTEBOOK, directInternetAccess="Disabled"), "good", 0),
        ("a studio within a network", one(STUDIO, appNetworkAccessType="VpcOnly"), "good", 0),
        ("the default", one(NOTEBOOK), "bad", 1),
        ("SageMaker's network", one(NOTEBOOK, directInternetAccess="Enabled"), "bad", 1),
        ("a studio of the default", one(STUDIO), "bad", 1),
        ("not known", one(STUDIO, appNetworkAccessType=UNKNOWN), "unknown", 0),
    ],
    "agentcore-authorized": [
        ("IAM", one(GATEWAY, authorizerType="AWS_IAM"), "good", 0),
        ("an audience", token(allowedAudiences=["chat"]), "good", 0),
        ("a client that is not known yet", token(allowedClients=[UNKNOWN]), "good", 0),
        ("a runtime by signatures", one(RUNTIME), "good", 0),
        ("nobody asks", one(GATEWAY, authorizerType="NONE"), "bad", 1),
        ("any token", token(), "bad", 1),
        ("any token of a runtime's", token(RUNTIME, allowedAudiences=[]), "bad", 1),
        ("unknown", one(GATEWAY, authorizerType=UNKNOWN), "unknown", 0),
    ],
    "kubernetes-load-balancer-internal": [
        ("of the cluster", one(SERVICE, spec={"type": "ClusterIP"}), "good", 0),
        ("internal", balancer("internal"), "good", 0),
        ("internal, as it was written", balancer(annotations={f"{LOAD_BALANCER}internal": "true"}), "good", 0),
        ("of the controller", balancer(loadBalancerClass="service.k8s.aws/nlb"), "good", 0),
        ("of the controller, by its type", balancer(annotations={f"{LOAD_BALANCER}type": "external"}), "good", 0),
        ("for a network", balancer("internet-facing", ["203.0.113.0/24"]), "good", 0),
        ("by default", balancer(), "bad", 1),
        ("without metadata", one(SERVICE, spec={"type": "LoadBalancer"}), "bad", 1),
        ("facing the internet", balancer("internet-facing"), "bad", 1),
        ("of the controller, facing it", balancer("internet-facing", loadBalancerClass="eks.amazonaws.com/nlb"), "bad", 1),
        ("for every network", balancer("internet-facing", ["10.0.0.0/8", "0.0.0.0/0"]), "bad", 1),
        ("a chart's", chart({"controller": {"service": {"type": "LoadBalancer"}}}), "bad", 1),
        ("a chart's at its root", chart({"service": {"type": "LoadBalancer", "annotations": {}}}), "bad", 1),
        (
            "a chart's within the cluster",
            chart({"service": {"type": "ClusterIP"}, "serviceAccount": {}}),
            "good",
            0,
        ),
        (
            "a chart's internal",
            chart({"service": {"type": "LoadBalancer", "annotations": {f"{LOAD_BALANCER}scheme": "internal"}}}),
            "good",
            0,
        ),
        ("a chart without values", one(RELEASE, chart="vllm"), "good", 0),
        ("unknown", balancer(ranges=UNKNOWN), "unknown", 0),
    ],
    "not-shared-with-anyone": [
        ("an image for an account", one(IMAGE, accountId="210987654321"), "good", 0),
        ("a snapshot for an account", one(SNAPSHOT, sharedAccounts=["210987654321"]), "good", 0),
        ("a document for an account", one(DOCUMENT, permissions={"type": "Share", "account_ids": "210987654321"}), "good", 0),
        ("images blocked", one(IMAGES_BLOCKED, state="block-new-sharing"), "good", 0),
        ("a share within the organization", one(SHARE, allowExternalPrincipals=False), "good", 0),
        (
            "a share with a named account",
            [
                share := resource(SHARE, {"allowExternalPrincipals": True}),
                resource(SHARED_WITH, {"principal": "210987654321"}, dependencies={"resourceShareArn": [share]}, name="with"),
            ],
            "good",
            0,
        ),
        ("a public image", one(IMAGE, group="all"), "bad", 1),
        ("a public snapshot", one(SNAPSHOT, sharedAccounts=["210987654321", "all"]), "bad", 1),
        ("a cluster's public snapshot", one(CLUSTER_SNAPSHOT, sharedAccounts=["all"]), "bad", 1),
        ("a public document", one(DOCUMENT, permissions={"type": "Share", "account_ids": "All"}), "bad", 1),
        (
            "an image that is built for all",
            one(
                DISTRIBUTED,
                distributions=[{"amiDistributionConfiguration": {"launchPermission": {"userGroups": ["all"]}}}],
            ),
            "bad",
            1,
        ),
        ("logs of builds that anyone reads", one(BUILD, projectVisibility="PUBLIC_READ"), "bad", 1),
        ("logs of builds", one(BUILD, projectVisibility="PRIVATE"), "good", 0),
        ("documents may be shared", one(SETTING, settingId=SHARING, settingValue="Enable"), "bad", 1),
        ("documents may not be shared", one(SETTING, settingId=SHARING, settingValue="Disable"), "good", 0),
        ("the account's block taken off", one(IMAGES_BLOCKED, state="unblocked"), "bad", 1),
        ("the snapshots' block taken off", one(SNAPSHOTS_BLOCKED, state="unblocked"), "bad", 1),
        ("a share with nobody named", one(SHARE, allowExternalPrincipals=True), "bad", 1),
        ("unknown", one(SNAPSHOT, sharedAccounts=UNKNOWN), "unknown", 0),
    ],
}

test_case, test_every_rule_has_all_kinds_of_case = counted_cases(RULES, TABLE)
