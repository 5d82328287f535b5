"""The rule on a policy document's form: what AWS rejects at deployment, or accepts with another meaning than intended."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from llm_policies.actions import find, is_pattern
from llm_policies.arns import can_be, forms_of, is_arn
from llm_policies.conditions import DEMANDING, NEGATING
from llm_policies.documents import Document, Kind, Statement, each_document, types
from llm_policies.rule import Resource, Rule, Settings
from llm_policies.values import State, Value, each, some

_ALL: Final[tuple[Kind, ...]] = ("identity", "trust", "resource", "limit")
_ELEMENTS: Final = (
    "Action",
    "Condition",
    "Effect",
    "NotAction",
    "NotPrincipal",
    "NotResource",
    "Principal",
    "Resource",
    "Sid",
)
_OPERATORS: Final = frozenset(
    f"{operator}{suffix}"
    for suffix in ("", "IfExists")
    for operator in (
        *DEMANDING,
        *NEGATING,
        *(
            f"{kind}{compare}"
            for kind in ("Numeric", "Date")
            for compare in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
        ),
        "BinaryEquals",
    )
) | {"Null"}
_LOWER_OPERATORS: Final = frozenset(operator.lower() for operator in _OPERATORS)


def _document_valid(resource: Resource, settings: Settings) -> Iterator[str]:
    yield from each_document(resource, _ALL, _problems)


def _problems(document: Document) -> Iterator[str]:
    if document.error:
        yield f"{document.path}: {document.error}"
        return
    for key in document.twice:
        yield f"{document.path}: has {key} twice in one object, of which only the last counts; merge them"
    yield from _version(document)
    yield from _unknown_keys(document.path, list(document.value.entries()), ("Id", "Statement", "Version"))
    if not document.value["Statement"].items():
        yield f"{document.path}: has no Statement"
    sids: list[str] = []

    def check(one: Statement) -> Iterator[str]:
        sid = one.value["Sid"].text()
        if sid and sid in sids:
            yield f"{one.path}: another statement has this Sid too; give each its own"
        sids.append(sid)
        yield from _statement(one, document.kind)

    yield from document.each_statement(check)


def _version(document: Document) -> Iterator[str]:
    version = document.value["Version"].text()
    if version == "2012-10-17":
        return
    if version not in ("", "2008-10-17"):
        yield f"{document.path}.Version: {version} is no version of the policy language; 2012-10-17 is the current one"
    # AWS's own default policies of topics, queues and repositories are of 2008, which has no variables, and so are the trust
    # policies that its older guides show; in a trust policy without variables it is no mistake.
    elif (
        document.kind in ("identity", "limit") or (document.kind == "trust" and not version) or "${" in str(document.place.data)
    ):
        yield (
            f"{document.path}.Version: must be 2012-10-17, {'not ' + version if version else 'and is missing'}; without it, "
            + ("variables such as ${aws:PrincipalTag/team} are plain text")
        )


def _statement(one: Statement, kind: Kind) -> Iterator[str]:
    if not isinstance(one.value.plain, dict):
        yield f"{one.value.path}: must be an object"
        return
    yield from _unknown_keys(one.path, list(one.value.entries()), _ELEMENTS)
    effect = one.value["Effect"].text()
    if effect not in ("Allow", "Deny"):
        yield f"{one.path}: Effect must be Allow or Deny, {'not ' + effect if effect else 'and is missing'}"
    if _count(one, "Action", "NotAction") != 1:
        yield f"{one.path}: must have either Action or NotAction"
    yield from _parties(one, kind)
    yield from _resources(one, kind)
    if kind == "identity" and re.fullmatch(r"[0-9A-Za-z]*", one.value["Sid"].text()) is None:
        yield f"{one.value.path}.Sid: must be of letters and digits only in a policy of a role, user or group"
    for operator, keys in one.value["Condition"].entries().items():
        quantifier, _, plain = operator.rpartition(":")
        if plain.lower() not in _LOWER_OPERATORS or quantifier.lower() not in ("", "forallvalues", "foranyvalue"):
            near = difflib.get_close_matches(plain, sorted(_OPERATORS), n=1)
            yield f"{keys.path}: is no operator of a condition{f'; did you mean {near[0]}?' if near else ''}"
        for key, value in keys.entries().items():
            if plain.lower().removesuffix("ifexists") in _LITERAL:
                yield from each(value.items(), lambda item, plain=plain: _literal(item, plain))
            if ":" not in key:
                yield f"{value.path}: is no condition key; it is written service:name, such as aws:SourceAccount"


# Operators that take a * for the character. ArnEquals is not among them: it matches as ArnLike does.
_LITERAL: Final = ("stringequals", "stringnotequals", "stringequalsignorecase", "stringnotequalsignorecase")


def _literal(item: Value, operator: str) -> Iterator[str]:
    # ${*} is how a policy writes the character itself.
    if "*" in str(item.plain).replace("${*}", ""):
        like = "StringNotLike" if "not" in operator.lower() else "StringLike"
        yield f"{item.path}: {operator} takes the * in {item.plain} for the character, and matches no other; write {like}"


def _resources(one: Statement, kind: Kind) -> Iterator[str]:
    """Check that each resource is an ARN, and that each action that is named has one of its own form."""
    resources = one.value["Resource"].items()
    if kind == "trust" or not resources:
        return

    def an_arn(item: Value) -> Iterator[str]:
        text = item.text()
        # A resource's own policy may write its parts in short: `execute-api:/live/*`.
        if not is_arn(text) and (kind != "resource" or text.startswith("arn:")):
            yield f"{item.path}: {text} is no ARN, which has six parts: arn:partition:service:region:account:name"

    def has_resource(item: Value) -> Iterator[str]:
        action = find(item.text())
        forms = forms_of(action.name) if action is not None and not is_pattern(item.text()) else ()
        if forms and not some(resources, lambda held: not held.text().startswith("arn:") or _fits(held.text(), forms)):
            effect = "denies" if one.denies else "allows"
            yield f"{item.path}: {item.text()} {effect} nothing: none of its resources is of the form {forms[-1]}"

    yield from each(resources, an_arn)
    if all(held.state is not State.KNOWN or is_arn(held.text()) for held in resources):
        yield from each(one.value["Action"].items(), has_resource)


def _fits(resource: str, forms: Sequence[str]) -> bool:
    return any(can_be(resource, form) for form in forms)


def _parties(one: Statement, kind: Kind) -> Iterator[str]:
    """Check which of `Principal` and `Resource` the document must have or must not have, depending on its kind."""
    if kind in ("identity", "limit") and _count(one, "Resource", "NotResource") != 1:
        yield f"{one.path}: must have either Resource or NotResource"
    if kind == "identity" and _count(one, "Principal", "NotPrincipal"):
        yield f"{one.path}: must have no Principal: the policy is for whom it is attached to"
    if kind in ("trust", "resource") and _count(one, "Principal", "NotPrincipal") != 1:
        yield f"{one.path}: must have either Principal or NotPrincipal: whom it is for"
    if kind == "trust" and _count(one, "Resource", "NotResource"):
        yield f"{one.path}: must have no Resource: a trust policy is about its own role"


def _count(one: Statement, *names: str) -> int:
    return sum(one.value[name].data is not None for name in names)


def _unknown_keys(path: str, found: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    for key in found:
        if key not in known:
            lower: dict[str, Any] = {name.lower(): name for name in known}
            near = difflib.get_close_matches(key.lower(), lower, n=1, cutoff=0.7)
            yield f"{path}: {key} is no element of a policy{f'; did you mean {lower[near[0]]}?' if near else ''}"


IAM_DOCUMENT_VALID: Final = Rule(
    name="iam-document-valid",
    title="A policy document is well-formed, and its actions and resources fit each other.",
    severity="medium",
    why="AWS rejects a malformed document in the middle of a deployment, and takes some mistakes as they are: of two keys of "
    "one name the last counts, without Version 2012-10-17 a variable is plain text, and s3:GetObject on a bucket's own ARN "
    "allows nothing.",
    fix="Write the document with `aws.iam.get_policy_document` or `pulumi.Output.json_dumps`, with Version 2012-10-17, and "
    "give each action an ARN of the form that the Service Authorization Reference has for it.",
    check=_document_valid,
    types=types("identity", "trust", "resource", "limit"),
    url="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html",
)
