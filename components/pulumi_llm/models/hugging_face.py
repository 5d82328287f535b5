"""A model's shape from its config.json at Hugging Face: for models that the catalogue lacks."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import msgspec

from pulumi_llm.models.catalogue import Shape, WeightFormat

# The architectures whose parameters are counted here: grouped KV heads and a gated MLP, or experts, in each layer.
COUNTED: Final = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Phi3ForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
)

_QUANTIZED: Final[Mapping[str, WeightFormat]] = {"fp8": "fp8", "awq": "awq", "gptq": "gptq", "mxfp4": "mxfp4"}


class ConfigError(ValueError):
    """A config.json from which no shape can be read; the text says why and what would be right."""


_Count = Annotated[int, msgspec.Meta(ge=1)]


class _Quantization(msgspec.Struct):
    quant_method: str = ""
    bits: int | None = None


class _Config(msgspec.Struct):
    """The keys that matter, in the names that transformers has for them."""

    num_hidden_layers: _Count
    hidden_size: _Count
    num_attention_heads: _Count
    vocab_size: _Count
    max_position_embeddings: _Count
    architectures: list[str] = []
    num_key_value_heads: _Count | None = None
    head_dim: _Count | None = None
    intermediate_size: _Count | None = None
    tie_word_embeddings: bool = False
    kv_lora_rank: _Count | None = None
    qk_rope_head_dim: _Count | None = None
    num_local_experts: _Count | None = None
    num_experts: _Count | None = None
    num_experts_per_tok: _Count | None = None
    moe_intermediate_size: _Count | None = None
    quantization_config: _Quantization | None = None


class OpenModel(msgspec.Struct, frozen=True):
    """A model and the longest request that it takes, in tokens."""

    shape: Shape
    context_tokens: int


def read_config(content: bytes, parameters_billion: float | None = None) -> OpenModel:
    """Read a config.json.

    Args:
        content: The file.
        parameters_billion: The number of parameters, for an architecture that is not counted here.

    Raises:
        ConfigError: The file is no such configuration, or its parameters cannot be counted.
    """
    try:
        document = msgspec.json.decode(content, type=dict[str, Any])
        # A model that takes images, too, has the language model's keys in a section of their own.
        text = document.get("text_config")
        if isinstance(text, dict):
            document = {**document, **cast("dict[str, Any]", text), "architectures": document.get("architectures")}
        config = msgspec.convert({key: value for key, value in document.items() if value is not None}, _Config)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"it is not a model's config.json: {error}") from None
    heads = config.num_attention_heads
    head_dim = config.head_dim or config.hidden_size // heads
    kv_heads = config.num_key_value_heads or heads
    architecture = ", ".join(config.architectures) or "no architecture"
    active = None
    if parameters_billion is None:
        if not set(config.architectures) & set(COUNTED) or config.kv_lora_rank is not None:
            raise ConfigError(
                f"the parameters of {architecture} are not counted here; give their number with --parameters-billion "
                f"(counted are {', '.join(COUNTED)})"
            )
        parameters, active = _parameters(config, kv_heads, head_dim)
        parameters_billion = parameters / 1e9
        active = active / 1e9 if active != parameters else None
    latent = config.kv_lora_rank + (config.qk_rope_head_dim or 0) if config.kv_lora_rank is not None else None
    shape = Shape(
        parameters_billion=parameters_billion,
        active_billion=active,
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocabulary=config.vocab_size,
        tied_embeddings=config.tie_word_embeddings,
        weights=_weights(config.quantization_config),
        kv_cache_elements_per_token_layer=latent,
    )
    return OpenModel(shape, config.max_position_embeddings)


def _parameters(config: _Config, kv_heads: int, head_dim: int) -> tuple[int, int]:
    """All parameters, and those that one token needs; norms and biases, a ten-thousandth, left out."""
    hidden, experts = config.hidden_size, config.num_local_experts or config.num_experts or 1
    inner = config.moe_intermediate_size or config.intermediate_size
    if inner is None:
        raise ConfigError("it lacks intermediate_size")
    attention = 2 * hidden * head_dim * (config.num_attention_heads + kv_heads)
    mlp = 3 * hidden * inner
    router = hidden * experts if experts > 1 else 0
    embeddings = config.vocab_size * hidden * (1 if config.tie_word_embeddings else 2)
    used = (config.num_experts_per_tok or 1) if experts > 1 else 1
    layers = config.num_hidden_layers

    def total(count: int) -> int:
        return embeddings + layers * (attention + router + count * mlp)

    return total(experts), total(used)


def _weights(quantization: _Quantization | None) -> WeightFormat:
    if quantization is None:
        return "bf16"
    found = _QUANTIZED.get(quantization.quant_method)
    if found is None or quantization.bits not in (None, 4, 8) or (found in ("awq", "gptq") and quantization.bits == 8):
        method, bits = quantization.quant_method or "an unnamed method", quantization.bits or "an unsaid number of"
        raise ConfigError(
            f"its weights are quantized by {method} in {bits} bits; sized are fp8, mxfp4, and awq and gptq in 4 bits"
        )
    return found
