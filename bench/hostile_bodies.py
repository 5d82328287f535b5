"""What the parsing of a hostile body costs: memory and CPU time, for every API format.

    python bench/hostile_bodies.py

Each body has almost 4 MiB, the most that is read, and is made to cost as much as possible: many empty values, unknown fields,
wrong items, deep or long texts, JSON within JSON. It is decoded, parsed and checked as the function does, up to the request of
the core or its error. The peak of the memory is Python's own count, without the body itself; the CPU time is the less of two
runs. The script fails where one of them takes more than the limits below. It ends by itself after about half a minute.
"""

import asyncio
import base64
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from llm_functions.api_formats import chat, openai_chat
from llm_functions.api_formats.fields import MOST_MESSAGES
from llm_functions.api_formats.openai_responses import request as openai_responses
from llm_functions.http.request_body import read_object
from llm_functions.json_objects import MOST_VALUES
from llm_gateway.call import model_call
from llm_gateway.errors import GatewayError, invalid_request
from llm_gateway.json_schema import closed, text_violation
from llm_gateway.operations import MAX_BODY_BYTES
from llm_gateway.providers.tool_names import fitted
from llm_gateway.request import ChatRequest
from llm_gateway.routes import Alias, Target
from llm_gateway.stages.validate import conversation_problems

MOST_MB = 64.0
MOST_MS = 250.0
RUNS = 2
SHOWN = 20
_CHUNK = 64 * 1024

PARSERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "chat": lambda body: chat.parse(body, stream=False),
    "openai": lambda body: openai_chat.parse(body)[0],
    "responses": openai_responses.parse,
}


def main() -> None:
    rows: list[tuple[float, float, str]] = []
    for name, body in bodies():
        assert len(body) <= MAX_BODY_BYTES, name
        for form, parser in PARSERS.items():
            milliseconds = min(_milliseconds(body, parser) for _ in range(RUNS))
            megabytes, answer = _megabytes(body, parser)
            reason = answer.partition('"message":')[2][:60]
            rows.append((megabytes, milliseconds, f"{name[:52]:52} {form:6} {megabytes:7.1f} {milliseconds:7.1f}  {reason}"))
    worst_mb, worst_ms = max(row[0] for row in rows), max(row[1] for row in rows)
    print(f"of {len(rows)} bodies the {SHOWN} that cost most\n{'':52} {'format':6} {'peak MB':>7} {'CPU ms':>7}  answer")
    for _, _, text in sorted(rows, key=lambda row: -max(row[0] / MOST_MB, row[1] / MOST_MS))[:SHOWN]:
        print(text)
    if worst_mb > MOST_MB or worst_ms > MOST_MS:
        sys.exit(f"more than {MOST_MB:.0f} MB or {MOST_MS:.0f} ms")


def bodies() -> Iterator[tuple[str, bytes]]:
    """Yield hostile bodies with their names."""
    message = '"message": "Hi", '
    user = '{"role": "user", "content": "Hi"}'
    openai = f'"model": "full", "messages": [{user}], '
    for field in ("tools", "messages", "history", "stop", "x"):
        for item in ("{}", "[]", "0", '""', '{"a":0}', '{"role":"user","content":"a"}', "[[[[0]]]]"):
            yield f"{field}: {item}, …", _filled("{" + message + openai + f'"{field}": [', item + ",", item + "]}")
            yield f"{field}: {item}, … below the limit", _at_limit(message + openai + f'"{field}": [', item + ",", item + "]}")
    yield "messages at their limit", _at_limit(message + openai[:-3] + ",", user + ",", user + "]}", most=MOST_MESSAGES - 2)
    yield "unknown fields below the limit", _at_limit(message + openai, lambda n: f'"f{n}": 0,', '"x": 0}')
    yield "unknown fields", _filled("{" + message + openai, lambda n: f'"f{n}": 0,', '"x": 0}')
    yield "unknown fields, long", _filled("{" + message + openai, lambda n: f'"{n:0>900}": 0,', '"x": 0}')
    yield "unknown fields of an item", _filled('{"message": "Hi", "tools": [{', lambda n: f'"f{n}":0,', '"x": 0}]}')
    yield "a deep list", b'{"message": ' + b"[" * (MAX_BODY_BYTES - 20)
    yield "a deep object", _filled('{"message": ', '{"a":', "0")
    yield "a wide text", _filled('{"model": "full", "message": "\U0001f600', "a", '"}')
    yield (
        "wide texts",
        _filled('{"model": "full", "messages": [', '{"role":"system","content":"\U0001f600' + "a" * 4000 + '"},', user + "]}"),
    )
    yield "escapes", _filled('{"model": "full", "message": "', '\\"', '"}')
    yield "escaped backslashes and commas", _filled('{"model": "full", "message": "', "\\\\,", '"}')
    yield "surrogates", _filled('{"model": "full", "message": "', "\\ud83d\\ude00", '"}')
    yield "commas in a text", _filled('{"model": "full", "message": "', ",", '"}')
    yield "a long number", _filled('{"message": "Hi", "max_tokens": 1', "0", "}")
    yield "a long fraction", _filled('{"message": "Hi", "temperature": 0.1', "7", "}")
    yield "no JSON: commas", b"{" + b"," * (MAX_BODY_BYTES - 1)
    yield "no JSON: quotes", b"{" + b'"' * (MAX_BODY_BYTES - 1)
    yield "no JSON: a list that does not end", _filled('{"tools": [', "{},", "")
    yield "white space", b" " * MAX_BODY_BYTES
    call = '{"id":"a","type":"function","function":{"name":"f","arguments":"%s"}},'
    calls = '{"model": "full", "messages": [' + user + ', {"role": "assistant", "tool_calls": ['
    one = call % ('{\\"a\\":[' + "[]," * 1_300_000 + "[]]}")
    yield "JSON in JSON: lists", (calls + one.rstrip(",") + "]}]}").encode()
    yield "JSON in JSON: many", _filled(calls, call % ('{\\"a\\":[' + "[]," * 2_000 + "[]]}"), call.rstrip(",") % "{}" + "]}]}")
    yield (
        "parts of a message",
        _filled(
            '{"model": "full", "messages": [{"role": "user", "content": [',
            '{"type":"text","text":"a"},',
            '{"type":"text","text":"a"}]}]}',
        ),
    )
    yield "tool messages", _filled('{"model": "full", "messages": [', '{"role":"tool","tool_call_id":"a"},', user + "]}")
    yield (
        "calls without answers",
        _filled(
            '{"model": "full", "messages": [' + user + ",",
            '{"role":"assistant","tool_calls":[' + (call % "{}").rstrip(",") + "]},",
            user + "]}",
        ),
    )
    tools = '{"model": "full", "messages": [' + user + '], "tools": ['
    tool = '{"type":"function","function":{"name":"f","parameters":{"a":[%s]}}}'
    yield "schemas", _filled(tools, tool % '{"b":{"c":[{}]}}' + ",", tool % "" + "]}")
    yield "schemas below the limit", _at_limit(tools[1:], tool % '{"b":{"c":[{}]}}' + ",", tool % "" + "]}")
    yield from _schemas()
    yield "a schema below the limit", _at_limit(tools[1:] + tool[:-5], "{},", "{}]}}}]}")


def _schemas() -> Iterator[tuple[str, bytes]]:
    """Yield strict schemas, and items of the Responses API, that cost much beside their values."""
    form = '{"model": "full", "messages": [{"role": "user", "content": "Hi"}], "response_format": {"type": "json_schema", '
    form += '"json_schema": {"name": "a", "strict": true, "schema": {"type": "object", '
    chain = ", ".join(f'"d{n}": {{"$ref": "#/$defs/d{n + 1}"}}' for n in range(20_000))
    yield "a chain of definitions", (form + '"$defs": {' + chain + ', "d20000": {"type": "null"}}}}}}').encode()
    refs, values = ", ".join(['{"$ref": "#/$defs/e"}'] * 10_000), ", ".join(map(str, range(40_000)))
    for rule in ("enum", "required", "type"):
        items = values if rule == "enum" else ", ".join(['"string"' if rule == "type" else '"a"'] * 40_000)
        properties = f'"properties": {{"a": {{"anyOf": [{refs}]}}}}, "$defs": {{"e": {{"{rule}": [{items}]}}}}'
        yield f"references to a long {rule}", (form + properties + "}}}}").encode()
    yield "definitions that are none", (form + '"$defs": 5}}}}').encode()
    responses = '{"model": "full", "input": ['
    first = '{"role": "assistant", "content": "' + "a" * 3_000_000 + '"}'
    yield "items after a long one", (responses + first + ', {"role": "assistant", "content": "z"}' * 9_999 + "]}").encode()
    blocks = base64.b64encode(b"[" + b"{}," * 700_000 + b"{}]").decode()
    yield "many sealed blocks", (responses + f'{{"type": "reasoning", "encrypted_content": "{blocks}"}}]}}').encode()
    deep = base64.b64encode(b'[{"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}]").decode()
    yield "deep sealed blocks", (responses + f'{{"type": "reasoning", "encrypted_content": "{deep}"}}]}}').encode()
    call = '{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}'
    turn = '{"role": "assistant", "tool_calls": [' + ", ".join([call] * 1_000) + "]}"
    answers = ", ".join(['{"role": "tool", "tool_call_id": "x", "content": ""}'])
    turns = ", ".join([f"{turn}, {answers}"] * 9)
    yield "calls of one id", ('{"model": "full", "messages": [{"role": "user", "content": "Hi"}, ' + turns + "]}").encode()


def _filled(before: str, item: str | Callable[[int], str], after: str) -> bytes:
    """Repeat an item until the body is full."""
    room = MAX_BODY_BYTES - len(before.encode()) - len(after.encode())
    if isinstance(item, str):
        return (before + item * (room // len(item.encode())) + after).encode()
    items: list[str] = []
    while (room := room - len(item(len(items)).encode())) >= 0:
        items.append(item(len(items)))
    return (before + "".join(items) + after).encode()


def _at_limit(before: str, item: str | Callable[[int], str], after: str, most: int = MOST_VALUES) -> bytes:
    """Repeat an item until no more values may come, and fill the body with a long text."""
    values = sum((item if isinstance(item, str) else item(0)).count(each) for each in ",:[{")
    number = min((MOST_VALUES - 50) // values, most)
    items = item * number if isinstance(item, str) else "".join(map(item, range(number)))
    rest = before + items + after
    return ('{"user": "' + "a" * (MAX_BODY_BYTES - len(rest) - 13) + '", ' + rest).encode()


def _milliseconds(body: bytes, parser: Callable[[dict[str, Any]], Any]) -> float:
    began = time.process_time()
    _parse(body, parser)
    return (time.process_time() - began) * 1000


def _megabytes(body: bytes, parser: Callable[[dict[str, Any]], Any]) -> tuple[float, str]:
    tracemalloc.start()
    try:
        answer = _parse(body, parser)
        return tracemalloc.get_traced_memory()[1] / 1e6, answer
    finally:
        tracemalloc.stop()


def _parse(body: bytes, parser: Callable[[dict[str, Any]], Any]) -> str:
    """Return the text of the error, "" for none."""
    chunks = [body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    try:
        request = parser(asyncio.run(read_object({}, receive)))
        problems = conversation_problems(request.messages)
        if problems:
            raise invalid_request(problems)
        _call(request)
    except GatewayError as error:
        return msgspec.json.encode(error.body("1")).decode()
    return ""


def _call(request: ChatRequest) -> None:
    """Make of the request what a dialect sends, as far as its cost depends on the caller."""
    schemas = [tool.parameters for tool in request.tools if tool.strict]
    if request.response_format is not None:
        schemas.append(request.response_format.schema)
    for schema in schemas:
        closed(schema)
        text_violation(schema, '{"a": "x"}')
    target = Target("t", "p", "m", 1, 1, ("tools",))
    fitted(model_call(request, Alias("full", (target,)), target, 0.0), re.compile("[a-zA-Z0-9_-]{1,64}"))


if __name__ == "__main__":
    main()
