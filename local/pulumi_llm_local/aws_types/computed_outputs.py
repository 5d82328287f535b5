"""What AWS computes for a resource: its id, ARN, URL and the rest, in AWS's own form.

The mocks of the unit tests, the stand-in providers of the engine and the local run all answer from here, so that a
resource has the same outputs wherever the program is evaluated. The entries, one a type, are in
`computed_table` and, where they need more than filled-in text, in `computed_rules`; the answers to invokes are in
`computed_invokes`.
"""

import functools
from collections.abc import Mapping
from typing import Any, Final, cast

from pulumi_llm_local.aws_types import computed_invokes
from pulumi_llm_local.aws_types.computed_draft import Draft, Place
from pulumi_llm_local.aws_types.computed_rules import RULES, kubernetes_object
from pulumi_llm_local.aws_types.computed_table import TEMPLATES
from pulumi_llm_local.program.arguments import UNKNOWN, resource_class, revealed

__all__ = ["Place", "has_entry", "invoke", "outputs"]


def outputs(token: str, name: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    """Give a resource's id and its state: the inputs plus what AWS computes.

    The same arguments always give the same answer, and two resources that differ in type, name or seed differ in
    theirs. A type without an entry (see `has_entry`) gets an id and, where its class has one, an ARN of the common
    form `arn:aws:SERVICE:REGION:ACCOUNT:KIND/ID`; its other computed outputs are left out. An output that follows from
    an unknown input is unknown too. Nothing is None.

    `name` is the logical name. A physical name that is not given is made as the engine's autonaming would: the logical
    name, a hyphen and 7 hexadecimal digits. Raises LookupError for a type that the AWS SDK doesn't have.
    """
    given = {key: value for key, value in inputs.items() if value is not None}
    draft = Draft(token, name, {key: revealed(value) for key, value in given.items()}, place)
    if token.startswith("kubernetes:"):
        computed = kubernetes_object(draft)
        given.pop("metadata", None)  # it is among the computed ones, with the name
    elif token.startswith("aws:"):
        computed = _aws(draft)
    else:
        computed = {"id": draft.uuid()}
    computed = {key: _unknown_if_it_holds_one(value) for key, value in computed.items()}
    identifier = str(computed.pop("id")) or draft.uuid()  # an entry's id may follow from an input that is not given
    return identifier, {**computed, **given}


def has_entry(token: str) -> bool:
    """Say whether a type's outputs are spelled out; where not, `outputs` gives it a generic id and ARN."""
    return token in TEMPLATES or token in RULES or token.startswith("kubernetes:")


def invoke(token: str, args: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Answer a call of a provider's function, such as `aws:index/getRegion:getRegion`.

    Raises LookupError for a function that has no answer here.
    """
    if token not in computed_invokes.TABLE:
        known = ", ".join(sorted(token.rpartition(":")[2] for token in computed_invokes.TABLE))
        raise LookupError(f"{token}: no answer for this function; there are {known}")
    given = {key: revealed(value) for key, value in args.items() if value is not None}
    return computed_invokes.TABLE[token](Draft(token, "", given, place))


def _aws(draft: Draft) -> dict[str, Any]:
    """Lay a type's entry over what all AWS resources share: a name, a region, all tags."""
    properties = _properties(draft.token)
    computed: dict[str, Any] = {}
    if draft.name_property in properties:
        computed[draft.name_property] = draft.physical_name
    if "region" in properties:
        computed["region"] = draft.region
    if "tagsAll" in properties:
        computed["tagsAll"] = draft.inputs.get("tags", {})
    entry = RULES[draft.token](draft) if draft.token in RULES else TEMPLATES.get(draft.token)
    if entry is None:
        service, _, kind = draft.token.removeprefix("aws:").partition("/")
        service = _ARN_SERVICES.get(service, service)
        entry = {
            "id": "{name}" if draft.name_property in properties else "{uuid}",
            "arn": f"arn:{{partition}}:{service}:{{region}}:{{account}}:{kind.partition(':')[2].lower()}/{{id}}",
        }
    return computed | {key: value for key, value in draft.rendered(entry).items() if key == "id" or key in properties}


_ARN_SERVICES: Final = {
    "alb": "elasticloadbalancing",
    "cfg": "config",
    "lb": "elasticloadbalancing",
    "mq": "mq",
    "msk": "kafka",
    "opensearch": "es",
    "sfn": "states",
    "vpc": "ec2",
}
"""The name that a service has in ARNs, where it isn't the SDK's module."""


@functools.cache
def _properties(token: str) -> frozenset[str]:
    """Name the outputs of a resource type's class, in camelCase."""
    members: dict[str, Any] = {}
    for base in reversed(resource_class(token).__mro__):
        members.update(vars(base))
    getters = (cast("Any", member).fget for member in members.values() if isinstance(member, property))
    return frozenset(name for getter in getters if (name := getattr(getter, "_pulumi_name", None)))


def _unknown_if_it_holds_one(value: Any) -> Any:
    """An ARN with an unknown part is unknown as a whole."""
    if isinstance(value, dict):
        return {key: _unknown_if_it_holds_one(item) for key, item in cast("dict[str, Any]", value).items()}
    return UNKNOWN if isinstance(value, str) and UNKNOWN in value else value
