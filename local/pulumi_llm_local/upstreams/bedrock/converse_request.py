"""Reads and checks a request to Converse: first its form, then the rules of a conversation, then what the model accepts."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

from pulumi_llm_local.aws_types.api_model import Shape, service_model
from pulumi_llm_local.upstreams import claude_schema, closed_schema
from pulumi_llm_local.upstreams.bedrock.errors import validation_error
from pulumi_llm_local.upstreams.model import (
    Block,
    GenerationRequest,
    Json,
    MediaBlock,
    Message,
    ModelTraits,
    ReasoningBlock,
    TextBlock,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
)


def read_converse(model_id: str, body: bytes, models: Mapping[str, ModelTraits]) -> GenerationRequest:
    """Read the body of Converse or ConverseStream, which take the same.

    Raises:
        BedrockError: A ValidationException. All errors in the form are reported together, any other alone.
    """
    document = read_document(converse_input(), body)
    if model_id not in models:
        raise validation_error("The provided model identifier is invalid.")
    for name in ("guardrailConfig", "promptVariables"):
        if document.get(name):
            raise validation_error(f"The local Bedrock does not support {name}. Remove it and try again.")
    if "nova" in model_id:
        _check_nova(document)
    _take_cache_points(document, models[model_id])
    messages = tuple(_message(i, message) for i, message in enumerate(document.get("messages") or []))
    tools, choice = _tools(document.get("toolConfig"))
    if "claude" in model_id:
        _check_claude(model_id, document, messages, tools, choice)
    _check_conversation(messages, tools)
    inference: Json = document.get("inferenceConfig") or {}
    request = GenerationRequest(
        model_id=model_id,
        traits=_traits(models[model_id], document, choice),
        messages=messages,
        system=tuple(_system(i, block) for i, block in enumerate(document.get("system") or [])),
        max_tokens=inference.get("maxTokens"),
        temperature=inference.get("temperature"),
        top_p=inference.get("topP"),
        stop=tuple(inference.get("stopSequences") or ()),
        tools=tools,
        tool_choice=cast(Any, next(iter(choice), "auto")),
        tool_name=choice["tool"]["name"] if "tool" in choice else "",
        output_schema=_output_schema(document.get("outputConfig"), models[model_id]),
    )
    _check_traits(request)
    _check_strict_tools(document.get("toolConfig"), request.traits)
    return request


def read_document(shape: Shape, body: bytes) -> Json:
    """Read the body of an operation with this input. Raises `BedrockError`, with all errors in its form."""
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise validation_error(f"The request body is not valid JSON: {error}") from error
    violations = list(_violations(shape, document, ""))
    if violations:
        plural = "s" if len(violations) > 1 else ""
        raise validation_error(f"{len(violations)} validation error{plural} detected: {'; '.join(violations)}")
    return document


def _check_nova(document: Json) -> None:
    """Refuse what Nova refuses of a tool. Only the top of its schema is closed.

    https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html; cache points: danny-avila/LibreChat#13838
    """
    config: Json = document.get("toolConfig") or {}
    for index, entry in enumerate(cast("list[Json]", config.get("tools") or ())):
        where = f"#/toolConfig/tools/{index}"
        spec: Json = entry.get("toolSpec") or {}
        schema: Any = cast(Json, spec.get("inputSchema") or {}).get("json")
        unknown = cast(Json, schema).keys() - {"type", "properties", "required"} if isinstance(schema, dict) else set[str]()
        extraneous = [(where, "cachePoint")] if entry.get("cachePoint") else []
        extraneous += [(f"{where}/toolSpec/inputSchema/json", name) for name in sorted(unknown)]
        for place, name in extraneous:
            raise validation_error(
                f"The model returned the following errors: Malformed input request: {place}: extraneous key [{name}] is not "
                "permitted, please reformat your input and try again."
            )


_is_claudes_id = re.compile(r"[a-zA-Z0-9_-]+").fullmatch


def _check_claude(model_id: str, document: Json, messages: Sequence[Message], tools: Sequence[Tool], choice: Json) -> None:
    """Refuse what Claude refuses, on Bedrock, too.

    https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5; ids of calls: BerriAI/litellm#24210;
    blank stop sequences: BerriAI/litellm#3286
    """
    for index, tool in enumerate(tools):
        if problem := claude_schema.refusal(tool.schema):
            raise validation_error(f"tools.{index}.custom.input_schema{problem}")
    for index, message in enumerate(messages):
        for at, block in enumerate(message.content):
            if isinstance(block, ToolUseBlock | ToolResultBlock) and not _is_claudes_id(block.id):
                name = "tool_use.id" if isinstance(block, ToolUseBlock) else "tool_result.tool_use_id"
                raise validation_error(
                    f"The model returned the following errors: messages.{index}.content.{at}.{name}: String should match "
                    "pattern '^[a-zA-Z0-9_-]+$'"
                )
    if choice.keys() & {"any", "tool"} and any(name in model_id for name in ("opus-5-5", "sonnet-5-5", "fable-5-1")):
        raise validation_error("The model returned the following errors: forced tool use is not supported for this model.")
    inference: Json = document.get("inferenceConfig") or {}
    if any(not each.strip() for each in inference.get("stopSequences") or ()):
        raise validation_error(
            "The model returned the following errors: stop_sequences: each stop sequence must contain non-whitespace"
        )


def _output_schema(config: Json | None, traits: ModelTraits) -> Json | None:
    """Return the schema that the text must follow, which Converse takes as a text.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_OutputConfig.html
    """
    wanted = (config or {}).get("textFormat")
    if wanted is None:
        return None
    if "closed_json_schema" not in traits.accepts:
        raise validation_error(
            "This model doesn't support the outputConfig.textFormat field. Remove outputConfig.textFormat and try again."
        )
    where = "outputConfig.textFormat.structure.jsonSchema.schema"
    try:
        schema = json.loads(wanted["structure"]["jsonSchema"]["schema"])
    except ValueError as error:
        raise validation_error(f"The value at {where} is not valid JSON: {error}") from error
    if problem := closed_schema.refusal(schema):
        raise validation_error(f"{where}: {problem}")
    return cast(Json, schema)


def _check_strict_tools(config: Json | None, traits: ModelTraits) -> None:
    for i, entry in enumerate((config or {}).get("tools") or ()):
        spec: Json = entry.get("toolSpec") or {}
        if not spec.get("strict"):
            continue
        where = f"toolConfig.tools.{i}.toolSpec"
        if "strict_tools" not in traits.accepts:
            raise validation_error(f"This model doesn't support the {where}.strict field. Remove it and try again.")
        if problem := closed_schema.refusal(spec["inputSchema"]["json"]):
            raise validation_error(f"{where}.inputSchema.json: {problem}")


def _traits(traits: ModelTraits, document: Json, choice: Json) -> ModelTraits:
    """Return what the model accepts, and whether it thinks because it is asked to. The rules are those of Claude.

    https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html
    """
    more: Json = document.get("additionalModelRequestFields") or {}
    thinking = more.get("thinking")
    if not isinstance(thinking, dict) or cast(Json, thinking).get("type") not in ("enabled", "adaptive"):
        return traits
    inference: Json = document.get("inferenceConfig") or {}
    said = "The model returned the following errors:"
    if "any" in choice or "tool" in choice:
        raise validation_error(f"{said} Thinking may not be enabled when tool_choice forces tool use.")
    if inference.get("temperature") not in (None, 1):
        raise validation_error(f"{said} `temperature` may only be set to 1 when thinking is enabled.")
    if cast(Json, thinking).get("budget_tokens", 0) >= inference.get("maxTokens", traits.max_output_tokens):
        raise validation_error(f"{said} `max_tokens` must be greater than `thinking.budget_tokens`.")
    return replace(traits, reasoning=True)


def _take_cache_points(document: Json, traits: ModelTraits) -> None:
    """Take the cache points out of a request. Nothing is cached here.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html: at most four, after something, for some models
    """
    points = 0
    messages: list[Json] = document.get("messages") or []
    config: Json = document.get("toolConfig") or {}
    lists: list[list[Json]] = [message["content"] for message in messages]
    lists += [document.get("system") or [], config.get("tools") or []]
    for blocks in lists:
        if blocks and blocks[0].get("cachePoint"):
            raise validation_error("A cachePoint block must follow another block.")
        if any(after.get("cachePoint") and before.get("reasoningContent") for before, after in pairwise(blocks)):
            raise validation_error("Cache point cannot be inserted after reasoning block.")  # 0xPlaygrounds/rig#1673
        points += sum(bool(block.get("cachePoint")) for block in blocks)
        blocks[:] = [block for block in blocks if not block.get("cachePoint")]
    if points and "prompt_caching" not in traits.accepts:
        raise validation_error("You invoked an unsupported model or your request did not allow prompt caching.")
    if points > 4:
        raise validation_error(f"A maximum of 4 blocks with cache_control may be provided. Found {points}.")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def converse_input() -> Shape:
    return input_shape("Converse")


def input_shape(operation: str) -> Shape:
    """Return the shape of an operation's request. The first call reads botocore's model."""
    runtime = service_model("bedrock-runtime")
    assert runtime is not None, "botocore has no bedrock-runtime"
    return runtime.operation_model(operation).input_shape


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """Yield each error in the form of `value`, in AWS's words. Positions count from 1, as AWS counts them here."""
    rules = shape.metadata
    if rules.get("document"):
        return
    kind = shape.type_name
    if not _is_of(kind, value):
        yield _violation(value, path, f"Member must be of type {kind}")
    elif kind == "structure":
        yield from _structure_violations(shape, cast(Json, value), path)
    elif kind in ("list", "map"):
        yield from _bound_violations(rules, len(value), None, path)
        pairs = enumerate(value, 1) if kind == "list" else value.items()
        for key, item in pairs:
            if kind == "map":
                yield from _violations(shape.key, key, f"{path}.{key}.key")
            member = shape.member if kind == "list" else shape.value
            yield from _violations(member, item, f"{path}.{key}.{'member' if kind == 'list' else 'value'}")
    elif kind == "string":
        if "enum" in rules and value not in rules["enum"]:
            yield _violation(value, path, f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]")
        if "pattern" in rules and re.fullmatch(rules["pattern"], value) is None:
            yield _violation(value, path, f"Member must satisfy regular expression pattern: {rules['pattern']}")
        yield from _bound_violations(rules, len(value), value, path)
    elif kind not in ("boolean", "blob"):
        yield from _bound_violations(rules, value, value, path, quantity="value")


def _is_of(kind: str, value: Any) -> bool:
    return isinstance(value, _JSON_TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _structure_violations(shape: Shape, value: Json, path: str) -> Iterator[str]:
    in_path = {name for name, member in shape.members.items() if member.serialization.get("location") == "uri"}
    members = {name: member for name, member in shape.members.items() if name not in in_path}
    prefix = f"{path}." if path else ""
    given = {name: item for name, item in value.items() if item is not None}
    for name, item in given.items():
        if name in members:
            yield from _violations(members[name], item, f"{prefix}{name}")
        else:
            yield _violation(None, f"{prefix}{name}", f"Member must be one of: {', '.join(members)}", shown=False)
    for name in shape.metadata.get("required", ()):
        if name in members and name not in given:
            yield _violation(None, f"{prefix}{name}", "Member must not be null")
    if shape.metadata.get("union") and len(given) != 1:
        yield _violation(value, path, f"Member must set one of the following keys: {', '.join(members)}")


def _bound_violations(
    rules: Mapping[str, Any], size: float, value: Any, path: str, *, quantity: str = "length"
) -> Iterator[str]:
    shown = value is not None
    if size < rules.get("min", size):
        yield _violation(value, path, f"Member must have {quantity} greater than or equal to {rules['min']}", shown=shown)
    if size > rules.get("max", size):
        yield _violation(value, path, f"Member must have {quantity} less than or equal to {rules['max']}", shown=shown)


def _violation(value: Any, path: str, constraint: str, *, shown: bool = True) -> str:
    text = "null" if value is None else f"'{value}'"
    if not shown or isinstance(value, dict | list):
        return f"Value at '{path}' failed to satisfy constraint: {constraint}"
    return f"Value {text} at '{path}' failed to satisfy constraint: {constraint}"


def _message(index: int, message: Json) -> Message:
    where = f"messages.{index}"
    role = message["role"]
    if role == "system":
        raise validation_error(f"This model doesn't support the role system at {where}. Use the system field instead.")
    if not message["content"]:
        raise validation_error(
            f"The content field in the Message object at {where} is empty. Add a ContentBlock object to the content field "
            "and try again."
        )
    return Message(role, tuple(_block(f"{where}.content.{i}", role, b) for i, b in enumerate(message["content"])))


def _block(where: str, role: str, block: Json) -> Block:
    (kind, value), *_ = ((key, item) for key, item in block.items() if item is not None)
    match role, kind:
        case _, "text":
            if not value.strip():
                raise validation_error(
                    f"The text field in the ContentBlock object at {where} is blank. Add text to the text field, and try again."
                )
            return TextBlock(value)
        case "user", "image" | "document":
            return _media(kind, value, f"{where}.{kind}")
        case "user", "toolResult":
            return _tool_result(f"{where}.toolResult", value)
        case "assistant", "toolUse":
            if not isinstance(value["input"], dict):
                raise validation_error(
                    f"The format of the value at {where}.toolUse.input is invalid. Provide a json object for the field and "
                    "try again."
                )
            return ToolUseBlock(value["toolUseId"], value["name"], cast(Json, value["input"]))
        case "assistant", "reasoningContent" if value.get("reasoningText"):
            return ReasoningBlock(value["reasoningText"]["text"])
        case "assistant", "reasoningContent" if value.get("redactedContent"):
            return ReasoningBlock("")
        case _:
            raise validation_error(
                f"This model doesn't support the {kind} content block at {where} in a message of role {role}. Remove it and "
                "try again."
            )


def _tool_result(where: str, result: Json) -> ToolResultBlock:
    texts: list[str] = []
    media: list[MediaBlock] = []
    for i, block in enumerate(result["content"]):
        (kind, value), *_ = ((key, item) for key, item in block.items() if item is not None)
        if kind in ("image", "document"):
            media.append(_media(kind, value, f"{where}.content.{i}.{kind}"))
            continue
        if kind not in ("text", "json"):
            raise validation_error(f"This model doesn't support the {kind} content block at {where}.content.{i}.")
        if kind == "text" and not value.strip():  # NousResearch/hermes-agent#67978
            raise validation_error(f"The text field at {where}.content.{i} is blank: text content blocks must be non-empty")
        texts.append(value if kind == "text" else json.dumps(value, ensure_ascii=False))
    error = result.get("status") == "error"
    if error and not texts:
        raise validation_error(f"The content field at {where} cannot be empty when status value is error.")
    return ToolResultBlock(result["toolUseId"], "\n".join(texts), error, tuple(media))


def _media(kind: str, block: Json, where: str) -> MediaBlock:
    """Read an image or a document. The rules of a document's name stand at DocumentBlock, the bounds of both in the guide:

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html,
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html (3.75 MB an image, 4.5 MB a document)
    """
    if block["source"].get("bytes") is None:
        raise validation_error(f"The local Bedrock takes only bytes at {where}.source.")
    try:
        data = base64.b64decode(block["source"]["bytes"], validate=True)
    except binascii.Error as error:
        raise validation_error(f"The bytes at {where}.source.bytes are no Base64: {error}") from error
    if kind == "document":
        if re.fullmatch(r"[a-zA-Z0-9()\[\]-]+(\s[a-zA-Z0-9()\[\]-]+)*", block["name"]) is None:
            raise validation_error(
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, "
                "and square brackets. The name can't contain more than one consecutive whitespace character."
            )
        most = int(4.5 * 1024 * 1024)
    else:
        most = int(3.75 * 1024 * 1024)
    if len(data) > most:
        raise validation_error(f"The {kind} at {where} has {len(data)} bytes; at most {most} are allowed.")
    return MediaBlock("documents" if kind == "document" else "images", block["format"], len(data))


def _system(index: int, block: Json) -> str:
    if block.get("text") is None:
        raise validation_error(f"This model doesn't support {next(iter(block))} at system.{index}. Remove it and try again.")
    return cast(str, block["text"])


def _tools(config: Json | None) -> tuple[tuple[Tool, ...], Json]:
    """Return the tools, and toolChoice as it was sent."""
    if config is None:
        return (), {}
    tools: dict[str, Tool] = {}
    for i, entry in enumerate(config["tools"]):
        spec = entry.get("toolSpec")
        where = f"toolConfig.tools.{i}"
        if spec is None:
            raise validation_error(f"This model doesn't support {next(iter(entry))} at {where}. Remove it and try again.")
        schema = spec["inputSchema"]["json"]
        if not isinstance(schema, dict) or cast(Json, schema).get("type") != "object":
            raise validation_error(f"The value at {where}.toolSpec.inputSchema.json.type must be one of the following: object.")
        if not (spec.get("description") or "-").strip():  # anomalyco/opencode#48582
            raise validation_error(f"The description at {where}.toolSpec.description is blank. Remove it and try again.")
        if spec["name"] in tools:
            raise validation_error(f"The tool {spec['name']} is already defined at {where}.")
        tools[spec["name"]] = Tool(spec["name"], spec.get("description") or "", cast(Json, schema))
    given: Json = config.get("toolChoice") or {}
    choice = {key: value for key, value in given.items() if value is not None}
    if "tool" in choice and choice["tool"]["name"] not in tools:
        raise validation_error(f"The tool {choice['tool']['name']} at toolConfig.toolChoice.tool.name is not defined.")
    return tuple(tools.values()), choice


def _check_conversation(messages: Sequence[Message], tools: Sequence[Tool]) -> None:
    if not messages or messages[0].role != "user":
        raise validation_error(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message."
        )
    awaited: list[str] = []
    for i, message in enumerate(messages):
        kinds = {type(block) for block in message.content}
        documents = [block for block in message.content if isinstance(block, MediaBlock) and block.kind == "documents"]
        if documents and TextBlock not in kinds:  # "you must also include a ContentBlock with a text field", says ContentBlock
            raise validation_error(f"A text block is required at messages.{i}.content, for it has a document.")
        if i and message.role == messages[i - 1].role:
            raise validation_error(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
        where = f"messages.{i}.content"
        uses = [block.id for block in message.content if isinstance(block, ToolUseBlock)]
        results = [block.id for block in message.content if isinstance(block, ToolResultBlock)]
        if (uses or results) and not tools:
            raise validation_error("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        for kind, ids in (("toolUse", uses), ("toolResult", results)):
            if len(set(ids)) < len(ids):
                raise validation_error(f"The {kind} blocks at {where} contain duplicate Ids: {', '.join(ids)}")
        missing = [id_ for id_ in awaited if id_ not in results]
        if missing:
            raise validation_error(f"Expected toolResult blocks at {where} for the following Ids: {', '.join(missing)}")
        if len(results) > len(awaited):
            raise validation_error(
                f"The number of toolResult blocks at {where} exceeds the number of toolUse blocks of previous turn."
            )
        awaited = uses
    if messages[-1].role != "user":
        raise validation_error(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _check_traits(request: GenerationRequest) -> None:
    for name in request.refused:
        match name:
            case "system":
                raise validation_error(
                    "This model doesn't support system messages. Try again without a system message or use a model that "
                    "supports system messages."
                )
            case "tools":
                raise validation_error("This model doesn't support tool use.")
            case "images" | "documents":
                raise validation_error(f"This model doesn't support the {name[:-1]} content block that you provided.")
            case _:
                field = _FIELDS[name]
                raise validation_error(f"This model doesn't support the {field} field. Remove {field} and try again.")
    if request.excluding:
        both = " and ".join(f"`{name}`" for name in request.excluding)
        raise validation_error(
            f"The model returned the following errors: {both} cannot both be specified for this model. Please use only one."
        )
    bound = request.traits.max_output_tokens
    if request.max_tokens is not None and request.max_tokens > bound:
        raise validation_error(
            f"The maximum tokens you requested exceeds the model limit of {bound}. Try again with a maximum tokens value that "
            f"is lower than {bound}."
        )


_FIELDS = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
