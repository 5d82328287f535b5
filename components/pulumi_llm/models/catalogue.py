"""The catalogue of models: catalogue.toml, each entry with its sources, and how a model is found in it."""

import difflib
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from llm_gateway.request import Parameter
from llm_gateway.routes import ThinkTags


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cross-Region inference profile: where it can be called, and where the call may run.

    A geographic profile may also run in the Region that calls it, whether `destination_regions` names that or not. A global one
    runs in any commercial Region and names none.
    """

    id: str
    source_regions: tuple[str, ...]
    destination_regions: tuple[str, ...] = ()


# In what form the weights are. fp8 multiplies in FP8 (W8A8), fp8-w8a16 keeps only the weights in it.
WeightFormat = Literal["bf16", "fp8", "fp8-w8a16", "awq", "gptq", "mxfp4"]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What sizing a GPU needs to know of an open model."""

    parameters_billion: float
    layers: int
    hidden_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied_embeddings: bool = False
    weights: WeightFormat = "bf16"
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
    checked: date
    name: str = ""
    foundation_model: str = ""
    names: tuple[str, ...] = ()
    replaced_by: str = ""
    end_of_life: date | None = None
    end_of_life_floor: date | None = None
    regions: tuple[str, ...] = ()
    max_output_tokens: int = 0
    exclusive: tuple[Parameter, ...] = ()
    temperature_max: float = 1.0
    stop_max: int | None = None
    reasoning: bool = False
    think_tags: ThinkTags | None = None
    price_input: float | None = None
    price_output: float | None = None
    price_cache_read: float | None = None
    price_cache_write: float | None = None
    price_cache_write_hour: float | None = None
    text_characters: int | None = None
    dimensions: tuple[int, ...] = ()
    hub: str = ""
    unproven: tuple[str, ...] = ()
    shape: Shape | None = None
    profiles: tuple[Profile, ...] = ()


class ModelError(ValueError):
    """A model that cannot be used as it was named; the text says why and what would be right."""


class UnknownModelError(ModelError):
    """A model that the catalogue does not have."""


@cache
def catalogue() -> Mapping[str, Model]:
    """Every model by its name."""
    text = files("pulumi_llm.models").joinpath("catalogue.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, object]] = tomllib.loads(text)["models"]
    return {name: msgspec.convert({**table, "name": name}, Model) for name, table in tables.items()}


def find(name: str) -> tuple[Model, str]:
    """Return the model of that name, id or inference profile id, and the profile's id if it is one.

    Raises:
        UnknownModelError: names the nearest ones, and how a model that the catalogue lacks is given.
        ModelError: the model has ended; names its replacement.
    """
    for model in catalogue().values():
        is_profile = any(profile.id == name for profile in model.profiles)
        if is_profile or (name and name in (model.name, model.foundation_model)) or name in model.names:
            if model.status == "ended":
                instead = f"; use {model.replaced_by!r} instead" if model.replaced_by else ""
                raise ModelError(f"{name!r} has ended: Bedrock refuses every call of it{instead}")
            return model, name if is_profile else ""
    known = sorted(name for name, model in catalogue().items() if model.status != "ended")
    spellings = {spelling: model.name for model in catalogue().values() for spelling in _spellings(model)}
    near = list(dict.fromkeys(spellings[n] for n in difflib.get_close_matches(name, spellings, n=5, cutoff=0.5)))[:3]
    near = [name for name in near if name in known]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the catalogue has {', '.join(known)}."
    raise UnknownModelError(
        f"{name!r} is no model of the catalogue; {hint} To use another model of Bedrock's, give its id or ARN with its bounds: "
        "context_tokens and max_output_tokens"
    )


def _spellings(model: Model) -> list[str]:
    ids = [model.name, *model.names, *(profile.id for profile in model.profiles)]
    return [*ids, model.foundation_model] if model.foundation_model else ids


class LifecycleNotice(msgspec.Struct, frozen=True):
    """What a user has to know of a model's end. `urgent`: it is closed to new customers already, or past its end."""

    text: str
    urgent: bool


def lifecycle_notice(model: Model, name: str, today: date) -> LifecycleNotice | None:
    """Return what is to be said of a model that is called as `name`; None for a model that stays.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle.html
    """
    instead = f"; consider {model.replaced_by!r}" if model.replaced_by else ""
    end, floor = model.end_of_life, model.end_of_life_floor
    if end is not None and end <= today:
        text = f"{name} reached its end of life on {end}: Bedrock refuses calls of it, or will soon{instead}"
        return LifecycleNotice(text, urgent=True)
    if model.status == "legacy":
        until = f", and ends it on {end}" if end else ""
        text = f"{name} is legacy: Bedrock has closed it to new customers{until}{instead}"
        return LifecycleNotice(text, urgent=True)
    if end is not None:
        return LifecycleNotice(f"{name} reaches its end of life on {end}{instead}", urgent=False)
    if floor is not None and floor <= today:
        text = f"{name} was assured until {floor}: its end is not announced, but AWS may announce it from now on{instead}"
        return LifecycleNotice(text, urgent=False)
    return None
