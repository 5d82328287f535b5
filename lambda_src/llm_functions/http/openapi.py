"""The OpenAPI document of the service, made from the tables of operations and errors."""

from collections.abc import Sequence
from functools import cache
from typing import Any, get_args

import msgspec

from llm_functions.api_formats import chat, fields, openai_chat, openai_media, openai_parameters
from llm_functions.api_formats.answer_ids import PREFIXES
from llm_functions.http import (
    openapi_batches,
    openapi_embeddings,
    openapi_jobs,
    openapi_messages,
    openapi_responses,
    openapi_usage,
)
from llm_functions.http.openapi_cache import add_cache
from llm_functions.http.schemas import ANY, COUNT, DEFAULT_MAX_TOKENS, TEXT, WORDS, obj, or_null, ref, retrieval_fields
from llm_gateway import errors
from llm_gateway.errors import AUTHENTICATION, DO_NOT_RETRY, ERROR_KINDS, GATEWAY_RESPONSES, PERMISSION, statuses
from llm_gateway.events import StopReason
from llm_gateway.identity.tickets import LIFE_SECONDS
from llm_gateway.operations import OPERATIONS, Operation, operations
from llm_gateway.request import HINTS, MAX_TOKENS, NUMERIC_PARAMETERS, Kind, Parameter
from llm_gateway.stages.cancel import REQUEST_ID


@cache
def _document(
    models: tuple[str, ...],
    embedding_models: tuple[str, ...],
    auth: str,
    tickets: bool,
    limits: bool,
    idempotency: bool,
    is_cached: bool,
    jobs: bool,
    batches: bool,
    usage: bool,
) -> bytes:
    paths: dict[str, dict[str, Any]] = {}
    schemas = _schemas(models, embedding_models) | ({"WebSocketTicket": _ticket()} if tickets else {})
    if limits:
        schemas |= openapi_usage.schemas()
    if usage:
        schemas |= openapi_usage.history_schemas()
    if idempotency:
        schemas["Cancelling"] = obj({"request_id": TEXT, "status": {"const": "cancelling"}}, ("request_id", "status"))
    if jobs:
        schemas |= openapi_jobs.schemas()
    if batches:
        schemas |= openapi_batches.schemas()
    for operation in operations(tickets=tickets, limits=limits, journal=idempotency, jobs=jobs, batches=batches, usage=usage):
        described = _operation(operation, auth, keyed=idempotency and operation.generates)
        if is_cached and operation.generates and operation.id != "embeddings":
            add_cache(described)
        if operation.id == "usage" and usage:
            openapi_usage.add_history(described, limits=limits)
        if operation.id == "model":
            described["parameters"] = [_alias_in_path(models + embedding_models)]
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "pulumi-llm",
            "version": "1",
            "description": "Chat with the models of this deployment, in its own format, OpenAI's or Anthropic's; embed texts.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if schemes := _SCHEMES.get(auth):
        document["components"]["securitySchemes"] = schemes
    return msgspec.json.encode(document)


_BEARER = {"type": "http", "scheme": "bearer"}
_SCHEMES: dict[str, dict[str, dict[str, str]]] = {
    "api_key": {"bearer": _BEARER, "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
    "jwt": {"bearer": {**_BEARER, "bearerFormat": "JWT"}},
    # As API Gateway's own exports describe it.
    "iam": {"sigv4": {"type": "apiKey", "in": "header", "name": "Authorization", "x-amazon-apigateway-authtype": "awsSigv4"}},
}


def document(
    models: Sequence[str],
    auth: str,
    *,
    tickets: bool = False,
    limits: bool = False,
    idempotency: bool = False,
    embedding_models: Sequence[str] = (),
    is_cached: bool = False,
    jobs: bool = False,
    batches: bool = False,
    usage: bool = False,
) -> bytes:
    """Return the document as JSON. `models` are the aliases that chat, `embedding_models` the others. `tickets`: they are
    issued. `limits`: callers have them. `idempotency`: answers are kept for requests that name keys. `is_cached`: they
    are cached. `jobs`: there are jobs. `batches`: there are batches, and files for them. `usage`: what was used is
    counted by days."""
    return _document(
        tuple(models), tuple(embedding_models), auth, tickets, limits, idempotency, is_cached, jobs, batches, usage
    )


def _operation(operation: Operation, auth: str, *, keyed: bool) -> dict[str, Any]:
    rooms = (openapi_jobs, openapi_batches)
    room = next((each for each in rooms if operation.id in each.PARAMETERS), None)
    answer = {**room.answer(operation.id), "headers": _REQUEST_ID} if room is not None else _answer(operation)
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": {
            _STATUSES.get(operation.id, "200"): answer,
            **_OTHER.get(operation.id, {}),
            **_errors(operation, auth, keyed=keyed),
        },
    }
    if operation.id == "cancel":
        described["parameters"] = [_STREAM_IN_PATH]
    if room is not None and (parameters := room.PARAMETERS[operation.id]):
        described["parameters"] = parameters
    if operation.id in ("submit_jobs", "create_batch"):
        answer["headers"] = {**answer["headers"], **_REPLAYED}
    if operation.id == "job_events":
        described["responses"]["204"] = {"description": "The job has ended, and the client has all its events"}
    if keyed:
        described["parameters"] = [_KEY, _LAST_EVENT] if operation.id == "chat_stream" else [_KEY]
        answer["headers"] = {**answer["headers"], **_REPLAYED}
        if operation.id == "chat_stream":
            described["responses"]["204"] = {"description": "The stream has ended, and the client has all its events"}
    if operation.id == "create_file":
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": ref("FileRequest")}}}
    if operation.has_body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(_REQUESTS[operation.id])}}}
    if operation.authorized and auth in _SCHEMES:
        described["security"] = [{scheme: []} for scheme in _SCHEMES[auth]]
    return described


def _alias_in_path(aliases: tuple[str, ...]) -> dict[str, Any]:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "enum": list(aliases)}}


def _answer(operation: Operation) -> dict[str, Any]:
    events: dict[str, Any] = {"text/event-stream": {}}  # OpenAPI 3.1 cannot describe the events of a stream
    json = {"application/json": {"schema": ref(_ANSWERS[operation.id])}} if operation.id in _ANSWERS else {}
    match operation.id:
        case "chat_stream":
            described = {"description": "Events start, delta, reasoning, usage, done and error, ids from 1", "content": events}
        case "chat_completions" | "completions":
            described = {"description": "The answer; chunks and [DONE] where stream is true", "content": json | events}
        case "responses":
            described = {"description": "The answer; OpenAI's named events where stream is true", "content": json | events}
        case "messages":
            described = {"description": "The answer; Anthropic's events where stream is true", "content": json | events}
        case "cancel":
            described = {
                "description": "It is recorded; the stream, if there is one, ends within about a second",
                "content": json,
            }
        case _:
            described = {"description": "The answer", "content": json or {"application/json": {"schema": {"type": "object"}}}}
    routing = {name: _header(text, required=operation.id in ("chat", "embeddings")) for name, text in _ROUTING.items()}
    return {**described, "headers": _REQUEST_ID | (routing | _DROPPED | _RETRIEVAL | _OF_LIMITS if operation.has_body else {})}


_REQUESTS = {
    "chat": "ChatRequest",
    "chat_stream": "ChatRequest",
    "chat_completions": "ChatCompletionRequest",
    "completions": "CompletionRequest",
    "responses": "ResponseRequest",
    "messages": "MessageRequest",
    "count_tokens": "TokenCountRequest",
    "embeddings": "EmbeddingRequest",
    "submit_jobs": "JobRequest",
    "create_batch": "BatchRequest",
}
_ANSWERS = {
    "chat": "ChatAnswer",
    "chat_completions": "ChatCompletion",
    "completions": "Completion",
    "responses": "Response",
    "messages": "Message",
    "count_tokens": "TokenCount",
    "embeddings": "EmbeddingList",
    "models": "ModelList",
    "model": "Model",
    "websocket_ticket": "WebSocketTicket",
    "usage": "UsageReport",
    "cancel": "Cancelling",
    "health": "Health",
}


# Of the operations that answer with another one than 200.
_STATUSES = {"cancel": "202", "submit_jobs": "202"}
# What is answered besides by the operation, and is no error.
_OTHER = {"file_content": openapi_batches.LINK}


def _header(description: str, kind: str = "string", *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": kind}}


_REQUEST_ID = {"x-request-id": _header("The request's id, for the operator's logs")}
_DROPPED = {"x-llm-dropped": _header("The hints and parameters that the target does not accept", required=False)}
_RETRIEVAL = {"x-llm-retrieval": _header("unavailable: the model answered without the knowledge base", required=False)}
_OF_LIMITS = {
    f"x-ratelimit-{name}-{measure}": _header(text.format(measure), required=False)
    for measure in ("requests", "tokens")
    for name, text in {
        "limit": "The limit of {} of which the least is left, where the caller has one",
        "remaining": "How many {} are left of it; what calls in flight may use is not",
        "reset": "How long it takes until its {} are counted anew, such as 6m0s",
    }.items()
}
# They are missing in a stream whose head was sent before the model began.
_ROUTING = {
    "x-llm-target": "The target that answered, such as bedrock/gpt-oss-20b",
    "server-timing": "Milliseconds: waited, for other targets before it; first_token, until it began",
}


_STREAM_IN_PATH = {
    "name": "request_id",
    "in": "path",
    "required": True,
    "description": "The stream's header x-request-id, or the id of its answer, such as chatcmpl-…",
    "schema": {"type": "string", "pattern": f"^({'|'.join(PREFIXES)})?{REQUEST_ID.pattern}$"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Names the request, so that it is answered once however often it is sent: such as a UUID",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_LAST_EVENT = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that the client has; it gets those after it. Only with Idempotency-Key",
    "schema": {"type": "integer", "minimum": 0},
}
_REPLAYED = {"idempotent-replayed": _header("'true': the answer is that of an earlier request with this key", required=False)}
# What only a request that names its key can get, from the service alone.
_OF_A_KEY = (
    errors.nothing_to_resume,
    errors.idempotency_key_reused,
    errors.in_progress,
    errors.answer_not_kept,
    errors.too_many_followers,
    errors.idempotency_unavailable,
)
# Streams are followed, and whole answers kept.
_NOT_OF = {
    errors.nothing_to_resume.code: {each.id for each in OPERATIONS} - {"chat_stream"},
    errors.too_many_followers.code: {"chat", "embeddings"},
    errors.in_progress.code: {"chat_stream"},
    errors.answer_not_kept.code: {"chat_stream"},
}
# What only a request with a body can get from API Gateway.
_OF_A_BODY = (errors.invalid_json, errors.request_too_large, errors.unsupported_media_type)
# What an operation without a body answers by itself.
_OF_OPERATION = {
    "model": (errors.model_not_found,),
    "usage": (errors.invalid_value, errors.limits_unavailable, errors.usage_unavailable),
    "cancel": (errors.invalid_value, errors.cancel_unavailable),
    **openapi_jobs.ERRORS,
    **openapi_batches.ERRORS,
}


def _errors(operation: Operation, auth: str, *, keyed: bool) -> dict[str, Any]:
    """The errors of an operation by their status: API Gateway's, and those of a model where there is a request to answer."""
    at_the_edge = [response.kind for response in GATEWAY_RESPONSES if not response.iam or auth == "iam"]
    found: dict[int, list[str]] = {}
    for kind in ERROR_KINDS:
        by_itself = kind in _OF_OPERATION.get(operation.id, ())
        possible = by_itself or (kind in at_the_edge and kind not in _OF_A_BODY)
        possible = possible or (operation.has_body and operation.id not in ("submit_jobs", "create_batch"))
        if kind.type in (AUTHENTICATION, PERMISSION):
            possible = operation.authorized and auth in _SCHEMES
        if kind is errors.method_not_allowed:
            possible = False  # none of the operations here
        if kind in (*openapi_jobs.ONLY, *openapi_batches.ONLY, errors.usage_unavailable):
            possible = by_itself
        if kind in _OF_A_KEY and not by_itself:
            possible = keyed and operation.id not in _NOT_OF.get(kind.code, ())
        if kind is errors.cancelled:
            possible = keyed and operation.id not in ("chat", "embeddings")
        if kind is errors.cancel_unavailable:
            possible = operation.id == "cancel"
        if possible:
            for status in statuses(kind):
                found.setdefault(status, []).append(f"`{kind.code}`: {kind.message}")
    shape = "AnthropicError" if operation.errors == "anthropic" else "Error"
    return {str(status): _error(status, texts, shape) for status, texts in sorted(found.items())}


def _error(status: int, texts: list[str], shape: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": "\n\n".join(texts),
        "content": {"application/json": {"schema": ref(shape)}},
        "headers": _REQUEST_ID,
    }
    if status in (409, 429) or status >= 500:
        again = _header("'false' where a repetition cannot succeed shortly", required=False)
        described["headers"] = {**_REQUEST_ID, DO_NOT_RETRY[0]: again}
    if status in (409, 429, 503):
        wait = _header("Seconds after which a repetition may succeed; of a key's daily_quota a date", required=False)
        wait["schema"] = {"type": ["integer", "string"]} if status == 429 else {"type": "integer"}
        described["headers"]["retry-after"] = wait
        if status == 429:
            described["headers"] |= _OF_LIMITS
    return described


def _given(*names: str, kind: str = "string") -> dict[str, Any]:
    """A schema for objects that have all of these fields. A null counts as not given."""
    return {"required": list(names), "properties": {name: {"type": kind} for name in names}}


_SAMPLING = {
    name: {"type": ["number", "null"], "minimum": low, "maximum": high} for name, (low, high) in NUMERIC_PARAMETERS.items()
}


def _stop(most: int) -> dict[str, Any]:
    one = {"type": "string", "minLength": 1}
    texts = {"type": "array", "items": one, "maxItems": most}
    return {"anyOf": [one, texts, {"type": "null"}], "description": f"Where the answer ends: a string, or up to {most}"}


def _schemas(models: tuple[str, ...], embedding_models: tuple[str, ...]) -> dict[str, Any]:
    code = {"enum": sorted({kind.code for kind in ERROR_KINDS})}
    texts = {"type": TEXT, "code": code, "message": TEXT, "request_id": TEXT}
    error = obj({**texts, "param": TEXT}, tuple(texts))
    return {
        "ChatRequest": _chat_request(models),
        "ChatAnswer": _chat_answer(),
        "ChatCompletionRequest": _completion_request(models),
        "ChatCompletion": _completion(),
        "ModelList": _model_list(),
        "Model": _model(),
        "Health": obj({"status": {"const": "ok"}}, ("status",)),
        "Error": obj({"error": error}, ("error",)),
        "CompletionRequest": _prompt_request(models),
        "Completion": _text_completion(),
        **openapi_responses.schemas(models),
        **openapi_messages.schemas(models, error),
        **openapi_embeddings.schemas(embedding_models),
    }


def _model_list() -> dict[str, Any]:
    end = {"type": ["string", "null"]}
    page = {"has_more": {"const": False}, "first_id": end, "last_id": end}
    models = {"type": "array", "items": ref("Model")}
    return obj({"object": {"const": "list"}, "data": models, **page}, ("object", "data", *page))


def _model() -> dict[str, Any]:
    return obj(
        {
            "id": TEXT,
            "object": {"const": "model"},
            "created": COUNT,
            "owned_by": TEXT,
            "type": {"const": "model"},
            "display_name": TEXT,
            "created_at": {**TEXT, "description": "The epoch: it is not known"},
            "lifecycle": {"const": "active"},
            "max_input_tokens": {**COUNT, "description": "As context_tokens"},
            "max_tokens": {"type": ["integer", "null"], "description": "As max_output_tokens"},
            "context_tokens": {**COUNT, "description": "The limit of the conversation and the answer together"},
            "max_output_tokens": {**COUNT, "description": "The model's own limit of an answer; 0 for embeddings"},
            "kind": {"enum": list(get_args(Kind)), "description": "What the model is for"},
            "streams": {"type": "boolean", "description": "Whether the caller may ask for streams; missing for embeddings"},
            "default_max_tokens": {
                **COUNT,
                "description": "The bound of an answer where a request of OpenAI's formats gives none; missing for embeddings",
            },
            "temperature_max": {"type": "number", "description": "The highest temperature; missing where it takes none"},
            "dimensions": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1},
                "description": "The lengths that the vectors of embeddings can have, the model's own first",
            },
            "accepts": {
                "type": "array",
                "items": {"enum": sorted(get_args(Parameter))},
                "description": "The parameters that a request may have",
            },
        },
        ("id", "object", "kind", "context_tokens", "max_output_tokens", "accepts"),
    )


def _chat_request(models: tuple[str, ...]) -> dict[str, Any]:
    turn = obj({"role": {"enum": ["user", "assistant"]}, "content": WORDS}, ("role", "content"), additionalProperties=False)
    most = MAX_TOKENS
    nothing = {"type": "null"}
    return obj(
        {
            "message": {
                "type": ["string", "null"],
                "description": "What to answer; exactly one of message and prompt is required",
            },
            "prompt": {"type": ["string", "null"], "description": "A synonym of message"},
            "model": {
                "type": ["string", "null"],
                "enum": [*models, "", None],
                "description": "An alias of the configuration. Default: the first that the key may use",
            },
            "system_prompt": {
                "type": ["string", "null"],
                "description": "How the model shall behave",
                "default": chat.SYSTEM_PROMPT,
            },
            "max_tokens": {
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": most,
                "description": "The longest answer, in tokens",
                "default": chat.DEFAULTS.max_tokens,
            },
            **{name: {**schema, "default": getattr(chat.DEFAULTS, name)} for name, schema in _SAMPLING.items()},
            "stop": _stop(chat.STOP_LIMIT),
            "history": {
                "type": ["array", "null"],
                "items": turn,
                "description": 'Earlier turns, {"role": "user" or "assistant", "content": …}, the user\'s first',
            },
        },
        oneOf=[
            {"required": ["message"], "properties": {"message": WORDS, "prompt": nothing}},
            {"required": ["prompt"], "properties": {"prompt": WORDS, "message": nothing}},
        ],
        additionalProperties=False,
    )


def _ticket() -> dict[str, Any]:
    subprotocols = {"type": "array", "items": TEXT, "description": "What the client of the WebSocket offers"}
    seconds = {**COUNT, "maximum": LIFE_SECONDS, "description": "Seconds until it is no longer accepted"}
    properties = {"ticket": TEXT, "expires_in": seconds, "subprotocols": subprotocols}
    return obj(properties, tuple(properties))


def _chat_answer() -> dict[str, Any]:
    counts = {"input_tokens": COUNT, "output_tokens": COUNT}
    more = {
        **dict.fromkeys(("cached_tokens", "cache_write_tokens", "reasoning_tokens"), COUNT),
        "estimated": {"type": "boolean"},
    }
    return obj(
        {
            "message": TEXT,
            "reasoning": TEXT,
            "model": TEXT,
            "usage": obj({**counts, **more}, tuple(counts)),
            **counts,
            "stop_reason": {"enum": list(get_args(StopReason))},
            "request_id": TEXT,
            **retrieval_fields(),
        },
        ("message", "model", "usage", "input_tokens", "output_tokens", "stop_reason", "request_id"),
    )


def _completion_request(models: tuple[str, ...]) -> dict[str, Any]:
    """Not in the schema: one message says something, and tool calls are answered before the next turn."""
    limit = {"type": ["integer", "null"], "minimum": 1}
    function = obj(
        {
            "name": WORDS,
            "description": {"type": ["string", "null"]},
            "parameters": {
                "type": ["object", "null"],
                "description": f"A JSON Schema, at most {fields.MAX_NESTING} levels deep",
            },
            "strict": {"type": ["boolean", "null"]},
        },
        ("name",),
        additionalProperties=False,
    )
    tool = obj(
        {"type": {"const": "function"}, "function": function, "cache_control": ANY},
        ("type", "function"),
        additionalProperties=False,
    )
    chosen = obj({"type": {"const": "function"}, "function": obj({"name": TEXT}, ("name",))}, ("type", "function"))
    listed = obj(
        {"mode": {"enum": ["auto", "required"]}, "tools": {"type": "array", "minItems": 1, "items": chosen}}, ("mode", "tools")
    )
    allowed = obj({"type": {"const": "allowed_tools"}, "allowed_tools": listed}, ("type", "allowed_tools"))
    options = obj({"include_usage": {"type": ["boolean", "null"]}, "include_obfuscation": ANY}, additionalProperties=False)
    return obj(
        {
            "model": {"type": "string", "enum": list(models)},
            "messages": {"type": "array", "minItems": 1, "items": {"oneOf": _messages()}},
            "stream": {"type": ["boolean", "null"]},
            "stream_options": {**or_null(options), "description": "Only with stream: true"},
            "max_tokens": limit,
            "max_completion_tokens": {**limit, "description": DEFAULT_MAX_TOKENS},
            **_SAMPLING,
            "stop": _stop(openai_chat.STOP_LIMIT),
            "reasoning_effort": {"enum": [*openai_chat.EFFORTS, None]},
            "tools": {"type": ["array", "null"], "items": tool},
            "tool_choice": {"anyOf": [{"enum": ["auto", "none", "required", None]}, chosen, allowed]},
            **{name: {"enum": [*usual, None]} for name, (usual, _) in openai_parameters.UNAVAILABLE.items()},
            **_other_parameters(),
        },
        ("model", "messages"),
        allOf=[
            {"not": _given("max_tokens", "max_completion_tokens", kind="integer")},
            {
                "if": _given("stream_options", kind="object"),
                "then": {"required": ["stream"], "properties": {"stream": {"const": True}}},
            },
            {
                "if": {"required": ["top_logprobs"], "properties": {"top_logprobs": {"type": "integer", "minimum": 1}}},
                "then": {"required": ["logprobs"], "properties": {"logprobs": {"const": True}}},
            },
        ],
        additionalProperties=False,
        externalDocs={"url": "https://platform.openai.com/docs/api-reference/chat"},
    )


def _other_parameters() -> dict[str, Any]:
    """Return the schemas of what only some models take, and of hints, which are sent to those that know them."""
    low, high = openai_parameters.SEEDS
    penalty = {"type": ["number", "null"], "minimum": -2, "maximum": 2}
    return {
        **dict.fromkeys(openai_parameters.PENALTIES, penalty),
        "logit_bias": {"type": ["object", "null"]},
        "logprobs": {"type": ["boolean", "null"]},
        "top_logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": openai_parameters.MOST_TOP_LOGPROBS},
        **{name: {"type": ["string", "null"]} for name in HINTS},
        **{name: {"type": ["object", "null"]} for name in openai_parameters.OBJECTS},
        "seed": {"type": ["integer", "null"], "minimum": low, "maximum": high},
        "verbosity": {"enum": [*openai_parameters.VERBOSITIES, None]},
    }


def _messages() -> list[dict[str, Any]]:
    """Return the schema of a message of each role."""
    part = obj({"type": {"const": "text"}, "text": TEXT}, ("type", "text"))
    refusal = obj({"type": {"const": "refusal"}, "refusal": TEXT}, ("type", "refusal"))
    content = {"anyOf": [TEXT, {"type": "array", "items": part}, {"type": "null"}]}
    media = {"anyOf": [TEXT, {"type": "array", "items": {"anyOf": [part, *_media()]}}, {"type": "null"}]}
    answered = {"anyOf": [TEXT, {"type": "array", "items": {"anyOf": [part, refusal]}}, {"type": "null"}]}
    arguments = {"type": ["string", "null"], "description": "The JSON text of an object"}
    call = obj(
        {"id": WORDS, "type": ANY, "function": obj({"name": WORDS, "arguments": arguments}, ("name",))},
        ("id", "function"),
    )
    marks = dict.fromkeys(("name", "cache_control", "prompt_cache_breakpoint"), ANY)

    def message(roles: list[str], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
        properties = {"role": {"enum": roles}, "content": content, **marks, **more}
        return obj(properties, ("role", *required), additionalProperties=False)

    kept = {
        "tool_calls": {"type": ["array", "null"], "items": call},
        "reasoning_content": {"type": ["string", "null"]},
        "function_call": {"type": "null"},
    }
    return [
        message(["system", "developer"]),
        message(["user"], content=media),
        {
            **obj({"role": {"enum": ["assistant"]}, "content": answered, **kept}, ("role",)),
            "description": "What an SDK has kept of an answer: any other field is not read",
        },
        message(["tool"], ("tool_call_id",), tool_call_id=WORDS, content=media),
    ]


def _media() -> list[dict[str, Any]]:
    """Return the schemas of an image and of a file in a message."""
    base64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"
    images, documents = "|".join(openai_media.IMAGES), "|".join(openai_media.DOCUMENTS.values()).replace(".", "[.]")
    url = {
        "type": "string",
        "pattern": f"^(https://([a-z0-9-]{{1,63}}[.])+[a-z]{{2,63}}/[!-~]*|data:({images});base64,{base64})$",
    }
    data = {"type": "string", "pattern": f"^data:({documents});base64,{base64}$"}
    image = obj({"url": url, "detail": {"type": ["string", "null"]}}, ("url",))
    file = obj({"file_data": data, "filename": {"type": ["string", "null"]}, "file_id": {"type": "null"}}, ("file_data",))
    return [
        obj({"type": {"const": "image_url"}, "image_url": image}, ("type", "image_url")),
        obj({"type": {"const": "file"}, "file": file}, ("type", "file")),
    ]


def _completion() -> dict[str, Any]:
    counts = {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT}
    function = obj({"name": TEXT, "arguments": TEXT}, ("name", "arguments"))
    call = obj({"id": TEXT, "type": {"const": "function"}, "function": function}, ("id", "type", "function"))
    place = {"start_index": COUNT, "end_index": COUNT, "url": TEXT, "title": TEXT}
    cited = obj({"type": {"const": "url_citation"}, "url_citation": obj(place, tuple(place))}, ("type", "url_citation"))
    message = obj(
        {
            "role": {"const": "assistant"},
            "content": {"type": ["string", "null"]},
            "reasoning_content": TEXT,
            "tool_calls": {"type": "array", "items": call, "minItems": 1},
            "annotations": {"type": "array", "items": cited},
        },
        ("role", "content"),
    )
    reasons = sorted(set(openai_chat.FINISH_REASONS.values()))
    choice = obj(
        {
            "index": {"const": 0},
            "message": message,
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": {"enum": reasons},
        },
        ("index", "message", "finish_reason"),
    )
    return obj(
        {
            "id": TEXT,
            "object": {"const": "chat.completion"},
            "created": COUNT,
            "model": TEXT,
            "choices": {"type": "array", "items": choice, "minItems": 1, "maxItems": 1},
            "usage": obj(counts, tuple(counts)),
            **retrieval_fields(),
        },
        ("id", "object", "created", "model", "choices", "usage"),
    )


def _prompt_request(models: tuple[str, ...]) -> dict[str, Any]:
    one = {"type": "string", "minLength": 1}
    return obj(
        {
            "model": {"type": "string", "enum": list(models)},
            "prompt": {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 1}]},
            "max_tokens": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": DEFAULT_MAX_TOKENS,
            },
            "stream": {"type": ["boolean", "null"]},
            **_SAMPLING,
            "stop": _stop(openai_chat.STOP_LIMIT),
        },
        ("model", "prompt"),
        description="Besides these, the hints and the rare parameters of /v1/chat/completions",
        externalDocs={"url": "https://platform.openai.com/docs/api-reference/completions"},
    )


def _text_completion() -> dict[str, Any]:
    counts = {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT}
    reasons = sorted(set(openai_chat.FINISH_REASONS.values()))
    choice = obj({"index": {"const": 0}, "text": TEXT, "finish_reason": {"enum": reasons}}, ("index", "text", "finish_reason"))
    properties = {
        "id": TEXT,
        "object": {"const": "text_completion"},
        "created": COUNT,
        "model": TEXT,
        "choices": {"type": "array", "items": choice, "minItems": 1, "maxItems": 1},
        "usage": obj(counts, tuple(counts)),
    }
    return obj({**properties, **retrieval_fields()}, tuple(properties))
