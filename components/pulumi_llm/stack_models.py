"""The models of a stack's own cluster as targets of its aliases: what is wrong with these, and the bounds that they have."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pulumi_llm.base.settings import Problem, valid_items
from pulumi_llm.gpu_inference_cluster.args import GpuSettings
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel
from pulumi_llm.inference_network.args import NetworkSettings
from pulumi_llm.routing.settings import ModelSettings, ProviderSettings, RoutingSettings, TargetSettings

# The bound of a model that is wrong itself, or off: what is wrong is reported there, and nothing follows from it here.
_UNBOUNDED: Final = 2**31

# What the nodes, the controllers and KEDA call. https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
NODE_ENDPOINTS: Final = (
    "ec2",
    "ecr.api",
    "ecr.dkr",
    "eks",
    "eks-auth",
    "sts",
    "autoscaling",
    "elasticloadbalancing",
    "sqs",
)


def named(gpu: GpuSettings | None, routing: RoutingSettings) -> list[str]:
    """The names of the served models, right or wrong, that are no other provider's."""
    return [name for name in (gpu.models or {} if gpu else {}) if name not in (routing.providers or {})]


def is_target(name: str, routing: RoutingSettings) -> bool:
    """Whether an alias has the provider of this name as a target."""
    return any(target.provider == name for _, target in _targets(routing))


def target_problems(
    gpu: GpuSettings, is_off: bool, served: Mapping[str, ServedModel], routing: RoutingSettings
) -> Iterator[Problem]:
    """Yield what is wrong with the targets among the served models; `served` are those that are right."""
    names = named(gpu, routing)
    for path, target in _targets(routing):
        name = target.provider
        if name not in names:
            continue
        if is_off:
            yield Problem(f"{path}.provider", f"the model {name!r} is off, for gpu.enabled is false; set that to true")
            continue
        settings = gpu.models[name]
        if settings and settings.grpc:
            yield Problem(
                f"{path}.provider", f"must not be {name!r}: a gRPC model is called directly, and no alias leads to it"
            )
            continue
        if isinstance(target.model, str) and target.model != name:
            yield Problem(f"{path}.model", f"must be {name!r}, the model that is served, not {target.model!r}")
        most, given = served[name].context_tokens if name in served else 0, target.context_tokens
        if most and given is not None and given > most:
            reason = f"must be at most {most}, the context for which {name!r} is sized, not {given}"
            yield Problem(f"{path}.context_tokens", reason)


def with_models(
    names: Sequence[str], served: Mapping[str, ServedModel], domain: str, region: str | None, routing: RoutingSettings
) -> RoutingSettings:
    """The aliases and providers, with the served models among these as far as they are targets, and the bounds of these."""
    called = [name for name in names if is_target(name, routing)]
    if not called:
        return routing
    regions = (region,) if region is not None else None
    providers = {
        name: ProviderSettings(type="openai_compatible", base_url=f"https://{domain}/{name}/v1", regions=regions)
        for name in called
    }
    bounds = {name: (served[name].context_tokens if name in served else 0) or _UNBOUNDED for name in called}
    models = tuple(_with_bounds(model, bounds) for model in routing.models)
    return routing.model_copy(update={"models": models, "providers": {**(routing.providers or {}), **providers}})


def _with_bounds(model: ModelSettings, bounds: Mapping[str, int]) -> ModelSettings:
    def bounded(target: TargetSettings) -> TargetSettings:
        if target.provider not in bounds:
            return target
        context = target.context_tokens if target.given("context_tokens") else bounds[target.provider]
        if target.valid("kind") and target.kind == "embedding":
            return target.model_copy(update={"context_tokens": context})
        output = target.max_output_tokens if target.given("max_output_tokens") else context
        return target.model_copy(update={"context_tokens": context, "max_output_tokens": output})

    targets = tuple(bounded(target) if target else target for target in model.targets or ()) if model else ()
    return model.model_copy(update={"targets": targets}) if targets else model


def warnings(gpu: GpuSettings, network: NetworkSettings, routing: RoutingSettings) -> Iterator[str]:
    """Yield what is allowed with served models, and yet likely not meant."""
    if network.existing is None and network.nat == "none":
        missing = [service for service in NODE_ENDPOINTS if service not in network.interface_endpoints]
        lacking = f" The cluster does not work without {', '.join(missing)} in network.interface_endpoints." if missing else ""
        yield (
            "network.nat is 'none', and nodes of gpu call AWS and load images and weights: Docker Hub, Hugging Face and other "
            f"public places are not reached, so keep images in ECR (those of the charts, too) and weights in S3.{lacking}"
        )
    if not gpu.schedule.hard_off:
        return
    names = named(gpu, routing)
    for model in routing.models:
        if model.targets and all(target.provider in names for target in model.targets):
            yield f"{model.name} answers nothing while gpu.schedule.hard_off is true, for all its targets are models of gpu"


def _targets(routing: RoutingSettings) -> Iterator[tuple[str, TargetSettings]]:
    for index, model in valid_items(routing.models):
        for position, target in valid_items(model.targets):
            yield f"models[{index}].targets[{position}]", target
