"""The catalogue is complete and agrees with itself; a name, an id and every kind of ARN mean what Bedrock takes them for."""

import re
import tomllib
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest

from pulumi_llm.models.catalogue import Model, ModelError, catalogue, resolve

MODELS = list(catalogue().values())
TABLES: dict[str, dict[str, Any]] = tomllib.loads(files("pulumi_llm.models").joinpath("catalogue.toml").read_text())["models"]

# https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html
PROFILE_PREFIXES = {"us", "us-gov", "eu", "apac", "jp", "au", "in", "ca", "global"}
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def each(models: list[Model]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models, ids=lambda model: model.name)


# The catalogue.


@each(MODELS)
def test_every_group_of_facts_has_its_source(model: Model) -> None:
    groups = {"id", "limits", "parameters"}
    groups |= {"price"} if model.price_input is not None or model.price_output is not None else set()
    groups |= {"status"} if model.status != "active" else set()
    groups |= {"shape"} if model.shape else set()
    groups |= {"regions"} if model.access == "foundation_model" else set()
    groups |= {"profiles"} if any(profile.source_regions for profile in model.profiles) else set()
    assert groups <= set(model.sources)
    assert all(source.strip() for source in model.sources.values())


@each(MODELS)
def test_what_is_unproven_is_there(model: Model) -> None:
    for path in model.unproven:
        key, _, below = path.partition(".")
        value = TABLES[model.name].get(key)
        assert value, path
        assert not below or any(below in table for table in (value if isinstance(value, list) else [value])), path


@each(MODELS)
@pytest.mark.assumes("catalogue")
def test_how_a_model_is_called_is_told_in_full(model: Model) -> None:
    regions = [*model.regions, *(r for p in model.profiles for r in (*p.source_regions, *p.destination_regions))]
    assert all(REGION.fullmatch(region) for region in regions)
    assert len(set(model.regions)) == len(model.regions)
    match model.access:
        case "foundation_model":
            assert model.foundation_model
            assert model.regions
            assert not model.profiles
        case "inference_profile":
            assert model.foundation_model
            assert model.profiles
            assert not model.regions
            assert model.status == "ended" or all(profile.source_regions for profile in model.profiles)
        case "imported_model":
            assert not model.foundation_model
            assert not model.profiles
            assert model.regions
            assert model.hub
            assert model.shape


@each([model for model in MODELS if model.profiles])
def test_a_profile_is_named_after_its_geography_and_its_model(model: Model) -> None:
    for profile in model.profiles:
        prefix, _, rest = profile.id.partition(".")
        assert prefix in PROFILE_PREFIXES
        assert rest == model.foundation_model
        # A Region belongs to one geography; only a global profile is called from all of them.
        if prefix in ("us", "eu"):
            own = ("us-", "ca-") if prefix == "us" else ("eu-",)
            assert all(region.startswith(own) for region in (*profile.source_regions, *profile.destination_regions))


@each(MODELS)
def test_bounds_are_sane(model: Model) -> None:
    assert 0 < model.temperature_max <= 1, "Converse takes at most 1"
    assert set(model.exclusive) <= set(model.accepts)
    assert len(model.exclusive) != 1
    assert len(set(model.accepts)) == len(model.accepts)
    assert "stream_tools" not in model.accepts or "tools" in model.accepts
    assert model.stop_max is None or "stop" in model.accepts
    if model.kind == "chat":
        assert 0 < model.max_output_tokens <= model.context_tokens
        assert "max_tokens" in model.accepts
    else:
        assert not model.accepts
        assert model.max_output_tokens == 0


@each(MODELS)
def test_prices_are_there_for_what_is_billed_by_tokens(model: Model) -> None:
    if model.access == "imported_model":
        assert model.price_input is None
        assert model.price_output is None
    elif model.status != "ended":
        assert model.price_input is not None
        assert 0 < model.price_input < 100, "dollars for a million tokens"
        if model.kind == "chat":
            assert model.price_output is not None
            assert model.price_input <= model.price_output < 500


@each([model for model in MODELS if model.status != "active"])
def test_a_model_that_goes_names_one_that_stays(model: Model) -> None:
    successor = catalogue()[model.replaced_by]
    assert successor.status == "active"
    assert successor.kind == model.kind


@each([model for model in MODELS if model.shape])
def test_a_shape_agrees_with_itself(model: Model) -> None:
    shape = model.shape
    assert shape is not None
    assert shape.attention_heads % shape.kv_heads == 0
    assert shape.hidden_size % 64 == 0
    assert shape.head_dim in (64, 128)
    assert shape.attention_heads * shape.head_dim >= shape.hidden_size
    if shape.active_billion is not None:
        assert 0 < shape.active_billion < shape.parameters_billion
    else:
        # Attention and MLP of a dense transformer: some 12 h² a layer, without the embeddings.
        counted = 12 * shape.layers * shape.hidden_size**2 / 1e9
        assert counted / 2 < shape.parameters_billion < counted * 2
    if shape.kv_cache_elements_per_token_layer is not None:
        assert 0 < shape.kv_cache_elements_per_token_layer < 2 * shape.kv_heads * shape.head_dim


def test_no_spelling_means_two_models() -> None:
    spellings = [
        spelling
        for model in MODELS
        for spelling in {model.name, *model.names, model.foundation_model, *(p.id for p in model.profiles)} - {""}
    ]
    assert [spelling for spelling, count in Counter(spellings).items() if count > 1] == []


# What a name means.

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
ACCOUNT = "123456789012"


def arn(rest: str, region: str = "us-east-1", account: str = ACCOUNT) -> str:
    return f"arn:aws:bedrock:{region}:{account}:{rest}"


def foundation(model: str, *regions: str) -> tuple[str, ...]:
    return tuple(f"arn:aws:bedrock:{region}::foundation-model/{model}" for region in regions)


US = ("us-east-1", "us-east-2", "us-west-2")
GPT = "openai.gpt-oss-20b-1:0"
PROFILE_ARN = arn(f"inference-profile/us.{HAIKU}")
APPLICATION = arn("application-inference-profile/a1b2c3d4e5f6")
IMPORTED = arn("imported-model/a1b2c3d4e5f6")
PROVISIONED = arn("provisioned-model/a1b2c3d4e5f6")
DEPLOYED = arn("custom-model-deployment/a1b2c3d4e5f6")
DIRECT_ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{GPT}"

# What is asked for, and: the model, what stands in the call, the profile, the foundation models' ARNs, the own ARN.
RESOLVED: dict[str, tuple[dict[str, Any], tuple[str, str, str, tuple[str, ...], str]]] = {
    "name": ({"name": "gpt-oss-20b"}, ("gpt-oss-20b", GPT, "", foundation(GPT, "us-east-1"), "")),
    "name elsewhere": (
        {"name": "gpt-oss-20b", "region": "eu-west-2"},
        ("gpt-oss-20b", GPT, "", foundation(GPT, "eu-west-2"), ""),
    ),
    "id": ({"name": GPT}, ("gpt-oss-20b", GPT, "", foundation(GPT, "us-east-1"), "")),
    "other spelling": ({"name": "openai.gpt-oss-20b"}, ("gpt-oss-20b", GPT, "", foundation(GPT, "us-east-1"), "")),
    "name of a model with profiles": (
        {"name": "claude-haiku-4-5"},
        ("claude-haiku-4-5", f"us.{HAIKU}", f"us.{HAIKU}", foundation(HAIKU, *US), ""),
    ),
    "id of a model with profiles": (
        {"name": HAIKU, "region": "ap-southeast-2"},
        (
            "claude-haiku-4-5",
            f"au.{HAIKU}",
            f"au.{HAIKU}",
            foundation(HAIKU, "ap-southeast-2", "ap-southeast-4"),
            "",
        ),
    ),
    "profile id": (
        {"name": f"us.{HAIKU}", "region": "us-west-1"},
        ("claude-haiku-4-5", f"us.{HAIKU}", f"us.{HAIKU}", foundation(HAIKU, *US), ""),
    ),
    "profile id that is listed as a name, too": (
        {"name": "us.deepseek.r1-v1:0"},
        ("deepseek-r1", "us.deepseek.r1-v1:0", "us.deepseek.r1-v1:0", foundation("deepseek.r1-v1:0", *US), ""),
    ),
    "profile id with Regions given": (
        {"name": f"eu.{HAIKU}", "region": "eu-west-1", "destination_regions": ["eu-west-1", "eu-west-3"]},
        ("claude-haiku-4-5", f"eu.{HAIKU}", f"eu.{HAIKU}", foundation(HAIKU, "eu-west-1", "eu-west-3"), ""),
    ),
    "global profile": (
        {"name": f"global.{HAIKU}", "destination_regions": ["us-east-1", "eu-west-1"]},
        (
            "claude-haiku-4-5",
            f"global.{HAIKU}",
            f"global.{HAIKU}",
            foundation(HAIKU, "us-east-1", "eu-west-1", ""),
            "",
        ),
    ),
    "global profile where there is no other": (
        {"name": "claude-haiku-4-5", "region": "sa-east-1", "destination_regions": ["sa-east-1"]},
        ("claude-haiku-4-5", f"global.{HAIKU}", f"global.{HAIKU}", foundation(HAIKU, "sa-east-1", ""), ""),
    ),
    "ARN of a foundation model": ({"name": DIRECT_ARN}, ("gpt-oss-20b", DIRECT_ARN, "", (DIRECT_ARN,), "")),
    "ARN of a profile": (
        {"name": PROFILE_ARN},
        ("claude-haiku-4-5", PROFILE_ARN, PROFILE_ARN, foundation(HAIKU, *US), ""),
    ),
    "ARN of an application profile": (
        {"name": APPLICATION, "base_model": "claude-haiku-4-5"},
        ("claude-haiku-4-5", APPLICATION, APPLICATION, foundation(HAIKU, *US), ""),
    ),
    "ARN of an application profile in one Region": (
        {"name": APPLICATION, "base_model": "gpt-oss-20b"},
        ("gpt-oss-20b", APPLICATION, APPLICATION, foundation(GPT, "us-east-1"), ""),
    ),
    "ARN of an imported model": (
        {"name": IMPORTED, "base_model": "deepseek-r1-distill-llama-8b"},
        ("deepseek-r1-distill-llama-8b", IMPORTED, "", (), IMPORTED),
    ),
    "ARN of an imported Qwen": (
        {"name": IMPORTED, "base_model": "deepseek-r1-distill-qwen-7b"},
        ("deepseek-r1-distill-qwen-7b", IMPORTED, "", (), IMPORTED),
    ),
    "ARN of a provisioned model": (
        {"name": PROVISIONED, "base_model": "llama-3-3-70b"},
        ("llama-3-3-70b", PROVISIONED, "", (), PROVISIONED),
    ),
    "ARN of a custom model's deployment": (
        {"name": DEPLOYED, "base_model": "llama-3-3-70b"},
        ("llama-3-3-70b", DEPLOYED, "", (), DEPLOYED),
    ),
}


@pytest.mark.parametrize(("asked", "meant"), RESOLVED.values(), ids=RESOLVED)
def test_what_a_name_means(asked: dict[str, Any], meant: tuple[Any, ...]) -> None:
    found = resolve(**{"region": "us-east-1", **asked})
    assert (found.model.name, found.model_id, found.profile, found.foundation_models, found.own) == meant


def test_a_target_takes_the_bounds_of_its_model() -> None:
    resolved = resolve("claude-haiku-4-5", "us-east-1")
    target = resolved.target()
    assert (target.provider, target.model) == ("bedrock", f"us.{HAIKU}")
    for bound in ("max_output_tokens", "context_tokens", "accepts", "exclusive", "temperature_max", "stop_max"):
        assert getattr(target, bound) == getattr(resolved.model, bound)


# What is asked for, and what of the error's text a user needs.
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown, with near ones": (
        {"name": "claude-haiku-45"},
        ["'claude-haiku-45' is no model of the catalogue", "did you mean 'claude-haiku-4-5'"],
    ),
    "unknown id, with near ones": ({"name": "openai.gpt-oss-20b-v1:0"}, ["did you mean 'gpt-oss-20b'"]),
    "unknown, with none near": ({"name": "zzzz"}, ["the catalogue has claude-haiku-4-5, ", ", qwen3-32b"]),
    "ended": ({"name": "claude-sonnet-4"}, ["'claude-sonnet-4' has ended", "use 'claude-sonnet-4-6' instead"]),
    "ended, by its profile": (
        {"name": "us.anthropic.claude-3-5-haiku-20241022-v1:0"},
        ["has ended", "use 'claude-haiku-4-5' instead"],
    ),
    "not on demand here": (
        {"name": "deepseek-v3-2", "region": "eu-west-1"},
        ["'deepseek-v3-2' is not on demand in eu-west-1; it is in us-east-1, us-east-2"],
    ),
    "no profile here": (
        {"name": "llama-3-3-70b", "region": "eu-west-1"},
        ["'llama-3-3-70b' cannot be called from eu-west-1, only from us-east-1, us-east-2, us-west-2"],
    ),
    "a profile of elsewhere": (
        {"name": f"au.{HAIKU}"},
        [f"'au.{HAIKU}' cannot be called from us-east-1, only from ap-southeast-2"],
    ),
    "destinations unknown": (
        {"name": "claude-haiku-4-5", "region": "eu-west-1"},
        [
            f"does not know where 'eu.{HAIKU}' may run; list its Regions as destination_regions",
            f"aws bedrock get-inference-profile --inference-profile-identifier eu.{HAIKU}",
        ],
    ),
    "destinations of an application profile unknown": (
        {"name": APPLICATION.replace("us-east-1", "eu-west-1"), "base_model": "claude-haiku-4-5", "region": "eu-west-1"},
        ["list its Regions as destination_regions"],
    ),
    "base model missing": ({"name": APPLICATION}, [f"{APPLICATION!r} does not tell which model it is", "base_model"]),
    "base model of an import missing": ({"name": IMPORTED}, ["name it as base_model"]),
    "base model unknown": ({"name": PROVISIONED, "base_model": "llama-3-3-71b"}, ["did you mean 'llama-3-3-70b'"]),
    "base model for a name": (
        {"name": "gpt-oss-20b", "base_model": "gpt-oss-20b"},
        ["base_model is only for an ARN; a name tells the model itself"],
    ),
    "imported, by its name": (
        {"name": "deepseek-r1-distill-llama-8b"},
        ["give the import's ARN (arn:aws:bedrock:us-east-1:ACCOUNT:imported-model/ID)", "as its base_model"],
    ),
    "embedding": ({"name": "titan-embed-text-v2"}, ["'titan-embed-text-v2' is an embedding model; it cannot chat"]),
    "embedding behind an ARN": (
        {"name": PROVISIONED, "base_model": "titan-embed-text-v2"},
        ["is an embedding model; it cannot chat"],
    ),
    "no Bedrock ARN": ({"name": "arn:aws:s3:::bucket"}, ["is no Bedrock ARN; one looks like arn:aws:bedrock:us-east-1:"]),
    "ARN of another Region": (
        {"name": IMPORTED, "base_model": "llama-3-3-70b", "region": "us-west-2"},
        ["is in us-east-1, but this stack calls Bedrock in us-west-2"],
    ),
    "ARN of what cannot be called": ({"name": arn("guardrail/abc")}, ["a guardrail cannot be called"]),
    "profile ARN of what is no profile": (
        {"name": arn(f"inference-profile/{GPT}")},
        [f"'{GPT}' is no inference profile of 'gpt-oss-20b'"],
    ),
    "unknown model in an ARN": (
        {"name": "arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-oss-20c-1:0"},
        ["did you mean 'gpt-oss-20b'"],
    ),
}

REFUSED |= {
    "profile ARN of elsewhere": (
        {"name": PROFILE_ARN.replace("us-east-1", "eu-west-1"), "region": "eu-west-1"},
        [f"'us.{HAIKU}' cannot be called from eu-west-1"],
    ),
    "foundation model ARN of elsewhere": (
        {"name": "arn:aws:bedrock:eu-west-1::foundation-model/deepseek.v3.2", "region": "eu-west-1"},
        ["not on demand in eu-west-1"],
    ),
    "foundation model ARN of a model that needs a profile": (
        {"name": f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"},
        [f"us.{HAIKU}"],
    ),
    "application profile of an imported model": (
        {"name": APPLICATION, "base_model": "deepseek-r1-distill-llama-8b"},
        ["deepseek-r1-distill-llama-8b"],
    ),
    "unknown, with none near: a sentence": (
        {"name": "zzzz"},
        [". Any Bedrock ARN can be given in full, too."],
    ),
}


@pytest.mark.parametrize(
    ("asked", "texts"),
    [
        *(pytest.param(*case, id=name) for name, case in REFUSED.items()),
    ],
)
def test_what_cannot_be_called_is_refused_with_what_would_be_right(asked: dict[str, Any], texts: list[str]) -> None:
    with pytest.raises(ModelError) as error:
        resolve(**{"region": "us-east-1", **asked})
    assert [text for text in texts if text not in str(error.value)] == []


@each([model for model in MODELS if model.status == "ended"])
def test_every_spelling_of_an_ended_model_is_refused(model: Model) -> None:
    for spelling in {model.name, *model.names, model.foundation_model, *(profile.id for profile in model.profiles)}:
        with pytest.raises(ModelError, match="has ended"):
            resolve(spelling, "us-east-1")


@each([model for model in MODELS if model.access == "imported_model"])
@pytest.mark.assumes("imported-format")
def test_every_imported_model_can_be_called_in_the_chat_format(model: Model) -> None:
    target = resolve(IMPORTED, "us-east-1", base_model=model.name).target()
    assert (target.name, target.model, target.api) == (f"bedrock/{model.name}", IMPORTED, "invoke_model")
    assert set(target.accepts) == {"max_tokens", "temperature", "top_p", "stop", "system"}


@pytest.mark.parametrize(("base_model", "tools"), [("llama-3-3-70b", False), ("qwen3-32b", False), ("gpt-oss-20b", True)])
def test_an_import_of_another_model_takes_tools_only_where_aws_says_so(base_model: str, tools: bool) -> None:
    target = resolve(IMPORTED, "us-east-1", base_model=base_model).target()
    assert target.api == "invoke_model"
    assert ("tools" in target.accepts) == tools
    assert "tools" in resolve(PROVISIONED, "us-east-1", base_model=base_model).target().accepts


@each([model for model in MODELS if model.kind == "chat" and model.status != "ended" and model.access != "imported_model"])
def test_every_model_can_be_called_from_each_of_its_regions(model: Model) -> None:
    regions = {*model.regions, *(region for profile in model.profiles for region in profile.source_regions)}
    for region in regions:
        given = ["us-east-1"] if model.profiles else []
        resolved = resolve(model.name, region, destination_regions=given)
        assert resolved.foundation_models
        assert all(arn.endswith(f"::foundation-model/{model.foundation_model}") for arn in resolved.foundation_models)
