"""What a Pulumi program registers, recorded without an engine: every resource with its inputs, options and computed outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
from google.protobuf import empty_pb2, json_format
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import configure

from pulumi_llm_local.aws_types import json_documents
from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.aws_types.values import RESOURCE, SIGNATURE, UNKNOWN
from pulumi_llm_local.program.given import Given
from pulumi_llm_local.program.mocks import AwsMocks

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass
class Recorded:
    """One resource. `inputs` and `state` are as the engine has them: camelCase keys, secrets in their wrapping."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    provider: str
    id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    dependencies: list[str] = field(default_factory=list[str])
    property_dependencies: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    aliases: list[str] = field(default_factory=list[str])
    protect: bool = False
    retain_on_delete: bool = False
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])


class Recorder(mocks.MockMonitor):
    """A resource monitor that answers from the table of computed outputs and remembers what it was told."""

    def __init__(self, place: Place, given: Given) -> None:
        self.recorded: dict[str, Recorded] = {}
        super().__init__(
            AwsMocks(region=place.region, account=place.account, answers=given.answers, outputs=given.outputs, seed=place.seed)
        )
        self.stack_outputs: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:
        given = json_documents.as_text(request.type, _without_references(json_format.MessageToDict(request.object)))
        request.object.Clear()
        request.object.update(given)
        response: Any = super().RegisterResource(request)  # pyright: ignore[reportUnknownMemberType]
        if pulumi.runtime.is_dry_run() and request.custom:  # as at a first preview: nothing is computed yet
            response.object.CopyFrom(request.object)
            response.id = ""
        self.recorded[response.urn] = Recorded(
            urn=response.urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            provider=request.provider,
            id=response.id,
            inputs=rpc.deserialize_properties(request.object),
            state=rpc.deserialize_properties(response.object),
            dependencies=sorted(request.dependencies),
            property_dependencies={name: list(each.urns) for name, each in request.propertyDependencies.items()},
            aliases=[alias.spec.name or alias.urn for alias in request.aliases],
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
        )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:
        outputs = rpc.deserialize_properties(request.outputs)
        recorded = self.recorded[request.urn]
        recorded.outputs = outputs
        if recorded.type == STACK_TYPE:
            self.stack_outputs = outputs
        return empty_pb2.Empty()

    def of_type(self, type: str = "") -> list[Recorded]:
        """The resources of a type, all of them for none, in the order of their registration; never the stack itself."""
        return [r for r in self.recorded.values() if r.type != STACK_TYPE and type in ("", r.type)]


def _without_references(value: Any) -> Any:
    """A value with the id of each resource in place of the resource, as the engine sends it to a provider.

    A resource that is not made yet has no id that is known, and a component has none: its URN stands for it.
    https://github.com/pulumi/pulumi/blob/master/pkg/resource/plugin/rpc.go (MarshalOptions.KeepResources)
    """
    if isinstance(value, list):
        return [_without_references(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    if fields.get(SIGNATURE) == RESOURCE:
        return (fields["id"] or UNKNOWN) if "id" in fields else fields["urn"]
    return {name: _without_references(item) for name, item in fields.items()}


def start(
    place: Place, project: str, stack: str, config: Mapping[str, str], *, preview: bool = False, given: Given | None = None
) -> Recorder:
    """Have this process's Pulumi runtime register with a new recorder.

    What `pulumi.runtime.set_mocks` does, but for the root stack that it makes and closes at once: a program that is run with
    `run_in_stack` has one of its own, which takes its exports. `preview` makes computed outputs unknown; `given` is what the
    program reads from elsewhere.
    """
    recorder = Recorder(place, given or Given())
    pulumi.runtime.set_all_config(dict(config))
    # Newer runtimes get all the monitor's features at once, older ones ask the monitor for each.
    tell: Any = getattr(recorder, "GetDeploymentInfo", None)
    features: set[Any] = set(tell(empty_pb2.Empty()).supportedFeatures) if tell else set()
    configure(
        mocks.MockSettings(
            monitor=recorder,
            monitor_features=features,
            engine=mocks.MockEngine(None),
            project=project,
            stack=stack,
            dry_run=preview,
            organization=None,
            callbacks=None,
        )
    )
    return recorder
