"""What the models behind a program's aliases cost: Bedrock's by the catalogue, those on GPUs of one's own by their nodes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Final

import msgspec

from llm_gateway.routes import BEDROCK, MOCK, Routes, Target
from pulumi_llm.cost.chats import Chat
from pulumi_llm.cost.served_models import ServedModel
from pulumi_llm.models.catalogue import Model, catalogue


class ModelPrice(msgspec.Struct, frozen=True):
    """What a target costs: US dollars for a million tokens in and out, and for a thousand chats.

    None: not known, and `note` says why; of input tokens alone, that they are part of the other price.
    """

    alias: str
    target: str
    usd_per_million_input: float | None
    usd_per_million_output: float | None
    usd_per_thousand_chats: float | None
    note: str


def model_prices(documents: Iterable[Routes], served: Mapping[str, ServedModel], chat: Chat) -> list[ModelPrice]:
    """Return the price of each target of each alias, in order, each once. `served` are the program's own models by name."""
    found = [
        _price(alias.name, target, served, chat) for routes in documents for alias in routes.aliases for target in alias.targets
    ]
    return list(dict.fromkeys(found))


def _price(alias: str, target: Target, served: Mapping[str, ServedModel], chat: Chat) -> ModelPrice:
    # A model that the program serves is a provider by itself, which has its name.
    if model := served.get(target.provider):
        note = f"a {model.instance_type}, busy around the clock at an estimated {model.tokens_per_second:,.0f} tokens/s"
        return ModelPrice(
            alias, target.name, None, model.usd_per_million, chat.output_tokens * model.usd_per_million / 1000, note
        )
    usd_in, usd_out, note = _token_prices(target)
    chats = None
    if usd_in is not None and usd_out is not None and target.kind == "chat":
        chats = (chat.input_tokens * usd_in + chat.output_tokens * usd_out) / 1000
    return ModelPrice(alias, target.name, usd_in, usd_out, chats, note)


def _token_prices(target: Target) -> tuple[float | None, float | None, str]:
    """The price of a million tokens in and out, and what must be said of it."""
    if target.provider == MOCK:
        return 0.0, 0.0, "the mock answers in the function"
    if target.provider != BEDROCK:
        return None, None, f"the price of the provider {target.provider} is not known"
    for kind, note in _OTHERWISE_CHARGED.items():
        if f":{kind}/" in target.model:
            return None, None, note
    model = next((found for name in _names(target) if (found := _models().get(name))), None)
    if model is None:
        return None, None, "the catalogue has no such model"
    if model.kind == "embedding" and model.price_input is not None:
        return model.price_input, 0.0, "from secondary sources" if "price_input" in model.unproven else ""
    if model.price_input is None or model.price_output is None:
        return None, None, "the catalogue has no price of it"
    unproven = {"price_input", "price_output"} & set(model.unproven)
    return model.price_input, model.price_output, "from secondary sources" if unproven else ""


# https://aws.amazon.com/bedrock/pricing/
_OTHERWISE_CHARGED: Final = {
    "custom-model-deployment": "a customized model has a price of its own",
    "imported-model": "an imported model is charged for by its copies and minutes",
    "provisioned-model": "provisioned throughput is charged for by the hour",
}


def _names(target: Target) -> Iterator[str]:
    """What may name the model: its id, the id within an ARN, and what callers see, of several alike with a number."""
    yield target.model
    yield target.model.rpartition("/")[2]
    name = target.name.removeprefix(f"{BEDROCK}/")
    yield name
    yield re.sub(r"-\d+$", "", name)


@cache
def _models() -> Mapping[str, Model]:
    """The catalogue's models by all their names and ids."""
    return {
        name: model
        for model in catalogue().values()
        for name in (
            model.name,
            *model.names,
            *(profile.id for profile in model.profiles),
            *((model.foundation_model,) if model.foundation_model else ()),
        )
    }
