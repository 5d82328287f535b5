"""Rules on clusters: supported versions, who may do everything in them, and who may reach what runs there."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from llm_policies.rule import AWS_DOCS, BOOLEAN, STRINGS, Resource, Rule, Setting, Settings
from llm_policies.runtimes import KUBERNETES
from llm_policies.values import State, Value, each
from llm_policies.workloads import EXCEPT_NAMESPACES

_CLUSTER: Final = "aws:eks/cluster:Cluster"
_RBAC: Final = "kubernetes:rbac.authorization.k8s.io/v1:"
_ROLES: Final = (f"{_RBAC}ClusterRole", f"{_RBAC}Role")
_BINDINGS: Final = (f"{_RBAC}ClusterRoleBinding", f"{_RBAC}RoleBinding")

# EKS


def _version(cluster: Resource, settings: Settings) -> Iterator[str]:
    version = cluster["version"].text()
    standard, extended = KUBERNETES.get(version, ("", ""))
    if not extended and _before(version, next(iter(KUBERNETES))):
        yield f"version is {version}, which EKS no longer supports: name a newer one"
    elif extended and extended <= KUBERNETES_AS_OF:
        yield f"version is {version}, which EKS supports no longer since {extended}; name a newer one"
    elif standard and not settings["extended"]:
        yield f"version is {version}, in extended support since {standard}, for six times the price; name a newer one"


KUBERNETES_AS_OF: Final = "2026-11-30"


def _before(version: str, other: str) -> bool:
    """Whether a Kubernetes version is older than another."""
    one = version.split(".")
    return (
        len(one) == 2
        and all(part.isdigit() for part in one)
        and [int(part) for part in one] < [int(p) for p in other.split(".")]
    )


def _admin(association: Resource, settings: Settings) -> Iterator[str]:
    policy = association["policyArn"].text().rpartition("/")[2]
    everywhere = association.at("accessScope.type").equals("cluster")
    if policy != "AmazonEKSClusterAdminPolicy" and not (policy == "AmazonEKSAdminPolicy" and everywhere):
        return
    patterns = settings["administrators"]
    if not patterns or not any(fnmatchcase(association["principalArn"].text(), pattern) for pattern in patterns):
        yield f"policyArn is {policy}: the principal may do everything, and is none of the administrators of the setting"


def _ssh(group: Resource, _: Settings) -> Iterator[str]:
    access = group["remoteAccess"]
    if not access["ec2SshKey"].missing and not access["sourceSecurityGroupIds"].items():
        yield f"{access.path}.sourceSecurityGroupIds is missing: port 22 of the nodes is open to the internet"


# RBAC. https://kubernetes.io/docs/concepts/security/rbac-good-practices/

_ANYONE: Final = ("system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts")
_HARMLESS: Final = (
    "system:discovery",
    "system:public-info-viewer",
    "system:basic-user",
    "system:service-account-issuer-discovery",
)
_ESCALATING: Final = frozenset({"bind", "escalate", "impersonate"})
_READING: Final = frozenset({"get", "list", "watch", "*"})


def _rbac(resource: Resource, settings: Settings) -> Iterator[str]:
    if resource.at("metadata.namespace").text("") in settings["except_namespaces"]:
        return
    if resource.type in _ROLES:
        wide = resource.type == _ROLES[0]
        yield from each(resource["rules"].items(), lambda rule: _role_rule(rule, wide))
    else:
        yield from _binding(resource)


def _role_rule(rule: Value, wide: bool) -> Iterator[str]:
    groups, kinds, verbs = ({item.text() for item in rule[name].items()} for name in ("apiGroups", "resources", "verbs"))
    named = bool(rule["resourceNames"].items())
    if "*" in verbs and "*" in kinds:
        yield f"{rule.path}: every verb on every resource{' of every group' if '*' in groups else ''}; name those that are used"
    elif found := _ESCALATING & verbs:
        if not named:
            yield f"{rule.path}.verbs: {', '.join(sorted(found))}: whoever may do this has every right; leave it out"
    elif wide and "secrets" in kinds and _READING & verbs and not named:
        yield f"{rule.path}: reads the secrets of every namespace; use a Role, or resourceNames"
    elif "*" in verbs and kinds & {"nodes/proxy", "pods/exec", "clusterroles", "clusterrolebindings"}:
        yield f"{rule.path}: every verb on {', '.join(sorted(kinds))} gives every right"


def _binding(binding: Resource) -> Iterator[str]:
    role = binding.at("roleRef.name").text()

    def subject(value: Value) -> Iterator[str]:
        name = value["name"].text()
        anyone = name in _ANYONE or name.startswith("system:serviceaccounts:")
        if anyone and not (role in _HARMLESS or (name.startswith("system:serviceaccounts:") and role in ("view", ""))):
            yield f"{value.path}: {name} is anyone; {role} is bound to them: name one account"
        elif role == "cluster-admin" and not name.startswith("system:"):
            yield f"roleRef: {name} is bound to cluster-admin, which may do everything; name a role with what it uses"

    yield from each(binding["subjects"].items(), subject)


# Who may reach the pods


def _network_policy(policy: Resource, _: Settings) -> Iterator[str]:
    def rule(value: Value) -> Iterator[str]:
        sources = value["from"].items()
        if not sources:
            yield f"{value.path}.from is missing: anyone may reach the pods; name who may"
        yield from each(sources, source)

    def source(value: Value) -> Iterator[str]:
        if value.at("ipBlock.cidr").equals("0.0.0.0/0", "::/0"):
            yield f"{value.path}.ipBlock.cidr: the internet may reach the pods; name the load balancer's subnets"

    yield from each(policy.at("spec.ingress").items(), rule)


def _ingress_tls(ingress: Resource, _: Settings) -> Iterator[str]:
    if ingress.at("spec.tls").state is not State.MISSING and ingress.at("spec.tls").items():
        return
    annotations = ingress.at("metadata.annotations").entries()
    values = {key.rpartition("/")[2]: value for key, value in annotations.items()}
    if "certificate-arn" in values or ("listen-ports" in values and "HTTPS" in values["listen-ports"].text()):
        return
    yield "spec.tls is missing, and no annotation names a certificate: prompts, answers and keys are sent in plain text"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="eks-version-supported",
        title="A cluster's version of Kubernetes is in EKS's standard support.",
        severity="medium",
        why="After 14 months a version costs $0.60 an hour instead of $0.10, and after 26 EKS upgrades it by itself.",
        fix="A `version` in standard support; upgrade by one minor version at a time.",
        check=_version,
        types=(_CLUSTER,),
        settings={"extended": Setting(False, BOOLEAN, "Whether versions in extended support may be used.")},
        frameworks=("AWS FSBP EKS.2",),
        url=f"{AWS_DOCS}/eks/latest/userguide/kubernetes-versions.html",
    ),
    Rule(
        name="eks-no-cluster-admin",
        title="No one is a cluster's administrator but those who are named.",
        severity="medium",
        why="A service's role with AmazonEKSClusterAdminPolicy reads every secret and runs what it likes on GPU nodes.",
        fix="A policy with less and an accessScope of namespaces; or name the role in the setting `administrators`.",
        check=_admin,
        types=("aws:eks/accessPolicyAssociation:AccessPolicyAssociation",),
        settings={
            "administrators": Setting([], STRINGS, "ARNs, or globs of them, of the roles that may administer clusters."),
        },
        url=f"{AWS_DOCS}/eks/latest/userguide/access-policy-permissions.html",
    ),
    Rule(
        name="eks-node-ssh-scoped",
        title="Nodes take SSH from named security groups only.",
        severity="high",
        why="With an SSH key and no source groups, EKS opens port 22 of every node to 0.0.0.0/0.",
        fix="`remote_access` with `source_security_group_ids`; better none, and Session Manager.",
        check=_ssh,
        types=("aws:eks/nodeGroup:NodeGroup",),
        url=f"{AWS_DOCS}/eks/latest/APIReference/API_RemoteAccessConfig.html",
    ),
    Rule(
        name="rbac-least-privilege",
        title="In a cluster nobody may do everything, and anyone nothing.",
        severity="high",
        why="A server that is taken over acts with its account's rights: cluster-admin, or every secret of the cluster.",
        fix="A Role in the namespace with the resources and verbs that are used, bound to one ServiceAccount.",
        check=_rbac,
        types=(*_ROLES, *_BINDINGS),
        settings={"except_namespaces": EXCEPT_NAMESPACES},
        url="https://kubernetes.io/docs/concepts/security/rbac-good-practices/",
    ),
    Rule(
        name="network-policy-scoped",
        title="A network policy lets named sources in.",
        severity="medium",
        why="An empty rule, or one of 0.0.0.0/0, lets anyone call the model servers, past the gateway's keys and limits.",
        fix="`from` with the namespaces, pods or subnets that call.",
        check=_network_policy,
        types=("kubernetes:networking.k8s.io/v1:NetworkPolicy",),
        url="https://kubernetes.io/docs/concepts/services-networking/network-policies/",
    ),
    Rule(
        name="ingress-tls",
        title="An Ingress serves over TLS.",
        severity="high",
        why="Prompts, answers and API keys cross the Ingress; over HTTP others can read them.",
        fix="`spec.tls`, or for an Application Load Balancer the annotations `certificate-arn` and `listen-ports` with HTTPS.",
        check=_ingress_tls,
        types=("kubernetes:networking.k8s.io/v1:Ingress",),
        url="https://kubernetes.io/docs/concepts/services-networking/ingress/#tls",
    ),
)
