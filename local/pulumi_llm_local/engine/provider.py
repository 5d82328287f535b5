"""The `aws` and `kubernetes` providers that the engine talks to: they check as the real ones do, and change a stand-in account.

https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
"""

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from pulumi_llm_local.aws_types import api_values, json_documents, registry
from pulumi_llm_local.aws_types.account import place_of
from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.aws_types.lambda_ import PUBLISHED
from pulumi_llm_local.aws_types.sdk import PACKAGES, takes
from pulumi_llm_local.aws_types.values import UNKNOWN
from pulumi_llm_local.engine.changes import DEFAULTS, Properties, changes
from pulumi_llm_local.engine.cloud import Cloud, Refused, published
from pulumi_llm_local.engine.kubernetes_api import KubernetesApi
from pulumi_llm_local.engine.kubernetes_objects import AppliedObjects, Objects, RenderedObjects, manifest_of
from pulumi_llm_local.program import arguments
from pulumi_llm_local.program.given import missing_answer

# What the engine keeps beside a provider's own configuration.
_ENGINES_OWN = ("version", "pluginDownloadURL")
# https://github.com/pulumi/pulumi-kubernetes/blob/master/provider/pkg/provider/provider.go (DiffConfig)
_PLACES = ("region", "renderYamlToDirectory")
AUTONAMED = "pulumi.com/autonamed"


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Plays one package for every provider resource of a program; each has a connection, and a Region, of its own."""

    def __init__(
        self,
        package: str,
        cloud: Cloud,
        environment: Mapping[str, str],
        answers: Mapping[str, Mapping[str, Any]],
        cluster: KubernetesApi | None = None,
    ) -> None:
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        self._default = Place(region=region) if region else Place()
        self._answers = answers
        self._package = package
        self._cloud = cloud
        self._places: dict[str, Place] = {}
        self._cluster = cluster
        self._objects: dict[str, Objects | None] = {}

    # The provider itself.

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=_sdk_version(self._package))

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        inputs = _read(request.news)
        given = {key: value for key, value in inputs.items() if key not in _ENGINES_OWN}
        return _checked(inputs, [*arguments.problems(_type(request.urn), given), *_writer_problems(_type(request.urn), given)])

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Another Region, or another folder for objects, is another place: what the provider made is replaced."""
        changed = list(changes(_read(request.old_inputs), _read(request.news)))
        return _difference(changed, replaces=[key for key in changed if key.partition(".")[0] in _PLACES])

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        given = _read(request.args)
        place = place_of(given, self._default)
        self._places[context.peer()] = replace(place, cluster=_cluster(given)) if self._package == "kubernetes" else place
        self._objects[context.peer()] = self._objects_of(given)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=False, supportsPreview=True, supports_autonaming_configuration=True
        )

    # Functions.

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        args = _read(request.args)
        try:
            given = self._answers.get(request.tok)
            answer = {**args, **given} if given is not None else registry.invoke(request.tok, args, self._place(context))
        except LookupError:
            reason = "AWS's answer is not known here"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, missing_answer(request.tok, reason))
        named: dict[str, Any] = {"return": _written(answer)}  # a word of Python's own
        return provider_pb2.InvokeResponse(**named)

    # Resources.

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, old, inputs = _type(request.urn), _read(request.olds), _read(request.news)
        try:
            named = json_documents.as_text(token, _named(token, inputs, old, request))
            found = [*arguments.problems(token, named), *api_values.problems(token, named)]
        except LookupError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return _checked(named, found)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, old, new = _type(request.urn), _read(request.old_inputs), _read(request.news)
        changed = list(changes(old, new))
        replaces = [path for path in changed if registry.forces_replacement(token, path)]
        first = bool(replaces) and registry.deletes_before_replacement(token, new.keys() - {*new.get(DEFAULTS, ())})
        return _difference(changed, replaces, delete_before_replace=first)

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, inputs = _type(request.urn), _read(request.properties)
        if request.preview:
            _, state = registry.outputs(token, _name(request.urn), inputs, self._place(context))
            state = {key: inputs.get(key, UNKNOWN) for key in state}
            return provider_pb2.CreateResponse(properties=_written(_state(state)))
        with _refusal(context):
            created = self._cloud.create(token, request.urn, inputs, self._place(context))
            try:
                self._apply(token, created.inputs, request.timeout, context)
            except Refused:
                self._cloud.forget(created)
                raise
        return provider_pb2.CreateResponse(id=created.id, properties=_written(_state(created.state)))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        found = self._cloud.read(_type(request.urn), request.id, _read(request.properties), self._place(context).cluster)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=found.id, inputs=_written(found.inputs), properties=_written(_state(found.state)))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, inputs = _type(request.urn), _read(request.news)
        if request.preview:
            old_inputs = _read(request.old_inputs)
            computed = {key: value for key, value in _read(request.olds).items() if key not in old_inputs}
            state = {**computed, **({"tagsAll": inputs.get("tags", {})} if "tagsAll" in computed else {}), **inputs}
            if published(token, old_inputs, inputs):
                state |= dict.fromkeys(PUBLISHED, UNKNOWN)
            return provider_pb2.UpdateResponse(properties=_written(_state(state)))
        with _refusal(context):
            updated = self._cloud.update(token, request.id, request.urn, inputs, self._place(context).cluster)
            self._apply(token, inputs, request.timeout, context)
        return provider_pb2.UpdateResponse(properties=_written(_state(updated.state)))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _refusal(context):
            token, state = _type(request.urn), _read(request.properties)
            if (objects := self._objects_for(token, context)) is not None:
                objects.delete(manifest_of(_read(request.old_inputs) or state), request.timeout)
            self._cloud.delete(token, request.id, request.urn, state, self._place(context).cluster)
        return empty_pb2.Empty()

    # Kubernetes' objects.

    def _objects_of(self, given: Properties) -> Objects | None:
        """Where the objects of a provider with this configuration go; None: nowhere but into the account."""
        if self._package != "kubernetes":
            return None
        if folder := given.get("renderYamlToDirectory"):
            return RenderedObjects(Path(folder))
        if self._cluster is None:
            return None
        return AppliedObjects(self._cluster, given.get("deleteUnreachable") in (True, "true"))

    def _objects_for(self, token: str, context: grpc.ServicerContext) -> Objects | None:
        """A chart's are not known here."""
        return None if token.endswith(":Release") else self._objects.get(context.peer())

    def _apply(self, token: str, inputs: Mapping[str, Any], seconds: float, context: grpc.ServicerContext) -> None:
        if (objects := self._objects_for(token, context)) is not None:
            objects.apply(manifest_of(inputs), seconds)

    def _place(self, context: grpc.ServicerContext) -> Place:
        return self._places.get(context.peer(), self._default)


# Names. A resource that is given none keeps the one that it got first.


def _named(token: str, inputs: Properties, old: Properties, request: Any) -> Properties:
    """The inputs with a name that the engine proposes (`pulumi:autonaming`), or the logical name with a random end."""
    if token.startswith("kubernetes:") and not token.endswith(":Release"):
        return _named_object(inputs, old, request)
    name = registry.name_property(token)
    if name in inputs or f"{name}Prefix" in inputs or not takes(token, name):
        return inputs
    made = old[name] if name in old.get(DEFAULTS, ()) else _proposed(request, 7)
    return {**inputs, name: registry.adapted_name(token, made, inputs), DEFAULTS: [name]} if made else inputs


def _named_object(inputs: Properties, old: Properties, request: Any) -> Properties:
    given: Any = inputs.get("metadata", {})
    if not isinstance(given, dict) or "name" in given or "generateName" in given:
        return inputs
    metadata, before = cast("Properties", given), cast("Properties", old.get("metadata", {}))
    kept = before.get("name") if AUTONAMED in before.get("annotations", {}) else None
    annotations = {**metadata.get("annotations", {}), AUTONAMED: "true"}
    return {**inputs, "metadata": {**metadata, "name": kept or _proposed(request, 8), "annotations": annotations}}


def _proposed(request: Any, digits: int) -> str:
    if request.HasField("autonaming"):
        return request.autonaming.proposed_name  # empty where autonaming is switched off
    return f"{_name(request.urn)}-{hashlib.sha256(request.randomSeed).hexdigest()[:digits]}"


def _writer_problems(token: str, given: Properties) -> list[str]:
    """A provider that writes objects as files reaches no cluster.

    https://github.com/pulumi/pulumi-kubernetes/blob/master/provider/pkg/provider/provider.go (CheckConfig)
    """
    if token != "pulumi:providers:kubernetes" or not given.get("renderYamlToDirectory"):
        return []
    reason = "no such argument together with renderYamlToDirectory"
    return [f"{token}: {key}: {reason}" for key in ("cluster", "context", "kubeconfig") if given.get(key)]


def _cluster(given: Properties) -> str:
    """Which cluster, or which folder, the objects of a provider of Kubernetes are in."""
    return str(given.get("renderYamlToDirectory") or given.get("clusterIdentifier") or given.get("kubeconfig") or "")


def _difference(changed: Sequence[str], replaces: Sequence[str], *, delete_before_replace: bool = False) -> Any:
    kinds = provider_pb2.PropertyDiff.Kind
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=list(dict.fromkeys(path.partition(".")[0].partition("[")[0] for path in changed)),
        replaces=replaces,
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=kinds.UPDATE_REPLACE if path in replaces else kinds.UPDATE, inputDiff=True)
            for path in changed
        },
        hasDetailedDiff=True,
        deleteBeforeReplace=delete_before_replace,
    )


# The protocol's words.


def _sdk_version(package: str) -> str:
    try:
        return importlib.metadata.version(PACKAGES[package])
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


def _checked(inputs: Properties, problems: Sequence[str]) -> Any:
    """A problem reads `TYPE: PATH: reason`. The path stays in the text: of a failure's `property` the engine prints the value,
    a secret's too."""
    failures = [provider_pb2.CheckFailure(reason=problem.partition(": ")[2]) for problem in problems]
    return provider_pb2.CheckResponse(inputs=_written(inputs), failures=failures)


@contextlib.contextmanager
def _refusal(context: grpc.ServicerContext) -> Generator[None]:
    try:
        yield
    except (Refused, LookupError) as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _type(urn: str) -> str:
    """The resource's own type, the last of those in its URN."""
    return urn.split("::")[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.split("::", maxsplit=3)[3]


def _state(state: Mapping[str, Any]) -> Properties:
    return {key: value for key, value in state.items() if key != DEFAULTS}


def _read(struct: struct_pb2.Struct) -> Properties:
    return json_format.MessageToDict(struct)


def _written(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(dict(properties))
    return struct
