"""What a role of the program lets a service of AWS's do, by its trust policy and its inline policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

Not played: managed policies and boundaries. A role with a managed policy is taken to be allowed what its others do not deny.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.resource_policies import each_of, is_met, statements_of

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


def role_trusts(graph: Graph, role_arn: str, service: str, source_arn: str) -> bool:
    """Tell whether a service may take a role, for a resource of its own; not so if the program has no such role."""
    role = _role(graph, role_arn)
    return role is not None and any(
        statement["Effect"] == "Allow"
        and service in each_of(statement["Principal"].get("Service", []))
        and is_met(statement.get("Condition") or {}, source_arn)
        for statement in statements_of(role.state["assumeRolePolicy"])
    )


def role_allows(graph: Graph, role_arn: str, action: str, resource: str) -> bool:
    """Tell whether a role may do something to a resource; not so if the program has no such role. Conditions are ignored."""
    role = _role(graph, role_arn)
    if role is None:
        return False
    effects = {each["Effect"] for each in _statements(graph, role) if _is_about(each, action, resource)}
    return "Deny" not in effects and ("Allow" in effects or _is_managed(graph, role))


def _role(graph: Graph, arn: str) -> Resource | None:
    return next((role for role in graph.of_type(ROLE) if role.state["arn"] == arn), None)


def _statements(graph: Graph, role: Resource) -> Iterator[Mapping[str, Any]]:
    documents = [each.get("policy") for each in role.state.get("inlinePolicies") or ()]
    documents += [each.state["policy"] for each in graph.of_type(ROLE_POLICY) if each.state["role"] == role.state["name"]]
    for document in documents:
        yield from statements_of(document) if document else ()


def _is_managed(graph: Graph, role: Resource) -> bool:
    attached = any(each.state["role"] == role.state["name"] for each in graph.of_type(ATTACHMENT))
    return attached or bool(role.state.get("managedPolicyArns"))


def _is_about(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    actions, resources = each_of(statement.get("Action", [])), each_of(statement.get("Resource", []))
    return any(fnmatchcase(action.lower(), str(each).lower()) for each in actions) and any(
        fnmatchcase(resource, str(each)) for each in resources
    )
