"""What is known of every resource type, found in the services' files, and the questions that it answers.

The mocks of the unit tests, the stand-in providers of the engine and the local run all answer from here, so that a
resource has the same outputs wherever the program is evaluated. What `api_values` checks is here too.
"""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final, cast

from pulumi_llm_local.aws_types import kubernetes
from pulumi_llm_local.aws_types.aws_type import Answer, AwsType
from pulumi_llm_local.aws_types.draft import Draft, Place
from pulumi_llm_local.aws_types.sdk import output_names, requires, takes
from pulumi_llm_local.aws_types.values import SIGNATURE, UNKNOWN, revealed

# The services' files are the modules beside this one that have a table of TYPES, or of the provider's functions (INVOKES). The
# two that read this table are none.
_MODULES: Final = [
    vars(import_module(f"{__package__}.{module.name}"))
    for module in iter_modules([str(Path(__file__).parent)])
    if module.name not in ("registry", "api_values")
]

SERVICES: Final[list[Mapping[str, AwsType]]] = [module["TYPES"] for module in _MODULES if "TYPES" in module]
"""The table of each service."""

TYPES: Final = {token: entry for table in SERVICES for token, entry in table.items()}
"""Every AWS resource type that is known."""

STATEFUL: Final = {**{token: entry.stateful for token, entry in TYPES.items() if entry.stateful}, **kubernetes.STATEFUL}
"""The types that an upgrade must never replace, with the reason: they hold data, or an identity that callers depend on."""

INVOKES: Final[Mapping[str, Callable[[Draft], Answer]]] = {
    token: answer for module in _MODULES for token, answer in module.get("INVOKES", {}).items()
}
"""The answer to each of the provider's functions that has one."""

_NOTHING_KNOWN: Final = AwsType()


def outputs(token: str, name: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    """Compute what AWS computes for a resource: its id, ARN, URL and the rest, in AWS's own form.

    The same arguments always give the same answer, and two resources that differ in type, name or seed differ in
    theirs. An AWS type without outputs of its own (see `has_entry`) gets an id and, where its class has one, an ARN of
    the common form `arn:aws:SERVICE:REGION:ACCOUNT:KIND/ID`; its other computed outputs are left out.

    Args:
        token: The resource's type.
        name: The logical name. A physical name that is not given is made as the engine's autonaming would: the logical
            name, a hyphen and 7 hexadecimal digits.
        inputs: The resource's inputs, as the engine gets them.
        place: The account and the Region in which the resource is.

    Returns:
        The id, and the state: the inputs and what is computed. An output that follows from an unknown input is unknown,
        too. Nothing is None.

    Raises:
        LookupError: The AWS SDK has no such type.
    """
    given = {key: value for key, value in inputs.items() if value is not None}
    draft = _draft(token, name, given, place)
    if token.startswith("kubernetes:"):
        computed = dict(kubernetes.outputs(draft))
        given.pop("metadata", None)  # it is among the computed ones, with the name
    elif token.startswith("aws:"):
        computed = _aws_outputs(draft)
    else:
        computed = {"id": draft.uuid()}
    computed = {key: _unknown_if_it_holds_one(value) for key, value in computed.items()}
    identifier = str(computed.pop("id")) or draft.uuid()  # an entry's id may follow from an input that is not given
    return identifier, _below(computed, given)


def _below(computed: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, and what is computed where nothing is: within an object, too, such as a cluster's `vpcConfig`."""
    merged = {**computed, **given}
    for key in computed.keys() & given.keys():
        if isinstance(computed[key], Mapping) and isinstance(given[key], Mapping) and SIGNATURE not in given[key]:
            merged[key] = {**computed[key], **given[key]}
    return merged


def identity(token: str, identifier: str, state: Mapping[str, Any]) -> tuple[str, ...]:
    """What no two resources of an account share: the type, the id and, where that is unique in something only, what that is."""
    within = TYPES.get(token, _NOTHING_KNOWN).within
    return (token, identifier, str(revealed(state.get(within)))) if within else (token, identifier)


def has_entry(token: str) -> bool:
    """Say whether a type has outputs of its own; where not, `outputs` gives it a generic id and ARN."""
    return TYPES.get(token, _NOTHING_KNOWN).outputs is not None or token.startswith("kubernetes:")


def invoke(token: str, args: Mapping[str, Any], place: Place) -> Answer:
    """Answer a call of a provider's function, such as `aws:index/getRegion:getRegion`.

    Raises LookupError for a function that has no answer here.
    """
    if token not in INVOKES:
        known = ", ".join(sorted(token.rpartition(":")[2] for token in INVOKES))
        raise LookupError(f"{token}: no answer for this function; there are {known}")
    return INVOKES[token](_draft(token, "", args, place))


def name_property(token: str) -> str:
    """Name the property that holds a type's physical name."""
    return TYPES.get(token, _NOTHING_KNOWN).name_property


def adapted_name(token: str, name: str, inputs: Mapping[str, Any]) -> str:
    """Make a name that was made up one that the type takes; one that fits already stays as it is."""
    adapt = TYPES.get(token, _NOTHING_KNOWN).adapt_name
    return adapt(name, inputs) if adapt else name


def forces_replacement(token: str, path: str) -> bool:
    """Say whether a change of a property replaces a resource rather than updates it.

    Args:
        token: The resource's type, such as `aws:dynamodb/table:Table`.
        path: Where the inputs differ, such as `attributes[0].name` or `tags.Owner`. What is said of a property holds for
            all that is below it, not for what is above it.

    Raises:
        LookupError: It is not known what replaces an AWS type, or the type is another package's.
    """
    replacing = kubernetes.replaced_by(token) if token.startswith("kubernetes:") else _replaced_by(token)
    names = _INDEX.sub("", path).split(".")
    return any(".".join(names[:end]) in replacing for end in range(1, len(names) + 1))


def deletes_before_replacement(token: str, given: Collection[str]) -> bool:
    """Say whether the provider deletes a resource before it makes the one that replaces it.

    It does so for some types, and wherever the name is given that it would otherwise make up, for two resources of one name
    cannot exist at once; it does not ask whether the name is another one.
    https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/schema.go (nameRequiresDeleteBeforeReplace)

    Args:
        token: The resource's type.
        given: The inputs that the program gave; those that the provider made up are left out.
    """
    name = name_property(token)
    named = name in given and takes(token, name) and not requires(token, name)
    return named or TYPES.get(token, _NOTHING_KNOWN).delete_before_replace


_INDEX: Final = re.compile(r'\[(?:"(?:[^"\\]|\\.)*"|[^\]]*)\]')


def _replaced_by(token: str) -> frozenset[str]:
    paths = TYPES.get(token, _NOTHING_KNOWN).replaced_by
    if paths is None:
        near = difflib.get_close_matches(token, TYPES, n=1)
        raise LookupError(
            f"{token}: not known what replaces it; say so in its service's file in aws_types, with no paths where nothing does"
            + (f" (or did you mean {near[0]!r}?)" if near else "")
        )
    return frozenset([*paths.split(), "region"] if takes(token, "region") else paths.split())


def _draft(token: str, name: str, inputs: Mapping[str, Any], place: Place) -> Draft:
    entry = TYPES.get(token, _NOTHING_KNOWN)
    given = {key: revealed(value) for key, value in inputs.items() if value is not None}
    return Draft(token, name, given, place, entry.name_property, entry.adapt_name)


def _aws_outputs(draft: Draft) -> dict[str, Any]:
    """Lay a type's outputs over what all AWS resources share: a name, a region, all tags."""
    properties = output_names(draft.token)
    computed: dict[str, Any] = {}
    if draft.name_property in properties:
        computed[draft.name_property] = draft.physical_name
    if "region" in properties:
        computed["region"] = draft.region
    if "tagsAll" in properties:
        computed["tagsAll"] = draft.inputs.get("tags", {})
    entry = TYPES.get(draft.token, _NOTHING_KNOWN).outputs
    if entry is None:
        service, _, kind = draft.token.removeprefix("aws:").partition("/")
        entry = {
            "id": "{name}" if draft.name_property in properties else "{uuid}",
            "arn": f"arn:{{partition}}:{service}:{{region}}:{{account}}:{kind.partition(':')[2].lower()}/{{id}}",
        }
    rendered = draft.rendered(entry(draft) if callable(entry) else entry)
    return computed | {key: value for key, value in rendered.items() if key == "id" or key in properties}


def _unknown_if_it_holds_one(value: Any) -> Any:
    """An ARN with an unknown part is unknown as a whole."""
    if isinstance(value, dict):
        return {key: _unknown_if_it_holds_one(item) for key, item in cast("dict[str, Any]", value).items()}
    return UNKNOWN if isinstance(value, str) and UNKNOWN in value else value
