"""The rules on clusters and on load balancers."""

from typing import Any

from llm_policies import balancers, clusters
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource
from support.policies import cases

CLUSTER = "aws:eks/cluster:Cluster"
NODES = "aws:eks/nodeGroup:NodeGroup"
ACCESS = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
RBAC = "kubernetes:rbac.authorization.k8s.io/v1:"
NETWORK = "kubernetes:networking.k8s.io/v1:"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
CLASSIC = "aws:elb/loadBalancer:LoadBalancer"
ASSOCIATION = "aws:wafv2/webAclAssociation:WebAclAssociation"
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/chat/50dc6c495c0c9188"


def role(*rules: Any, kind: str = "ClusterRole", **metadata: Any) -> list[Resource]:
    return [resource(f"{RBAC}{kind}", {"metadata": metadata, "rules": list(rules)})]


def rule(groups: str, kinds: str, verbs: str, *names: str) -> dict[str, Any]:
    return {
        "apiGroups": groups.split(","),
        "resources": kinds.split(","),
        "verbs": verbs.split(","),
        **({"resourceNames": list(names)} if names else {}),
    }


def binding(name: str, *subjects: Any, kind: str = "ClusterRoleBinding") -> list[Resource]:
    told = [{"kind": "Group", "name": each} for each in subjects]
    return [resource(f"{RBAC}{kind}", {"roleRef": {"kind": "ClusterRole", "name": name}, "subjects": told})]


def access(policy: str, scope: str = "cluster") -> list[Resource]:
    arn = f"arn:aws:eks::aws:cluster-access-policy/{policy}"
    principal = "arn:aws:iam::123456789012:role/ops"
    return [resource(ACCESS, {"policyArn": arn, "accessScope": {"type": scope}, "principalArn": principal})]


def lets_in(*rules: Any) -> list[Resource]:
    return [resource(f"{NETWORK}NetworkPolicy", {"spec": {"ingress": list(rules)}})]


def ingress(spec: Any = None, **annotations: Any) -> list[Resource]:
    told = {f"alb.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return [resource(f"{NETWORK}Ingress", {"metadata": {"annotations": told}, "spec": spec or {}})]


def balancer(kind: str = BALANCER, **more: Any) -> list[Resource]:
    return [resource(kind, {"name": "chat", **more})]


GOOD: list[tuple[str, list[Resource], dict[str, Any]]] = [
    ("eks-version-supported", [resource(CLUSTER, {"version": "1.35"}), resource(CLUSTER, {})], {}),
    ("eks-version-supported", [resource(CLUSTER, {"version": "1.40"}), resource(CLUSTER, {"version": "next"})], {}),
    ("eks-version-supported", [resource(CLUSTER, {"version": "1.33"})], {"extended": True}),
    ("eks-no-cluster-admin", access("AmazonEKSAdminPolicy", "namespace"), {}),
    ("eks-no-cluster-admin", access("AmazonEKSAdminViewPolicy"), {}),
    ("eks-no-cluster-admin", access("AmazonEKSClusterAdminPolicy"), {"administrators": ["arn:aws:iam::*:role/ops"]}),
    ("eks-node-ssh-scoped", [resource(NODES, {})], {}),
    ("eks-node-ssh-scoped", [resource(NODES, {"remoteAccess": {"ec2SshKey": "k", "sourceSecurityGroupIds": ["sg-1"]}})], {}),
    ("rbac-least-privilege", role(rule("", "pods", "get,list,watch"), rule("", "secrets", "get", "chat")), {}),
    ("rbac-least-privilege", role(rule("", "secrets", "get"), kind="Role", namespace="chat"), {}),
    ("rbac-least-privilege", role(rule("*", "*", "*"), kind="Role", namespace="kube-system"), {}),
    ("rbac-least-privilege", role(rule("*", "*", "get,list,watch")), {}),
    ("rbac-least-privilege", role(rule("rbac.authorization.k8s.io", "clusterroles", "bind", "view")), {}),
    ("rbac-least-privilege", binding("view", "platform"), {}),
    ("rbac-least-privilege", binding("system:discovery", "system:authenticated"), {}),
    ("rbac-least-privilege", binding("view", "system:serviceaccounts:chat", kind="RoleBinding"), {}),
    ("network-policy-scoped", lets_in({"from": [{"podSelector": {}}], "ports": [{"port": 8000}]}), {}),
    ("network-policy-scoped", [resource(f"{NETWORK}NetworkPolicy", {"spec": {"podSelector": {}}})], {}),
    ("network-policy-scoped", lets_in({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}), {}),
    ("ingress-tls", ingress({"tls": [{"hosts": ["chat.example.com"]}]}), {}),
    ("ingress-tls", ingress(certificate_arn="arn:aws:acm:…"), {}),
    ("ingress-tls", ingress(listen_ports='[{"HTTPS": 443}]'), {}),
    ("lb-drops-invalid-headers", balancer(dropInvalidHeaderFields=True, desyncMitigationMode="strictest"), {}),
    ("lb-drops-invalid-headers", balancer(loadBalancerType="network"), {}),
    ("lb-access-logs", balancer(accessLogs={"bucket": "logs", "enabled": True}), {}),
    ("lb-access-logs", balancer(internal=True), {}),
    ("lb-access-logs", balancer(CLASSIC, accessLogs={"bucket": "logs"}), {}),
    ("lb-waf", [*balancer(), resource(ASSOCIATION, {"resourceArn": ARN}, name="acl")], {}),
    ("lb-waf", [*balancer(arn=ARN, name=UNKNOWN), resource(ASSOCIATION, {"resourceArn": ARN}, name="acl")], {}),
    ("lb-waf", [*balancer(internal=True), *balancer(loadBalancerType="network")], {}),
]

BAD: list[tuple[str, list[Resource], dict[str, Any], list[str]]] = [
    ("eks-version-supported", [resource(CLUSTER, {"version": "1.24"})], {}, ["no longer supports"]),
    ("eks-version-supported", [resource(CLUSTER, {"version": "1.28"})], {"extended": True}, ["since 2025-11-26"]),
    ("eks-version-supported", [resource(CLUSTER, {"version": "1.33"})], {}, ["extended support since 2026-07-29"]),
    ("eks-no-cluster-admin", access("AmazonEKSClusterAdminPolicy"), {}, ["policyArn is AmazonEKSClusterAdminPolicy"]),
    ("eks-no-cluster-admin", access("AmazonEKSAdminPolicy"), {"administrators": ["*:role/dev"]}, ["AmazonEKSAdminPolicy"]),
    ("eks-node-ssh-scoped", [resource(NODES, {"remoteAccess": {"ec2SshKey": "k"}})], {}, ["port 22"]),
    ("rbac-least-privilege", role(rule("*", "*", "*")), {}, ["every verb on every resource of every group"]),
    ("rbac-least-privilege", role(rule("", "*", "*"), kind="Role", namespace="chat"), {}, ["every verb"]),
    ("rbac-least-privilege", role(rule("", "secrets", "list")), {}, ["secrets of every namespace"]),
    ("rbac-least-privilege", role(rule("", "users", "impersonate")), {}, ["impersonate"]),
    ("rbac-least-privilege", role(rule("", "pods,pods/exec", "*")), {}, ["pods/exec"]),
    ("rbac-least-privilege", binding("cluster-admin", "developers"), {}, ["bound to cluster-admin"]),
    ("rbac-least-privilege", binding("cluster-admin", "chat", kind="RoleBinding"), {}, ["bound to cluster-admin"]),
    ("rbac-least-privilege", binding("view", "system:unauthenticated", "system:anonymous"), {}, ["unauth", "anonymous"]),
    ("rbac-least-privilege", binding("edit", "system:serviceaccounts:chat"), {}, ["is anyone"]),
    ("network-policy-scoped", lets_in({}, {"ports": [{"port": 8000}]}), {}, ["ingress[0].from", "ingress[1].from"]),
    ("network-policy-scoped", lets_in({"from": [{"ipBlock": {"cidr": "::/0"}}]}), {}, ["ipBlock.cidr"]),
    ("ingress-tls", ingress(scheme="internet-facing", listen_ports='[{"HTTP": 80}]'), {}, ["spec.tls is missing"]),
    ("lb-drops-invalid-headers", balancer(desyncMitigationMode="monitor"), {}, ["dropInvalid", "desyncMitigationMode"]),
    ("lb-access-logs", balancer(accessLogs={"bucket": "logs"}), {}, ["accessLogs.enabled"]),
    ("lb-access-logs", balancer(CLASSIC), {}, ["accessLogs.enabled"]),
    ("lb-access-logs", balancer(internal=True), {"internal": True}, ["accessLogs.enabled"]),
    ("lb-waf", balancer(), {}, ["no web ACL"]),
    ("lb-waf", [*balancer(), resource(ASSOCIATION, {"resourceArn": ARN.replace("chat", "other")}, name="acl")], {}, ["no web"]),
]

NOT_KNOWN: list[tuple[str, list[Resource], dict[str, Any], str, list[str]]] = [
    ("eks-version-supported", [resource(CLUSTER, {"version": UNKNOWN})], {}, "version", []),
    ("eks-no-cluster-admin", [resource(ACCESS, {"policyArn": UNKNOWN})], {}, "policyArn", []),
    ("eks-node-ssh-scoped", [resource(NODES, {"remoteAccess": UNKNOWN})], {}, "remoteAccess", []),
    ("rbac-least-privilege", role(UNKNOWN, rule("*", "*", "*")), {}, "rules[0]", ["rules[1]"]),
    ("network-policy-scoped", lets_in({"from": UNKNOWN}, {}), {}, "ingress[0].from", ["ingress[1].from"]),
    ("ingress-tls", [resource(f"{NETWORK}Ingress", {"spec": UNKNOWN})], {}, "spec", []),
    ("lb-drops-invalid-headers", balancer(dropInvalidHeaderFields=UNKNOWN), {}, "dropInvalidHeaderFields", []),
    ("lb-access-logs", balancer(accessLogs=UNKNOWN), {}, "accessLogs", []),
    ("lb-waf", [*balancer(), resource(ASSOCIATION, {"resourceArn": UNKNOWN}, name="acl")], {}, "resourceArn", []),
]


(
    test_every_rule_is_tried_as_good_as_bad_and_as_unknown,
    test_good,
    test_bad,
    test_what_is_not_known_is_said_and_hides_nothing,
) = cases((*clusters.RULES, *balancers.RULES), GOOD, BAD, NOT_KNOWN)
