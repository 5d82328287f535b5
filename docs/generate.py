"""Writes what says again what the code says: components.md and settings.md, models.md and the table of gpu-sizing.md from the
catalogue, the tables of cost.md from the prices, policies.md from the rules, the tables of errors in api.md and providers.md,
the fields of answers in limits.md and usage.md, and the TypedDicts of the arguments.

`make docs` runs it; tests/contract/test_docs.py fails where a file is out of date.
"""

import functools
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pulumi.provider.experimental.component import ComponentProvider

import pulumi_llm
from llm_functions.http.openapi import document
from llm_gateway import errors
from llm_gateway.errors import ERROR_KINDS, GATEWAY_RESPONSES, ErrorKind, statuses
from llm_gateway.operations import operations
from llm_gateway.stages.prompt_filters import INJECTIONS, PII
from pulumi_llm.account_baseline.args import AccountBaselineSettings
from pulumi_llm.async_inference import event_schemas
from pulumi_llm.async_inference.args import AsyncInferenceSettings
from pulumi_llm.base.component import Component
from pulumi_llm.base.settings import Settings
from pulumi_llm.cdn_frontend.args import CdnFrontendSettings
from pulumi_llm.cost.prices import Price, price_table
from pulumi_llm.gpu_inference_cluster.args import GpuInferenceClusterSettings
from pulumi_llm.inference_network.args import InferenceNetworkSettings
from pulumi_llm.knowledge_base.args import KnowledgeBaseSettings
from pulumi_llm.models.catalogue import Model, Shape, WeightFormat, catalogue
from pulumi_llm.models.fit import Wishes, fits
from pulumi_llm.observability.args import ObservabilitySettings
from pulumi_llm.serverless_bedrock_api.args import ServerlessBedrockApiSettings
from pulumi_llm.stack_settings import StackSettings
from pulumi_llm.usage_analytics.args import UsageAnalyticsSettings
from pulumi_llm.websocket_chat.args import WebSocketChatSettings

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "policy")]

from describe import packages_of, setting_rows, typed_dicts  # noqa: E402

from llm_policies.rule import Rule  # noqa: E402
from llm_policies.rules import RULES  # noqa: E402

NOTICE = "<!-- Made by `make docs`; change the code instead. -->"
END = "<!-- End of what `make docs` made. -->"
UNPROVEN = "†"


# The description of each component's arguments.
ARGUMENTS: Sequence[type[Settings]] = (
    AccountBaselineSettings,
    AsyncInferenceSettings,
    CdnFrontendSettings,
    GpuInferenceClusterSettings,
    InferenceNetworkSettings,
    KnowledgeBaseSettings,
    ObservabilitySettings,
    ServerlessBedrockApiSettings,
    UsageAnalyticsSettings,
    WebSocketChatSettings,
)


def main() -> None:
    written: list[str] = []
    for name, page in PAGES.items():
        path, text = (FOLDER / name).resolve(), page()
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            written.append(name)
            sys.stdout.write(f"{path.relative_to(FOLDER.parent)}\n")
    if any(name.endswith(".py") for name in written):  # the pages describe the TypedDicts as they are now
        os.execv(sys.executable, [sys.executable, __file__])  # noqa: S606


# The components, as the schema for other languages has them: its texts are the attributes' docstrings.


def components_page() -> str:
    exported = [value for name in pulumi_llm.__all__ if _is_component(value := getattr(pulumi_llm, name))]
    exported.sort(key=lambda kind: kind.__name__)
    schema = json.loads(ComponentProvider(exported, "llm", "pulumi-llm", "0").schema)
    lines = [
        "# Components",
        NOTICE,
        "Each is made as `pulumi_llm.NAME(name, args, opts)`, with the arguments as a dictionary; [examples](../examples) "
        "has a program for each. An argument of a type `… or Output` may be another resource's output; the others are plain "
        "values. Other languages write the names in their own style (`dailyQuota`).",
    ]
    lines += ["## customize", *_paragraphs(_CUSTOMIZE)]
    for kind in exported:
        described = schema["resources"][f"llm:index:{kind.__name__}"]
        lines += [
            f"## {kind.__name__}",
            *_paragraphs(inspect.getdoc(kind)),
            f"### Arguments of {kind.__name__}",
            _arguments(described["inputProperties"], described.get("requiredInputs", ()), _own_names(kind)),
        ]
        for name in _nested(described["inputProperties"], schema["types"]):
            nested = schema["types"][f"llm:index:{name}"]
            lines += [
                f"#### {name}",
                *_paragraphs(nested.get("description")),
                _arguments(nested["properties"], nested.get("required", ()), nested["properties"]),
            ]
        lines += [
            f"### Outputs of {kind.__name__}",
            _table(
                ("output", "type", ""),
                (
                    (f"`{_snake(name)}`", _type_of(entry, output=True), _text(entry))
                    for name, entry in described["properties"].items()
                ),
            ),
            f"### Children of {kind.__name__}",
            "The keys that [`customize`](#customize) takes: " + _codes(kind.CHILDREN) + ".",
        ]
    return _joined(lines)


_CUSTOMIZE = """
`customize` changes the arguments of a component's children, by their keys: `{"function": {"memory_size": 1024}}`. The arguments
are those of the resource type, by the names of Python or of the schema; what an argument holds may be given as the type's input
classes, too. Refused before anything is made: arguments that are unknown, given twice or of another form, children that the
other arguments do not make, and tags and environment variables whose names AWS keeps for itself.

Where several children have a key, such as the API keys or the methods, the key changes all of them, and `KEY:NAME` one: what
stands behind the key in its name, as in `key:web` for `chat-key-web`, `method:chat-stream` for `chat-method-chat-stream`.

A change and the component's own value become one. Keys and values are merged, level by level: a variable in `{"function":
{"environment": {"variables": {"LEVEL": "debug"}}}}` stands beside the component's own, as a tag does. The lists `layers` and
`managed_policy_arns` are added to. To a policy (`policy`, `assume_role_policy`) its statements are added, and one with the
`Sid` of a statement that is there takes its place. Any other value or list takes the place of the component's own. None
changes nothing.

`{"$replace": VALUE}` takes the place of what is there, and `{"$replace": null}` takes it away. It stands for an argument or for
what is merged in it, as in `{"logs": {"tags": {"$replace": {"Team": "search"}}}}`; for a policy or its elements, as in
`{"logs-policy": {"policy": {"Statement": {"$replace": []}}}}`; not for a whole child, and not within a list.
"""


def _is_component(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Component)


def _own_names(kind: type[Component]) -> Sequence[str]:
    """The arguments in the order of their declaration."""
    return list(inspect.get_annotations(inspect.get_annotations(kind.__init__)["args"]))


def _arguments(properties: Mapping[str, Any], required: Sequence[str], order: Iterable[str]) -> str:
    entries = {_snake(name): (entry, name in required) for name, entry in properties.items()}
    rows: list[tuple[str, ...]] = []
    for name in map(_snake, order):
        entry, needed = entries[name]
        rows.append((f"`{name}`", _type_of(entry), "yes" if needed else "", _text(entry)))
    return _table(("argument", "type", "required", ""), rows)


def _nested(properties: Mapping[str, Any], types: Mapping[str, Any], seen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The types that arguments are made of, each once, in the order of their first mention."""
    for reference in re.findall(r'"#/types/llm:index:(\w+)"', json.dumps(properties)):
        if reference not in seen:
            seen = _nested(types[f"llm:index:{reference}"]["properties"], types, (*seen, reference))
    return seen


def _type_of(entry: Mapping[str, Any], *, output: bool = False) -> str:
    """A type in words. An argument that is not plain takes an Output too; every output is one."""
    if reference := entry.get("$ref"):
        name = reference.rpartition(":")[2]
        text = f"[{name}](#{name.lower()})" if reference.startswith("#/types/") else "anything"
    elif entry["type"] == "array":
        text = f"list of {_type_of(entry['items'], output=output)}"
    elif entry["type"] == "object":
        text = f"map of {_type_of(entry['additionalProperties'], output=output)}"
    else:
        text = entry["type"]
    return text if output or entry.get("plain") else f"{text} or Output"


def _text(entry: Mapping[str, Any]) -> str:
    return " ".join(entry.get("description", "").split())


def _snake(name: str) -> str:
    return re.sub("(?<!^)([A-Z])", lambda match: "_" + match[1].lower(), name)


# The catalogue.


def models_page() -> str:
    models = list(catalogue().values())
    return _joined(
        [
            "# Models",
            NOTICE,
            "What [catalogue.toml](../components/pulumi_llm/models/catalogue.toml) "
            "knows, where each figure has its source and each model the date when it was last checked. A configuration "
            "names a model by any of its names, by the id or inference profile that it is called as, or by an ARN. "
            "[Any other model](providers.md#a-model-that-the-catalogue-lacks) of Bedrock's works too, with bounds of your own.",
            f"{UNPROVEN} marks what rests on secondary sources or on none. Context and output are in tokens. Prices are US "
            "dollars for a million tokens in and out, on demand in the US Regions. A parameter that a model does not accept is "
            "refused before the call. The preview warns of a model that is legacy or past its end of life, and reports one "
            "whose assured time is over.",
            _table(
                (
                    *("name", "", "kind", "called by", "other names", "context", "output", "accepts", "reasons", "price"),
                    *("status", "checked"),
                ),
                map(_model_row, models),
            ),
            "## Regions",
            "A call of a foundation model runs in the Region where it is made; a call through an inference profile may run in "
            "that Region and in any that is listed here. Where none is, `destination_regions` of the configuration must list "
            "them. An imported model is called by its import's ARN, in the Region of the import.",
            _table(("name", "called as", "from", "may run in"), (row for model in models for row in _region_rows(model))),
        ]
    )


def _model_row(model: Model) -> tuple[str, ...]:
    def marked(text: str, key: str) -> str:
        return f"{text} {UNPROVEN}" if text and key in model.unproven else text

    accepts = ", ".join(model.accepts)
    if model.exclusive:
        accepts += f" (only one of {', '.join(model.exclusive)})"
    prices = [
        marked(_price(price), key)
        for price, key in ((model.price_input, "price_input"), (model.price_output, "price_output"))
        if price is not None
    ]
    return (
        f"`{model.name}`",
        model.title,
        model.kind,
        {"foundation_model": "id", "inference_profile": "inference profile", "imported_model": "ARN"}[model.access],
        marked(_codes(_other_names(model)), "names"),
        marked(f"{model.context_tokens:,}", "context_tokens"),
        marked(f"{model.max_output_tokens:,}" if model.max_output_tokens else "", "max_output_tokens"),
        marked(accepts, "accepts"),
        marked("yes" if model.reasoning else "no", "reasoning") if model.kind == "chat" else "",
        " / ".join(prices),
        "; ".join(_lifecycle(model, marked)),
        str(model.checked),
    )


def _lifecycle(model: Model, marked: Callable[[str, str], str]) -> Iterable[str]:
    yield marked(model.status, "status")
    if model.end_of_life is not None:
        yield marked(f"end of life {model.end_of_life}", "end_of_life")
    if model.end_of_life_floor is not None:
        yield marked(f"assured until {model.end_of_life_floor}", "end_of_life_floor")
    if model.replaced_by:
        yield f"{'newer' if model.status == 'active' else 'use'}: `{model.replaced_by}`"


def _other_names(model: Model) -> list[str]:
    """What a configuration may say too, besides the ids that the model is called as."""
    called_as = [profile.id for profile in model.profiles] or [model.foundation_model]
    return [name for name in dict.fromkeys((*model.names, model.foundation_model)) if name and name not in called_as]


def _region_rows(model: Model) -> Iterable[tuple[str, ...]]:
    if model.access != "inference_profile":
        mark = f" {UNPROVEN}" if "regions" in model.unproven else ""
        called_as = f"`{model.foundation_model}`" if model.foundation_model else "ARN"
        yield f"`{model.name}`", called_as, ", ".join(model.regions) + mark, "the same"
    for profile in model.profiles:
        if not profile.source_regions:
            where = "not known" if model.status != "ended" else ""
        elif profile.destination_regions:
            mark = f" {UNPROVEN}" if "profiles.destination_regions" in model.unproven else ""
            where = ", ".join(profile.destination_regions) + mark
        else:
            where = "any commercial Region" if profile.id.startswith("global.") else "not known"
        yield f"`{model.name}`", f"`{profile.id}`", ", ".join(profile.source_regions) or "nowhere any more", where


# What the open models fit: a table within a page that is otherwise written by hand.


def gpu_sizing_page() -> str:
    shapes = [(model, model.shape) for model in catalogue().values() if model.shape is not None]
    rows = (
        _sizing_row(model, shape, weights)
        for model, shape in shapes
        for weights in dict.fromkeys((shape.weights, *(("awq",) if shape.weights == "bf16" else ())))
    )
    head = ("model", "weights", "cheapest", "replicas", "GPUs each", "context", "KV cache, tokens", "$ an hour", "fits too")
    return _with_tables("gpu-sizing.md", _table(head, rows))


def _sizing_row(model: Model, shape: Shape, weights: WeightFormat) -> tuple[str, ...]:
    fitting = list(fits(shape, model.context_tokens, Wishes(weights=weights)))
    if not fitting:
        return f"`{model.name}`", weights, "none", "", "", "", "", "", ""
    best = fitting[0]
    return (
        f"`{model.name}`",
        weights,
        f"{best.instance} ({best.gpus} {best.gpu})",
        str(best.replicas),
        str(best.tensor_parallel),
        f"{best.context:,}",
        f"{best.cache_tokens:,}",
        f"{best.usd_per_hour:.2f}",
        ", ".join(found.instance for found in fitting[1:]),
    )


def _price(dollars: float) -> str:
    """At least cents."""
    whole, _, cents = f"{dollars:.10f}".rstrip("0").partition(".")
    return f"{whole}.{cents:<02}"


# What AWS charges for: two tables within a page that is otherwise written by hand.


def cost_page() -> str:
    table = price_table()
    return _with_tables(
        "cost.md",
        _table(("what", "$", "for", "compared", ""), map(_price_row, table.prices.values())),
        _table(
            ("types", "why", ""),
            (
                (_codes([name for name, free in table.free.items() if free == why]), why.why, f"[page]({why.page})")
                for why in dict.fromkeys(table.free.values())
            ),
        ),
    )


def _price_row(price: Price) -> tuple[str, ...]:
    unit = f"{price.each:,} {price.unit}" if price.each > 1 else price.unit
    title = f"{price.title} {UNPROVEN} {price.doubt}" if price.doubt else price.title
    return title, _price(price.usd), unit, str(price.checked), f"[page]({price.page})"


# A stack's settings: a table within a page that is otherwise written by hand.


def settings_page() -> str:
    rows = ((f"`{key}`", "yes" if required else "", text) for key, text, required in setting_rows(StackSettings))
    return _with_tables("settings.md", _table(("key", "required", ""), rows))


# What our stacks ask of an account: a table within a page that is otherwise written by hand.


def bootstrap_page() -> str:
    rows: list[tuple[str, ...]] = []
    for stack in ("dev", "prod"):
        config = yaml.safe_load((FOLDER.parent / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
        sections = {key.removeprefix("pulumi-llm:"): value for key, value in config.items() if isinstance(value, dict)}
        reserved = {f"{name}.{_RESERVED}": each[_RESERVED] for name, each in sections.items() if _RESERVED in each}
        parts = ", ".join(f"{number} (`{setting}`)" for setting, number in reserved.items())
        rows.append((f"`{stack}`", parts or "none", str(sum(reserved.values()) + _KEPT if reserved else "any")))
    return _with_tables("bootstrap.md", _table(("stack", "reserves", "needs a limit of at least"), rows))


_RESERVED = "reserved_concurrency"
# Lambda keeps so many executions unreserved. https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_KEPT = 100


# The policy pack: its rules, with the level that each environment gives them.


def policies_page() -> str:
    levels = {name: json.loads((FOLDER.parent / "policy" / "config" / f"{name}.json").read_text()) for name in ("dev", "prod")}
    lines = [
        "# Policies",
        NOTICE,
        f"The {len(RULES)} rules of the pack in [policy](../policy), for Pulumi programs on AWS that serve language models: "
        "ours and anyone's. [Using the pack](policy-pack.md) says how to run it, set levels, and test rules of your own.",
        "A value that is not known at preview is told by name, as not verified, and verified at `up`. Levels: "
        "**mandatory** stops the deployment, **advisory** warns, **remediate** mends, **disabled** is off.",
        _table(
            ("rule", "severity", "dev", "prod", "what it asks for"),
            (
                (f"[`{r.name}`](#{r.name})", r.severity, _level(levels["dev"], r), _level(levels["prod"], r), r.title)
                for r in RULES
            ),
        ),
    ]
    for rule in RULES:
        lines += [f"## {rule.name}", f"{rule.title} Severity: {rule.severity}.", f"**Why.** {rule.why}", f"**Fix.** {rule.fix}"]
        if rule.settings:
            rows = ((f"`{name}`", s.description, f"`{json.dumps(s.default)}`") for name, s in rule.settings.items())
            lines.append(_table(("setting", "", "default"), rows))
        if rule.frameworks:
            lines.append(f"The same is asked for by {', '.join(rule.frameworks)}.")
        for name, config in levels.items():
            if isinstance(entry := config.get(rule.name), dict) and "reason" in entry:
                lines.append(f"In {name}: {entry['reason']}")
        if rule.url:
            lines.append(f"[AWS documentation]({rule.url})")
    return _joined(lines)


def _level(config: Mapping[str, Any], rule: Rule) -> str:
    entry = config.get(rule.name, config.get("all", "mandatory" if rule.severity in ("critical", "high") else "advisory"))
    return entry if isinstance(entry, str) else entry.get("enforcementLevel", config.get("all", ""))


# The HTTP API: operations, fields and errors in api.md, and what the router does after an error in providers.md.


def api_page() -> str:
    schema = json.loads(document([], "none"))["components"]["schemas"]["ChatRequest"]
    every = operations(tickets=True, limits=True, journal=True, jobs=True, batches=True)
    return _with_tables(
        "api.md",
        _table(
            ("operation", "what it does"),
            ((f"`{o.method} {o.path}`", o.summary) for o in every),
        ),
        _table(("field", "", "default"), (_field_row(name, field) for name, field in schema["properties"].items())),
        _table(("status", "code", "Retry-After", "tried again by SDKs", "message"), map(_error_row, ERROR_KINDS)),
    )


def limits_page() -> str:
    return _with_tables("limits.md", _fields_of("UsageReport"))


def usage_page() -> str:
    return _with_tables("usage.md", _fields_of("UsageHistory"))


def _fields_of(answer: str) -> str:
    """A table of the fields of an answer, those within its parts after them."""
    schemas = json.loads(document([], "none", limits=True, usage=True))["components"]["schemas"]
    shown: set[str] = set()

    def rows(above: str, schema: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        for name, field in schema["properties"].items():
            yield f"`{above}{name}`", field["description"]
            whole, more = field.get("items", field), "[]" if "items" in field else ""
            for part in whole.get("allOf", [whole]):
                shape = part.get("$ref", "").rpartition("/")[2]
                if shape and shape not in shown:
                    shown.add(shape)
                    yield from rows(f"{above}{name}{more}.", schemas[shape])
                elif "properties" in part:
                    yield from rows(f"{above}{name}{more}.", part)

    return _table(("field", ""), rows("", schemas[answer]))


def _field_row(name: str, field: Mapping[str, Any]) -> tuple[str, ...]:
    texts = [field["description"]] if "description" in field else []
    if "maximum" in field:
        texts.append(f"{field['minimum']} to {field['maximum']}")
    return f"`{name}`", ". ".join(texts), f"`{json.dumps(field['default'])}`" if "default" in field else ""


def _error_row(kind: ErrorKind) -> tuple[str, ...]:
    message = re.sub(r"\{(\w+)[^}]*\}", r"*\1*", kind.message)
    after = "" if kind.retry_after is None else f"{kind.retry_after:g}"
    dated = any(response.kind is kind and response.retry_after for response in GATEWAY_RESPONSES)
    if dated:
        after = "a date"
    elif kind is errors.rate_limit_exceeded:
        after = "1 or more"
    again = "" if kind is errors.all_targets_failed else "yes" if kind.passes and not dated else "no"
    return ", ".join(map(str, statuses(kind))), f"`{kind.code}`", after, again, message


def providers_page() -> str:
    def row(kind: ErrorKind) -> tuple[str, ...]:
        policy = kind.policy
        following = "yes, of a larger context" if policy.larger_context else "yes"
        return f"`{kind.code}`", following, "yes" if policy.retry else "no", "yes" if policy.cooldown else "no"

    rows = [row(kind) for kind in ERROR_KINDS if kind.policy.next_target]
    rows.append(("anything else, such as `upstream_rejected`", "no: it is the caller's mistake", "no", "no"))
    return _with_tables("providers.md", _table(("what the target said", "the next target", "asked again", "cools down"), rows))


def safety_page() -> str:
    """The kinds of personal data, and what is looked for as an injection."""
    kinds = ((f"`{name}`", f"`{kind.example}`", f"`{{{name.upper()}}}`") for name, kind in PII.items())
    patterns = ((f"`{name}`", f"`{pattern.pattern}`") for name, pattern in INJECTIONS.items())
    return _with_tables(
        "safety.md", _table(("kind", "such as", "masked as"), kinds), _table(("name", "regular expression"), patterns)
    )


def event_schema(event: str) -> str:
    return json.dumps(event_schemas.schema(event), indent=2) + "\n"


def _with_tables(name: str, *tables: str) -> str:
    """A page that is written by hand, with its generated tables between their markers as the code has them now."""
    page = (FOLDER / name).read_text(encoding="utf-8")
    left = iter(tables)
    return re.sub(f"{NOTICE}.*?{END}", lambda _: f"{NOTICE}\n\n{next(left)}\n\n{END}", page, flags=re.DOTALL)


# Markdown.


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join("|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|" for row in cells)


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n")]


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api_page,
    "limits.md": limits_page,
    "usage.md": usage_page,
    "bootstrap.md": bootstrap_page,
    "components.md": components_page,
    "cost.md": cost_page,
    "gpu-sizing.md": gpu_sizing_page,
    "models.md": models_page,
    "policies.md": policies_page,
    "safety.md": safety_page,
    "settings.md": settings_page,
    **{
        f"../components/pulumi_llm/{package}/args_types.py": functools.partial(typed_dicts, package, ARGUMENTS)
        for package in packages_of(ARGUMENTS)
    },
    "providers.md": providers_page,
    **{f"events/{event}.json": functools.partial(event_schema, event) for event in event_schemas.STATUS_OF},
}

if __name__ == "__main__":
    main()
