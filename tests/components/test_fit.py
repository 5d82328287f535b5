"""Whether models fit GPU instances: the calculation, config.json, and `pulumi-llm fit`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llm_policies.accelerators import PRICES
from pulumi_llm.cli.command import app
from pulumi_llm.models.catalogue import Shape, WeightFormat, catalogue
from pulumi_llm.models.fit import Fit, Misfit, Wishes, fit, fits, weight_bytes
from pulumi_llm.models.gpu_instances import gpu_instances
from pulumi_llm.models.hugging_face import ConfigError, read_config

QWEN_7B, QWEN_14B, QWEN_32B = (f"deepseek-r1-distill-qwen-{size}" for size in ("7b", "14b", "32b"))
LLAMA_8B, LLAMA_70B = "deepseek-r1-distill-llama-8b", "deepseek-r1-distill-llama-70b"


def fit_of(model: str, instance: str, **wishes: Any) -> Fit | Misfit:
    found = catalogue()[model]
    assert found.shape
    return fit(found.shape, found.context_tokens, gpu_instances()[instance], Wishes(**wishes))


# Model, instance, format, tensor parallel -> replicas, context, and the tokens of the KV cache, calculated elsewhere.
SIZES: list[tuple[str, str, WeightFormat, int, int, int, int]] = [
    (QWEN_7B, "g5.2xlarge", "bf16", 1, 1, 32_768, 90_000),
    (LLAMA_8B, "g5.2xlarge", "bf16", 1, 1, 16_384, 33_000),
    (LLAMA_8B, "g5.xlarge", "awq", 1, 1, 32_768, 117_000),
    (QWEN_14B, "g5.2xlarge", "awq", 1, 1, 16_384, 57_000),
    (QWEN_14B, "g5.12xlarge", "bf16", 2, 2, 16_384, 57_000),
    (QWEN_32B, "g5.12xlarge", "awq", 2, 2, 32_768, 78_000),
    (QWEN_32B, "g5.12xlarge", "bf16", 4, 1, 16_384, 61_000),
]


@pytest.mark.assumes("gpu-sizing")
@pytest.mark.parametrize(("model", "instance", "weights", "spread", "replicas", "context", "cache"), SIZES)
def test_a_size(model: str, instance: str, weights: WeightFormat, spread: int, replicas: int, context: int, cache: int) -> None:
    found = fit_of(model, instance, weights=weights)
    assert isinstance(found, Fit)
    assert (found.tensor_parallel, found.replicas, found.context) == (spread, replicas, context)
    assert found.cache_tokens == pytest.approx(cache, rel=0.1)
    assert found.cache_tokens >= 2 * found.context


def test_a_replica_on_more_gpus_has_more_room() -> None:
    found = fit_of(QWEN_32B, "g5.12xlarge", weights="awq", tensor_parallel=4)
    assert isinstance(found, Fit)
    assert (found.replicas, found.cache_tokens) == (1, pytest.approx(233_000, rel=0.1))


# The published files of 4-bit weights, in 10^9 bytes.
@pytest.mark.parametrize(("model", "size"), [(LLAMA_8B, 5.73), (QWEN_14B, 9.98), (QWEN_32B, 19.3), (LLAMA_70B, 39.8)])
def test_the_size_of_quantized_weights(model: str, size: float) -> None:
    shape = catalogue()[model].shape
    assert shape and weight_bytes(shape, "awq") / 1e9 == pytest.approx(size, rel=0.02)


# Model, instance and wishes -> a part of the reason.
MISFITS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "32B in BF16 on one A10G": (
        QWEN_32B,
        "g5.2xlarge",
        {},
        "take 61.0 GiB of each GPU on one A10G, and each A10G has 19.0 GiB",
    ),
    "32B in AWQ on one A10G": (QWEN_32B, "g5.2xlarge", {"weights": "awq"}, "too few for a request of 8,192"),
    "FP8 on Ampere": (
        QWEN_7B,
        "g5.2xlarge",
        {"weights": "fp8"},
        "needs compute capability 8.9, and the A10G has 8.6; fp8-w8a16",
    ),
    "MXFP4 on Turing": ("gpt-oss-20b", "g4dn.2xlarge", {}, "MXFP4 needs compute capability 8.0, and the T4 has 7.5"),
    "three GPUs": (QWEN_7B, "g5.12xlarge", {"tensor_parallel": 3}, "28 attention heads on 4 A10Gs; possible: 1, 2, 4"),
    "more GPUs than there are": (QWEN_7B, "g5.2xlarge", {"tensor_parallel": 2}, "on one A10G; possible: 1"),
    "a long context": (QWEN_7B, "g5.2xlarge", {"context": 131_072}, "leave a KV cache of 89,800 tokens on one A10G, too few"),
    "more than the model takes": (QWEN_7B, "g5.2xlarge", {"context": 200_000}, "the model takes at most 131,072 tokens"),
    "little host memory": (QWEN_7B, "g5.xlarge", {}, "some 22 GiB of the host's memory, and it has 16"),
    "a latent cache on each GPU": ("deepseek-r1", "p5.48xlarge", {}, "take 78.3 GiB of each GPU on 8 H100s"),
}


@pytest.mark.parametrize(("model", "instance", "wishes", "reason"), MISFITS.values(), ids=MISFITS)
def test_a_misfit(model: str, instance: str, wishes: dict[str, Any], reason: str) -> None:
    found = fit_of(model, instance, **wishes)
    assert isinstance(found, Misfit) and reason in found.reason


def test_arguments() -> None:
    turing, ampere = fit_of(QWEN_7B, "g4dn.12xlarge"), fit_of(QWEN_7B, "g5.2xlarge", weights="fp8-w8a16", context=8192)
    assert isinstance(turing, Fit) and isinstance(ampere, Fit)
    assert "--dtype half" in " ".join(turing.arguments)
    size = "--tensor-parallel-size 1 --max-model-len 8192 --gpu-memory-utilization 0.92"
    assert " ".join(ampere.arguments) == f"{size} --quantization fp8"


def test_a_latent_cache_does_not_shrink_with_the_gpus() -> None:
    shape = Shape(
        parameters_billion=16,
        layers=27,
        hidden_size=2048,
        attention_heads=16,
        kv_heads=16,
        head_dim=128,
        vocabulary=102_400,
        kv_cache_elements_per_token_layer=576,
    )
    one, four = (fit(shape, 163_840, gpu_instances()["p5.48xlarge"], Wishes(tensor_parallel=n)) for n in (1, 4))
    assert isinstance(one, Fit) and isinstance(four, Fit)
    # What the weights leave, at 27 layers of 576 elements of two bytes.
    assert four.cache_tokens == pytest.approx(one.cache_tokens + 0.75 * 32e9 / (27 * 576 * 2), rel=0.01)


def test_the_price_of_a_million_tokens() -> None:
    found = fit_of(QWEN_7B, "g5.2xlarge", tokens_per_second=1000)
    assert isinstance(found, Fit)
    assert found.usd_per_million == pytest.approx(1.212 / 3.6, abs=1e-4)


def test_every_open_model_is_judged_on_every_instance() -> None:
    for model in catalogue().values():
        if model.shape:
            results = [fit(model.shape, model.context_tokens, instance) for instance in gpu_instances().values()]
            assert all(isinstance(r, Misfit) or 0 < r.context <= min(r.cache_tokens, model.context_tokens) for r in results)
            prices = [found.usd_per_hour for found in fits(model.shape, model.context_tokens)]
            assert prices == sorted(prices)


def test_the_policy_pack_has_the_same_prices() -> None:
    same = {name: instance.price for name, instance in gpu_instances().items() if name in PRICES}
    assert same == {name: PRICES[name] for name in same}
    assert set(gpu_instances()) - set(PRICES) == set()


# config.json


def config(**keys: Any) -> bytes:
    """Llama 3.1 8B's, with other keys."""
    llama = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "max_position_embeddings": 131_072,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
        "vocab_size": 128_256,
    }
    return json.dumps({**llama, **keys}).encode()


QWEN3_30B_A3B = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_hidden_layers": 48,
    "vocab_size": 151_936,
}
MIXTRAL = {
    "architectures": ["MixtralForCausalLM"],
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "vocab_size": 32_000,
}

# What the file says -> the parameters that the model's card names, all and active, in 10^9.
COUNTS: dict[str, tuple[dict[str, Any], float, float | None]] = {
    "Llama 3.1 8B": ({}, 8.03, None),
    "Llama 3.2 1B": (
        {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64, "tie_word_embeddings": True},
        1.24,
        None,
    ),
    "Qwen3 30B A3B": (QWEN3_30B_A3B, 30.5, 3.3),
    "Mixtral 8x7B": (MIXTRAL, 46.7, 12.9),
    "a model of images, too": ({"hidden_size": None, "text_config": {"hidden_size": 4096}}, 8.03, None),
}


@pytest.mark.parametrize(("keys", "parameters", "active"), COUNTS.values(), ids=COUNTS)
def test_parameters_are_counted(keys: dict[str, Any], parameters: float, active: float | None) -> None:
    shape = read_config(config(**keys)).shape
    assert shape.parameters_billion == pytest.approx(parameters, rel=0.01)
    assert shape.active_billion == (None if active is None else pytest.approx(active, rel=0.02))


def test_a_configuration_is_the_catalogue_s_shape() -> None:
    found, shape = read_config(config()), catalogue()["llama-3-1-8b"].shape
    assert shape
    assert found.context_tokens == 131_072
    for name in ("layers", "hidden_size", "attention_heads", "kv_heads", "head_dim", "vocabulary", "weights"):
        assert getattr(found.shape, name) == getattr(shape, name)


def test_a_latent_cache_is_read() -> None:
    keys = {"architectures": ["DeepseekV3ForCausalLM"], "kv_lora_rank": 512, "qk_rope_head_dim": 64}
    shape = read_config(config(**keys, quantization_config={"quant_method": "fp8"}), parameters_billion=671).shape
    assert (shape.kv_cache_elements_per_token_layer, shape.weights, shape.parameters_billion) == (576, "fp8", 671)


WRONG: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"hello", "not a model's config.json"),
    "a list": (b"[]", "not a model's config.json"),
    "a key too few": (config(num_hidden_layers=None), "num_hidden_layers"),
    "no layers": (config(num_hidden_layers=0), "num_hidden_layers"),
    "a text for a number": (config(hidden_size="4096"), "hidden_size"),
    "another architecture": (config(architectures=["MambaForCausalLM"]), "MambaForCausalLM are not counted here"),
    "a latent cache": (config(kv_lora_rank=512), "are not counted here"),
    "unknown quantization": (config(quantization_config={"quant_method": "bitsandbytes"}), "bitsandbytes"),
    "GPTQ in 8 bits": (config(quantization_config={"quant_method": "gptq", "bits": 8}), "8 bits"),
}


@pytest.mark.parametrize(("content", "reason"), WRONG.values(), ids=WRONG)
def test_a_configuration_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_config(content)


# The command


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["fit", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_command_names_the_cheapest_that_does() -> None:
    code, output = run(QWEN_32B, "g5.2xlarge")
    assert code == 1
    assert "does not fit g5.2xlarge: the weights in bf16 take 61.0 GiB" in output
    assert "the cheapest that it fits: g6.12xlarge, $4.60 an hour" in output


def test_the_command_shows_a_fit() -> None:
    code, output = run(QWEN_7B, "g5.2xlarge", "--tokens-per-second", "500")
    assert code == 0
    for part in ("$1.21 an hour", "$0.67 a million output tokens at 500", "--max-model-len 32768", "89,800 tokens a replica"):
        assert part in output


def test_the_command_shows_all_instances() -> None:
    code, output = run(LLAMA_70B, "--weights", "awq")
    assert code == 0
    assert all(name in output for name in gpu_instances())


def test_the_command_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(config())
    code, output = run(str(file), "g5.2xlarge", "--json")
    document = json.loads(output)
    assert code == 0
    assert document["results"][0]["cache_tokens"] == pytest.approx(33_000, rel=0.1)
    assert document["smallest"]["instance"] == "g6.2xlarge"


REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "an unknown model": (["llama-3-1-9b"], ["MODEL: 'llama-3-1-9b' is no model", "did you mean"]),
    "a closed model": (["nova-pro"], ["the catalogue has no shape of 'nova-pro'"]),
    "a missing file": (["nowhere/config.json"], ["nowhere/config.json: No such file"]),
    "two mistakes": ([QWEN_7B, "g5.3xlarge", "--weights", "int3"], ["INSTANCE: 'g5.3xlarge'", "--weights: 'int3'"]),
    "a needless number": ([QWEN_7B, "--parameters-billion", "7"], ["--parameters-billion: is for a config.json"]),
}


@pytest.mark.parametrize(("arguments", "parts"), REFUSED.values(), ids=REFUSED)
def test_the_command_refuses(arguments: list[str], parts: list[str]) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert all(part in output for part in parts), output
