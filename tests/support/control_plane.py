"""A Kubernetes control plane on this machine: API server, controller manager and scheduler, built from their Go modules, with
etcd. There are no kubelets, so nothing runs: what is admitted, made, scheduled and deleted is real."""

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from pulumi_llm_local.engine.kubernetes_api import KubernetesApi, Unreachable
from support.go_tools import go_tool, module_folder

_PROGRAMS = "k8s.io/kubernetes/cmd"
# Those that matter here. The one of nodes' lives is left out, for it would take away nodes that no kubelet speaks for.
_CONTROLLERS = "deployment,disruption,endpointslice,garbage-collector-controller,namespace,replicaset,serviceaccount"
_INSTALL_ETCD = "no etcd here: apt-get install etcd-server"


@contextlib.contextmanager
def control_plane(folder: Path) -> Iterator[KubernetesApi]:
    """Start a control plane with the schemas of KEDA and of the balancer's controller; end it with what it stored."""
    etcd = shutil.which("etcd")
    if etcd is None:
        pytest.skip(_INSTALL_ETCD)
    programs = {
        name: go_tool("kube", f"{_PROGRAMS}/{name}") for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    }
    definitions = custom_resource_definitions()
    client, peer, secure = _free_ports(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    _service_account_key(folder / "service-accounts.key")
    with contextlib.ExitStack() as running:
        _start(running, folder, etcd, _etcd_flags(folder, client, peer))
        _start(running, folder, str(programs["kube-apiserver"]), _api_server_flags(folder, client, secure))
        api = KubernetesApi(f"https://127.0.0.1:{secure}", token, folder / "certificates" / "apiserver.crt")
        _wait_until_ready(api, folder)
        kubeconfig = _kubeconfig(folder, api)
        flags = [f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false"]
        _start(running, folder, str(programs["kube-scheduler"]), flags)
        own = [f"--controllers={_CONTROLLERS}", f"--service-account-private-key-file={folder / 'service-accounts.key'}"]
        _start(running, folder, str(programs["kube-controller-manager"]), [*flags, *own])
        for definition in definitions:
            api.apply(definition)
        for definition in definitions:
            _wait_until_served(api, definition)
        yield api


def custom_resource_definitions() -> list[dict[str, Any]]:
    """KEDA's, from its Go module, and that of TargetGroupBinding, which is in no module that is served."""
    bases = module_folder("keda", "github.com/kedacore/keda/v2") / "config" / "crd" / "bases"
    names = ("scaledobjects", "triggerauthentications")
    own = Path(__file__).with_name("target_group_binding.yaml")
    return [yaml.safe_load(path.read_text()) for path in (*(bases / f"keda.sh_{name}.yaml" for name in names), own)]


def add_node(api: KubernetesApi, name: str, labels: dict[str, str], offers: dict[str, str], taints: Sequence[Any] = ()) -> None:
    """Make a node as its kubelet would report it: ready, with what it offers to pods."""
    there = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
    }
    api.apply(there)
    # The API server adds a taint to a node that is new, which a controller takes away from one that is ready.
    api.patch(there, {"spec": {"taints": list(taints)}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is ready"}
    api.patch(there, {"status": {"capacity": offers, "allocatable": offers, "conditions": [ready]}}, subresource="status")


def wait_for(found: Any, seconds: float = 120) -> Any:
    """Ask until there is an answer that is not empty."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.05)
    return answer


def _etcd_flags(folder: Path, client: int, peer: int) -> list[str]:
    """Without the disk's slowness: nothing of it has to last."""
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]


def _api_server_flags(folder: Path, client: int, secure: int) -> list[str]:
    key = folder / "service-accounts.key"
    return [
        f"--etcd-servers=http://127.0.0.1:{client}",
        "--bind-address=127.0.0.1",
        f"--secure-port={secure}",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.100.0.0/16",
        "--watch-cache=true",
    ]


def _start(running: contextlib.ExitStack, folder: Path, program: str, flags: Sequence[str]) -> None:
    """Start a program, its output in a file; the last that was started is ended first."""
    output = running.enter_context((folder / f"{Path(program).name.partition('-')[0]}-{len(flags)}.log").open("w"))
    # With the tests, whatever ends them.
    with_parent = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    process = subprocess.Popen([*with_parent, program, *flags], stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    running.callback(_end, process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """At once, for nothing of it has to last."""
    process.kill()
    process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _service_account_key(path: Path) -> None:
    subprocess.run(["openssl", "genrsa", "-out", str(path), "2048"], check=True, capture_output=True)


def _wait_until_ready(api: KubernetesApi, folder: Path) -> None:
    def ready() -> bool:
        with contextlib.suppress(Unreachable):
            return api.is_ready()
        return False

    try:
        wait_for(ready)
    except AssertionError:
        logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
        raise AssertionError(f"the API server did not get ready:\n{logs}") from None


def _wait_until_served(api: KubernetesApi, definition: dict[str, Any]) -> None:
    def established() -> bool:
        conditions = (api.read(definition) or {}).get("status", {}).get("conditions", [])
        return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

    wait_for(established)


def _kubeconfig(folder: Path, api: KubernetesApi) -> Path:
    path = folder / "kubeconfig"
    cluster = {"server": api.url, "certificate-authority": str(api.ca_file)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": api.token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
        "current-context": "here",
    }
    path.write_text(json.dumps(document))
    return path


class Kubelets:
    """Speaks for the kubelets of all nodes: servers that are bound get ready once they may, and pods that are to go are gone.

    A context: it does so until it is left.
    """

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self.may_get_ready = threading.Event()
        self.may_get_ready.set()
        self._api, self._namespace = api, namespace
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._left.wait(0.1):
            for pod in self._api.list("v1", "Pod", self._namespace):
                self._speak_for({"apiVersion": "v1", "kind": "Pod", **pod})

    def _speak_for(self, pod: dict[str, Any]) -> None:
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
        if "deletionTimestamp" in pod["metadata"]:
            self._api.delete(pod, grace_seconds=0)
        elif pod["spec"].get("nodeName") and not ready and self.may_get_ready.is_set():
            condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            scheduled = [each for each in pod["status"].get("conditions", []) if each["type"] == "PodScheduled"]
            self._api.patch(pod, {"status": {"phase": "Running", "conditions": [*scheduled, condition]}}, subresource="status")
