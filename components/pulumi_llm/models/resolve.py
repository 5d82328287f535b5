"""What a name in a configuration means on Bedrock: what a call needs, and what an IAM policy must allow."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from llm_gateway.request import CHAT_PARAMETERS, EMBEDDING_PARAMETERS, TOOL_PARAMETERS, Parameter
from llm_gateway.routes import BEDROCK, MOCK, Price, Target, ThinkTags
from pulumi_llm.models.catalogue import Model, ModelError, Profile, UnknownModelError, catalogue, find

# What is sent to a model of which neither the catalogue nor the user says more.
DEFAULT_ACCEPTS: tuple[Parameter, ...] = ("max_tokens", "system")

# The first part of an inference profile's id.
# https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html
GEOGRAPHIES = ("us", "us-gov", "eu", "apac", "jp", "au", "in", "ca", "global")


class Bounds(msgspec.Struct, frozen=True):
    """What a user says of a model, in place of the catalogue. None: not given."""

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    accepts: tuple[Parameter, ...] | None = None
    exclusive: tuple[Parameter, ...] | None = None
    temperature_max: float | None = None
    stop_max: int | None = None
    think_tags: ThinkTags | None = None

    @property
    def complete(self) -> bool:
        """Whether they are enough for a model that the catalogue lacks."""
        return self.context_tokens is not None and self.max_output_tokens is not None

    def over(self, model: Model) -> Model:
        """Return the model with these bounds in place of its own."""
        changed = msgspec.structs.replace(model, **{k: v for k, v in msgspec.structs.asdict(self).items() if v is not None})
        exclusive = changed.exclusive if set(changed.exclusive) <= set(changed.accepts) else ()
        stop_max = changed.stop_max if "stop" in changed.accepts else None
        return msgspec.structs.replace(changed, exclusive=exclusive, stop_max=stop_max)

    def model(self, name: str, foundation_model: str = "") -> Model:
        """Return a model that the catalogue lacks."""
        own = Model(
            title=name,
            kind="chat",
            access="foundation_model",
            status="active",
            context_tokens=0,
            accepts=DEFAULT_ACCEPTS,
            sources={},
            checked=date.min,
            name=name,
            foundation_model=foundation_model,
        )
        return self.over(own)


class BedrockModel(msgspec.Struct, frozen=True):
    """A model as Bedrock is asked for it.

    `name` is what callers see of it: the catalogue's name, or the id of an inference profile that was asked for. `model_id`
    stands in the call's path. `profile` is the id or ARN of the inference profile that it goes through, if any;
    `foundation_models` and `own` are the ARNs that a policy must allow: the foundation models behind the call, and the
    account's own imported, deployed or provisioned model, or prompt router. `routed` are the models behind a prompt router.
    """

    name: str
    model: Model
    model_id: str
    profile: str = ""
    foundation_models: tuple[str, ...] = ()
    own: str = ""
    routed: tuple["BedrockModel", ...] = ()

    def target(self) -> Target:
        """What the routes document says of it."""
        # Converse does not take every imported architecture (not Qwen2.5's):
        # https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
        return Target(
            name=f"{BEDROCK}/{self.name}",
            provider=BEDROCK,
            model=self.model_id,
            api=_embedding_api(self.model) or ("invoke_model" if ":imported-model/" in self.own else "converse"),
            max_output_tokens=self.model.max_output_tokens,
            context_tokens=self.model.context_tokens,
            accepts=self.model.accepts,
            exclusive=self.model.exclusive,
            temperature_max=self.model.temperature_max,
            stop_max=self.model.stop_max,
            think_tags=self.model.think_tags,
            kind=self.model.kind,
            text_characters=self.model.text_characters,
            dimensions=self.model.dimensions,
            regions=self.regions(),
        )

    def regions(self) -> tuple[str, ...]:
        """All Regions that a request's data may go to; none where it may go anywhere, as with a global profile.

        The function's role allows the call of no model in another Region.
        """
        if self.routed:
            places = [model.regions() for model in self.routed]
            return tuple(dict.fromkeys(region for each in places for region in each)) if all(places) else ()
        found = [arn.split(":")[3] for arn in (*self.foundation_models, *([self.own] if self.own else []))]
        return tuple(dict.fromkeys(found)) if all(found) else ()

    def price(self) -> Price | None:
        """What the catalogue says that it costs; of a prompt router, the most that one of its models costs.

        None: it does not say. The account's own models are charged for by the hour, or at other prices.
        https://aws.amazon.com/bedrock/pricing/
        """
        if self.routed:
            prices = [model.price() for model in self.routed]
            known = [msgspec.structs.astuple(price) for price in prices if price is not None]
            return Price(*map(max, zip(*known, strict=True))) if len(known) == len(prices) else None
        model = self.model
        if self.own or model.price_input is None or (model.price_output is None and model.kind == "chat"):
            return None
        cache = (model.price_cache_read, model.price_cache_write, model.price_cache_write_hour)
        return price_in_micro_usd(model.price_input, model.price_output or 0.0, *cache)


def price_in_micro_usd(
    request: float, answer: float, cache_read: float | None, cache_write: float | None, cache_write_hour: float | None
) -> Price:
    """Return a price as the functions read it, from US dollars a million tokens.

    Tokens in the prompt cache that have no price of their own cost what others do.
    """
    write = request if cache_write is None else cache_write
    hour = write if cache_write_hour is None else cache_write_hour
    read = request if cache_read is None else cache_read
    return Price(*(round(usd * 1_000_000) for usd in (request, answer, read, write, hour)))


# The provider that answers by itself, for tests and where a model is not available.
MOCK_TARGET = Target(
    name=f"{MOCK}/{MOCK}",
    provider=MOCK,
    model=MOCK,
    max_output_tokens=4096,
    context_tokens=32768,
    accepts=CHAT_PARAMETERS,
)


class Asked(msgspec.Struct, frozen=True):
    """What a configuration says of one model besides its name.

    `base_model` names the model behind an ARN that does not tell it, and `router_models` those behind a prompt router's.
    `destination_regions` are the Regions where the inference profile may run, for one whose list the catalogue lacks. The
    catalogue has commercial Regions only; models of others are given with their bounds.
    """

    region: str
    partition: str = "aws"
    base_model: str = ""
    router_models: tuple[str, ...] = ()
    destination_regions: tuple[str, ...] = ()
    bounds: Bounds = Bounds()


def resolve(name: str, asked: Asked) -> BedrockModel:
    """Return what `name` (a catalogue name, a Bedrock id, or a Bedrock ARN) means. Raises `ModelError`."""
    if name.startswith("arn:"):
        resolved = _by_arn(name, asked)
    elif asked.base_model or asked.router_models:
        key = "base_model is" if asked.base_model else "router_models are"
        raise ModelError(f"{key} only for an ARN; a name tells the model itself")
    else:
        resolved = _by_id(name, asked)
    model = resolved.model
    if model.kind == "embedding":
        if _embedding_api(model) is None:
            raise ModelError(f"{name!r}: no form of a call is known for {model.foundation_model}")
        if set(model.accepts) - set(EMBEDDING_PARAMETERS):
            raise ModelError(f"{name!r} makes embeddings, and takes only {' and '.join(EMBEDDING_PARAMETERS)}")
    elif "embed" in model.foundation_model:
        known = ", ".join(each.name for each in catalogue().values() if each.kind == "embedding")
        raise ModelError(f"{name!r} makes embeddings, and the catalogue does not have it; take one of {known}")
    return resolved


def _embedding_api(model: Model) -> Literal["titan_embed", "cohere_embed"] | None:
    """The form of InvokeModel for a model of embeddings, which is its maker's."""
    if model.foundation_model.startswith("amazon.titan-embed-text-v2"):
        return "titan_embed"
    return "cohere_embed" if model.foundation_model.startswith("cohere.embed-") else None


# By a name or an id.


def _by_id(name: str, asked: Asked) -> BedrockModel:
    try:
        model, profile_id = find(name)
    except UnknownModelError as unknown:
        return _of_unknown_id(name, asked, unknown)
    if model.access == "imported_model":
        arn = f"arn:{asked.partition}:bedrock:{asked.region}:ACCOUNT:imported-model/ID"
        raise ModelError(
            f"{model.name!r} is imported into an account by its owner, so it has no id of its own; give the import's ARN "
            f"({arn}) as the model and {model.name!r} as its base_model"
        )
    model = asked.bounds.over(model)
    if not profile_id and model.access == "foundation_model":
        _check_on_demand(model, asked)
        arn = _foundation_model_arn(asked.region, model, asked)
        return BedrockModel(model.name, model, model.foundation_model, foundation_models=(arn,))
    profile = _profile(model, profile_id, asked)
    name = profile_id or model.name
    return BedrockModel(name, model, profile.id, profile=profile.id, foundation_models=_destinations(model, profile, asked))


def _of_unknown_id(name: str, asked: Asked, unknown: UnknownModelError) -> BedrockModel:
    """What an id that the catalogue lacks means: a new profile of a model that it has, or a model with the user's bounds."""
    bounds = asked.bounds
    geography, _, base = name.partition(".")
    is_profile = bool(base) and (geography in GEOGRAPHIES or bool(asked.destination_regions))
    model = _known(base) if is_profile else None
    if model is not None:
        model = bounds.over(model)
    elif not bounds.complete:
        raise unknown
    elif re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[A-Za-z0-9]+)*", name) is None:
        raise ModelError(f"{name!r} is no id of Bedrock's, which looks like PROVIDER.MODEL or us.PROVIDER.MODEL")
    else:
        model = bounds.model(name, base if is_profile else name)
    if not is_profile:
        arn = _foundation_model_arn(asked.region, model, asked)
        return BedrockModel(name, model, name, foundation_models=(arn,))
    profile = Profile(name, (asked.region,))
    return BedrockModel(name, model, name, profile=name, foundation_models=_destinations(model, profile, asked))


def _known(foundation_model: str) -> Model | None:
    """The catalogue's model of that id, which has not ended."""
    try:
        model, _ = find(foundation_model)
    except UnknownModelError:
        return None
    return model if model.foundation_model == foundation_model else None


_TAKEN_AS_OWN = "if Bedrock has it there by now, give context_tokens and max_output_tokens beside it"


def _check_on_demand(model: Model, asked: Asked) -> None:
    if asked.region not in model.regions and not asked.bounds.complete:
        regions = ", ".join(model.regions)
        raise ModelError(f"{model.name!r} is not on demand in {asked.region}; it is in {regions}; {_TAKEN_AS_OWN}")


def _profile(model: Model, profile_id: str, asked: Asked) -> Profile:
    """The profile of that id as the Region calls it; without an id the Region's own, a geographic one before the global one."""
    profiles = [profile for profile in model.profiles if profile.id == profile_id or not profile_id]
    here = [profile for profile in profiles if asked.region in profile.source_regions]
    if here:
        return min(here, key=lambda profile: profile.id.startswith("global."))
    regions = ", ".join(sorted({region for profile in profiles for region in profile.source_regions}))
    if not profile_id:
        raise ModelError(f"{model.name!r} cannot be called from {asked.region}, only from {regions}")
    if not asked.bounds.complete:
        raise ModelError(f"{profile_id!r} cannot be called from {asked.region}, only from {regions}; {_TAKEN_AS_OWN}")
    return Profile(profile_id, (asked.region,))


def _destinations(model: Model, profile: Profile, asked: Asked) -> tuple[str, ...]:
    """The foundation models behind a profile.

    AWS asks for the one in the source Region and those in all destinations; for a global profile for the one in the source
    Region and the ARN without a Region.
    https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html
    https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
    """
    regions = asked.destination_regions or profile.destination_regions
    if profile.id.startswith("global."):
        regions = (*regions, "")
    if not regions:
        raise ModelError(
            f"the catalogue does not know where {profile.id!r} may run; list its Regions as destination_regions (aws bedrock "
            f"get-inference-profile --inference-profile-identifier {profile.id} prints them)"
        )
    return tuple(_foundation_model_arn(region, model, asked) for region in dict.fromkeys((asked.region, *regions)))


def _foundation_model_arn(region: str, model: Model, asked: Asked) -> str:
    return f"arn:{asked.partition}:bedrock:{region}::foundation-model/{model.foundation_model}"


# By an ARN.

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):bedrock:(?P<region>[a-z0-9-]*):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<id>\S+)"
)


def _by_arn(arn: str, asked: Asked) -> BedrockModel:
    match = _ARN.fullmatch(arn)
    region, partition = asked.region, asked.partition
    if match is None:
        raise ModelError(
            f"{arn!r} is no Bedrock ARN; one looks like arn:{partition}:bedrock:{region}:ACCOUNT:imported-model/ID"
        )
    if match["region"] != region:
        raise ModelError(f"{arn!r} is in {match['region'] or 'no Region'}, but this stack calls Bedrock in {region}")
    if match["partition"] != partition:
        raise ModelError(f"{arn!r} is in the partition {match['partition']}, but {region} is in {partition}")
    kind, bounds = match["kind"], asked.bounds
    match kind:
        case "foundation-model":
            model = _of_foundation_model_arn(arn, match["id"], asked)
            return BedrockModel(model.name, model, arn, foundation_models=(arn,))
        case "inference-profile":
            behind = _by_id(match["id"], asked)
            if not behind.profile or behind.profile != match["id"]:
                raise ModelError(f"{match['id']!r} is no inference profile of {behind.model.name!r}")
            return msgspec.structs.replace(behind, model_id=arn, profile=arn)
        case "application-inference-profile":
            behind = _behind(arn, asked)
            # The catalogue's name, whether the base model was named by it or by a profile.
            return BedrockModel(behind.model.name, behind.model, arn, profile=arn, foundation_models=behind.foundation_models)
        case "imported-model":
            model = _base(arn, f"{kind}/{match['id']}", asked)
            return BedrockModel(model.name, _imported(model, bounds), arn, own=arn)
        case "provisioned-model" | "custom-model-deployment":
            model = _base(arn, f"{kind}/{match['id']}", asked)
            return BedrockModel(model.name, model, arn, own=arn)
        case "prompt-router" | "default-prompt-router":
            routed = _routed(arn, asked)
            name = f"{kind}/{match['id']}"
            return BedrockModel(name, _narrowest(name, routed, bounds), arn, own=arn, routed=routed)
        case _:
            raise ModelError(f"{arn!r}: a {kind} cannot be called")


def _of_foundation_model_arn(arn: str, foundation_model: str, asked: Asked) -> Model:
    try:
        model, _ = find(foundation_model)
    except UnknownModelError:
        if not asked.bounds.complete:
            raise
        return asked.bounds.model(foundation_model, foundation_model)
    if model.access == "foundation_model":
        _check_on_demand(model, asked)
    elif not asked.bounds.complete:
        instead = _profile(model, "", asked).id
        raise ModelError(f"{arn!r}: {model.name!r} is called through an inference profile only; give {instead!r}")
    return asked.bounds.over(model)


def _behind(arn: str, asked: Asked) -> BedrockModel:
    """The model or the system's profile that an application inference profile was made from."""
    if not asked.base_model:
        raise ModelError(f"{arn!r} does not tell which model it is; {_NAME_IT}")
    try:
        return _by_id(asked.base_model, asked)
    except ModelError:
        if find(asked.base_model)[0].access == "imported_model":
            reason = f"an inference profile has no imported model behind it, such as {asked.base_model!r}"
            raise ModelError(f"{arn!r}: {reason}") from None
        raise


_NAME_IT = "name it as base_model, such as 'gpt-oss-120b'"


def _base(arn: str, name: str, asked: Asked) -> Model:
    """The model behind an ARN of the account's own model: the base model, or one that only the user's bounds describe."""
    if asked.base_model:
        try:
            return asked.bounds.over(find(asked.base_model)[0])
        except UnknownModelError:
            if not asked.bounds.complete:
                raise
            return asked.bounds.model(asked.base_model)
    if not asked.bounds.complete:
        reason = f"{arn!r} does not tell which model it is; {_NAME_IT}"
        raise ModelError(f"{reason}, or give its bounds: context_tokens and max_output_tokens")
    return asked.bounds.model(name)


def _imported(model: Model, bounds: Bounds) -> Model:
    """Imports take tools only where they are gpt-oss, unless the user says that they do.

    https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
    """
    if bounds.accepts is not None or "gpt-oss" in model.name:
        return model
    untooled = tuple(parameter for parameter in model.accepts if parameter not in TOOL_PARAMETERS)
    return msgspec.structs.replace(model, accepts=untooled)


def _routed(arn: str, asked: Asked) -> tuple[BedrockModel, ...]:
    """The models behind a prompt router, which its ARN does not tell."""
    if len(asked.router_models) < 2:
        raise ModelError(f"{arn!r} does not tell which models it routes to; name them all as router_models, two at least")
    return tuple(_by_id(name, asked) for name in asked.router_models)


def _narrowest(name: str, models: Sequence[BedrockModel], bounds: Bounds) -> Model:
    """A model with bounds that every one of `models` keeps."""
    first, *others = (model.model for model in models)
    exclusive = {parameter for model in (first, *others) for parameter in model.exclusive}
    stops = [model.stop_max for model in (first, *others) if model.stop_max is not None]
    narrow = msgspec.structs.replace(
        first,
        name=name,
        title=name,
        context_tokens=min(model.context_tokens for model in (first, *others)),
        max_output_tokens=min(model.max_output_tokens for model in (first, *others)),
        accepts=tuple(p for p in first.accepts if all(p in model.accepts for model in others)),
        exclusive=tuple(p for p in ("temperature", "top_p") if p in exclusive),
        temperature_max=min(model.temperature_max for model in (first, *others)),
        stop_max=min(stops) if stops else None,
    )
    return bounds.over(narrow)
