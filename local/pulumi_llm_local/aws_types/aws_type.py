"""The record of an AWS resource type: everything that the stand-ins know of it stands in its entry, in its service's file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi_llm_local.aws_types.draft import AdaptName, Draft

AWS_DOCS: Final = "https://docs.aws.amazon.com/"
PROVIDER_DOCS: Final = "https://www.pulumi.com/registry/packages/aws/api-docs/"

Outputs = Mapping[str, Any]
"""The id and the outputs of a resource, as `Draft.rendered` reads them."""

Answer = dict[str, Any]
"""The answer to a call of one of the provider's functions."""


@dataclass(frozen=True)
class ValueRule:
    """What AWS demands of a property. What isn't given here is as in botocore's model."""

    source: str
    """A page of AWS's documentation or, where the provider differs from the API, of the provider's."""
    member: str = ""
    """The path of the API's member within the structure, where its name isn't the property's."""
    low: float | None = None
    """The least number, or the least length of a text or list."""
    high: float | None = None
    values: tuple[Any, ...] = ()
    pattern: str = ""
    exempt: str = ""
    """Why the property isn't checked at all."""
    size: Callable[[Any], int] | None = None
    """What is measured, where that isn't the length."""
    unit: str = "character"

    @property
    def limits(self) -> Mapping[str, Any]:
        given = {"min": self.low, "max": self.high, "enum": self.values, "pattern": self.pattern}
        return {name: limit for name, limit in given.items() if limit not in (None, (), "")}


@dataclass(frozen=True)
class Relation:
    """A property by which one resource refers to another one."""

    token: str
    """The other type."""
    keys: Mapping[str, str]
    """The properties of the one that refers, and those of the other one (or `id`, or a text with `{id}` in it) whose value they
    hold: as text, in a list, or as a map's value."""
    refusal: str = ""
    """What AWS says where the relation forbids a change."""


@dataclass(frozen=True)
class AwsType:
    """What is known of one resource type. Properties have the SDK's camelCase names."""

    outputs: Outputs | Callable[[Draft], Outputs] | None = None
    """The id and every output that other resources use; None gives an id and an ARN of the common form."""

    replaced_by: str | None = None
    """The paths of the properties whose change replaces the resource, separated by spaces; None where they are not known.

    Found by asking HashiCorp's AWS provider 5.100.0 itself to plan a change of each property of each type (the answer's
    `requires_replace`), the conditions in its code included. The comments name what comes from elsewhere: from the source
    of provider 6, which is the one in the SDK, or from CloudFormation's documentation ("Update requires: Replacement").

    A path stands for all below it, without the indices of lists. A block that replaces when it comes or when it goes, with
    no property in it that does so, is listed whole. A plain value that replaces only when it is first set or taken away is
    not listed, nor is `region`, which replaces every resource that has it.
    """

    stateful: str = ""
    """Why an upgrade must never replace it: what it holds, or who depends on its identity. Empty where it may."""

    name_property: str = "name"
    """The property that holds the physical name."""
    adapt_name: AdaptName | None = None
    """Makes a name that was made up one that the type takes, from the name and the other inputs."""

    api: str = ""
    """Botocore's service, then where the inputs are: operations or structures within their input, the first that has a member.

    Without it they are in the operation that is found by the type's name: `Create`, `Put`, … and the kind.
    """
    rules: Mapping[str, ValueRule] = field(default_factory=dict[str, ValueRule])
    """What botocore's model lacks, by the properties' paths without positions; `*` stands for a map's keys."""
    rules_by_inputs: Callable[[Mapping[str, Any]], Mapping[str, ValueRule]] | None = None
    """The rules that depend on the other inputs. They replace those of `rules`, except for the member."""

    deletion_protection: tuple[str, Any] | None = None
    """The property that has AWS refuse to delete the resource, and its value then."""
    within: str = ""
    """The property that names what the id belongs to, where the provider's id is unique in that only."""
    unique: tuple[str, ...] = ()
    """The properties that no two resources of the type may share all, beside their ids."""
    deleted_by: tuple[str, ...] = ()
    """The properties by which AWS deletes it, where it has no id of its own: whatever has the same ones goes, too."""
    overwrites: bool = False
    """AWS has no create operation for it, only one that puts it in the place of what is there."""
    delete_before_replace: bool = False
    """The provider deletes it before it makes another one, whatever its name."""
    # https://github.com/pulumi/pulumi-aws/tree/master/provider (DeleteBeforeReplace)
    needs: tuple[Relation, ...] = ()
    """What the resource refers to, and what has to be there before it."""
    blocked_by: tuple[Relation, ...] = ()
    """What refers to the resource, and must be gone or changed before AWS deletes it."""
    contains: tuple[Relation, ...] = ()
    """What refers to the resource, and is deleted by AWS together with it."""


def fifo_name(name: str, inputs: Mapping[str, Any]) -> str:
    """The name of a FIFO queue or topic ends in `.fifo`."""
    fifo = inputs.get("fifoQueue") is True or inputs.get("fifoTopic") is True
    return f"{name.removesuffix('.fifo')}.fifo" if fifo else name
