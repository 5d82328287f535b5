"""The catalogue is complete and agrees with itself; a name, an id and every kind of ARN mean what Bedrock takes them for."""

import re
import tomllib
from collections import Counter
from datetime import date
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from pulumi_llm.base.location import Location
from pulumi_llm.models.catalogue import Model, ModelError, catalogue, lifecycle_notice
from pulumi_llm.models.resolve import Asked, BedrockModel, Bounds, resolve

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
    groups |= {"status"} if model.status != "active" or model.end_of_life or model.end_of_life_floor else set()
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
            own = ("us-", "ca-") if prefix == "us" else ("eu-", "il-")
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
        assert ("dimensions" in model.accepts) == (len(model.dimensions) > 1) and model.dimensions
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


@each([model for model in MODELS if model.status != "active" or model.replaced_by])
def test_a_model_that_goes_names_one_that_stays(model: Model) -> None:
    successor = catalogue()[model.replaced_by]
    assert successor.status == "active"
    assert successor.kind == model.kind
    assert successor.name != model.name


@each(MODELS)
def test_a_status_agrees_with_its_dates(model: Model) -> None:
    if model.status == "ended":
        assert model.end_of_life is not None
        assert model.end_of_life <= model.checked
    elif model.end_of_life is not None:
        assert model.end_of_life > model.checked, "a model past its end of life has ended"


@each([model for model in MODELS if model.profiles and model.status != "ended"])
def test_where_a_profile_may_run_is_known(model: Model) -> None:
    for profile in model.profiles:
        if profile.id.startswith("global."):
            assert not profile.destination_regions, "it may run anywhere"
        elif profile.id != "apac.amazon.nova-pro-v1:0":  # AWS's model card has no list of it
            assert profile.destination_regions
    here = [(profile.id, region) for profile in model.profiles for region in profile.source_regions]
    assert len(set(here)) == len(here), "a Region calls a profile in one way"


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
ROUTER = arn("default-prompt-router/amazon.nova:1")
OWN = Bounds(context_tokens=50_000, max_output_tokens=4_000)
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
        ("claude-haiku-4-5", f"us.{HAIKU}", f"us.{HAIKU}", foundation(HAIKU, "us-west-1", *US), ""),
    ),
    "profile id that is listed as a name, too": (
        {"name": "us.deepseek.r1-v1:0"},
        ("deepseek-r1", "us.deepseek.r1-v1:0", "us.deepseek.r1-v1:0", foundation("deepseek.r1-v1:0", *US), ""),
    ),
    "profile id with Regions given": (
        {"name": f"eu.{HAIKU}", "region": "eu-west-2", "destination_regions": ["eu-west-1", "eu-west-3"]},
        ("claude-haiku-4-5", f"eu.{HAIKU}", f"eu.{HAIKU}", foundation(HAIKU, "eu-west-2", "eu-west-1", "eu-west-3"), ""),
    ),
    # AWS asks for the model in the source Region and for the one without a Region, and for no others.
    "global profile": (
        {"name": f"global.{HAIKU}"},
        ("claude-haiku-4-5", f"global.{HAIKU}", f"global.{HAIKU}", foundation(HAIKU, "us-east-1", ""), ""),
    ),
    "global profile with Regions given": (
        {"name": f"global.{HAIKU}", "destination_regions": ["eu-west-1"]},
        ("claude-haiku-4-5", f"global.{HAIKU}", f"global.{HAIKU}", foundation(HAIKU, "us-east-1", "eu-west-1", ""), ""),
    ),
    "global profile where there is no other": (
        {"name": "claude-haiku-4-5", "region": "sa-east-1"},
        ("claude-haiku-4-5", f"global.{HAIKU}", f"global.{HAIKU}", foundation(HAIKU, "sa-east-1", ""), ""),
    ),
    "profile that runs elsewhere from one of its Regions": (
        {"name": "nova-pro", "region": "il-central-1"},
        (
            "nova-pro",
            "eu.amazon.nova-pro-v1:0",
            "eu.amazon.nova-pro-v1:0",
            foundation(
                "amazon.nova-pro-v1:0",
                "il-central-1",
                *("eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-3"),
            ),
            "",
        ),
    ),
    # What the catalogue lacks, with the user's bounds or Regions.
    "id with bounds": (
        {"name": "acme.chat-2-v1:0", "bounds": OWN},
        ("acme.chat-2-v1:0", "acme.chat-2-v1:0", "", foundation("acme.chat-2-v1:0", "us-east-1"), ""),
    ),
    "profile id with bounds": (
        {"name": "us.acme.chat-2-v1:0", "bounds": OWN, "destination_regions": ["us-west-2"]},
        (
            "us.acme.chat-2-v1:0",
            "us.acme.chat-2-v1:0",
            "us.acme.chat-2-v1:0",
            foundation("acme.chat-2-v1:0", "us-east-1", "us-west-2"),
            "",
        ),
    ),
    "global profile id with bounds": (
        {"name": "global.acme.chat-2-v1:0", "bounds": OWN},
        (
            "global.acme.chat-2-v1:0",
            "global.acme.chat-2-v1:0",
            "global.acme.chat-2-v1:0",
            foundation("acme.chat-2-v1:0", "us-east-1", ""),
            "",
        ),
    ),
    "profile id of a geography that is new": (
        {"name": "kr.acme.chat-2", "bounds": OWN, "destination_regions": ["us-east-2"]},
        ("kr.acme.chat-2", "kr.acme.chat-2", "kr.acme.chat-2", foundation("acme.chat-2", "us-east-1", "us-east-2"), ""),
    ),
    "new profile of a model that is known": (
        {"name": "jp.anthropic.claude-sonnet-5-5", "region": "ap-northeast-1", "destination_regions": ["ap-northeast-3"]},
        (
            "claude-sonnet-5-5",
            "jp.anthropic.claude-sonnet-5-5",
            "jp.anthropic.claude-sonnet-5-5",
            foundation("anthropic.claude-sonnet-5-5", "ap-northeast-1", "ap-northeast-3"),
            "",
        ),
    ),
    "Region that is new for a model on demand": (
        {"name": "gpt-oss-20b", "region": "ca-central-1", "bounds": OWN},
        ("gpt-oss-20b", GPT, "", foundation(GPT, "ca-central-1"), ""),
    ),
    "Region that is new for a profile": (
        {"name": f"au.{HAIKU}", "region": "ap-southeast-7", "bounds": OWN, "destination_regions": ["ap-southeast-2"]},
        ("claude-haiku-4-5", f"au.{HAIKU}", f"au.{HAIKU}", foundation(HAIKU, "ap-southeast-7", "ap-southeast-2"), ""),
    ),
    "ARN of a foundation model with bounds": (
        {"name": "arn:aws:bedrock:us-east-1::foundation-model/acme.chat-2", "bounds": OWN},
        (
            "acme.chat-2",
            "arn:aws:bedrock:us-east-1::foundation-model/acme.chat-2",
            "",
            foundation("acme.chat-2", "us-east-1"),
            "",
        ),
    ),
    "ARN of a foundation model that the catalogue has behind a profile": (
        {"name": f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}", "bounds": OWN},
        (
            "claude-haiku-4-5",
            f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}",
            "",
            foundation(HAIKU, "us-east-1"),
            "",
        ),
    ),
    "ARN of a profile with bounds": (
        {"name": arn("inference-profile/us.acme.chat-2"), "bounds": OWN, "destination_regions": ["us-east-2"]},
        (
            "us.acme.chat-2",
            arn("inference-profile/us.acme.chat-2"),
            arn("inference-profile/us.acme.chat-2"),
            foundation("acme.chat-2", "us-east-1", "us-east-2"),
            "",
        ),
    ),
    "ARN of an application profile of a model with bounds": (
        {"name": APPLICATION, "base_model": "us.acme.chat-2", "bounds": OWN, "destination_regions": ["us-east-2"]},
        ("us.acme.chat-2", APPLICATION, APPLICATION, foundation("acme.chat-2", "us-east-1", "us-east-2"), ""),
    ),
    "ARN of an application profile of a global profile": (
        {"name": APPLICATION, "base_model": f"global.{HAIKU}"},
        ("claude-haiku-4-5", APPLICATION, APPLICATION, foundation(HAIKU, "us-east-1", ""), ""),
    ),
    "ARN of an import with bounds": (
        {"name": IMPORTED, "bounds": OWN},
        ("imported-model/a1b2c3d4e5f6", IMPORTED, "", (), IMPORTED),
    ),
    "ARN of a deployment with bounds": (
        {"name": DEPLOYED, "bounds": OWN},
        ("custom-model-deployment/a1b2c3d4e5f6", DEPLOYED, "", (), DEPLOYED),
    ),
    "ARN of a provisioned model with bounds and its name": (
        {"name": PROVISIONED, "bounds": OWN, "base_model": "acme.chat-2"},
        ("acme.chat-2", PROVISIONED, "", (), PROVISIONED),
    ),
    "ARN of a prompt router": (
        {"name": ROUTER, "router_models": ["us.amazon.nova-pro-v1:0", "us.amazon.nova-lite-v1:0"]},
        ("default-prompt-router/amazon.nova:1", ROUTER, "", (), ROUTER),
    ),
    "GovCloud's, with bounds": (
        {"name": "acme.chat-2", "bounds": OWN, "region": "us-gov-west-1"},
        ("acme.chat-2", "acme.chat-2", "", ("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/acme.chat-2",), ""),
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


def resolved(name: str, region: str = "us-east-1", **more: Any) -> BedrockModel:
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in more.items()}
    return resolve(name, Asked(*Location.of(region), **lists))


@pytest.mark.parametrize(("asked", "meant"), RESOLVED.values(), ids=RESOLVED)
def test_what_a_name_means(asked: dict[str, Any], meant: tuple[Any, ...]) -> None:
    found = resolved(**asked)
    assert (found.model.name, found.model_id, found.profile, found.foundation_models, found.own) == meant


def test_a_target_takes_the_bounds_of_its_model() -> None:
    found = resolved("claude-haiku-4-5")
    target = found.target()
    assert (target.provider, target.model) == ("bedrock", f"us.{HAIKU}")
    for bound in ("max_output_tokens", "context_tokens", "accepts", "exclusive", "temperature_max", "stop_max"):
        assert getattr(target, bound) == getattr(found.model, bound)


def test_the_users_bounds_stand_in_place_of_the_catalogues_and_what_is_not_known_is_not_sent() -> None:
    target = resolved("acme.chat-2", bounds=OWN).target()
    assert (target.context_tokens, target.max_output_tokens, target.accepts) == (50_000, 4_000, ("max_tokens", "system"))
    assert (target.exclusive, target.temperature_max, target.stop_max, target.api) == ((), 1.0, None, "converse")
    # One alone changes one alone; of what is no longer accepted no bound is left.
    haiku = resolved("claude-haiku-4-5", bounds=Bounds(max_output_tokens=9)).target()
    assert (haiku.context_tokens, haiku.max_output_tokens) == (200_000, 9)
    narrowed = resolved("claude-haiku-4-5", bounds=Bounds(accepts=("max_tokens", "top_p"))).target()
    assert (narrowed.accepts, narrowed.exclusive) == (("max_tokens", "top_p"), ())
    # Who says that an import takes tools knows it.
    imported = resolved(IMPORTED, base_model="llama-3-3-70b", bounds=Bounds(accepts=("max_tokens", "tools"))).target()
    assert (imported.api, imported.accepts) == ("invoke_model", ("max_tokens", "tools"))


def test_a_prompt_router_has_bounds_that_each_of_its_models_keeps() -> None:
    target = resolved(ROUTER, router_models=["nova-micro", "llama-3-3-70b"]).target()
    assert (target.context_tokens, target.max_output_tokens) == (128_000, 4_096)
    assert target.accepts == ("max_tokens", "temperature", "top_p", "system", "tools")


# What is asked for, and what of the error's text a user needs.
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown, with near ones": (
        {"name": "claude-haiku-45"},
        [
            "'claude-haiku-45' is no model of the catalogue",
            "did you mean 'claude-haiku-4-5'",
            "To use another model of Bedrock's, give its id or ARN with its bounds: context_tokens and max_output_tokens",
        ],
    ),
    "unknown, with one bound": (
        {"name": "acme.chat-2", "bounds": Bounds(context_tokens=5)},
        ["with its bounds: context_tokens and max_output_tokens"],
    ),
    "a name that is no id, with bounds": (
        {"name": "claude-haiku-45", "bounds": OWN},
        ["'claude-haiku-45' is no id of Bedrock's, which looks like PROVIDER.MODEL or us.PROVIDER.MODEL"],
    ),
    "a profile that is not known": (
        {"name": "us.acme.chat-2", "bounds": OWN},
        ["does not know where 'us.acme.chat-2' may run; list its Regions as destination_regions"],
    ),
    "a new profile of a model that is known": (
        {"name": "jp.anthropic.claude-sonnet-5-5", "region": "ap-northeast-1"},
        ["does not know where 'jp.anthropic.claude-sonnet-5-5' may run; list its Regions as destination_regions"],
    ),
    "an ended model, with bounds": ({"name": "claude-sonnet-4", "bounds": OWN}, ["'claude-sonnet-4' has ended"]),
    "an application profile with bounds alone": (
        {"name": APPLICATION, "bounds": OWN},
        [f"{APPLICATION!r} does not tell which model it is", "base_model"],
    ),
    "a prompt router without its models": (
        {"name": ROUTER, "router_models": ["nova-pro"]},
        ["does not tell which models it routes to; name them all as router_models, two at least"],
    ),
    "router models of a name": (
        {"name": "nova-pro", "router_models": ["nova-pro", "nova-lite"]},
        ["router_models are only for an ARN; a name tells the model itself"],
    ),
    "another partition": (
        {"name": IMPORTED.replace("arn:aws:", "arn:aws-cn:"), "bounds": OWN},
        ["is in the partition aws-cn, but us-east-1 is in aws"],
    ),
    "a prompt": ({"name": arn("prompt/ABCDEFGHIJ:1"), "bounds": OWN}, ["a prompt cannot be called"]),
    "a model on demand in GovCloud": (
        {"name": "gpt-oss-20b", "region": "us-gov-west-1"},
        ["'gpt-oss-20b' is not on demand in us-gov-west-1", "give context_tokens and max_output_tokens beside it"],
    ),
    "unknown id, with near ones": ({"name": "openai.gpt-oss-20b-v1:0"}, ["did you mean 'gpt-oss-20b'"]),
    "unknown, with none near": ({"name": "zzzz"}, ["the catalogue has claude-haiku-4-5, ", ", qwen3-next-80b"]),
    "ended": ({"name": "claude-sonnet-4"}, ["'claude-sonnet-4' has ended", "use 'claude-sonnet-5-5' instead"]),
    "ended, by its profile": (
        {"name": "us.anthropic.claude-3-5-haiku-20241022-v1:0"},
        ["has ended", "use 'claude-haiku-5-5' instead"],
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
        {"name": "nova-pro", "region": "ap-south-1"},
        [
            "does not know where 'apac.amazon.nova-pro-v1:0' may run; list its Regions as destination_regions",
            "aws bedrock get-inference-profile --inference-profile-identifier apac.amazon.nova-pro-v1:0",
        ],
    ),
    "destinations of an application profile unknown": (
        {"name": APPLICATION.replace("us-east-1", "ap-south-1"), "base_model": "nova-pro", "region": "ap-south-1"},
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
    "embedding with the parameters of a chat": (
        {"name": "titan-embed-text-v2", "bounds": Bounds(accepts=("max_tokens",))},
        ["'titan-embed-text-v2' makes embeddings, and takes only dimensions and input_type"],
    ),
    "embedding that the catalogue lacks": (
        {"name": "amazon.titan-embed-text-v9:0", "bounds": Bounds(context_tokens=8192, max_output_tokens=1)},
        ["makes embeddings, and the catalogue does not have it; take one of titan-embed-text-v2"],
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
}


@pytest.mark.parametrize(
    ("asked", "texts"),
    [
        *(pytest.param(*case, id=name) for name, case in REFUSED.items()),
    ],
)
def test_what_cannot_be_called_is_refused_with_what_would_be_right(asked: dict[str, Any], texts: list[str]) -> None:
    with pytest.raises(ModelError) as error:
        resolved(**asked)
    assert [text for text in texts if text not in str(error.value)] == []


@each([model for model in MODELS if model.status == "ended"])
def test_every_spelling_of_an_ended_model_is_refused(model: Model) -> None:
    for spelling in {model.name, *model.names, model.foundation_model, *(profile.id for profile in model.profiles)}:
        with pytest.raises(ModelError, match="has ended"):
            resolved(spelling)


@each([model for model in MODELS if model.access == "imported_model"])
@pytest.mark.assumes("imported-format")
def test_every_imported_model_can_be_called_in_the_chat_format(model: Model) -> None:
    target = resolved(IMPORTED, base_model=model.name).target()
    assert (target.name, target.model, target.api) == (f"bedrock/{model.name}", IMPORTED, "invoke_model")
    assert set(target.accepts) == {"max_tokens", "temperature", "top_p", "stop", "system"}


@pytest.mark.parametrize(("base_model", "tools"), [("llama-3-3-70b", False), ("qwen3-32b", False), ("gpt-oss-20b", True)])
def test_an_import_of_another_model_takes_tools_only_where_aws_says_so(base_model: str, tools: bool) -> None:
    target = resolved(IMPORTED, base_model=base_model).target()
    assert target.api == "invoke_model"
    assert ("tools" in target.accepts) == tools
    assert "tools" in resolved(PROVISIONED, base_model=base_model).target().accepts


@each([model for model in MODELS if model.kind == "chat" and model.status != "ended" and model.access != "imported_model"])
def test_every_model_can_be_called_from_each_of_its_regions(model: Model) -> None:
    regions = {*model.regions, *(region for profile in model.profiles for region in profile.source_regions)}
    for region in regions:
        given = ["us-east-1"] if any(profile.id.startswith("apac.") for profile in model.profiles) else []
        found = resolved(model.name, region, destination_regions=given)
        assert any(f":{region}::" in arn for arn in found.foundation_models), "AWS asks for the source Region's own model"
        assert all(arn.endswith(f"::foundation-model/{model.foundation_model}") for arn in found.foundation_models)


# What is said of a model's end.

DAY = date(2026, 11, 29)


def model_of(**changes: Any) -> Model:
    table = {"status": "active", "end_of_life": None, "end_of_life_floor": None, "replaced_by": "", **changes}
    return msgspec.structs.replace(catalogue()["gpt-oss-20b"], **table)


@pytest.mark.parametrize(
    ("changes", "urgent", "text"),
    [
        ({}, None, ""),
        ({"end_of_life_floor": date(2026, 11, 30)}, None, ""),
        (
            {"end_of_life_floor": DAY, "replaced_by": "b"},
            False,
            "m was assured until 2026-11-29: its end is not announced, but AWS may announce it from now on; consider 'b'",
        ),
        ({"end_of_life": date(2027, 3, 30)}, False, "m reaches its end of life on 2027-03-30"),
        ({"status": "legacy"}, True, "m is legacy: Bedrock has closed it to new customers"),
        (
            {"status": "legacy", "end_of_life": date(2027, 3, 30), "replaced_by": "b"},
            True,
            "m is legacy: Bedrock has closed it to new customers, and ends it on 2027-03-30; consider 'b'",
        ),
        (
            {"status": "legacy", "end_of_life": DAY, "end_of_life_floor": date(2026, 1, 1)},
            True,
            "m reached its end of life on 2026-11-29: Bedrock refuses calls of it, or will soon",
        ),
    ],
)
def test_what_is_said_of_a_models_end(changes: dict[str, Any], urgent: bool | None, text: str) -> None:
    notice = lifecycle_notice(model_of(**changes), "m", DAY)
    assert (notice and notice.urgent, notice.text if notice else "") == (urgent, text)
