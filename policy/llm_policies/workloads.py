"""Rules on what runs in a cluster: no pod with control over its node, and none without limits."""

import json
from collections.abc import Iterator
from typing import Final

from llm_policies.rule import AWS_DOCS, BOOLEAN, STRINGS, Resource, Rule, Setting, Settings
from llm_policies.values import Value, each, each_at

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
_NAMESPACE: Final = "kubernetes:core/v1:Namespace"
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
    if resource.type == _NAMESPACE:
        level = resource.at("metadata.labels")["pod-security.kubernetes.io/enforce"]
        if level.equals("privileged") and resource.at("metadata.name").text() not in settings["except_namespaces"]:
            yield f"{level.path} is privileged: the namespace takes pods that own their nodes; write baseline or restricted"
        return
    pod = _pod(resource)
    if pod.missing or _is_exempt(resource, settings):
        return

    parts = (("containers[]", _container), ("initContainers[]", _container), ("volumes[]", _volume), ("securityContext", _user))
    yield from each_at(pod, (*parts, *((name, _shares) for name in ("hostNetwork", "hostPID", "hostIPC"))))


def _container(container: Value) -> Iterator[str]:
    context = container["securityContext"]
    if context["privileged"].flag():
        yield f"{context.path}.privileged is true: the container owns its node; GPUs come from the device plugin instead"
    if context["allowPrivilegeEscalation"].flag():
        yield f"{context.path}.allowPrivilegeEscalation is true: leave it false"

    yield from _user(context)
    for item in context["capabilities"]["add"].items():
        if (name := item.text().upper().removeprefix("CAP_")) in _POWERS:
            yield f"{item.path} is {name}: with it the container owns its node"
    for port in container["ports"].items():
        if not port["hostPort"].missing:
            yield f"{port.path}.hostPort: the container listens on the node's own address; use a Service"


def _user(context: Value) -> Iterator[str]:
    if context["runAsUser"].data == 0:
        yield f"{context.path}.runAsUser is 0: the container runs as root; name another user"
    if context["seccompProfile"]["type"].equals("Unconfined"):
        yield f"{context.path}.seccompProfile.type is Unconfined: any system call is allowed; use RuntimeDefault"


# The capabilities that Kubernetes' baseline standard does not allow, and that give the node.
_POWERS: Final = frozenset(
    {"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "NET_ADMIN", "DAC_READ_SEARCH", "BPF", "PERFMON", "SYS_BOOT"}
)


def _volume(volume: Value) -> Iterator[str]:
    if not volume["hostPath"].missing:
        yield f"{volume.path}.hostPath: the pod reads and writes the node's own files; use emptyDir or a claim"


def _shares(flag: Value) -> Iterator[str]:
    if flag.flag():
        space = flag.path.rpartition(".")[2].removeprefix("host").lower()
        yield f"{flag.path} is true: the pod shares the node's own {space} space"


# What runs in ECS, Batch and CodeBuild

_BUILD: Final = "aws:codebuild/project:Project"
_TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"
_DAEMON: Final = "aws:ecs/daemonTaskDefinition:DaemonTaskDefinition"
_JOB: Final = "aws:batch/jobDefinition:JobDefinition"


def _tasks(resource: Resource, settings: Settings) -> Iterator[str]:
    if resource.type == _BUILD:
        if resource.at("environment.privilegedMode").flag() and not settings["builds"]:
            yield "environment.privilegedMode is true: the build is root on its host, and so is whatever it installs"
    elif resource.type == _JOB:
        pod = resource.at("eksProperties.podProperties")
        yield from each(
            (resource["containerProperties"], resource["ecsProperties"], resource["nodeProperties"]),
            lambda text: each(_within(_parsed(text)), _task_container),
        )
        if not pod.missing:
            yield from each_at(pod, (("containers[]", _container), ("initContainers[]", _container), ("volumes[]", _volume)))
    else:
        for name in ("pidMode", "ipcMode", "networkMode"):
            if resource[name].equals("host"):
                yield f"{name} is host: the task shares the instance's own {name.removesuffix('Mode')} space"
        yield from each(resource["volumes"].items(), _task_volume)
        yield from each(_within(_parsed(resource["containerDefinitions"])), _task_container)


def _parsed(value: Value) -> Value:
    """What a JSON text holds; a value that is none as it is."""
    if not isinstance(value.plain, str):
        return value
    try:
        return Value(json.loads(value.plain), value.path, value.origin)
    except ValueError:
        return Value(None, value.path, value.origin)


def _within(value: Value) -> Iterator[Value]:
    """All maps in a value."""
    if isinstance(value.plain, list):
        for item in value.items():
            yield from _within(item)
    elif entries := value.entries():
        yield value
        for entry in entries.values():
            if isinstance(entry.data, (list, dict)):
                yield from _within(entry)


def _task_container(value: Value) -> Iterator[str]:
    if value["privileged"].flag():
        yield f"{value.path}.privileged is true: the container owns its instance"
    for name in ("add", "adds"):
        for item in value["linuxParameters"]["capabilities"][name].items():
            if item.text() in _POWERS:
                yield f"{item.path} is {item.text()}: with it the container owns its instance"
    yield from _task_volume(value)


def _task_volume(value: Value) -> Iterator[str]:
    path = value["hostPath"] if not value["hostPath"].missing else value["host"]["sourcePath"]
    for source in (path, *(host["sourcePath"] for host in value["hosts"].items())):
        if isinstance(source.data, str) and (source.data == "/" or source.data.startswith(_HOSTS_OWN)):
            yield f"{source.path} is {source.data}: the container acts as its instance; use a volume of its own"


# What gives an instance to who may read or write it.
_HOSTS_OWN: Final = (
    "/var/run",
    "/run",
    "/etc",
    "/root",
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/var/lib/docker",
    "/var/lib/ecs",
    "/home",
)


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


EXCEPT_NAMESPACES: Final = Setting(["kube-system"], STRINGS, "Namespaces of the cluster's own machinery, not looked at.")

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="pods-not-privileged",
        title="No pod owns its node.",
        severity="critical",
        why="A privileged pod, or one with the node's files or network, is root on the node and has its role.",
        fix="No `privileged`, `hostNetwork`, `hostPID`, `hostIPC` or `hostPath`; request `nvidia.com/gpu` for a GPU.",
        check=_not_privileged,
        types=(*POD_TYPES, _NAMESPACE),
        settings={"except_namespaces": EXCEPT_NAMESPACES},
        url="https://kubernetes.io/docs/concepts/security/pod-security-standards/",
    ),
    Rule(
        name="tasks-not-privileged",
        title="No task, job or build owns its host.",
        severity="high",
        why="A privileged container, or one with the host's processes or Docker socket, is root there and has its role.",
        fix="No privileged mode; bridge or awsvpc; volumes of its own. To build images, a rootless builder such as BuildKit's.",
        check=_tasks,
        types=(_BUILD, _TASK, _DAEMON, _JOB),
        settings={"builds": Setting(False, BOOLEAN, "Whether builds may be privileged, as for `docker build`.")},
        frameworks=("AWS FSBP ECS.3", "AWS FSBP ECS.4", "AWS FSBP ECS.17", "AWS FSBP CodeBuild.5"),
        url=f"{AWS_DOCS}/AmazonECS/latest/developerguide/task_definition_parameters.html",
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
            "except_namespaces": EXCEPT_NAMESPACES,
        },
        url="https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
    ),
)
