"""What follows from the settings of a served model and the instances of its pool: versions, their sizes and their names."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import pulumi

from pulumi_llm.base.settings import Problem
from pulumi_llm.gpu_inference_cluster.workloads.served_model import ReplicaSettings, ServedModelSettings
from pulumi_llm.models.fit import (
    ESTIMATE_REQUESTS,
    ESTIMATE_TOKENS,
    GIB,
    HOST_OVERHEAD_GIB,
    REPLICA_HOST_GIB,
    Fit,
    Misfit,
    Wishes,
    fit,
    fits,
    weight_bytes,
)
from pulumi_llm.models.gpu_instances import GpuInstance, gpu_instances

# Of the memory that EC2 lists, the kernel and the hypervisor keep up to 7.5 percent, as Karpenter assumes.
# https://karpenter.sh/docs/reference/settings/ (VM_MEMORY_OVERHEAD_PERCENT)
_MEMORY_SHARE: Final = 0.925
# A pod that goes takes requests until the balancer knows, then ends those that it has, and then stops.
PRE_STOP_SECONDS: Final = 15
_STOP_SECONDS: Final = 15
# What the operating system, the kubelet and the pods of each node need.
_NODE_MILLICORES: Final = 1000
# Compiled graphs and kernels, and what is put into /tmp.
_WORK_GIB: Final = 10
# Where a download is unpacked and checked, and files grow unseen.
_STORAGE_RESERVE_GIB: Final = 10


@dataclass(frozen=True)
class Version:
    """One version of a served model: servers that are alike.

    Attributes:
        model: The served model's name.
        hash: A short hash of what defines the version.
        weight: How much of the model's traffic it takes, in percent.
        instance: The instance type of its pool.
        source: A folder in S3 or a repository at Hugging Face. Empty with gRPC.
        revision: The commit of the repository. Empty for a folder in S3.
        extra: The arguments that its settings give.
        fit: The sizing. None with gRPC.
        weights_gib: The size of the weights, of all GPUs together.
        gpus: The GPUs of a server.
        millicores: The CPU that it asks for.
        memory_gib: The host memory that it asks for.
        memory_limit_gib: The host memory that it may use.
        storage_gib: The space on disk that it asks for.
        requests_per_replica: How many requests, running and waiting, a server has before another one is started.
        egress_cidrs: Where it may call over HTTPS, beside the place of its weights.
        hub_token_secret: The Kubernetes Secret with its token of Hugging Face. Empty without one.
        weights_kms_key_arn: The key of the weights in S3; None where they have a key of AWS.
        drain_seconds: How long a server that goes ends the answers that it has begun.
    """

    model: str
    hash: str
    weight: int
    pool: str
    instance: str
    image: str
    source: str
    revision: str
    extra: tuple[str, ...]
    grpc: bool
    fit: Fit | None
    weights_gib: float
    gpus: int
    millicores: int
    memory_gib: int
    memory_limit_gib: int
    storage_gib: int
    replicas: ReplicaSettings
    requests_per_replica: int
    egress_cidrs: tuple[str, ...]
    hub_token_secret: str
    drain_seconds: int
    weights_kms_key_arn: pulumi.Input[str] | None = None

    @property
    def grace_seconds(self) -> int:
        """How long a pod takes to go: the balancer learns of it, its answers end, and it stops."""
        return PRE_STOP_SECONDS + self.drain_seconds + _STOP_SECONDS

    @property
    def name(self) -> str:
        """The name of its Deployment, Service and what else it alone has."""
        return f"{self.model}-{self.hash}"

    @property
    def bucket(self) -> str:
        """The bucket with its weights, and the folder in it as `prefix`; empty where they are not in S3."""
        return self.source.removeprefix("s3://").partition("/")[0] if self.source.startswith("s3://") else ""

    @property
    def prefix(self) -> str:
        """The folder in the bucket."""
        return self.source.removeprefix("s3://").partition("/")[2].rstrip("/") if self.bucket else ""


@dataclass(frozen=True)
class ServedModel:
    """A served model with its versions: the one, and the candidate where there is one."""

    name: str
    versions: tuple[Version, ...]

    @property
    def context_tokens(self) -> int:
        """The longest request that every version takes, answer included; 0 with gRPC."""
        return min((version.fit.context for version in self.versions if version.fit), default=0)


def served_models(models: Mapping[str, ServedModelSettings], instances: Mapping[str, str]) -> list[ServedModel]:
    """Size the models, which are without problems. `instances` has each pool's instance type."""
    return [_served_model(name, settings, gpu_instances()[instances[settings.pool]]) for name, settings in models.items()]


def model_problems(models: Mapping[str, ServedModelSettings], instances: Mapping[str, str]) -> Iterator[Problem]:
    """Yield which models are on no pool or do not fit theirs; each path begins with the model's name."""
    for name, settings in models.items():
        if not settings.valid("pool"):
            continue
        if settings.pool not in instances:
            yield Problem(f"{name}.pool", f"there is no pool {settings.pool!r}; there are {', '.join(instances) or 'none'}")
            continue
        instance = gpu_instances().get(instances[settings.pool])
        if instance is None or next(settings.problems(), None) is not None:
            continue  # reported where it stands
        misfits = list(_misfits(name, settings, instance))
        yield from misfits
        if not misfits and settings.candidate is not None:
            stable, candidate = _served_model(name, settings, instance).versions
            if stable.name == candidate.name:
                reason = "its servers would be those of the model, by another spelling; give what is new, or leave it out"
                yield Problem(f"{name}.candidate", reason)


def _misfits(name: str, settings: ServedModelSettings, instance: GpuInstance) -> Iterator[Problem]:
    for place, each in _all_settings(name, settings):
        if each.grpc:
            if (each.tensor_parallel or 1) > instance.gpus:
                reason = f"there are {instance.gpus} GPUs in a {instance.name}, not {each.tensor_parallel}"
                yield Problem(f"{place}.tensor_parallel", reason)
        elif isinstance(found := _fit(each, instance), Misfit):
            smallest = _smallest(each)
            yield Problem(place, f"does not fit {instance.name}, on which pool {each.pool!r} is: {found.reason}{smallest}")


def _all_settings(name: str, settings: ServedModelSettings) -> list[tuple[str, ServedModelSettings]]:
    own = [(name, settings)]
    return own if settings.candidate is None else [*own, (f"{name}.candidate", settings.with_candidate())]


def _served_model(name: str, settings: ServedModelSettings, instance: GpuInstance) -> ServedModel:
    share = settings.candidate.weight if settings.candidate else 0
    weights = (100 - share, share)
    return ServedModel(
        name,
        tuple(
            _version(name, each, instance, weight)
            for (_, each), weight in zip(_all_settings(name, settings), weights, strict=False)
        ),
    )


def _version(name: str, settings: ServedModelSettings, instance: GpuInstance, weight: int) -> Version:
    found = None if settings.grpc else _fit(settings, instance)
    assert not isinstance(found, Misfit)  # model_problems has said so
    gpus = found.tensor_parallel if found else settings.tensor_parallel or 1
    servers = found.replicas if found else instance.gpus // gpus
    weights_gib = 0.0 if found is None else weight_bytes(settings.open_model().shape, found.weights) / GIB
    memory_gib = round(REPLICA_HOST_GIB + weights_gib)
    share = (instance.memory_gib * _MEMORY_SHARE - HOST_OVERHEAD_GIB) / servers
    source = "" if settings.grpc else settings.source()
    on_disk = 0 if source.startswith("s3://") else weights_gib
    revision = settings.revision or ""
    defining = (name, settings.image, source, revision, settings.arguments, instance.name, gpus, settings.grpc)
    return Version(
        model=name,
        hash=_hash(*defining, found.arguments if found else ()),
        weight=weight,
        pool=settings.pool,
        instance=instance.name,
        image=settings.image,
        source=source,
        revision=revision,
        extra=settings.arguments,
        grpc=settings.grpc,
        fit=found,
        weights_gib=weights_gib,
        gpus=gpus,
        millicores=(instance.vcpus * 1000 - _NODE_MILLICORES) // servers,
        memory_gib=memory_gib,
        memory_limit_gib=max(memory_gib, int(share)),
        storage_gib=round(on_disk + _WORK_GIB),
        replicas=settings.replicas,
        requests_per_replica=settings.requests_per_replica or _requests(found),
        egress_cidrs=settings.egress_cidrs,
        hub_token_secret=settings.hub_token_secret or "",
        drain_seconds=settings.drain_seconds,
        weights_kms_key_arn=settings.weights_kms_key_arn,
    )


def _fit(settings: ServedModelSettings, instance: GpuInstance) -> Fit | Misfit:
    model = settings.open_model()
    return fit(model.shape, model.context_tokens, instance, _wishes(settings))


def _smallest(settings: ServedModelSettings) -> str:
    """The cheapest instance that the model fits, as the end of a sentence."""
    model = settings.open_model()
    found = next(fits(model.shape, model.context_tokens, _wishes(settings)), None)
    if found is None:
        return "; it fits none as it is"
    return f"; the smallest that it fits is {found.instance}, ${found.usd_per_hour:,.2f} an hour"


def _wishes(settings: ServedModelSettings) -> Wishes:
    return Wishes(weights=settings.weights, tensor_parallel=settings.tensor_parallel, context=settings.context)


def _requests(found: Fit | None) -> int:
    return max(1, min(ESTIMATE_REQUESTS, found.cache_tokens // ESTIMATE_TOKENS)) if found else 1


def _hash(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:8]
