"""A client of a Kubernetes API server, for objects of any kind.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

Manifest = Mapping[str, Any]

FIELD_MANAGER = "pulumi-llm"
_TIMEOUT_SECONDS = 15


class Rejected(Exception):
    """The API server does not take the request. `status` is HTTP's, and the text its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Exception):
    """There is no answer."""


@dataclass
class KubernetesApi:
    """An API server, called with a token. `ca_file` is the certificate that its own is checked against."""

    url: str
    token: str
    ca_file: Path
    _places: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict[tuple[str, str], tuple[str, bool]])

    def is_ready(self) -> bool:
        try:
            self._ask("GET", "/readyz")
        except Rejected:
            return False
        return True

    def apply(self, manifest: Manifest, *, dry_run: bool = False, manager: str = FIELD_MANAGER) -> dict[str, Any]:
        """Make an object or change it, by server-side apply with strict validation; give what it is then.

        A field that another manager has set is taken over, as the provider does by `patchForce`.

        Raises:
            Rejected: The object is not admitted.
            Unreachable: There is no answer.
        """
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        path = f"{self._path(manifest)}?{urllib.parse.urlencode(query)}"
        return self._ask("PATCH", path, manifest, "application/apply-patch+yaml")

    def read(self, manifest: Manifest) -> dict[str, Any] | None:
        """The object that has the manifest's kind and name, where there is one."""
        try:
            return self._ask("GET", self._path(manifest))
        except Rejected as rejected:
            if rejected.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def list(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """The objects of a kind in a namespace that have the labels."""
        manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "", "namespace": namespace}}
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        query = urllib.parse.urlencode({"labelSelector": selector})
        return self._ask("GET", f"{self._path(manifest).rstrip('/')}?{query}")["items"]

    def patch(self, manifest: Manifest, change: Mapping[str, Any], *, subresource: str = "") -> dict[str, Any]:
        """Merge a change into the object of that kind and name, or into a part of it such as its status."""
        path = self._path(manifest) + (f"/{subresource}" if subresource else "")
        return self._ask("PATCH", path, change, "application/merge-patch+json")

    def delete(self, manifest: Manifest, *, grace_seconds: int | None = None) -> None:
        """Delete the object and what it owns; one that is gone already is none the worse for it.

        `grace_seconds` is how long a pod has to end; its own time, if it is not given.
        """
        options = {"propagationPolicy": "Background", "gracePeriodSeconds": grace_seconds}
        try:
            self._ask("DELETE", self._path(manifest), options, "application/json")
        except Rejected as rejected:
            if rejected.status != HTTPStatus.NOT_FOUND:
                raise

    def _path(self, manifest: Manifest) -> str:
        version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        plural, namespaced = self._place(version, kind)
        namespace = f"/namespaces/{metadata.get('namespace') or 'default'}" if namespaced else ""
        return f"{_root(version)}{namespace}/{plural}/{urllib.parse.quote(metadata['name'])}"

    def _place(self, version: str, kind: str) -> tuple[str, bool]:
        """How the kind is written in paths, and whether its objects are in namespaces."""
        if (version, kind) not in self._places:
            for resource in self._ask("GET", _root(version))["resources"]:
                if "/" not in resource["name"]:
                    self._places[version, resource["kind"]] = (resource["name"], resource["namespaced"])
        try:
            return self._places[version, kind]
        except KeyError:
            raise Rejected(HTTPStatus.NOT_FOUND, f"the server has no kind {kind!r} in {version}") from None

    def _ask(self, method: str, path: str, body: Any = None, content_type: str = "") -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), content_type
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            # The URL is that of the API server, which who starts the stand-in gives.
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=context) as response:  # noqa: S310  # nosec B310
                content = response.read()
        except urllib.error.HTTPError as error:
            raise Rejected(error.code, _message(error.read())) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.url} does not answer: {error}") from None
        return json.loads(content) if content.startswith(b"{") else None


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")
