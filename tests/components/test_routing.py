"""Providers and targets of a configuration: what routes they mean, and every mistake, told alike for settings and arguments."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway.request import Parameter
from llm_gateway.routes import Alias, Endpoint, Routes, encode, load
from pulumi_llm import routing
from pulumi_llm.base.iam import invoke_models
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import read as settings_of
from pulumi_llm.models.catalogue import catalogue
from pulumi_llm.models.resolve import Asked, resolve
from pulumi_llm.routing import Routing, RoutingSettings
from pulumi_llm.stack_settings import SettingsError, parse
from support import programs

REGION = "us-east-1"
ACCOUNT = "123456789012"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:deepseek-AbCdEf"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
IMPORT = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:imported-model/abcdefghijkl"
PROFILE = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/a1b2c3d4e5f6"
PROVISIONED = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:provisioned-model/a1b2c3d4e5f6"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

DEEPSEEK = {"type": "openai_compatible", "base_url": "https://api.deepseek.com", "secret_arn": SECRET}
CLAUDE = {"type": "anthropic", "secret_arn": SECRET}
QUEUE = {"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/wake", "arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:wake"}
VLLM = {"type": "openai_compatible", "base_url": "http://10.0.0.5:8000/v1"}
POOL = {**VLLM, "wake_queue": {**QUEUE, "kms_key_arn": KEY}, "stickiness_cookie": "LlmServiceStickiness", "cache_salt": True}
CHAT = {"provider": "deepseek", "model": "deepseek-chat", "context_tokens": 128_000, "max_output_tokens": 8_192}
OPUS = {**CHAT, "provider": "claude", "model": "claude-opus"}
OTHER_MODEL = "To use another model of Bedrock's, give its id or ARN with its bounds: context_tokens and max_output_tokens"
TARGET, PROVIDER = "models[0].targets[0]", "providers.deepseek"
BOUNDS = {"context_tokens": 50_000, "max_output_tokens": 4_000}
BEDROCK = {"model": "gpt-oss-20b"}
MOCK = {"model": "mock"}


def read(models: Any, providers: Any = None, region: str = REGION, timeout: Any = 300) -> Routing:
    """What is read, with all that is wrong, by itself and between settings."""
    settings, problems = settings_of(RoutingSettings, {"models": models, "providers": providers})
    found = routing.read(settings, Location.of(region) if region else None, timeout)
    return found._replace(problems=[*problems, *found.problems])


def right(models: Any, providers: Any = None) -> Routing:
    found = read(models, providers)
    assert [f"{path}: {reason}" for path, reason in found.problems] == []
    return found


def alias(*targets: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "chat", "targets": list(targets), **more}


# What is right.


def test_a_text_alone_is_the_name_and_the_model_of_one_target() -> None:
    (found,) = right(["gpt-oss-20b"]).routes.aliases
    assert (found.name, [target.name for target in found.targets]) == ("gpt-oss-20b", ["bedrock/gpt-oss-20b"])
    assert found == Alias("gpt-oss-20b", found.targets), "with the gateway's own defaults"


VECTORS = {"provider": "deepseek", "kind": "embedding", "model": "e5", "context_tokens": 512}


def test_models_of_embeddings_are_called_in_the_form_of_their_maker(tmp_path: Path) -> None:
    arn = {"name": "own", "model": PROVISIONED, "base_model": "cohere-embed-english-v3"}
    models = ["gpt-oss-20b", "titan-embed-text-v2", "cohere-embed-v4", arn, {"name": "e5", "targets": [VECTORS]}]
    found = right(models, {"deepseek": DEEPSEEK})
    assert [alias.kind for alias in found.routes.aliases] == ["chat", *["embedding"] * 4]
    _, titan, cohere, own, e5 = (alias.targets[0] for alias in found.routes.aliases)
    assert (titan.api, titan.model, titan.dimensions) == ("titan_embed", "amazon.titan-embed-text-v2:0", (1024, 512, 256))
    assert (cohere.api, cohere.model, cohere.accepts) == ("cohere_embed", "cohere.embed-v4:0", ("dimensions", "input_type"))
    assert (own.api, own.model, own.text_characters) == ("cohere_embed", PROVISIONED, 2048)
    assert (e5.context_tokens, e5.max_output_tokens, e5.accepts, e5.dimensions) == (512, 0, ("dimensions",), ())
    statement = invoke_models(found.models, Location.of(REGION), ACCOUNT)[0]
    arns = [f"arn:aws:bedrock:{REGION}::foundation-model/{target.model}" for target in (titan, cohere)]
    assert {*arns, PROVISIONED} <= set(statement["Resource"])
    assert loads(found, tmp_path).names("embedding") == ["titan-embed-text-v2", "cohere-embed-v4", "own", "e5"]


def test_everything_that_is_said_is_in_the_routes() -> None:
    said = {
        **CHAT,
        "accepts": ["max_tokens", "temperature", "top_p", "stop", "reasoning_effort"],
        "exclusive": ["temperature", "top_p"],
        "temperature_max": 1.5,
        "stop_max": 16,
        "max_tokens_name": "max_completion_tokens",
    }
    limits = {"retries": 0, "first_token_seconds": 2.5, "stall_seconds": 5, "default_max_tokens": 50}
    (found,) = right(
        [alias({**BEDROCK, "weight": 3}, said, strategy="weight", **limits)], {"deepseek": DEEPSEEK}
    ).routes.aliases
    assert (found.strategy, found.retries, found.first_token_seconds, found.stall_seconds) == ("weight", 0, 2.5, 5)
    assert found.default_max_tokens == 50
    bedrock, target = found.targets
    assert (bedrock.weight, target.weight) == (3, 1)
    names = ("provider", "model", "context_tokens", "max_output_tokens", "temperature_max", "stop_max", "max_tokens_name")
    assert {name: getattr(target, name) for name in names} == {name: said[name] for name in names}
    assert (list(target.accepts), list(target.exclusive)) == (said["accepts"], said["exclusive"])
    assert target.name == "deepseek/deepseek-chat"


@pytest.mark.parametrize(
    ("target", "provider", "expected"),
    [
        (CHAT, {"deepseek": DEEPSEEK}, (2.0, 4, (), True)),
        (OPUS, {"claude": CLAUDE}, (1.0, None, ("temperature", "top_p"), True)),
        # The defaults are of what is accepted.
        ({**CHAT, "accepts": ["max_tokens"]}, {"deepseek": DEEPSEEK}, (2.0, None, (), False)),
        ({**OPUS, "accepts": ["max_tokens", "top_p"]}, {"claude": CLAUDE}, (1.0, None, (), False)),
    ],
)
def test_a_providers_target_has_its_types_bounds(
    target: dict[str, Any], provider: dict[str, Any], expected: tuple[float, int | None, tuple[str, ...], bool]
) -> None:
    (found,) = right([alias(target)], provider).routes.aliases[0].targets
    temperature, stops, exclusive, all_of_it = expected
    assert (found.temperature_max, found.stop_max, found.exclusive) == (temperature, stops, exclusive)
    assert ("stream_tools" in found.accepts) == all_of_it
    assert ("reasoning_effort" in found.accepts) == ("claude" in provider and "accepts" not in target)


def test_what_a_deployment_knows_is_named_by_variables_and_nothing_else_of_it_is_in_the_document() -> None:
    providers = {"deepseek": {**DEEPSEEK, "kms_key_arn": KEY}, "my.vllm-1": POOL, "claude": CLAUDE}
    targets = [CHAT, {**CHAT, "provider": "my.vllm-1"}, OPUS, {"model": IMPORT, "base_model": "deepseek-r1-distill-qwen-7b"}]
    found = right([alias(*targets)], providers)
    assert found.environment == {
        "PROVIDER_DEEPSEEK_BASE_URL": "https://api.deepseek.com",
        "PROVIDER_DEEPSEEK_SECRET_ARN": SECRET,
        "PROVIDER_MY_VLLM_1_BASE_URL": "http://10.0.0.5:8000/v1",
        "PROVIDER_MY_VLLM_1_WAKE_QUEUE_URL": QUEUE["url"],
        "PROVIDER_CLAUDE_BASE_URL": "https://api.anthropic.com",
        "PROVIDER_CLAUDE_SECRET_ARN": SECRET,
    }
    assert (found.secret_arns, found.kms_key_arns) == ([SECRET], [KEY])
    assert (found.queue_arns, found.queue_kms_key_arns) == ([QUEUE["arn"]], [KEY])
    document = encode(found.routes).decode()
    assert "deepseek.com" not in document
    assert "secretsmanager" not in document and "sqs" not in document
    # Bedrock's own models are called by their ARN; nothing else says whose account it is.
    assert document.count(ACCOUNT) == 1


def test_the_gateway_reads_what_is_written(tmp_path: Path) -> None:
    providers = {"deepseek": {**DEEPSEEK, "base_url": "https://api.deepseek.com/"}, "pool": POOL}
    found = right([alias(BEDROCK, CHAT, {**CHAT, "provider": "pool"}, strategy="latency")], providers)
    loaded = loads(found, tmp_path)
    assert loaded.aliases == found.routes.aliases
    endpoint, pool = loaded.endpoints
    assert (endpoint.name, endpoint.base_url, endpoint.secret_arn) == ("deepseek", "https://api.deepseek.com", SECRET)
    assert (endpoint.wake_queue_url, endpoint.stickiness_cookie) == ("", "")
    assert (endpoint.cache_salt, pool.cache_salt) == (False, True)
    assert (pool.name, pool.wake_queue_url, pool.stickiness_cookie) == ("pool", QUEUE["url"], "LlmServiceStickiness")


def test_the_order_of_the_providers_changes_nothing() -> None:
    providers = {"deepseek": DEEPSEEK, "claude": {**CLAUDE, "secret_arn": f"{SECRET[:-6]}GhIjKl"}}
    one, other = (right([alias(CHAT, OPUS)], dict(order)) for order in (providers.items(), reversed(providers.items())))
    assert one == other
    assert [*one.environment] == [*other.environment]


def loads(found: Routing, folder: Path) -> Routes:
    (folder / "routes.json").write_bytes(encode(found.routes))
    return load(folder / "routes.json", {name: str(value) for name, value in found.environment.items()})


@pytest.mark.parametrize("base_model", [f"deepseek-r1-distill-{size}" for size in ("llama-70b", "llama-8b", "qwen-32b")])
def test_an_imported_model_is_invoked_in_the_chat_format(base_model: str) -> None:
    (found,) = right([{"name": "r1", "model": IMPORT, "base_model": base_model}]).routes.aliases[0].targets
    assert (found.name, found.model, found.api) == (f"bedrock/{base_model}", IMPORT, "invoke_model")
    (other,) = right([{"name": "r1", "model": IMPORT.replace("imported", "provisioned"), "base_model": base_model}]).models
    assert other.target().api == "converse"


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["claude-haiku-4-5"], ["bedrock/claude-haiku-4-5"]),
        (["anthropic.claude-haiku-4-5-20251001-v1:0"], ["bedrock/claude-haiku-4-5"]),
        ([HAIKU], [f"bedrock/{HAIKU}"]),
        ([f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/{HAIKU}"], [f"bedrock/{HAIKU}"]),
        (["arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-oss-20b-1:0"], ["bedrock/gpt-oss-20b"]),
        (["mock"], ["mock/mock"]),
        # The router knows targets by their names, those of other aliases too.
        (
            [
                {"model": PROFILE, "base_model": "gpt-oss-20b"},
                {"model": f"{PROFILE}7", "base_model": "gpt-oss-20b"},
                {"model": PROFILE, "base_model": "gpt-oss-20b"},
                "gpt-oss-20b",
            ],
            ["bedrock/gpt-oss-20b", "bedrock/gpt-oss-20b-2", "bedrock/gpt-oss-20b", "bedrock/gpt-oss-20b-3"],
        ),
    ],
)
def test_the_names_of_targets(models: list[Any], names: list[str]) -> None:
    numbered = [{"name": str(number), **({"model": m} if isinstance(m, str) else m)} for number, m in enumerate(models)]
    found = right(numbered).routes
    assert [target.name for alias in found.aliases for target in alias.targets] == names


def test_outputs_are_taken_for_what_is_only_known_later() -> None:
    def program() -> None:
        url, arn = pulumi.Output.from_input("https://later.example.com"), pulumi.Output.from_input(SECRET)
        key = pulumi.Output.from_input(KEY)
        queue = {name: pulumi.Output.from_input(value) for name, value in QUEUE.items()}
        provider = {"type": "openai_compatible", "base_url": url, "secret_arn": arn, "kms_key_arn": key, "wake_queue": queue}
        found = right([alias(CHAT)], {"deepseek": provider})
        pulumi.export("environment", dict(found.environment))
        pulumi.export("arns", [*found.secret_arns, *found.kms_key_arns, *found.queue_arns])

    outputs = programs.run(program).stack_outputs
    assert outputs["environment"] == {
        "PROVIDER_DEEPSEEK_BASE_URL": "https://later.example.com",
        "PROVIDER_DEEPSEEK_SECRET_ARN": SECRET,
        "PROVIDER_DEEPSEEK_WAKE_QUEUE_URL": QUEUE["url"],
    }
    assert outputs["arns"] == [SECRET, KEY, QUEUE["arn"]]


def test_an_output_is_checked_when_it_resolves() -> None:
    def program() -> None:
        provider = {**DEEPSEEK, "kms_key_arn": pulumi.Output.secret("sk-hunter2")}
        programs.chat(models=[alias(CHAT)], providers={"deepseek": provider})

    with pytest.raises(
        pulumi.InputPropertiesError, match="kms_key_arn: what the Output resolved to is not the ARN of a key"
    ) as error:
        programs.run(program)
    assert "hunter2" not in str(error.value)


# A model whose ARN is another resource's output.


def profile_arn(value: str = PROFILE) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def test_a_models_arn_may_be_an_output(tmp_path: Path) -> None:
    rest = {"base_model": "claude-haiku-4-5", "max_output_tokens": 9}
    loaded: list[Routes] = []

    def program() -> None:
        found = right(
            [
                {"name": "own", "model": profile_arn(), **rest},
                alias({"model": profile_arn(f"{PROFILE}7"), "base_model": "gpt-oss-20b"}, BEDROCK),
                {
                    "name": "mine",
                    "model": profile_arn(PROVISIONED),
                    **BOUNDS,
                },
            ]
        )
        assert found.models == [resolve("gpt-oss-20b", Asked(REGION))], "an Output is no model that is known at preview"
        document = encode(found.routes).decode()
        assert ACCOUNT not in document

        def load_with(values: Mapping[str, str]) -> None:
            (tmp_path / "routes.json").write_text(document)
            loaded.append(load(tmp_path / "routes.json", values))

        pulumi.export("loaded", pulumi.Output.all(**found.environment).apply(load_with))
        ids = (model.resolved.apply(lambda model: model.model_id) for model in found.output_models)
        pulumi.export("resolved", pulumi.Output.all(*ids))

    outputs = programs.run(program).stack_outputs
    own, chat, mine = loaded[0].aliases
    (target,) = own.targets
    assert (target.name, target.model, target.max_output_tokens) == ("bedrock/claude-haiku-4-5", PROFILE, 9)
    assert (target.context_tokens, target.exclusive) == (200_000, ("temperature", "top_p"))
    assert [target.model for target in chat.targets] == [f"{PROFILE}7", "openai.gpt-oss-20b-1:0"]
    assert [target.name for target in chat.targets] == ["bedrock/gpt-oss-20b", "bedrock/gpt-oss-20b-2"]
    assert (mine.targets[0].context_tokens, mine.targets[0].accepts) == (50_000, ("max_tokens", "system"))
    assert outputs["resolved"] == [PROFILE, f"{PROFILE}7", PROVISIONED]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (PROFILE.replace("us-east-1", "eu-west-1"), "is in eu-west-1, but this stack calls Bedrock in us-east-1"),
        ("us.anthropic.claude-haiku-5-5", "is no ARN; an Output has to be the ARN of a model or an inference profile"),
        (IMPORT, "is called in another way than its base_model; give the ARN in plain text"),
        (f"arn:aws:bedrock:{REGION}:{ACCOUNT}:guardrail/abc", ": a guardrail cannot be called"),
    ],
)
def test_an_output_that_is_no_model_is_refused_when_it_resolves(value: str, reason: str) -> None:
    def program() -> None:
        found = right([alias({"model": profile_arn(value), "base_model": "gpt-oss-20b"})])
        pulumi.export("environment", dict(found.environment))

    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(program)
    assert str(error.value) == f"models[0].targets[0].model: what the Output resolved to {reason}".replace(" :", ":")
    assert ACCOUNT not in str(error.value)


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        (
            {},
            [
                f"{TARGET}.model: is an Output, which does not tell which model it is; name that as base_model, such as "
                "'gpt-oss-120b', or give its bounds: context_tokens and max_output_tokens"
            ],
        ),
        (
            {"base_model": "gpt-oss-20c"},
            [
                f"models[0].targets[0].model: 'gpt-oss-20c' is no model of the catalogue; did you mean "
                f"'gpt-oss-20b' or 'gpt-oss-120b'? {OTHER_MODEL}"
            ],
        ),
        (
            {"provider": "deepseek", **BOUNDS},
            [f"{TARGET}.model: must be a plain value at a provider's target, known before anything is made"],
        ),
    ],
)
def test_what_an_output_lacks_is_told_at_once(model: dict[str, Any], lines: list[str]) -> None:
    def program() -> None:
        found = read([alias({"model": profile_arn(), **model}, CHAT)], {"deepseek": DEEPSEEK})
        assert [f"{path}: {reason}" for path, reason in found.problems] == lines

    programs.run(program)


def test_outputs_count_as_arns_where_sizes_are_checked() -> None:
    def program() -> None:
        many = [{"name": f"m{n}", "model": profile_arn(), "base_model": "gpt-oss-20b"} for n in range(30)]
        assert read(many[:24]).problems == []
        ((path, reason),) = read(many).problems
        assert path == "models"
        assert re.match(r"take 4,0\d\d bytes of the function's environment, and Lambda's 4,096 leave them 3,584", reason)

    programs.run(program)


@pytest.mark.parametrize(
    ("models", "providers"),
    [
        ([alias(MOCK)], {}),
        # What the catalogue lacks, and what it says otherwise.
        ([{"name": "new", "model": "acme.chat-2", **BOUNDS}], {}),
        ([{"name": "new", "model": "us.acme.chat-2", "destination_regions": ["us-west-2"], **BOUNDS}], {}),
        ([alias({**BEDROCK, "max_output_tokens": 100, "accepts": ["max_tokens", "stop"], "stop_max": 2})], {}),
        ([alias({"model": IMPORT, **BOUNDS, "temperature_max": 0.5})], {}),
        ([alias(BEDROCK, MOCK)], {}),
        ([alias(MOCK, BEDROCK, strategy="weight")], {}),
        ([alias({**BEDROCK, "provider": "bedrock"})], {}),
        ([alias({**BEDROCK, "short_prompt_tokens": 500}, CHAT, strategy="workload")], {"deepseek": DEEPSEEK}),
        ([alias(BEDROCK, CHAT, first_token_seconds=299)], {"deepseek": DEEPSEEK}),
        ([alias(BEDROCK, first_token_seconds=300)], {}),
        ([alias({**CHAT, "model": "deepseek-ai/DeepSeek-R1:free"}, CHAT)], {"deepseek": DEEPSEEK}),
        ([alias(CHAT)], {"deepseek": {**DEEPSEEK, "base_url": "http://127.0.0.1:8000/v1/"}}),
        ([alias(CHAT)], {"deepseek": {**DEEPSEEK, "base_url": "http://[::1]:8000"}}),
        ([alias(CHAT)], {"deepseek": {**DEEPSEEK, "base_url": "https://gateway.example.com/team/anthropic/v1"}}),
        ([alias(OPUS)], {"claude": {"type": "anthropic", "base_url": "http://proxy.internal:4000"}}),
        ([alias(OPUS, {**OPUS, "provider": "other"})], {"claude": CLAUDE, "other": CLAUDE}),
        ([alias(CHAT)], {"deepseek": {**DEEPSEEK, "secret_arn": SECRET.replace("deepseek", "llm/keys/deep-seek")}}),
    ],
    ids=str,
)
def test_what_is_right_is_taken(models: list[Any], providers: dict[str, Any]) -> None:
    right(models, providers)
    assert told_by_settings(models, providers) == []


# What is wrong: what is given, and what is told of it.

URL_FORM = "must be a URL such as https://api.example.com/v1, without a user, a query or white space"
SECRET_FORM = (
    "must be the ARN of a secret, such as arn:aws:secretsmanager:us-east-1:ACCOUNT:secret:NAME-AbCdEf; the key itself stands "
    "in the secret alone"
)
SMALL_AND_LARGE = "'workload' needs a small target, which has short_prompt_tokens, and a large one, which has none"
_NAMES = [repr(name) for name in get_args(Parameter)]
PARAMETERS = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"


def with_provider(**changes: Any) -> dict[str, Any]:
    return {"models": [alias(CHAT)], "providers": {"deepseek": {k: v for k, v in {**DEEPSEEK, **changes}.items() if v}}}


def with_queue(**changes: Any) -> dict[str, Any]:
    return with_provider(wake_queue={k: v for k, v in {**QUEUE, **changes}.items() if v})


def with_claude(**changes: Any) -> dict[str, Any]:
    return {"models": [alias(OPUS)], "providers": {"claude": {k: v for k, v in {**CLAUDE, **changes}.items() if v}}}


def with_target(**changes: Any) -> dict[str, Any]:
    target = {key: value for key, value in {**CHAT, **changes}.items() if value is not None}
    return {"models": [alias(target)], "providers": {"deepseek": DEEPSEEK}}


def with_targets(*targets: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    used = {"deepseek": DEEPSEEK} if any(target.get("provider") == "deepseek" for target in targets) else {}
    return {"models": [alias(*targets, **more)], "providers": used}


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "embeddings of two models": (
        with_targets({"model": "titan-embed-text-v2"}, {"model": "cohere-embed-v4"}),
        [
            "models[0].targets[1]: is 'cohere-embed-v4', whose vectors cannot be compared to those of 'titan-embed-text-v2'; "
            "give it an alias of its own"
        ],
    ),
    "embeddings and a chat": (
        with_targets({"model": "titan-embed-text-v2"}, BEDROCK),
        ["models[0].targets[1]: is for chats, and the first target for embeddings; give it an alias of its own"],
    ),
    "embeddings with the bounds of a chat": (
        {"models": [alias({**VECTORS, "max_output_tokens": 5, "stop_max": 1, "accepts": ["stop"]})]}
        | {"providers": {"deepseek": DEEPSEEK}},
        [
            f"{TARGET}.max_output_tokens: is only for a model that chats; leave it out",
            f"{TARGET}.stop_max: is only for a model that chats; leave it out",
            f"{TARGET}.accepts: must not hold 'stop', which is not sent for embeddings",
        ],
    ),
    "embeddings of Anthropic": (
        {"models": [alias({**VECTORS, "provider": "claude"})], "providers": {"claude": CLAUDE}},
        [f"{TARGET}.kind: must be 'chat', for the type 'anthropic' has no embeddings"],
    ),
    "a kind for Bedrock's": (
        with_targets({**BEDROCK, "kind": "chat"}),
        [f"{TARGET}.kind: is only for a provider's target, which one of Bedrock's is not"],
    ),
    # Providers.
    "a type that is none": (
        with_provider(type="openai"),
        [f"{PROVIDER}.type: must be 'openai_compatible' or 'anthropic', not 'openai'"],
    ),
    "no type": (with_provider(type=None), [f"{PROVIDER}.type: is required, but not given"]),
    "a provider that is a text": (
        {"models": [alias(CHAT)], "providers": {"deepseek": "https://api.deepseek.com"}},
        [f"{PROVIDER}: must hold keys and values, not a string"],
    ),
    "providers that are a list": (
        {"models": ["mock"], "providers": [DEEPSEEK]},
        ["providers: must hold keys and values, not a list"],
    ),
    "a provider's name that is taken": (
        {"models": [alias({**CHAT, "provider": "mock"})], "providers": {"mock": DEEPSEEK}},
        ["providers.mock: 'mock' is there already; every provider needs a name of its own"],
    ),
    "a provider's name that is none": (
        {"models": [alias({**CHAT, "provider": "Deep Seek"})], "providers": {"Deep Seek": DEEPSEEK}},
        ["providers.Deep Seek: 'Deep Seek' is not of the form of a name: small letters, digits, '.', '_' and '-', at most 63"],
    ),
    "two providers with the same variables": (
        {
            "models": [alias({**CHAT, "provider": "a-b"}, {**CHAT, "provider": "a.b"})],
            "providers": {"a-b": DEEPSEEK, "a.b": DEEPSEEK},
        },
        [
            "providers.a.b: 'a.b' and another provider share the variable PROVIDER_A_B_BASE_URL; let other letters or digits "
            "differ"
        ],
    ),
    "a provider that is not used": (
        {"models": ["mock"], "providers": {"deepseek": DEEPSEEK}},
        [f"{PROVIDER}: is used by no target; name it as a target's provider, or leave it out"],
    ),
    "no base URL": (with_provider(base_url=None), [f"{PROVIDER}.base_url: is required, such as https://api.example.com/v1"]),
    "a base URL without its scheme": (with_provider(base_url="api.deepseek.com"), [f"{PROVIDER}.base_url: {URL_FORM}"]),
    "a base URL with a query": (with_provider(base_url="https://a.example.com/?k=1"), [f"{PROVIDER}.base_url: {URL_FORM}"]),
    "a base URL with a password": (with_provider(base_url="https://me:hunter2@a.com"), [f"{PROVIDER}.base_url: {URL_FORM}"]),
    "a base URL with a line feed": (
        with_provider(base_url="https://a.com\n"),
        [f"{PROVIDER}.base_url: holds a line break or another control character; leave it out"],
    ),
    "a base URL of another protocol": (with_provider(base_url="ftp://a.com"), [f"{PROVIDER}.base_url: {URL_FORM}"]),
    "a base URL that is a number": (with_provider(base_url=7), [f"{PROVIDER}.base_url: must be a string, not 7"]),
    "a key in plain text": (
        with_provider(base_url="http://10.0.0.5:8000"),
        [
            f"{PROVIDER}.base_url: 'http://10.0.0.5:8000' would send the key in plain text; give an https:// URL, or no "
            "secret_arn"
        ],
    ),
    "a key in plain text to what begins like loopback": (
        with_provider(base_url="http://127.0.0.1.example.com"),
        [
            f"{PROVIDER}.base_url: 'http://127.0.0.1.example.com' would send the key in plain text; give an https:// URL, or "
            "no secret_arn"
        ],
    ),
    "a base URL of an operation": (
        with_provider(base_url="https://api.openai.com/v1/chat/completions/"),
        [
            f"{PROVIDER}.base_url: 'https://api.openai.com/v1/chat/completions/' must be without /chat/completions, which is "
            "added to it; give 'https://api.openai.com/v1'"
        ],
    ),
    "Anthropic's base URL with its version": (
        with_claude(base_url="https://api.anthropic.com/v1"),
        [
            "providers.claude.base_url: 'https://api.anthropic.com/v1' must be without /v1, which is added to it; give "
            "'https://api.anthropic.com'"
        ],
    ),
    "Anthropic without a key": (
        with_claude(secret_arn=None),
        ["providers.claude.secret_arn: is required by https://api.anthropic.com: the ARN of the secret with its key"],
    ),
    "the key in its ARN's place": (with_provider(secret_arn="sk-0123456789"), [f"{PROVIDER}.secret_arn: {SECRET_FORM}"]),
    "a secret's name": (with_provider(secret_arn="deepseek"), [f"{PROVIDER}.secret_arn: {SECRET_FORM}"]),
    "a parameter for a secret": (
        with_provider(secret_arn=f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/deepseek-AbCdEf"),
        [f"{PROVIDER}.secret_arn: {SECRET_FORM}"],
    ),
    "a secret with a wildcard": (with_provider(secret_arn=f"{SECRET[:-6]}??????"), [f"{PROVIDER}.secret_arn: {SECRET_FORM}"]),
    "a part of a secret's ARN": (
        with_provider(secret_arn=SECRET.removesuffix("-AbCdEf")),
        [
            f"{PROVIDER}.secret_arn: '{SECRET.removesuffix('-AbCdEf')}' lacks the '-' and six characters at its end, without "
            "which IAM does not match it; give it as aws secretsmanager describe-secret shows it"
        ],
    ),
    "a key's alias": (
        with_provider(kms_key_arn=f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/secrets"),
        [
            f"{PROVIDER}.kms_key_arn: 'arn:aws:kms:us-east-1:{ACCOUNT}:alias/secrets' is not the ARN of a key, such as "
            "arn:aws:kms:us-east-1:ACCOUNT:key/ID; an alias's is none"
        ],
    ),
    "a key of no secret": (
        with_provider(secret_arn=None, kms_key_arn=KEY),
        [f"{PROVIDER}.kms_key_arn: is what encrypts the secret; give secret_arn too, or leave it out"],
    ),
    "a queue without its ARN": (with_queue(arn=None), [f"{PROVIDER}.wake_queue.arn: is required, but not given"]),
    "a FIFO queue": (
        with_queue(url=f"{QUEUE['url']}.fifo", arn=f"{QUEUE['arn']}.fifo"),
        [f"{PROVIDER}.wake_queue.{key}: '{QUEUE[key]}.fifo' is a FIFO queue; give a standard one" for key in ("url", "arn")],
    ),
    "a queue's name": (
        with_queue(url="wake", arn="wake"),
        [
            f"{PROVIDER}.wake_queue.url: 'wake' is not the URL of a queue, such as https://sqs.us-east-1.amazonaws.com/ACCOUNT/NAME",
            f"{PROVIDER}.wake_queue.arn: 'wake' is not the ARN of a queue, such as arn:aws:sqs:us-east-1:ACCOUNT:NAME",
        ],
    ),
    "two queues": (
        with_queue(arn=f"{QUEUE['arn']}-2"),
        [f"{PROVIDER}.wake_queue.arn: is of the queue 'wake-2' of {ACCOUNT}, and url is of another one"],
    ),
    "a cookie of the load balancer's": (
        with_provider(stickiness_cookie="AWSALBAPP"),
        [
            f"{PROVIDER}.stickiness_cookie: 'AWSALBAPP' is a cookie of the load balancer's own; give the one that the servers "
            "set"
        ],
    ),
    "no name of a cookie": (
        with_provider(stickiness_cookie="a=b"),
        [f"{PROVIDER}.stickiness_cookie: 'a=b' is no name of a cookie; give one such as LlmServiceStickiness"],
    ),
    "more than the environment holds": (
        {
            "models": [alias({**CHAT, "provider": "deepseek"}, {**CHAT, "provider": "b"})],
            "providers": {"deepseek": {**DEEPSEEK, "base_url": f"https://a.com/{'x' * 3_500}"}, "b": DEEPSEEK},
        },
        [
            "providers: take 3,768 bytes of the function's environment, and Lambda's 4,096 leave them 3,584; give fewer or "
            "shorter ones: PROVIDER_DEEPSEEK_BASE_URL takes 3,540, PROVIDER_DEEPSEEK_SECRET_ARN takes 96, "
            "PROVIDER_B_SECRET_ARN takes 89"
        ],
    ),
    # Aliases.
    "no model and no targets": (
        {"models": [{"name": "chat"}]},
        ["models[0].model: is required, but not given; or give targets, a list of models"],
    ),
    "a model and targets": (
        {"models": [{"name": "chat", "model": "mock", "base_model": "gpt-oss-20b", "targets": [MOCK]}]},
        [
            "models[0].model: stands beside targets; move it into one of them, or leave it out",
            "models[0].base_model: stands beside targets; move it into one of them, or leave it out",
        ],
    ),
    "no targets": ({"models": [alias()]}, ["models[0].targets: must hold at least one"]),
    "targets that are a text": (
        {"models": [{"name": "chat", "targets": "mock"}]},
        ["models[0].targets: must be a list, not 'mock'"],
    ),
    "a target that is a text": (
        {"models": [{"name": "chat", "targets": ["mock"]}]},
        [f"{TARGET}: must hold keys and values, not a string"],
    ),
    "an alias twice": (
        {"models": ["mock", {"name": "mock", "model": "gpt-oss-20b"}]},
        ["models[1].name: 'mock' is there already; every alias needs a name of its own"],
    ),
    "a strategy that is none": (
        {"models": [alias(BEDROCK, MOCK, strategy="random")]},
        ["models[0].strategy: must be 'priority', 'weight', 'latency' or 'workload', not 'random'"],
    ),
    "a strategy for one target": (
        {"models": [alias(BEDROCK, strategy="latency")]},
        ["models[0].strategy: 'latency' needs several targets; give more of them, or leave it out"],
    ),
    "a strategy for one model": (
        {"models": [{"name": "chat", "model": "mock", "strategy": "weight"}]},
        ["models[0].strategy: 'weight' needs several targets; give more of them, or leave it out"],
    ),
    "a workload without a small target": (
        with_targets(BEDROCK, CHAT, strategy="workload"),
        [f"models[0].strategy: {SMALL_AND_LARGE}"],
    ),
    "a workload without a large target": (
        with_targets({**BEDROCK, "short_prompt_tokens": 5}, {**CHAT, "short_prompt_tokens": 5}, strategy="workload"),
        [f"models[0].strategy: {SMALL_AND_LARGE}"],
    ),
    "bounds of an alias": (
        {"models": [alias(BEDROCK, MOCK, retries=6, first_token_seconds=0.5, stall_seconds=301)]},
        [
            "models[0].retries: must be between 0 and 5, not 6",
            "models[0].first_token_seconds: must be between 1 and 300, not 0.5",
            "models[0].stall_seconds: must be between 5 and 300, not 301",
        ],
    ),
    "bounds of an alias that are no numbers": (
        {"models": [alias(BEDROCK, MOCK, retries=1.5, first_token_seconds="2", stall_seconds=True)]},
        [
            "models[0].retries: must be a whole number, not 1.5",
            "models[0].first_token_seconds: must be a number, not '2'",
            "models[0].stall_seconds: must be a number, not True",
        ],
    ),
    "no number at all": (
        {"models": [alias(BEDROCK, stall_seconds=float("nan"))]},
        ["models[0].stall_seconds: must be between 5 and 300, not nan"],
    ),
    "no time for the second target": (
        {"models": [alias(BEDROCK, MOCK, first_token_seconds=60)], "timeout": 60},
        ["models[0].first_token_seconds: must be below timeout_seconds, which is 60, not 60, or no other target has time"],
    ),
    # Targets that can never answer.
    "a target behind the mock": (
        with_targets(CHAT, MOCK, BEDROCK),
        ["models[0].targets[2]: can never answer, for targets[1] before it is the mock, which never fails; put that last"],
    ),
    "a target twice": (
        with_targets(BEDROCK, CHAT, {**BEDROCK, "weight": 2}, strategy="weight"),
        ["models[0].targets[2]: is targets[0] again, which cannot answer what that cannot; give another model"],
    ),
    "a provider's target twice": (
        with_targets(CHAT, {**CHAT, "context_tokens": 100_000}),
        ["models[0].targets[1]: is targets[0] again, which cannot answer what that cannot; give another model"],
    ),
    "a target twice, spelled in two ways": (
        with_targets(
            {"model": "claude-haiku-4-5"}, {"model": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/{HAIKU}"}
        ),
        ["models[0].targets[1]: is targets[0] again, which cannot answer what that cannot; give another model"],
    ),
    # Targets.
    "a target without its model": (with_target(model=None), [f"{TARGET}.model: is required, but not given"]),
    "a provider that there is not": (
        {"models": [alias(BEDROCK, {**CHAT, "provider": "deepsek"}, CHAT)], "providers": {"deepseek": DEEPSEEK}},
        ["models[0].targets[1].provider: 'deepsek' is not among the providers; did you mean 'deepseek'?"],
    ),
    "a provider where there are none": (
        {"models": [alias(CHAT)]},
        [f"{TARGET}.provider: 'deepseek' is not among the providers; there are bedrock"],
    ),
    "a model that there is not": (
        {"models": [alias({"model": "claude-haiku-9"})]},
        [
            f"{TARGET}.model: 'claude-haiku-9' is no model of the catalogue; did you mean 'claude-haiku-5-5' or "
            f"'claude-haiku-4-5'? {OTHER_MODEL}"
        ],
    ),
    "an id that the catalogue lacks, with one bound": (
        {"models": [{"name": "new", "model": "us.acme.chat-2", "context_tokens": 5}]},
        [
            "models[0].model: 'us.acme.chat-2' is no model of the catalogue; the catalogue has "
            f"{', '.join(sorted(name for name, model in catalogue().items() if model.status != 'ended'))}. {OTHER_MODEL}"
        ],
    ),
    "bounds of Bedrock's that do not fit each other": (
        {"models": [alias({"model": "acme.chat-2", "context_tokens": 5, "max_output_tokens": 6, "temperature_max": 1.5})]},
        [
            f"{TARGET}.max_output_tokens: must be at most context_tokens, which is 5, not 6",
            f"{TARGET}.temperature_max: is at most 1 on Bedrock, not 1.5",
        ],
    ),
    "a bound that does not fit the catalogue's": (
        {"models": [alias({**BEDROCK, "context_tokens": 5})]},
        [f"{TARGET}.context_tokens: does not fit: 16384 tokens of output in a context of 5"],
    ),
    "parameters that Bedrock is not sent": (
        {"models": [alias({**BEDROCK, "accepts": ["json_object", "stream_tools"], "exclusive": ["top_p"], "stop_max": 2})]},
        [
            f"{TARGET}.accepts: must hold 'max_tokens', which is always sent",
            f"{TARGET}.accepts: holds 'stream_tools' without 'tools'; give both or neither",
            f"{TARGET}.accepts: must not hold 'json_object', which is not sent to Bedrock",
            f"{TARGET}.exclusive: must hold those of which only one may be sent, or none, not 'top_p' alone",
            f"{TARGET}.exclusive: holds 'top_p', which is not among accepts; leave it out",
            f"{TARGET}.stop_max: is only for a target that accepts 'stop'",
        ],
    ),
    "bounds beside targets": (
        {"models": [{"name": "chat", "context_tokens": 9, "targets": [MOCK]}]},
        ["models[0].context_tokens: stands beside targets; move it into one of them, or leave it out"],
    ),
    "a weight without the strategy": (
        with_targets({**BEDROCK, "weight": 2}, CHAT),
        [f"{TARGET}.weight: is only for the strategy 'weight', not 'priority'"],
    ),
    "a size of prompts without the strategy": (
        with_targets({**BEDROCK, "short_prompt_tokens": 9}, CHAT, strategy="latency"),
        [f"{TARGET}.short_prompt_tokens: is only for the strategy 'workload', not 'latency'"],
    ),
    "weights out of bounds": (
        with_targets({**BEDROCK, "weight": 0}, {**CHAT, "weight": 1_001}, strategy="weight"),
        [
            f"{TARGET}.weight: must be between 1 and 1000, not 0",
            "models[0].targets[1].weight: must be between 1 and 1000, not 1001",
        ],
    ),
    "a short prompt that is longer than the context": (
        with_targets({"model": "qwen3-32b", "short_prompt_tokens": 32_768}, CHAT, strategy="workload"),
        [f"{TARGET}.short_prompt_tokens: must be below the model's context, which is 32768, not 32768"],
    ),
    "a short prompt of no tokens": (
        with_targets({**BEDROCK, "short_prompt_tokens": 0}, CHAT, strategy="workload"),
        [f"{TARGET}.short_prompt_tokens: must be at least 1, not 0"],
    ),
    "what only a provider's target has": (
        {"models": [alias({**BEDROCK, "max_tokens_name": "max_tokens"})]},
        [f"{TARGET}.max_tokens_name: is only for a provider's target, which one of Bedrock's is not"],
    ),
    "what only Bedrock has": (
        with_target(base_model="gpt-oss-20b", destination_regions=["us-east-1"]),
        [
            f"{TARGET}.base_model: is only for a model of Bedrock's, not for one of 'deepseek'",
            f"{TARGET}.destination_regions: is only for a model of Bedrock's, not for one of 'deepseek'",
        ],
    ),
    "a mock of a model": (
        {"models": [{"name": "chat", "model": "mock", "base_model": "gpt-oss-20b", "stop_max": 2}]},
        [
            "models[0].base_model: is only for a model of Bedrock's, which the mock is not",
            "models[0].stop_max: is only for a model of Bedrock's, which the mock is not",
        ],
    ),
    "no bounds": (
        with_target(context_tokens=None, max_output_tokens=None),
        [
            f"{TARGET}.context_tokens: is required at a provider's target, whose models the catalogue does not know",
            f"{TARGET}.max_output_tokens: is required at a provider's target, whose models the catalogue does not know",
        ],
    ),
    "an answer longer than the context": (
        with_target(max_output_tokens=128_001),
        [f"{TARGET}.max_output_tokens: must be at most context_tokens, which is 128000, not 128001"],
    ),
    "bounds of nothing": (
        with_target(context_tokens=0, stop_max=0, temperature_max=2.5),
        [
            f"{TARGET}.context_tokens: must be at least 1, not 0",
            f"{TARGET}.temperature_max: must be between 0 and 2, not 2.5",
            f"{TARGET}.stop_max: must be at least 1, not 0",
        ],
    ),
    "a model's id that no header holds": (
        with_target(model="deepseek chat"),
        [f"{TARGET}.model: 'deepseek chat' is no id of a model; give at most 256 characters, no white space"],
    ),
    "parameters that there are not": (
        with_target(accepts=["max_tokens", "top_k"]),
        [f"{TARGET}.accepts[1]: must be {PARAMETERS}, not 'top_k'"],
    ),
    "parameters that do not fit together": (
        with_target(accepts=["stream_tools"], stop_max=2),
        [
            f"{TARGET}.accepts: must hold 'max_tokens', which is always sent",
            f"{TARGET}.accepts: holds 'stream_tools' without 'tools'; give both or neither",
            f"{TARGET}.stop_max: is only for a target that accepts 'stop'",
        ],
    ),
    "parameters that are a text": (with_target(accepts="tools"), [f"{TARGET}.accepts: must be a list, not 'tools'"]),
    "rivals that are none": (
        with_target(exclusive=["temperature"], accepts=["max_tokens", "top_p"]),
        [
            f"{TARGET}.exclusive: must hold those of which only one may be sent, or none, not 'temperature' alone",
            f"{TARGET}.exclusive: holds 'temperature', which is not among accepts; leave it out",
        ],
    ),
    "a switch that Anthropic does not have": (
        {"models": [alias({**OPUS, "accepts": ["max_tokens", "json_object"]})], "providers": {"claude": CLAUDE}},
        [f"{TARGET}.accepts: must not hold 'json_object', which is not sent to the type 'anthropic'"],
    ),
    "a bound's name that Anthropic does not know": (
        {"models": [alias({**OPUS, "max_tokens_name": "max_tokens"})], "providers": {"claude": CLAUDE}},
        [f"{TARGET}.max_tokens_name: is only for the type 'openai_compatible', which 'claude' is not"],
    ),
    "a bound's name that is none": (
        with_target(max_tokens_name="max_output"),
        [f"{TARGET}.max_tokens_name: must be 'max_tokens' or 'max_completion_tokens', not 'max_output'"],
    ),
    # Several at once, each in its own place.
    "mistakes everywhere": (
        {
            "models": [
                alias({"model": "gpt-oss-20c"}, {**CHAT, "provider": "nowhere"}, strategy="weight", retries=9),
                {"name": "chat", "targets": [{**CHAT, "weight": 0}, MOCK]},
            ],
            "providers": {"deepseek": {**DEEPSEEK, "base_url": "nowhere"}, "unused": VLLM},
        },
        [
            f"{PROVIDER}.base_url: {URL_FORM}",
            "models[0].retries: must be between 0 and 5, not 9",
            "models[0].targets[0].model: 'gpt-oss-20c' is no model of the catalogue; did you mean 'gpt-oss-20b' or "
            f"'gpt-oss-120b'? {OTHER_MODEL}",
            "models[0].targets[1].provider: 'nowhere' is not among the providers; there are deepseek, unused, bedrock",
            "models[1].name: 'chat' is there already; every alias needs a name of its own",
            "models[1].targets[0].weight: must be between 1 and 1000, not 0",
            "models[1].targets[0].weight: is only for the strategy 'weight', not 'priority'",
            "providers.unused: is used by no target; name it as a target's provider, or leave it out",
        ],
    ),
}

each_mistake = pytest.mark.parametrize(("given", "lines"), WRONG.values(), ids=WRONG)


@each_mistake
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(given: dict[str, Any], lines: list[str]) -> None:
    assert sorted(f"{path}: {reason}" for path, reason in read(**given).problems) == sorted(lines)


@each_mistake
def test_settings_tell_the_same(given: dict[str, Any], lines: list[str]) -> None:
    found = told_by_settings(**given)
    assert sorted(found) == sorted(lines)


@each_mistake
def test_arguments_are_told_the_same(given: dict[str, Any], lines: list[str]) -> None:
    timeout = given.get("timeout")
    args = {key: given[key] for key in ("models", "providers") if key in given}
    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run_chat(**args, **({"timeout_seconds": timeout} if timeout else {}))
    found = [f"{detail['property_path']}: {detail['reason']}" for detail in error.value.errors or ()]
    assert sorted(found) == sorted(lines)


def told_by_settings(models: Any, providers: Any = None, timeout: int | None = None) -> list[str]:
    api = {"log_role_exists": True}
    raw = {"environment": "qa", "development": True, "aws:region": REGION, "models": models, "api": api}
    raw |= {} if providers is None else {"providers": providers}
    raw |= {} if timeout is None else {"api": {**api, "timeout_seconds": timeout}}
    try:
        parse(raw)
    except SettingsError as error:
        lines = [line.removeprefix("  pulumi-llm:") for line in str(error).splitlines()[1:] if line.startswith("  ")]
        return lines
    return []


def test_a_secret_that_stands_where_none_should_is_not_repeated() -> None:
    for changes in ({"secret_arn": "sk-hunter2"}, {"base_url": "https://me:hunter2@api.example.com"}):
        assert "hunter2" not in str(read(**with_provider(**changes)).problems)


def test_less_is_said_of_models_where_the_region_is_not_known() -> None:
    models = ["gpt-oss-20c", {"name": "own", "model": IMPORT}, "llama-3-3-70b"]
    assert [path for path, _ in read(models, region="").problems] == ["models[0]"]


# Whatever is given: no mistake is an exception, and what has none is what the gateway takes.

SEED: dict[str, Any] = {
    "models": [
        "gpt-oss-20b",
        {"name": "own", "model": IMPORT, "base_model": "deepseek-r1-distill-llama-8b"},
        {"name": "new", "model": "us.acme.chat-2", "destination_regions": ["us-east-2"], "accepts": ["max_tokens"], **BOUNDS},
        alias({**BEDROCK, "weight": 3}, {**CHAT, "accepts": ["max_tokens", "stop"], "stop_max": 3}, OPUS, strategy="weight"),
        {"name": "work", "strategy": "workload", "targets": [{**BEDROCK, "short_prompt_tokens": 500}, CHAT], "retries": 1},
    ],
    "providers": {"deepseek": {**DEEPSEEK, "kms_key_arn": KEY}, "claude": CLAUDE},
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["mock", "claude", IMPORT]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_value_in_any_place_is_taken_or_told(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    changed = copy.deepcopy(SEED)
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from([path for path in paths(changed) if path]))
        place: Any = changed
        for part in above:
            place = place[part]
        place[last] = data.draw(JUNK)
    found = read(**changed)
    lines = told_by_settings(**{"providers": {}, **changed})
    if found.problems:
        assert lines
    if not found.problems and not lines:
        assert loads(found, tmp_path_factory.mktemp("routes")).names() == found.routes.names()
        assert all(re.fullmatch("[!-~]+", target.name) for alias in found.routes.aliases for target in alias.targets)
        json.dumps(found.environment)


def test_the_seed_is_right() -> None:
    found = right(**SEED)
    assert [endpoint.name for endpoint in found.routes.endpoints] == ["claude", "deepseek"]
    assert isinstance(found.routes.endpoints[0], Endpoint)
