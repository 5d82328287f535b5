"""The OpenAPI document of the service, made from the table of operations."""

from functools import cache
from typing import Any

import msgspec

from llm_functions import chat_api
from llm_gateway.operations import MAX_BODY_BYTES, OPERATIONS, Operation


@cache
def _document(models: tuple[str, ...], auth: str) -> bytes:
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, auth)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "pulumi-llm",
            "version": "1",
            "description": "Chat with the models of this deployment, in its own format or in OpenAI's.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": _schemas(models)},
    }
    if schemes := _SCHEMES.get(auth):
        document["components"]["securitySchemes"] = schemes
    return msgspec.json.encode(document)


_BEARER = {"type": "http", "scheme": "bearer"}
_SCHEMES: dict[str, dict[str, dict[str, str]]] = {
    "api_key": {"bearer": _BEARER, "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
    "jwt": {"bearer": {**_BEARER, "bearerFormat": "JWT"}},
    # How AWS's own exports describe it.
    "iam": {"sigv4": {"type": "apiKey", "in": "header", "name": "Authorization", "x-amazon-apigateway-authtype": "awsSigv4"}},
}


def document(models: list[str], auth: str) -> bytes:
    """The document as JSON; `models` are the aliases that requests may name."""
    return _document(tuple(models), auth)


def _operation(operation: Operation, auth: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": {"200": _answer(operation), **_errors(operation, auth)},
    }
    if operation.has_body:
        body = "ChatCompletionRequest" if operation.id == "chat_completions" else "ChatRequest"
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    if operation.authorized and auth in _SCHEMES:
        described["security"] = [{scheme: []} for scheme in _SCHEMES[auth]]
    return described


def _answer(operation: Operation) -> dict[str, Any]:
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    json = {"application/json": {"schema": _ref(_ANSWERS[operation.id])}} if operation.id in _ANSWERS else {}
    match operation.id:
        case "chat_stream":
            return {"description": "Events start, delta, reasoning, usage, done and error, ids from 1", "content": events}
        case "chat_completions":
            return {"description": "The answer; chunks and [DONE] where stream is true", "content": json | events}
        case _:
            return {"description": "The answer", "content": json or {"application/json": {"schema": {"type": "object"}}}}


_ANSWERS = {"chat": "ChatAnswer", "chat_completions": "ChatCompletion", "models": "ModelList", "health": "Health"}


def _errors(operation: Operation, auth: str) -> dict[str, Any]:
    kinds = {"500": "The service failed", "502": "The model's provider failed"}
    if operation.has_body:
        kinds |= {
            "400": "A field is wrong; the message names each",
            "404": "There is no such model",
            "413": f"The body is larger than {MAX_BODY_BYTES:,} bytes",
            "503": "The model's provider is unavailable, or the model is being loaded; see Retry-After",
            "504": "The model did not answer in time",
        }
    if operation.authorized and auth in _SCHEMES:
        kinds |= {
            "401": "The credentials are missing or wrong",
            "403": "The caller may not do this",
            "429": "The caller's rate or quota is used up, or the provider throttles (code upstream_throttled)",
        }
    content = {"application/json": {"schema": _ref("Error")}}
    return {status: {"description": text, "content": content} for status, text in sorted(kinds.items())}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), **more}


def _schemas(models: tuple[str, ...]) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    words = {"type": "string", "minLength": 1, "pattern": r"\S"}
    count = {"type": "integer", "minimum": 0}
    sampling = {
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
        "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    }
    most = chat_api.MAX_TOKENS_LIMIT
    turn = _object({"role": {"enum": ["user", "assistant"]}, "content": words}, ("role", "content"))
    turn["additionalProperties"] = False
    counts = {"input_tokens": count, "output_tokens": count}
    return {
        "ChatRequest": _object(
            {
                "message": {**words, "description": "What to answer; prompt is its synonym"},
                "prompt": words,
                "model": {"type": ["string", "null"], "enum": [*models, None], "description": "Default: the first"},
                "system_prompt": {"type": ["string", "null"], "default": chat_api.SYSTEM_PROMPT},
                "max_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": most, "default": 1000},
                **sampling,
                "stop": {
                    "oneOf": [
                        {"type": "string", "minLength": 1},
                        {
                            "type": "array",
                            "items": {"type": "string", "minLength": 1},
                            "maxItems": chat_api.STOP_LIMIT,
                        },
                        {"type": "null"},
                    ]
                },
                "history": {"type": ["array", "null"], "items": turn, "description": "Earlier turns, the user's first"},
            },
            oneOf=[{"required": ["message"]}, {"required": ["prompt"]}],
            additionalProperties=False,
        ),
        "ChatAnswer": _object(
            {
                "message": text,
                "reasoning": text,
                "model": text,
                "usage": _object(counts, tuple(counts)),
                **counts,
                "stop_reason": text,
                "request_id": text,
            },
            ("message", "model", "usage", "input_tokens", "output_tokens", "stop_reason", "request_id"),
        ),
        "ChatCompletionRequest": _object(
            {
                "model": {"type": "string", "enum": list(models)},
                "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                "stream": {"type": ["boolean", "null"]},
                "max_completion_tokens": {"type": ["integer", "null"], "minimum": 1},
                **sampling,
            },
            ("model", "messages"),
            externalDocs={"url": "https://platform.openai.com/docs/api-reference/chat"},
        ),
        "ChatCompletion": _object({"id": text, "object": {"const": "chat.completion"}}, ("id", "object", "choices", "usage")),
        "ModelList": _object({"object": {"const": "list"}, "data": {"type": "array"}}, ("object", "data")),
        "Health": _object({"status": {"const": "ok"}}, ("status",)),
        "Error": _object(
            {
                "error": _object(
                    {"type": text, "code": text, "message": text, "request_id": text, "param": text},
                    ("type", "code", "message", "request_id"),
                )
            },
            ("error",),
        ),
    }
