"""Whether a model fits a GPU instance when vLLM serves it, and with which arguments.

On each GPU, vLLM takes the share `GPU_MEMORY_UTILIZATION` of the memory. What weights, activations and CUDA graphs leave of it
is the KV cache: room for tokens, of all requests together. These figures are computed, not measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec

from pulumi_llm.models.catalogue import Shape, WeightFormat
from pulumi_llm.models.gpu_instances import Gpu, GpuInstance, gpu_instances

GIB: Final = 1024**3

# vLLM's default. https://docs.vllm.ai/en/latest/configuration/engine_args/
GPU_MEMORY_UTILIZATION: Final = 0.92

# What activations of 2,048 batched tokens, CUDA graphs, the CUDA context and NCCL take on each GPU, about, with models of 7B to
# 32B parameters. Larger batches take more.
OVERHEAD_GIB: Final = 1.7

# The host's operating system and kubelet, and the Python process of each replica.
HOST_OVERHEAD_GIB: Final = 4.0
REPLICA_HOST_GIB: Final = 4.0

# A context below this is of no use for chats. Without another wish, the cache has room for two requests of full length.
LEAST_CONTEXT: Final = 8192
WANTED_CONTEXT: Final = 16_384
_REQUESTS_OF_FULL_LENGTH: Final = 2

_CACHE_BYTES: Final = 2

# The estimate of throughput: so many requests of so many tokens at once, and decoding that reads weights and cache at this
# share of the memory's bandwidth.
ESTIMATE_REQUESTS: Final = 64
ESTIMATE_TOKENS: Final = 2048
ESTIMATE_BANDWIDTH_SHARE: Final = 0.5


class _Format(msgspec.Struct, frozen=True):
    """How many bytes a parameter takes, the embeddings left out, and what a GPU must have for it."""

    bytes: float
    capability: tuple[int, int]
    needs: str
    arguments: tuple[str, ...] = ()
    instead: str = ""


# Compute capabilities: https://docs.vllm.ai/en/latest/features/quantization/ and, of weights in FP8,
# https://docs.vllm.ai/en/v0.32.0/features/quantization/llm_compressor/fp8/
# Four bits: with a scale of 16 bits and a zero of 4 for 128 of them (AWQ, GPTQ), or a scale of 8 bits for 32 (MXFP4).
FORMATS: Final[Mapping[WeightFormat, _Format]] = {
    "bf16": _Format(2.0, (7, 5), "vLLM"),
    "fp8": _Format(1.0, (8, 9), "multiplying in FP8", ("--quantization", "fp8"), "fp8-w8a16, awq or gptq"),
    "fp8-w8a16": _Format(1.0, (7, 5), "weights in FP8", ("--quantization", "fp8")),
    "awq": _Format((4 + 20 / 128) / 8, (7, 5), "AWQ"),
    "gptq": _Format((4 + 20 / 128) / 8, (7, 5), "GPTQ"),
    "mxfp4": _Format((4 + 8 / 32) / 8, (8, 0), "MXFP4"),
}
_BFLOAT16: Final = (8, 0)


class Fit(msgspec.Struct, frozen=True):
    """A model on an instance.

    Attributes:
        replicas: How many vLLM servers the instance has room for, each on `tensor_parallel` GPUs. The other figures but the
            prices are of one of them.
        weights_gib: The weights on each GPU.
        cache_tokens: How many tokens the KV cache holds.
        context: `--max-model-len`, in tokens.
        sequences: How many requests of full length fit at once.
        tokens_per_second: The instance's output, estimated or as it was given.
        usd_per_hour: The instance's price.
        usd_per_million: The price of a million output tokens at `tokens_per_second`, around the clock.
    """

    instance: str
    gpu: str
    gpus: int
    weights: WeightFormat
    tensor_parallel: int
    replicas: int
    weights_gib: float
    cache_tokens: int
    context: int
    sequences: float
    tokens_per_second: float
    usd_per_hour: float
    usd_per_million: float
    arguments: tuple[str, ...]


class Misfit(msgspec.Struct, frozen=True):
    """Why a model does not fit an instance."""

    instance: str
    reason: str


class Wishes(msgspec.Struct, frozen=True):
    """What is asked for. None leaves the choice to the calculation.

    Attributes:
        weights: The format of the weights. Default: the one in which the model is published.
        tensor_parallel: Over how many GPUs a replica is spread.
        context: The longest request in tokens, answer included.
        tokens_per_second: The instance's output, measured by the user, for the price of a million tokens.
    """

    weights: WeightFormat | None = None
    tensor_parallel: int | None = None
    context: int | None = None
    tokens_per_second: float | None = None


NO_WISHES: Final = Wishes()


def fit(shape: Shape, context_tokens: int, instance: GpuInstance, wishes: Wishes = NO_WISHES) -> Fit | Misfit:
    """Compute whether a model fits an instance. `context_tokens` is the model's own bound.

    Without a wish, a replica is spread over the fewest GPUs that leave room for two requests of `WANTED_CONTEXT` tokens:
    several small replicas answer more requests than a large one, whose GPUs wait for each other.
    """
    weights = wishes.weights or shape.weights
    if problem := _problem(shape, context_tokens, instance, weights, wishes):
        return Misfit(instance.name, problem)
    spreads = [wishes.tensor_parallel] if wishes.tensor_parallel else _spreads(shape, instance)
    results = [_fit_spread(shape, context_tokens, instance, weights, spread, wishes) for spread in spreads]
    fitting = [result for result in results if isinstance(result, Fit)]
    if not fitting:
        return Misfit(instance.name, str(results[-1]))
    wanted = min(wishes.context or WANTED_CONTEXT, context_tokens)
    return next((found for found in fitting if found.context >= wanted), fitting[-1])


def fits(shape: Shape, context_tokens: int, wishes: Wishes = NO_WISHES) -> Iterator[Fit]:
    """Yield the instances that the model fits, the cheapest first."""
    for instance in gpu_instances().values():
        found = fit(shape, context_tokens, instance, wishes)
        if isinstance(found, Fit):
            yield found


def _problem(shape: Shape, context_tokens: int, instance: GpuInstance, weights: WeightFormat, wishes: Wishes) -> str:
    """What no spread over the GPUs could change."""
    gpu, form = instance.gpu, FORMATS[weights]
    if gpu.capability < form.capability:
        needed = ".".join(map(str, form.capability))
        instead = f"; {form.instead} would do" if form.instead else ""
        return f"{form.needs} needs compute capability {needed}, and the {gpu.name} has {gpu.compute_capability}{instead}"
    tensor_parallel, context = wishes.tensor_parallel, wishes.context
    if tensor_parallel is not None and tensor_parallel not in _spreads(shape, instance):
        possible = ", ".join(map(str, _spreads(shape, instance)))
        return (
            f"tensor parallel over {tensor_parallel} is not possible with {shape.attention_heads} attention heads on "
            f"{_gpus(instance.gpus, gpu)}; possible: {possible}"
        )
    if context is not None and context > context_tokens:
        return f"the model takes at most {context_tokens:,} tokens, not {context:,}"
    return ""


def _spreads(shape: Shape, instance: GpuInstance) -> list[int]:
    """Over how many GPUs the model can be spread: vLLM divides the attention heads, and divides or repeats the KV heads."""
    return [
        n
        for n in range(1, instance.gpus + 1)
        if shape.attention_heads % n == 0 and (shape.kv_heads % n == 0 or n % shape.kv_heads == 0)
    ]


def _fit_spread(
    shape: Shape,
    context_tokens: int,
    instance: GpuInstance,
    weights: WeightFormat,
    tensor_parallel: int,
    wishes: Wishes,
) -> Fit | str:
    """The fit for one spread, or why there is none."""
    gpu, spread = instance.gpu, _gpus(tensor_parallel, instance.gpu)
    total = weight_bytes(shape, weights)
    usable = gpu.memory_mib / 1024 * GPU_MEMORY_UTILIZATION - OVERHEAD_GIB
    weights_gib = total / tensor_parallel / GIB
    if weights_gib >= usable:
        return (
            f"the weights in {weights} take {weights_gib:.1f} GiB of each GPU on {spread}, and each {gpu.name} has "
            f"{usable:.1f} GiB for weights and KV cache"
        )
    cache_tokens = int((usable - weights_gib) * GIB / cache_bytes_per_token(shape, tensor_parallel))
    context = wishes.context or _context(cache_tokens, context_tokens)
    if cache_tokens < max(context, 1):
        asked = wishes.context or LEAST_CONTEXT
        room = f"a KV cache of {cache_tokens:,} tokens"
        return f"the weights in {weights} leave {room} on {spread}, too few for a request of {asked:,}"
    replicas = _replicas(instance, tensor_parallel, total)
    if replicas == 0:
        needed = HOST_OVERHEAD_GIB + REPLICA_HOST_GIB + total / GIB
        return f"loading the weights takes some {needed:.0f} GiB of the host's memory, and it has {instance.memory_gib}"
    estimate = replicas * _tokens_per_second(shape, gpu, total, cache_tokens, tensor_parallel)
    tokens_per_second = wishes.tokens_per_second or estimate
    return Fit(
        instance=instance.name,
        gpu=gpu.name,
        gpus=instance.gpus,
        weights=weights,
        tensor_parallel=tensor_parallel,
        replicas=replicas,
        weights_gib=round(weights_gib, 2),
        cache_tokens=cache_tokens,
        context=context,
        sequences=round(cache_tokens / context, 1),
        tokens_per_second=round(tokens_per_second),
        usd_per_hour=instance.price,
        usd_per_million=round(instance.price / 3600 / tokens_per_second * 1e6, 4),
        arguments=_arguments(gpu, weights, tensor_parallel, context),
    )


def weight_bytes(shape: Shape, weights: WeightFormat) -> float:
    """The size of the weights. Whatever the format, the embeddings stay in 16 bits."""
    embeddings = shape.vocabulary * shape.hidden_size * (1 if shape.tied_embeddings else 2)
    return embeddings * 2 + (shape.parameters_billion * 1e9 - embeddings) * FORMATS[weights].bytes


def cache_bytes_per_token(shape: Shape, tensor_parallel: int) -> int:
    """What a token takes of the KV cache on each GPU. A latent cache (MLA) is on each GPU whole."""
    latent = shape.kv_cache_elements_per_token_layer
    elements = latent or 2 * -(-shape.kv_heads // tensor_parallel) * shape.head_dim
    return shape.layers * elements * _CACHE_BYTES


def _context(cache_tokens: int, context_tokens: int) -> int:
    """The longest power of two of which the cache holds two, or the model's own bound."""
    room = cache_tokens // _REQUESTS_OF_FULL_LENGTH
    if room >= context_tokens:
        return context_tokens
    return max(1 << room.bit_length() - 1 if room else 0, LEAST_CONTEXT)


def _replicas(instance: GpuInstance, tensor_parallel: int, total: float) -> int:
    """How many replicas GPUs and host have room for; the host, while all load their weights."""
    by_host = (instance.memory_gib - HOST_OVERHEAD_GIB) // (REPLICA_HOST_GIB + total / GIB)
    return min(instance.gpus // tensor_parallel, int(by_host))


def _tokens_per_second(shape: Shape, gpu: Gpu, total: float, cache_tokens: int, tensor_parallel: int) -> float:
    """The estimated output of a replica: each step reads the weights that it needs and the cache of every request."""
    requests = max(1, min(ESTIMATE_REQUESTS, cache_tokens // ESTIMATE_TOKENS))
    share = (shape.active_billion or shape.parameters_billion) / shape.parameters_billion
    # Of a mixture of experts, more requests need more of the experts.
    read = total * (1 - (1 - share) ** requests)
    cache = requests * ESTIMATE_TOKENS * cache_bytes_per_token(shape, tensor_parallel)
    bandwidth = gpu.bandwidth * 1e9 * ESTIMATE_BANDWIDTH_SHARE
    return requests * bandwidth / (read / tensor_parallel + cache)


def _arguments(gpu: Gpu, weights: WeightFormat, tensor_parallel: int, context: int) -> tuple[str, ...]:
    """The arguments of `vllm serve`."""
    half = () if gpu.capability >= _BFLOAT16 else ("--dtype", "half")
    size = ("--max-model-len", str(context), "--gpu-memory-utilization", str(GPU_MEMORY_UTILIZATION))
    return ("--tensor-parallel-size", str(tensor_parallel), *size, *half, *FORMATS[weights].arguments)


def _gpus(count: int, gpu: Gpu) -> str:
    return f"one {gpu.name}" if count == 1 else f"{count} {gpu.name}s"


def formats() -> Sequence[WeightFormat]:
    """The formats of weights."""
    return cast("Sequence[WeightFormat]", tuple(FORMATS))
