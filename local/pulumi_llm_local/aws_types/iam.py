"""Identity and Access Management."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, Answer, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import CREATED, Draft, drawn

_QUOTAS: Final = AWS_DOCS + "IAM/latest/UserGuide/reference_iam-quotas.html"
_ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
_POLICIES_FIRST: Final = "DeleteConflictException: Cannot delete entity, must delete policies first"
_DETACH_FIRST: Final = "DeleteConflictException: Cannot delete entity, must detach all policies first"
_POLICY_TEXT: Final = "character besides white space"


def _open_id_connect_provider(draft: Draft) -> Outputs:
    """The ARN ends in the issuer's address without its scheme."""
    issuer = draft.text("url").removeprefix("https://")
    return {
        "id": "{arn}",
        "arn": f"arn:{{partition}}:iam::{{account}}:oidc-provider/{issuer}",
        "thumbprintLists": [draft.hex(40)],
    }


def _visible(text: Any) -> int:
    """IAM counts a policy's characters without white space."""
    return sum(not character.isspace() for character in text) if isinstance(text, str) else 0


def _inline_policies(policies: Any) -> int:
    given = cast("list[Any]", policies) if isinstance(policies, list) else []
    return sum(_visible(cast("dict[str, Any]", policy).get("policy")) for policy in given if isinstance(policy, dict))


def _policy_document(call: Draft) -> Answer:
    """Render an IAM policy document from its statements.

    As in the provider, source documents come first, and an override document's statement replaces the one of its Sid.
    """
    document: Answer = {"Version": call.text("version", "2012-10-17")}
    if call.text("policyId"):
        document["Id"] = call.text("policyId")
    statements: list[Answer] = []
    for source in _documents(call, "source"):
        statements += source
    statements += [_statement(statement) for statement in call.inputs.get("statements", [])]
    for override in _documents(call, "override"):
        for statement in override:
            replaced = [index for index, other in enumerate(statements) if statement.get("Sid") == other.get("Sid")]
            if statement.get("Sid") and replaced:
                statements[replaced[0]] = statement
            else:
                statements.append(statement)
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    minified = json.dumps(document, separators=(",", ":"))
    return {**call.inputs, "id": drawn(minified, 10, "0123456789"), "json": text, "minifiedJson": minified}


def _documents(call: Draft, kind: str) -> list[list[Answer]]:
    """Read the statements of the documents that a call builds on."""
    texts: list[str] = [*call.inputs.get(f"{kind}PolicyDocuments", []), call.text(f"{kind}Json")]
    found: list[list[Answer]] = []
    for text in texts:
        statements: Any = json.loads(text)["Statement"] if text else []
        found.append([statements] if isinstance(statements, dict) else statements)
    return found


def _statement(statement: Mapping[str, Any]) -> Answer:
    rendered: Answer = {"Sid": statement["sid"]} if statement.get("sid") else {}
    rendered["Effect"] = statement.get("effect") or "Allow"
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        values = statement.get(f"{name[0].lower()}{name[1:]}s")
        if values:
            rendered[name] = _one_or_many(values)
    for name in ("Principal", "NotPrincipal"):
        principals = statement.get(f"{name[0].lower()}{name[1:]}s")
        if principals:
            rendered[name] = _principals(principals)
    conditions: dict[str, dict[str, Any]] = {}
    given: Sequence[Mapping[str, Any]] = statement.get("conditions") or []
    for condition in given:
        conditions.setdefault(condition["test"], {})[condition["variable"]] = _one_or_many(condition["values"])
    if conditions:
        rendered["Condition"] = conditions
    return rendered


def _principals(principals: Sequence[Mapping[str, Any]]) -> Any:
    if any(principal["type"] == "*" and "*" in principal["identifiers"] for principal in principals):
        return "*"
    merged: dict[str, list[str]] = {}
    for principal in principals:
        merged.setdefault(principal["type"], []).extend(principal["identifiers"])
    return {kind: _one_or_many(identifiers) for kind, identifiers in merged.items()}


def _one_or_many(values: Sequence[str]) -> Any:
    """One value stands alone. The provider writes IAM's variables as &{…}, since ${…} is Terraform's."""
    variables = [value.replace("&{", "${") for value in values]
    return variables[0] if len(variables) == 1 else variables


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": AwsType(outputs=_open_id_connect_provider, replaced_by="url"),
    "aws:iam/policy:Policy": AwsType(
        outputs={
            "id": "{arn}",
            "path": "/",
            "arn": "arn:{partition}:iam::{account}:policy{path}{name}",
            "policyId": "ANPA{upper17}",
            "attachmentCount": 0,
        },
        replaced_by="description name namePrefix path",
        rules={"policy": ValueRule(_QUOTAS, member="PolicyDocument", high=6144, size=_visible, unit=_POLICY_TEXT)},
        # https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
        blocked_by=(
            Relation(
                _ATTACHMENT,
                {"policyArn": "arn"},
                "DeleteConflictException: Cannot delete a policy attached to entities",
            ),
        ),
    ),
    "aws:iam/role:Role": AwsType(
        outputs={
            "id": "{name}",
            "path": "/",
            "arn": "arn:{partition}:iam::{account}:role{path}{name}",
            "uniqueId": "AROA{upper17}",
            "createDate": CREATED,
            "maxSessionDuration": 3600,
        },
        replaced_by="name namePrefix path",
        # A role's inline policies count together; a trust policy's 2048 can be raised to 4096.
        rules={
            "assumeRolePolicy": ValueRule(
                _QUOTAS, member="AssumeRolePolicyDocument", high=4096, size=_visible, unit=_POLICY_TEXT
            ),
            "inlinePolicies": ValueRule(_QUOTAS, high=10240, size=_inline_policies, unit=_POLICY_TEXT),
        },
        blocked_by=(
            Relation(_ROLE_POLICY, {"role": "id"}, _POLICIES_FIRST),
            Relation(_ATTACHMENT, {"role": "id"}, _DETACH_FIRST),
        ),
    ),
    _ROLE_POLICY: AwsType(
        outputs={"id": "{role}:{name}"},
        replaced_by="name namePrefix role",
        overwrites=True,
        rules={"policy": ValueRule(_QUOTAS, member="PolicyDocument", high=10240, size=_visible, unit=_POLICY_TEXT)},
    ),
    _ATTACHMENT: AwsType(outputs={"id": "{role}-{digits26}"}, replaced_by="policyArn role", api="iam AttachRolePolicy"),
}

INVOKES: Final[Mapping[str, Callable[[Draft], Answer]]] = {"aws:iam/getPolicyDocument:getPolicyDocument": _policy_document}
