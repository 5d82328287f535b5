"""What the `kubernetes` provider does with an object beside noting it: apply it to a cluster, or write it into a folder."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.changes import DEFAULTS
from pulumi_llm_local.engine.cloud import Refused
from pulumi_llm_local.engine.kubernetes_api import KubernetesApi, Manifest, Rejected, Unreachable

# As long as nothing says otherwise.
# https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/
_READY_SECONDS: Final = 600
_GONE_SECONDS: Final = 120
_POLL_SECONDS: Final = 0.1
SKIP_AWAIT: Final = "pulumi.com/skipAwait"


class Objects(Protocol):
    """Where objects go."""

    def apply(self, manifest: Manifest, seconds: float) -> None:
        """Make an object, or change it, and wait for at most so long until it is ready. Raises Refused."""

    def delete(self, manifest: Manifest, seconds: float) -> None:
        """Delete an object, and wait for at most so long until it is gone. Raises Refused."""


def manifest_of(inputs: Mapping[str, Any]) -> Manifest:
    """An object as its resource's inputs have it."""
    return {key: value for key, value in revealed(inputs).items() if key != DEFAULTS}


@dataclass
class AppliedObjects:
    """Objects in a cluster. With `delete_unreachable`, what is in one that is gone counts as deleted."""

    api: KubernetesApi
    delete_unreachable: bool
    _unreachable: bool = False

    def apply(self, manifest: Manifest, seconds: float) -> None:
        try:
            self.api.apply(manifest)
            if not _is_not_awaited(manifest):
                what = f"the Kubernetes API server reported that {_named(manifest)} failed to fully initialize or become live"
                _wait(lambda: self._is_ready(manifest), seconds or _READY_SECONDS, what)
        except (Rejected, Unreachable) as error:
            raise Refused(f"{_named(manifest)}: {error}") from None

    def delete(self, manifest: Manifest, seconds: float) -> None:
        try:
            if self._unreachable:
                return
            self.api.delete(manifest)
            _wait(lambda: self.api.read(manifest) is None, seconds or _GONE_SECONDS, f"{_named(manifest)} is not gone")
        except Rejected as error:
            raise Refused(f"{_named(manifest)}: {error}") from None
        except Unreachable as error:
            if not self.delete_unreachable:
                reason = "configured Kubernetes cluster is unreachable; set deleteUnreachable to forget what is in it"
                raise Refused(f"{reason}: {error}") from None
            self._unreachable = True

    def _is_ready(self, manifest: Manifest) -> bool:
        """What the provider waits for.

        https://github.com/pulumi/pulumi-kubernetes/tree/master/provider/pkg/await
        """
        match manifest["kind"]:
            case "Deployment":
                return _is_rolled_out(self.api.read(manifest))
            case "Service":  # it leads to pods, ready or not; unless it cannot
                spec, metadata = manifest["spec"], manifest["metadata"]
                if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
                    return True
                labels = {"kubernetes.io/service-name": metadata["name"]}
                slices = self.api.list("discovery.k8s.io/v1", "EndpointSlice", metadata["namespace"], labels)
                return any(each.get("endpoints") for each in slices)
            case _:
                return True


@dataclass
class RenderedObjects:
    """Objects as files, for a tool that brings them into a cluster.

    https://www.pulumi.com/registry/packages/kubernetes/api-docs/provider/#renderyamltodirectory_python
    """

    folder: Path

    def apply(self, manifest: Manifest, seconds: float) -> None:
        path = self._path(manifest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(dict(manifest), sort_keys=True))

    def delete(self, manifest: Manifest, seconds: float) -> None:
        self._path(manifest).unlink(missing_ok=True)

    def _path(self, manifest: Manifest) -> Path:
        """Definitions come first. The name holds what tells an object from others."""
        part = "0-crd" if manifest["kind"] == "CustomResourceDefinition" else "1-manifest"
        metadata = manifest["metadata"]
        version = manifest["apiVersion"].replace("/", "_")
        names = [version, manifest["kind"], metadata.get("namespace") or "default", metadata["name"]]
        return self.folder / part / f"{'-'.join(names).lower()}.yaml"


def _wait(reached: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise Refused(f"{what}, within {seconds:g} s")
        time.sleep(_POLL_SECONDS)


def _is_rolled_out(deployment: Mapping[str, Any] | None) -> bool:
    """Whether every replica is there as it is described now, and is available."""
    if deployment is None:
        return False
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and status.get("updatedReplicas", 0) >= wanted and status.get("availableReplicas", 0) >= wanted


def _is_not_awaited(manifest: Manifest) -> bool:
    return manifest["metadata"].get("annotations", {}).get(SKIP_AWAIT) == "true"


def _named(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
