"""Rules on what runs in a cluster: no pod with control over its node, and none without limits."""

from collections.abc import Iterator
from typing import Final

from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.values import Value, each_at

# Where the specification of a pod stands, by the last word of the type.
POD_SPECS: Final = {
    "Pod": "spec",
    "Deployment": "spec.template.spec",
    "StatefulSet": "spec.template.spec",
    "DaemonSet": "spec.template.spec",
    "ReplicaSet": "spec.template.spec",
    "Job": "spec.template.spec",
    "CronJob": "spec.jobTemplate.spec.template.spec",
}
_GROUPS: Final = ("kubernetes:core/v1:", "kubernetes:apps/v1:", "kubernetes:batch/v1:")
POD_TYPES: Final = tuple(
    f"{group}{kind}"
    for group, kinds in zip(
        _GROUPS, (("Pod",), ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), ("Job", "CronJob")), strict=True
    )
    for kind in kinds
)


def _pod(resource: Resource) -> Value:
    return resource.at(POD_SPECS[resource.type.rpartition(":")[2]])


def _not_privileged(resource: Resource, settings: Settings) -> Iterator[str]:
    pod = _pod(resource)
    if pod.missing or _is_exempt(resource, settings):
        return

    parts = (("containers[]", _container), ("initContainers[]", _container), ("volumes[]", _volume))
    yield from each_at(pod, (*parts, *((name, _shares) for name in ("hostNetwork", "hostPID", "hostIPC"))))


def _container(container: Value) -> Iterator[str]:
    context = container["securityContext"]
    if context["privileged"].flag():
        yield f"{context.path}.privileged is true: the container owns its node; GPUs come from the device plugin instead"
    if context["allowPrivilegeEscalation"].flag():
        yield f"{context.path}.allowPrivilegeEscalation is true: leave it false"


def _volume(volume: Value) -> Iterator[str]:
    if not volume["hostPath"].missing:
        yield f"{volume.path}.hostPath: the pod reads and writes the node's own files; use emptyDir or a claim"


def _shares(flag: Value) -> Iterator[str]:
    if flag.flag():
        space = flag.path.rpartition(".")[2].removeprefix("host").lower()
        yield f"{flag.path} is true: the pod shares the node's own {space} space"


def _limited(resource: Resource, settings: Settings) -> Iterator[str]:
    pod = _pod(resource)
    if pod.missing or _is_exempt(resource, settings):
        return

    def container(value: Value) -> Iterator[str]:
        resources = value["resources"]
        # A CPU is shared by what the containers request: beyond its request, one takes only what the others leave idle.
        enough = {"cpu"} if not resources["requests"]["cpu"].missing else set[str]()
        lacking = [name for name in settings["limits"] if resources["limits"][name].missing and name not in enough]
        if lacking:
            yield f"{value.path}.resources.limits lacks {' and '.join(lacking)}: it can take the whole node's"

    yield from each_at(pod, (("containers[]", container), ("initContainers[]", container)))


def _is_exempt(resource: Resource, settings: Settings) -> bool:
    """Whether the pod runs in a system namespace of the cluster: device plugins and log agents need access to the node."""
    return resource.at("metadata.namespace").text("default") in settings["except_namespaces"]


_EXCEPT: Final = Setting(["kube-system"], STRINGS, "Namespaces of the cluster's own machinery, not looked at.")

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="pods-not-privileged",
        title="No pod owns its node.",
        severity="critical",
        why="A privileged pod, or one with the node's files or network, is root on the node and has its role.",
        fix="No `privileged`, `hostNetwork`, `hostPID`, `hostIPC` or `hostPath`; request `nvidia.com/gpu` for a GPU.",
        check=_not_privileged,
        types=POD_TYPES,
        settings={"except_namespaces": _EXCEPT},
        url="https://kubernetes.io/docs/concepts/security/pod-security-standards/",
    ),
    Rule(
        name="pods-limited",
        title="Every container says how much CPU and memory it may take.",
        severity="medium",
        why="A model server without limits starves its node's other pods, and drives the autoscaler to ever more GPU nodes.",
        fix="`resources={'limits': {'cpu': …, 'memory': …}}` on each container; of the CPU a request is enough.",
        check=_limited,
        types=POD_TYPES,
        settings={
            "limits": Setting(["cpu", "memory"], STRINGS, "The limits that each container must have."),
            "except_namespaces": _EXCEPT,
        },
        url="https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
    ),
)
