"""The catalogue of models, and what a name in a configuration means on Bedrock.

The data is catalogue.toml, each entry with its sources; this module reads it and turns a name, an id or an ARN into what a call
needs and what an IAM policy must allow.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from llm_gateway.request import CHAT_PARAMETERS, TOOL_PARAMETERS, Parameter
from llm_gateway.routes import BEDROCK, MOCK, Target


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cross-Region inference profile: where it can be called, and where the call may run."""

    id: str
    source_regions: tuple[str, ...]
    destination_regions: tuple[str, ...] = ()


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What sizing a GPU needs to know of an open model."""

    parameters_billion: float
    layers: int
    hidden_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    active_billion: float | None = None
    kv_cache_elements_per_token_layer: int | None = None


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry. The keys and their units are explained at the head of catalogue.toml."""

    title: str
    kind: Literal["chat", "embedding"]
    access: Literal["foundation_model", "inference_profile", "imported_model"]
    status: Literal["active", "legacy", "ended"]
    context_tokens: int
    accepts: tuple[Parameter, ...]
    sources: Mapping[str, str]
    name: str = ""
    foundation_model: str = ""
    names: tuple[str, ...] = ()
    replaced_by: str = ""
    regions: tuple[str, ...] = ()
    max_output_tokens: int = 0
    exclusive: tuple[Parameter, ...] = ()
    temperature_max: float = 1.0
    stop_max: int | None = None
    reasoning: bool = False
    price_input: float | None = None
    price_output: float | None = None
    hub: str = ""
    unproven: tuple[str, ...] = ()
    shape: Shape | None = None
    profiles: tuple[Profile, ...] = ()


class ModelError(ValueError):
    """A model that cannot be used as it was named; the text says why and what would be right."""


class BedrockModel(msgspec.Struct, frozen=True):
    """A model as Bedrock is asked for it.

    `name` is what callers see of it: the catalogue's name, or the id of an inference profile that was asked for. `model_id`
    stands in the call's path. `profile` is the id or ARN of the inference profile that it goes through, if any;
    `foundation_models` and `own` are the ARNs that a policy must allow: the foundation models behind the call, and the
    account's own imported or provisioned model.
    """

    name: str
    model: Model
    model_id: str
    profile: str = ""
    foundation_models: tuple[str, ...] = ()
    own: str = ""

    def target(self) -> Target:
        """What the routes document says of it.

        Converse does not take every imported architecture (not Qwen2.5's), and imports take tools only where they are gpt-oss:
        https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
        """
        imported = ":imported-model/" in self.own
        accepts = self.model.accepts
        if imported and "gpt-oss" not in self.model.name:
            untooled: list[Parameter] = [parameter for parameter in accepts if parameter not in TOOL_PARAMETERS]
            accepts = tuple(untooled)
        return Target(
            name=f"{BEDROCK}/{self.name}",
            provider=BEDROCK,
            model=self.model_id,
            api="invoke_model" if imported else "converse",
            max_output_tokens=self.model.max_output_tokens,
            context_tokens=self.model.context_tokens,
            accepts=accepts,
            exclusive=self.model.exclusive,
            temperature_max=self.model.temperature_max,
            stop_max=self.model.stop_max,
        )


# The provider that answers by itself, for tests and where a model is not available.
MOCK_TARGET = Target(
    name=f"{MOCK}/{MOCK}",
    provider=MOCK,
    model=MOCK,
    max_output_tokens=4096,
    context_tokens=32768,
    accepts=CHAT_PARAMETERS,
)


@cache
def catalogue() -> Mapping[str, Model]:
    """Every model by its name."""
    text = files("pulumi_llm.models").joinpath("catalogue.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, object]] = tomllib.loads(text)["models"]
    return {name: msgspec.convert({**table, "name": name}, Model) for name, table in tables.items()}


def find(name: str) -> tuple[Model, Profile | None]:
    """The model of that name, id or inference profile id (with the profile then).

    Raises `ModelError` that names the nearest ones for an unknown name, and the replacement for an ended one.
    """
    for model in catalogue().values():
        profile = next((profile for profile in model.profiles if profile.id == name), None)
        if profile or (name and name in (model.name, model.foundation_model)) or name in model.names:
            if model.status == "ended":
                instead = f"; use {model.replaced_by!r} instead" if model.replaced_by else ""
                raise ModelError(f"{name!r} has ended: Bedrock refuses every call of it{instead}")
            return model, profile
    known = sorted(name for name, model in catalogue().items() if model.status != "ended")
    spellings = {spelling: model.name for model in catalogue().values() for spelling in _spellings(model)}
    near = list(dict.fromkeys(spellings[n] for n in difflib.get_close_matches(name, spellings, n=5, cutoff=0.5)))[:3]
    near = [name for name in near if name in known]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the catalogue has {', '.join(known)}."
    raise ModelError(f"{name!r} is no model of the catalogue; {hint} Any Bedrock ARN can be given in full, too.")


def resolve(
    name: str, region: str, *, partition: str = "aws", base_model: str = "", destination_regions: Sequence[str] = ()
) -> BedrockModel:
    """What `name` (a catalogue name, a Bedrock id, or a Bedrock ARN) means in `region`. Raises `ModelError`.

    `base_model` is the catalogue name of the model behind an ARN that does not tell it. `destination_regions` are the
    Regions where the inference profile may run, for one whose list the catalogue does not have.
    """
    if name.startswith("arn:"):
        resolved = _by_arn(name, region, base_model, destination_regions)
    else:
        if base_model:
            raise ModelError("base_model is only for an ARN; a name tells the model itself")
        model, profile = find(name)
        resolved = _by_name(model, profile, region, destination_regions)
    if resolved.model.kind != "chat":
        raise ModelError(f"{name!r} is an {resolved.model.kind} model; it cannot chat")
    arns = tuple(arn.replace("arn:aws:", f"arn:{partition}:", 1) for arn in resolved.foundation_models)
    return msgspec.structs.replace(resolved, foundation_models=arns)


def _by_name(model: Model, profile: Profile | None, region: str, destination_regions: Sequence[str]) -> BedrockModel:
    if model.access == "imported_model":
        raise ModelError(
            f"{model.name!r} is imported into an account by its owner, so it has no id of its own; give the import's ARN "
            f"(arn:aws:bedrock:{region}:ACCOUNT:imported-model/ID) as the model and {model.name!r} as its base_model"
        )
    if profile is None and model.access == "foundation_model":
        _check_on_demand(model, region)
        arn = _foundation_model_arn(region, model)
        return BedrockModel(model.name, model, model.foundation_model, foundation_models=(arn,))
    name = profile.id if profile else model.name
    profile = profile or _profile_for(model, region)
    _check_callable(profile, region)
    arns = _destinations(model, profile, destination_regions)
    return BedrockModel(name, model, profile.id, profile=profile.id, foundation_models=arns)


def _check_on_demand(model: Model, region: str) -> None:
    if region not in model.regions:
        raise ModelError(f"{model.name!r} is not on demand in {region}; it is in {', '.join(model.regions)}")


def _check_callable(profile: Profile, region: str) -> None:
    if region not in profile.source_regions:
        raise ModelError(f"{profile.id!r} cannot be called from {region}, only from {', '.join(profile.source_regions)}")


def _profile_for(model: Model, region: str) -> Profile:
    """The Region's own profile: the geographic one before the global one."""
    here = [profile for profile in model.profiles if region in profile.source_regions]
    if not here:
        regions = sorted({region for profile in model.profiles for region in profile.source_regions})
        raise ModelError(f"{model.name!r} cannot be called from {region}, only from {', '.join(regions)}")
    return min(here, key=lambda profile: profile.id.startswith("global."))


def _destinations(model: Model, profile: Profile, given: Sequence[str]) -> tuple[str, ...]:
    regions = tuple(given) or profile.destination_regions
    if not regions:
        raise ModelError(
            f"the catalogue does not know where {profile.id!r} may run; list its Regions as destination_regions (aws bedrock "
            f"get-inference-profile --inference-profile-identifier {profile.id} prints them)"
        )
    # A global profile may also run where it names no Region: AWS asks for the ARN without one.
    everywhere = ("",) if profile.id.startswith("global.") else ()
    return tuple(_foundation_model_arn(region, model) for region in (*regions, *everywhere))


_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):bedrock:(?P<region>[a-z0-9-]*):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<id>\S+)"
)


def _by_arn(arn: str, region: str, base_model: str, destination_regions: Sequence[str]) -> BedrockModel:
    match = _ARN.fullmatch(arn)
    if match is None:
        raise ModelError(f"{arn!r} is no Bedrock ARN; one looks like arn:aws:bedrock:{region}:ACCOUNT:imported-model/ID")
    if match["region"] != region:
        raise ModelError(f"{arn!r} is in {match['region'] or 'no Region'}, but this stack calls Bedrock in {region}")
    match match["kind"]:
        case "foundation-model":
            model, _ = find(match["id"])
            if model.access != "foundation_model":
                instead = _profile_for(model, region).id
                raise ModelError(f"{arn!r}: {model.name!r} is called through an inference profile only; give {instead!r}")
            _check_on_demand(model, region)
            return BedrockModel(model.name, model, arn, foundation_models=(arn,))
        case "inference-profile":
            model, profile = find(match["id"])
            if profile is None:
                raise ModelError(f"{match['id']!r} is no inference profile of {model.name!r}")
            _check_callable(profile, region)
            arns = _destinations(model, profile, destination_regions)
            return BedrockModel(profile.id, model, arn, profile=arn, foundation_models=arns)
        case "application-inference-profile":
            model = _base(arn, base_model)
            if not model.foundation_model:
                raise ModelError(f"{arn!r}: an inference profile has no imported model behind it, such as {model.name!r}")
            if model.profiles:
                arns = _destinations(model, _profile_for(model, region), destination_regions)
            else:
                _check_on_demand(model, region)
                arns = (_foundation_model_arn(region, model),)
            return BedrockModel(model.name, model, arn, profile=arn, foundation_models=arns)
        case "imported-model" | "provisioned-model" | "custom-model-deployment":
            model = _base(arn, base_model)
            return BedrockModel(model.name, model, arn, own=arn)
        case kind:
            raise ModelError(f"{arn!r}: a {kind} cannot be called")


def _base(arn: str, base_model: str) -> Model:
    if not base_model:
        raise ModelError(f"{arn!r} does not tell which model it is; name it as base_model, such as 'llama-3-3-70b'")
    return find(base_model)[0]


def _foundation_model_arn(region: str, model: Model) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{model.foundation_model}"


def _spellings(model: Model) -> list[str]:
    ids = [model.name, *model.names, *(profile.id for profile in model.profiles)]
    return [*ids, model.foundation_model] if model.foundation_model else ids
