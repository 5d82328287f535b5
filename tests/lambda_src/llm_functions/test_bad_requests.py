"""What a caller gets wrong: one table over both dialects. No such request reaches a model; each answer says what to mend."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from llm_gateway.operations import MAX_BODY_BYTES

CHAT, STREAM, OPENAI = "/chat", "/chat/stream", "/v1/chat/completions"
USER = [{"role": "user", "content": "Hi"}]
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}


class Never:
    """A provider that no bad request may reach."""

    async def answer(self, call: Any) -> AsyncGenerator[Any, None]:
        raise AssertionError("a bad request reached the model")
        yield


def chat(**fields: Any) -> dict[str, Any]:
    return {"message": "Hi", **fields}


def allowed(*tools: Any, mode: str = "auto") -> Any:
    """A tool choice that allows some tools only."""
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def openai(**fields: Any) -> dict[str, Any]:
    return {"model": "full", "messages": USER, **fields}


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def said(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [part]}


PNG = _image("data:image/png;base64,AAAA")
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}}

# name: method, path, body (bytes as they are, else JSON), status, code, param, parts of the message
BAD = "invalid_value"
TABLE: dict[str, tuple[Any, ...]] = {
    # the body
    "no body": ("POST", CHAT, b"", 400, "invalid_json", None, ["body is empty"]),
    "only white space": ("POST", CHAT, b" \r\n", 400, "invalid_json", None, ["body is empty"]),
    "no body for the stream": ("POST", STREAM, b"", 400, "invalid_json", None, ["body is empty"]),
    "no body for OpenAI": ("POST", OPENAI, b"", 400, "invalid_json", None, ["body is empty"]),
    "not JSON": ("POST", CHAT, b"message=Hi", 400, "invalid_json", None, ["not JSON"]),
    "half of a JSON": ("POST", OPENAI, b'{"model": "full', 400, "invalid_json", None, ["not JSON"]),
    "JSON and more": ("POST", CHAT, b'{"message": "Hi"} {}', 400, "invalid_json", None, ["not JSON"]),
    "not UTF-8": ("POST", CHAT, b'{"message": "\xff"}', 400, "invalid_json", None, ["not JSON"]),
    "NaN": ("POST", CHAT, b'{"message": "Hi", "temperature": NaN}', 400, "invalid_json", None, ["not JSON"]),
    "a list": ("POST", CHAT, [], 400, "invalid_json", None, ["must be a JSON object"]),
    "a string": ("POST", STREAM, "Hi", 400, "invalid_json", None, ["must be a JSON object"]),
    "a number": ("POST", OPENAI, 5, 400, "invalid_json", None, ["must be a JSON object"]),
    "null": ("POST", CHAT, b"null", 400, "invalid_json", None, ["must be a JSON object"]),
    "a JSON that is too deep": (
        *("POST", CHAT, b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        *(400, "invalid_json", None, []),
    ),
    "a number that no JSON number type holds": (
        *("POST", CHAT, b'{"message": "Hi", "temperature": 1e999}', 400, "invalid_json", None, ["out of range"]),
    ),
    # message and prompt
    "neither message nor prompt": ("POST", CHAT, {}, 400, BAD, "message", ["is required"]),
    "neither, streamed": ("POST", STREAM, {}, 400, BAD, "message", ["is required"]),
    "both": ("POST", CHAT, {"message": "a", "prompt": "b"}, 400, BAD, "message", ["not both"]),
    "an empty message": ("POST", CHAT, {"message": ""}, 400, BAD, "message", ["must not be empty"]),
    "a blank prompt": ("POST", CHAT, {"prompt": " \n"}, 400, BAD, "prompt", ["must not be empty"]),
    "a message of another type": ("POST", CHAT, {"message": 5}, 400, BAD, "message", ["a string, not a number"]),
    "a prompt of another type": ("POST", CHAT, {"prompt": ["Hi"]}, 400, BAD, "prompt", ["a string, not a list"]),
    # every bound and every type
    "max_tokens too low": ("POST", CHAT, chat(max_tokens=0), 400, BAD, "max_tokens", ["between 1 and 4000, not 0"]),
    "max_tokens too high": ("POST", CHAT, chat(max_tokens=4001), 400, BAD, "max_tokens", ["1 and 4000, not 4001"]),
    "max_tokens streamed": ("POST", STREAM, chat(max_tokens=4001), 400, BAD, "max_tokens", ["between 1 and 4000"]),
    "max_tokens huge": ("POST", CHAT, chat(max_tokens=10**400), 400, BAD, "max_tokens", ["between 1 and 4000"]),
    "max_tokens no integer": ("POST", CHAT, chat(max_tokens=1.5), 400, BAD, "max_tokens", ["whole number"]),
    "max_tokens text": ("POST", CHAT, chat(max_tokens="9"), 400, BAD, "max_tokens", ["whole number", "not a string"]),
    "max_tokens boolean": ("POST", CHAT, chat(max_tokens=True), 400, BAD, "max_tokens", ["not a boolean"]),
    "temperature too low": ("POST", CHAT, chat(temperature=-0.1), 400, BAD, "temperature", ["0 and 2, not -0.1"]),
    "temperature too high": ("POST", CHAT, chat(temperature=2.1), 400, BAD, "temperature", ["0 and 2, not 2.1"]),
    "temperature huge": (*("POST", CHAT, chat(temperature=10**400), 400, BAD, "temperature", ["between 0 and 2"]),),
    "temperature text": ("POST", CHAT, chat(temperature="hot"), 400, BAD, "temperature", ["a number", "not a string"]),
    "temperature boolean": ("POST", CHAT, chat(temperature=False), 400, BAD, "temperature", ["not a boolean"]),
    "top_p too low": ("POST", CHAT, chat(top_p=-1), 400, BAD, "top_p", ["between 0 and 1, not -1"]),
    "top_p too high": ("POST", CHAT, chat(top_p=1.01), 400, BAD, "top_p", ["between 0 and 1, not 1.01"]),
    "top_p object": ("POST", CHAT, chat(top_p={}), 400, BAD, "top_p", ["not an object"]),
    "stop empty": ("POST", CHAT, chat(stop=""), 400, BAD, "stop", ["none of them empty"]),
    "stop with an empty one": ("POST", CHAT, chat(stop=["a", ""]), 400, BAD, "stop", ["none of them empty"]),
    "stop number": ("POST", CHAT, chat(stop=5), 400, BAD, "stop", ["a string or a list of strings"]),
    "stop of numbers": ("POST", CHAT, chat(stop=["a", 5]), 400, BAD, "stop", ["a string or a list of strings"]),
    "stop too many": ("POST", CHAT, chat(stop=list("abcdefghijklmnopq")), 400, BAD, "stop", ["at most 16, not 17"]),
    "model of another type": ("POST", CHAT, chat(model=5), 400, BAD, "model", ["must be a string"]),
    "system_prompt of another type": ("POST", CHAT, chat(system_prompt=[]), 400, BAD, "system_prompt", ["not a list"]),
    "history no list": ("POST", CHAT, chat(history={}), 400, BAD, "history", ["a list of objects, not an object"]),
    "history of texts": ("POST", CHAT, chat(history=["Hi"]), 400, BAD, "history[0]", ["an object, not a string"]),
    "history without role": ("POST", CHAT, chat(history=[{"content": "a"}]), 400, BAD, "history[0].role", ["required"]),
    "history with another role": (
        *("POST", CHAT, chat(history=[{"role": "system", "content": "a"}])),
        *(400, BAD, "history[0].role", ["'user' or 'assistant', not 'system'"]),
    ),
    "history without content": ("POST", CHAT, chat(history=[{"role": "user"}]), 400, BAD, "history[0].content", ["required"]),
    "history with more": (
        *("POST", CHAT, chat(history=[*USER, {"role": "assistant", "content": "a", "text": "b"}])),
        *(400, BAD, "history[1].text", ["is not known"]),
    ),
    "OpenAI: max_tokens too low": ("POST", OPENAI, openai(max_tokens=0), 400, BAD, "max_tokens", ["at least 1, not 0"]),
    "OpenAI: max_completion_tokens": (
        *("POST", OPENAI, openai(max_completion_tokens=-1), 400, BAD, "max_completion_tokens", ["at least 1"]),
    ),
    "OpenAI: temperature": ("POST", OPENAI, openai(temperature=3), 400, BAD, "temperature", ["between 0 and 2"]),
    "OpenAI: top_p": ("POST", OPENAI, openai(top_p=3), 400, BAD, "top_p", ["between 0 and 1"]),
    "OpenAI: stop": ("POST", OPENAI, openai(stop=list("abcde")), 400, BAD, "stop", ["at most 4, not 5"]),
    "OpenAI: stream": ("POST", OPENAI, openai(stream="yes"), 400, BAD, "stream", ["true or false, not a string"]),
    # unknown fields
    "a near miss": ("POST", CHAT, chat(max_token=5), 400, BAD, "max_token", ["did you mean 'max_tokens'?"]),
    "OpenAI: a near miss": ("POST", OPENAI, openai(temprature=1), 400, BAD, "temprature", ["mean 'temperature'?"]),
    "nothing near": ("POST", CHAT, chat(zzz=5), 400, BAD, "zzz", ["not known", "history, max_tokens, message"]),
    # several mistakes at once
    "all mistakes": (
        *("POST", CHAT, {"mesage": "Hi", "max_tokens": 0, "temperature": 9, "top_p": "x", "stop": [1], "history": [1]}),
        *(400, BAD, "message", ["mesage: ", "max_tokens: ", "temperature: ", "top_p: ", "stop: ", "history[0]: "]),
    ),
    "OpenAI: all mistakes": (
        *("POST", OPENAI, {"messages": [{"role": "robot"}, {"content": 5}], "n": 2, "tools": [{}], "stream_options": {}}),
        *(400, BAD, "model", ["model: ", "messages[0].role: ", "messages[1].role: ", "n: ", "tools[0].type: "]),
    ),
    # models
    "unknown model": ("POST", CHAT, chat(model="gpt"), 404, "model_not_found", "model", ["'gpt'", "full, bare, exclusive"]),
    "unknown model streamed": ("POST", STREAM, chat(model="gpt"), 404, "model_not_found", "model", ["'gpt'"]),
    "OpenAI: unknown model": ("POST", OPENAI, openai(model="gpt"), 404, "model_not_found", "model", ["'gpt'"]),
    "OpenAI: no model": ("POST", OPENAI, {"messages": USER}, 400, BAD, "model", ["is required"]),
    # what the target does not accept
    "temperature not taken": (
        *("POST", CHAT, chat(model="bare", temperature=0.5), 400, BAD, "temperature", ["does not take it; leave it out"]),
    ),
    "all that is not taken": (
        *("POST", CHAT, chat(model="bare", temperature=0, top_p=0, stop="a", system_prompt="b", max_tokens=101)),
        *(400, BAD, "max_tokens", ["at most 100, not 101", "temperature: ", "top_p: ", "system_prompt: "]),
    ),
    "an exclusive pair": (
        *("POST", CHAT, chat(model="exclusive", temperature=0.5, top_p=0.5), 400, BAD, "top_p", ["temperature or top_p"]),
    ),
    "temperature beyond the model's bound": (
        *("POST", CHAT, chat(temperature=1.5), 400, BAD, "temperature", ["takes 0 to 1, not 1.5"]),
    ),
    "OpenAI: temperature beyond the model's bound": (
        *("POST", OPENAI, openai(temperature=1.5), 400, BAD, "temperature", ["takes 0 to 1, not 1.5"]),
    ),
    "OpenAI: tools on a model without": (
        *("POST", OPENAI, openai(model="bare", tools=[WEATHER]), 400, BAD, "tools", ["does not take it"]),
    ),
    "OpenAI: earlier calls on a model without": (
        "POST",
        OPENAI,
        openai(model="bare", messages=[*USER, CALLED, {"role": "tool", "content": "1", "tool_call_id": "call_1"}]),
        *(400, BAD, "tools", ["does not take it"]),
    ),
    "OpenAI: a system message on a model without": (
        *("POST", OPENAI, openai(model="bare", messages=[{"role": "system", "content": "Be brief."}, *USER])),
        *(400, BAD, "messages[0].role", ["does not take"]),
    ),
    # the conversation's rules
    "OpenAI: no messages": ("POST", OPENAI, openai(messages=[]), 400, BAD, "messages", ["at least one message"]),
    "OpenAI: messages missing": ("POST", OPENAI, {"model": "full"}, 400, BAD, "messages", ["is required"]),
    "OpenAI: a result without a call": (
        *("POST", OPENAI, openai(messages=[*USER, {"role": "tool", "content": "1", "tool_call_id": "call_9"}])),
        *(400, BAD, "messages[1].tool_call_id", ["'call_9' answers no tool call"]),
    ),
    "OpenAI: a result without an id": (
        *("POST", OPENAI, openai(messages=[*USER, CALLED, {"role": "tool", "content": "1"}])),
        *(400, BAD, "messages[2].tool_call_id", ["is required"]),
    ),
    "OpenAI: calls without a result": (
        *("POST", OPENAI, openai(messages=[*USER, CALLED, *USER]), 400, BAD, "messages[2]", ["call_1 have no answer"]),
    ),
    "OpenAI: one of two calls without a result": (
        "POST",
        OPENAI,
        openai(
            messages=[
                *USER,
                {**CALLED, "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
                {"role": "tool", "content": "1", "tool_call_id": "call_1"},
            ]
        ),
        *(400, BAD, "messages[2]", ["call_2 have no answer"]),
    ),
    "OpenAI: an empty message": (
        *("POST", OPENAI, openai(messages=[{"role": "user", "content": ""}])),
        *(400, BAD, "messages[0].content", ["must not be empty"]),
    ),
    "OpenAI: an empty system message, too": (
        *("POST", OPENAI, openai(messages=[{"role": "system", "content": " "}, {"role": "user", "content": ""}])),
        *(400, BAD, "messages[1].content", ["must not be empty"]),
    ),
    "OpenAI: only an empty system message": (
        *("POST", OPENAI, openai(messages=[{"role": "system", "content": ""}]), 400, BAD, "messages", ["at least one"]),
    ),
    "OpenAI: the calls come last": (
        *("POST", OPENAI, openai(messages=[*USER, CALLED]), 400, BAD, "messages[1]", ["call_1 have no answer"]),
    ),
    "OpenAI: the older form of a result": (
        *("POST", OPENAI, openai(messages=[*USER, {"role": "function", "name": "f", "content": "1"}])),
        *(400, BAD, "messages[1].role", ["use tools"]),
    ),
    "OpenAI: the older form of a call": (
        "POST",
        OPENAI,
        openai(messages=[{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, *USER]),
        *(400, BAD, "messages[0].function_call", ["use tools"]),
    ),
    "OpenAI: an unknown role": (
        *("POST", OPENAI, openai(messages=[{"role": "robot", "content": "a"}])),
        *(400, BAD, "messages[0].role", ["not 'robot'"]),
    ),
    "OpenAI: an unknown member of a message": (
        *("POST", OPENAI, openai(messages=[{"role": "user", "content": "a", "contents": "b"}])),
        *(400, BAD, "messages[0].contents", ["did you mean 'content'?"]),
    ),
    "OpenAI: content of another type": (
        *("POST", OPENAI, openai(messages=[{"role": "user", "content": 5}]), 400, BAD, "messages[0].content", ["not a number"]),
    ),
    "OpenAI: an image": (
        *("POST", OPENAI, openai(messages=[said(PNG)]), 400, BAD, "messages[0].content", ["full does not take images"]),
    ),
    "OpenAI: a file": (
        *("POST", OPENAI, openai(messages=[said(PDF)]), 400, BAD, "messages[0].content", ["full does not take documents"]),
    ),
    "OpenAI: an address without https": (
        *("POST", OPENAI, openai(messages=[said(_image("http://169.254.169.254/latest"))])),
        *(400, BAD, "messages[0].content[0].image_url.url", ["must be https://"]),
    ),
    "OpenAI: an image that no model reads": (
        *("POST", OPENAI, openai(messages=[said(_image("data:image/tiff;base64,AAAA"))])),
        *(400, BAD, "messages[0].content[0].image_url.url", ["png, jpeg, gif, webp"]),
    ),
    "OpenAI: an image that is no base64": (
        *("POST", OPENAI, openai(messages=[said(_image("data:image/png;base64,AAA"))])),
        *(400, BAD, "messages[0].content[0].image_url.url", ["base64"]),
    ),
    "OpenAI: an image without its address": (
        *("POST", OPENAI, openai(messages=[said({"type": "image_url"})])),
        *(400, BAD, "messages[0].content[0].image_url", ["is required"]),
    ),
    "OpenAI: an image of the system": (
        *("POST", OPENAI, openai(messages=[{"role": "system", "content": [PNG]}, *USER])),
        *(400, BAD, "messages[0].content[0].type", ["only 'text'", "'image_url'"]),
    ),
    "OpenAI: a file that is kept elsewhere": (
        *("POST", OPENAI, openai(messages=[said({"type": "file", "file": {"file_id": "f"}})])),
        *(400, BAD, "messages[0].content[0].file.file_id", ["send file_data"]),
    ),
    "OpenAI: a file of no known type": (
        *("POST", OPENAI, openai(messages=[said({"type": "file", "file": {"file_data": "AAAA", "filename": "a.exe"}})])),
        *(400, BAD, "messages[0].content[0].file.file_data", ["pdf, txt"]),
    ),
    "OpenAI: sound in a message": (
        *("POST", OPENAI, openai(messages=[said({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})])),
        *(400, BAD, "messages[0].content[0].type", ["sound is not possible"]),
    ),
    "OpenAI: a text part without text": (
        *("POST", OPENAI, openai(messages=[{"role": "user", "content": [{"type": "text"}]}])),
        *(400, BAD, "messages[0].content[0].text", ["is required"]),
    ),
    # OpenAI's own parameters
    "OpenAI: n": ("POST", OPENAI, openai(n=2), 400, BAD, "n", ["only 1 is possible"]),
    "OpenAI: logprobs": ("POST", OPENAI, openai(logprobs=True), 400, BAD, "logprobs", ["full does not take it"]),
    "OpenAI: top_logprobs alone": ("POST", OPENAI, openai(top_logprobs=1), 400, BAD, "top_logprobs", ["needs logprobs"]),
    "OpenAI: top_logprobs": (
        *("POST", OPENAI, openai(logprobs=True, top_logprobs=21), 400, BAD, "top_logprobs", ["between 0 and 20"]),
    ),
    "OpenAI: logit_bias": ("POST", OPENAI, openai(logit_bias={"1": 5}), 400, BAD, "logit_bias", ["does not take it"]),
    "OpenAI: a penalty too high": (
        *("POST", OPENAI, openai(presence_penalty=2.5), 400, BAD, "presence_penalty", ["between -2 and 2"]),
    ),
    "OpenAI: what is kept": ("POST", OPENAI, openai(store=True), 400, BAD, "store", ["no answer is kept"]),
    "OpenAI: sound": (
        "POST",
        OPENAI,
        openai(modalities=["audio"], audio={}),
        400,
        BAD,
        "modalities",
        ["answers are text", "audio:"],
    ),
    "OpenAI: search": ("POST", OPENAI, openai(web_search_options={}), 400, BAD, "web_search_options", ["offer a tool"]),
    "OpenAI: older tools": (
        *("POST", OPENAI, openai(functions=[{"name": "f"}], function_call={"name": "f"})),
        *(400, BAD, "functions", ["use tools", "use tool_choice"]),
    ),
    "OpenAI: hints of another type": (
        *("POST", OPENAI, openai(seed="1", user=2, metadata=[], verbosity="loud")),
        *(400, BAD, "seed", ["seed: must be a whole number", "user: ", "metadata: ", "verbosity: must be low, medium or high"]),
    ),
    "OpenAI: penalty": ("POST", OPENAI, openai(presence_penalty=0.5), 400, BAD, "presence_penalty", ["does not take it"]),
    "OpenAI: both bounds": (
        *("POST", OPENAI, openai(max_tokens=5, max_completion_tokens=6), 400, BAD, "max_tokens", ["not both"]),
    ),
    "OpenAI: stream_options without stream": (
        *("POST", OPENAI, openai(stream_options={"include_usage": True}), 400, BAD, "stream_options", ["only with stream"]),
    ),
    "OpenAI: unknown stream option": (
        *("POST", OPENAI, openai(stream=True, stream_options={"include_usag": True})),
        *(400, BAD, "stream_options.include_usag", ["mean 'include_usage'?"]),
    ),
    "OpenAI: tools no list": ("POST", OPENAI, openai(tools=WEATHER), 400, BAD, "tools", ["a list of objects"]),
    "OpenAI: a tool of another type": (
        *("POST", OPENAI, openai(tools=[{**WEATHER, "type": "retrieval"}]), 400, BAD, "tools[0].type", ["only 'function'"]),
    ),
    "OpenAI: a tool without function": (
        *("POST", OPENAI, openai(tools=[{"type": "function"}]), 400, BAD, "tools[0].function", ["is required"]),
    ),
    "OpenAI: a tool without name": (
        "POST",
        OPENAI,
        openai(tools=[{"type": "function", "function": {}}]),
        400,
        BAD,
        "tools[0].function.name",
        ["required"],
    ),
    "OpenAI: a tool with a blank name": (
        *("POST", OPENAI, openai(tools=[{"type": "function", "function": {"name": " "}}])),
        *(400, BAD, "tools[0].function.name", ["must not be empty"]),
    ),
    "OpenAI: two tools of one name": (
        *("POST", OPENAI, openai(tools=[WEATHER, {"type": "function", "function": {"name": "get_weather", "strict": True}}])),
        *(400, BAD, "tools", ["one tool of the name 'get_weather'"]),
    ),
    "OpenAI: a tool whose parameters are no object's": (
        *("POST", OPENAI, openai(tools=[{"type": "function", "function": {"name": "a", "parameters": {"type": "string"}}}])),
        *(400, BAD, "tools[0].function.parameters.type", ["must be 'object', not 'string'"]),
    ),
    "OpenAI: a tool whose parameters are no schema": (
        *("POST", OPENAI, openai(tools=[{"type": "function", "function": {"name": "a", "parameters": []}}])),
        *(400, BAD, "tools[0].function.parameters", ["a JSON Schema, not a list"]),
    ),
    "OpenAI: an unknown member of a tool": (
        *("POST", OPENAI, openai(tools=[{"type": "function", "function": {"name": "a", "parameter": {}}}])),
        *(400, BAD, "tools[0].function.parameter", ["mean 'parameters'?"]),
    ),
    "OpenAI: tool_choice of another kind": (
        *("POST", OPENAI, openai(tools=[WEATHER], tool_choice="any"), 400, BAD, "tool_choice", ["must be 'auto'"]),
    ),
    "OpenAI: tool_choice of a tool that is not there": (
        *("POST", OPENAI, openai(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "x"}})),
        *(400, BAD, "tool_choice", ["there is no tool 'x'"]),
    ),
    "OpenAI: a tool is allowed that is not there": (
        *("POST", OPENAI, openai(tools=[WEATHER], tool_choice=allowed({"type": "function", "function": {"name": "x"}}))),
        *(400, BAD, "tool_choice", ["there is no tool 'x'"]),
    ),
    "OpenAI: no tool is allowed": (
        *("POST", OPENAI, openai(tools=[WEATHER], tool_choice=allowed())),
        *(400, BAD, "tool_choice", ["allows none of the tools"]),
    ),
    "OpenAI: tools are allowed in another mode": (
        *("POST", OPENAI, openai(tools=[WEATHER], tool_choice=allowed(mode="none"))),
        *(400, BAD, "tool_choice", ["mode must be 'auto' or 'required'"]),
    ),
    "OpenAI: tool_choice required without tools": (
        *("POST", OPENAI, openai(tool_choice="required"), 400, BAD, "tool_choice", ["needs tools"]),
    ),
    "OpenAI: an earlier call without an id": (
        *("POST", OPENAI, openai(messages=[*USER, {**CALLED, "tool_calls": [{"function": CALL["function"]}]}])),
        *(400, BAD, "messages[1].tool_calls[0].id", ["is required"]),
    ),
    "OpenAI: an earlier call without a function": (
        *("POST", OPENAI, openai(messages=[*USER, {**CALLED, "tool_calls": [{"id": "a"}]}])),
        *(400, BAD, "messages[1].tool_calls[0].function", ["is required"]),
    ),
    "OpenAI: an earlier call whose arguments are too deep": (
        "POST",
        OPENAI,
        openai(
            messages=[
                *USER,
                {
                    **CALLED,
                    "tool_calls": [
                        {"id": "a", "function": {"name": "b", "arguments": '{"a":' + "[" * 50_000 + "]" * 50_000 + "}"}}
                    ],
                },
            ]
        ),
        *(400, BAD, "messages[1].tool_calls[0].function.arguments", []),
    ),
    # routes and methods
    "a base URL without /v1": (
        "POST",
        "/chat/completions",
        openai(),
        404,
        "unknown_route",
        None,
        ["base URL", "ends with /v1"],
    ),
    "a base URL with /v1 twice": ("POST", "/v1/v1/messages", openai(), 404, "unknown_route", None, ["ends before /v1"]),
    "a route misspelt": ("POST", "/v1/completion", openai(), 404, "unknown_route", None, ["did you mean POST /v1/completions"]),
    "unknown route": ("POST", "/chats", chat(), 404, "unknown_route", None, ["POST /chats", "/openapi.json"]),
    "unknown route by GET": ("GET", "/", None, 404, "unknown_route", None, ["GET /"]),
    "a slash too many": ("POST", "/chat/", chat(), 404, "unknown_route", None, ["POST /chat/"]),
    "a route with signs": ("GET", '/%ff%0d%0a"', None, 404, "unknown_route", None, ["GET /"]),
}


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "param", "parts"), TABLE.values(), ids=TABLE)
async def test_a_bad_request(gateway, method, path, body, status, code, param, parts) -> None:
    service = await gateway(provider=Never())
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    response = await service.http.request(method, path, content=content)
    error = service.error_of(response)
    assert (response.status_code, error["code"], error.get("param")) == (status, code, param), error
    assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    for part in parts:
        assert part in error["message"]


# A method and a path that has others -> those, and whether errors there have Anthropic's shape.
WRONG_METHODS: dict[str, tuple[str, str, str, bool]] = {
    "of chat": ("GET", CHAT, "POST", False),
    "of the stream": ("PUT", STREAM, "POST", False),
    "of a path below one with a parameter": ("DELETE", STREAM, "POST", False),
    "of OpenAI": ("DELETE", OPENAI, "POST", False),
    "of the models": ("POST", "/v1/models", "GET", False),
    "of one model": ("DELETE", "/v1/models/a/b", "GET", False),
    "of Anthropic": ("GET", "/v1/messages", "POST", True),
    "of counting": ("PATCH", "/v1/messages/count_tokens", "POST", True),
    "a head": ("HEAD", "/health", "GET", False),
    "options": ("OPTIONS", OPENAI, "POST", False),
}


@pytest.mark.parametrize(("method", "path", "allowed", "is_anthropic"), WRONG_METHODS.values(), ids=WRONG_METHODS)
async def test_a_wrong_method(gateway, method: str, path: str, allowed: str, is_anthropic: bool) -> None:
    """RFC 9110, section 15.5.6. The path is there whoever asks, so no key is needed to learn that."""
    service = await gateway(provider=Never(), authorization="api_key")
    response = await service.http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert ("request-id" in response.headers) is is_anthropic
    if method == "HEAD":
        assert response.content == b""
        return
    error = service.error_of(response)
    assert (error["code"], error["type"]) == ("method_not_allowed", "invalid_request_error")
    assert error["message"].startswith(f"{path} takes {allowed}, not {method};")
    assert (response.json().get("type") == "error") is is_anthropic


JSON_TYPES = (
    None,
    "",
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=utf-8",
    "application/vnd.api+json",
)
# What clients send that name none themselves: `curl -d`, urllib, fetch with a text, forms.
OTHER_TYPES = (
    "application/x-www-form-urlencoded",
    "text/plain;charset=UTF-8",
    "multipart/form-data; boundary=x",
    "text/json",
    "application/octet-stream",
    "application/jsonl",
    "json",
    "x" * 200,
)


@pytest.mark.parametrize("path", [CHAT, OPENAI, "/v1/messages"])
async def test_a_body_is_json_by_its_type(gateway, bedrock, path: str) -> None:
    service = await gateway((await bedrock()).url)
    body = chat() if path == CHAT else openai(model="full", max_tokens=9)
    for content_type in (*JSON_TYPES, *OTHER_TYPES):
        headers = {} if content_type is None else {"content-type": content_type}
        response = await service.http.post(path, content=json.dumps(body).encode(), headers=headers)
        if content_type in JSON_TYPES:
            assert response.status_code == 200, (content_type, response.text)
            continue
        assert content_type is not None
        error = service.error_of(response)
        assert (response.status_code, error["code"]) == (415, "unsupported_media_type"), content_type
        assert "Content-Type: application/json" in error["message"] and content_type[:60] in error["message"]
        assert len(error["message"]) < 200


LONG = "\x7f\u20ac" * 50_000
REFLECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "a model": (CHAT, chat(model=LONG)),
    "a role": (CHAT, chat(history=[{"role": LONG, "content": "x"}])),
    "a field": (CHAT, chat(**{LONG: 1})),
    "many fields": (CHAT, chat(**{f"{LONG[:900]}{n}": n for n in range(100)})),
    "a role for OpenAI": (OPENAI, openai(messages=[{"role": LONG, "content": "x"}])),
    "a part for OpenAI": (OPENAI, openai(messages=[{"role": "user", "content": [{"type": LONG, "text": "x"}]}])),
    "an effort for OpenAI": (OPENAI, openai(reasoning_effort=LONG)),
    "a tool for OpenAI": (OPENAI, openai(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": LONG}})),
    "tool calls for OpenAI": (
        OPENAI,
        openai(messages=[*USER, {**CALLED, "tool_calls": [{**CALL, "id": f"{LONG[:900]}{n}"} for n in range(50)]}, *USER]),
    ),
    "an answer for OpenAI": (OPENAI, openai(messages=[*USER, {"role": "tool", "tool_call_id": LONG, "content": "x"}])),
}


@pytest.mark.parametrize(("path", "body"), REFLECTED.values(), ids=REFLECTED)
async def test_an_error_repeats_little_and_the_log_nothing(gateway, path: str, body: dict[str, Any], capfdbinary: Any) -> None:
    """An error has to fit into a message of a WebSocket, and a caller's words are none for a log."""
    service = await gateway(provider=Never())
    capfdbinary.readouterr()
    response = await service.http.post(path, content=json.dumps(body).encode())
    error = service.error_of(response)
    assert len(json.dumps(error)) < 32_000
    assert LONG[:65] not in error["message"]
    [logged] = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert (logged["error.type"], "error.message" in logged) == (error["code"], False)
    assert all(len(str(value)) < 100 for value in logged.values())


def full(before: str, item: str, after: str) -> bytes:
    """A body of 4 MiB, full of items."""
    return f"{before}{item * ((4 * 1024 * 1024 - len(before) - len(after)) // len(item))}{after}".encode()


_ARGUMENTS = '{"id": "a", "function": {"name": "f", "arguments": "[%s]"}}' % ("[]," * 10_000)
_TURN = '{"role": "user", "content": "a"},'
_RESULT = '{"role": "tool", "content": "a", "tool_call_id": "b"},'
# body, a part of the error; the benchmark has many more of them
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty tools": (full('{"model": "full", "tools": [', "{},", "{}]}"), "more than 100,000 names and values"),
    "unknown fields": (full("{", '"a": 0, ', '"b": 0}'), "more than 100,000 names and values"),
    "quotes": (full("{", '"', "}"), "it is not JSON"),
    "JSON in JSON": (
        full('{"model": "full", "messages": [{"role": "assistant", "tool_calls": [', _ARGUMENTS + ",", _ARGUMENTS + "]}]}"),
        "holds, with the ones before it, more than 100,000 names and values",
    ),
    "messages": (f'{{"model": "full", "messages": [{_TURN * 10_000}{_TURN[:-1]}]}}'.encode(), "at most 10,000, not 10,001"),
    "wrong messages": (b'{"model": "full", "messages": [' + b"1, " * 9_000 + b"1]}", "and more"),
    "a stop sequence": (full('{"model": "full", "messages": [], "stop": ["', "a", '"]}'), "at most 500 characters each"),
    "wrong turns": (f'{{"model": "full", "messages": [{_RESULT * 9_000}{_TURN[:-1]}]}}'.encode(), "and more"),
}


@pytest.mark.parametrize(("body", "part"), HOSTILE.values(), ids=HOSTILE)
async def test_a_body_that_stands_for_much_more_than_its_size(gateway, body: bytes, part: str) -> None:
    service = await gateway(provider=Never())
    tracemalloc.start()
    try:
        response = await service.http.post(OPENAI, content=body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert response.status_code == 400 and part in service.error_of(response)["message"]
    assert peak < 64_000_000 and len(response.content) < 32_000


async def test_a_long_text_is_no_hostile_body(gateway) -> None:
    """Whatever it has of the characters that stand between values."""
    service = await gateway()
    for text in ("[{,:" * 500_000, '\\"' * 1_000_000, "\\\\" * 500_000 + ","):
        assert (await service.post(CHAT, chat(message=text, model="mock"))).status_code == 200


@pytest.mark.parametrize("said", [{"temperature": 0.5}, {"top_p": 0.5}, {"system_prompt": "a"}])
async def test_what_a_model_does_not_take_is_told_without_the_accounts_number(gateway, said: dict[str, Any]) -> None:
    service = await gateway(provider=Never())
    response = await service.post(CHAT, chat(model="arn", **said))
    error = service.error_of(response)
    assert (response.status_code, [error["param"]]) == (400, list(said))
    assert "arn does not take" in error["message"] and "123456789012" not in response.text


async def test_a_model_that_the_key_may_not_use(gateway) -> None:
    service = await gateway(provider=Never(), authorization="api_key")
    headers = service.context({"tenant": "acme", "key": "ci", "models": '["bare","mock"]'})
    for path, body in ((CHAT, chat(model="full")), (STREAM, chat(model="full")), (OPENAI, openai())):
        response = await service.post(path, body, headers)
        error = service.error_of(response)
        assert (response.status_code, error["type"], error["code"]) == (403, "permission_error", "model_not_allowed")
        assert error["param"] == "model" and "bare, mock" in error["message"] and "exclusive" not in error["message"]
        response = await service.post(path, {**body, "model": "gpt"}, headers)
        assert response.status_code == 404 and "exclusive" not in service.error_of(response)["message"]


async def test_without_a_model_the_first_allowed_one_answers(gateway) -> None:
    service = await gateway(provider=Never(), authorization="api_key")
    headers = service.context({"tenant": "acme", "key": "ci", "models": '["mock"]'})
    assert (await service.post(CHAT, chat(), headers)).json()["model"] == "mock"


# The body's size.


@pytest.mark.parametrize("path", [CHAT, STREAM, OPENAI])
async def test_a_body_of_a_length_beyond_the_limit(gateway, path: str) -> None:
    service = await gateway(provider=Never())
    response = await service.http.post(path, content=b'{"message": "' + b"a" * MAX_BODY_BYTES + b'"}')
    error = service.error_of(response)
    assert (response.status_code, error["type"], error["code"]) == (413, "invalid_request_error", "request_too_large")
    assert "4,194,304 bytes" in error["message"]
    assert (await service.post(CHAT, chat(model="mock"))).status_code == 200  # the connection serves on


async def test_a_body_is_refused_by_its_length_before_it_is_sent(gateway) -> None:
    service = await gateway(provider=Never())
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /chat HTTP/1.1\r\nhost: {host}\r\ncontent-length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    writer.write(head.encode())
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_a_body_in_chunks_beyond_the_limit(gateway) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(MAX_BODY_BYTES // 65536 + 1):
            yield b" " * 65536

    service = await gateway(provider=Never())
    response = await service.http.post(CHAT, content=pieces())
    assert response.status_code == 413 and service.error_of(response)["code"] == "request_too_large"


async def test_a_body_at_the_limit_in_chunks_is_read(gateway) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        body = json.dumps(chat(model="mock")).encode()
        yield b" " * (MAX_BODY_BYTES - len(body))
        yield body

    service = await gateway(provider=Never())
    response = await service.http.post(CHAT, content=pieces())
    assert (response.status_code, response.json().get("message")) == (200, "You said: Hi")


# Who calls.


ROUTES = [("POST", CHAT, chat()), ("POST", STREAM, chat()), ("POST", OPENAI, openai()), ("GET", "/v1/models", None)]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_without_an_authorizers_word_there_is_no_answer(gateway, method: str, path: str, body: Any) -> None:
    service = await gateway(provider=Never(), authorization="api_key")
    contexts = [{}, service.context(), service.context({}), service.context({"principalId": "x"})]
    for context in contexts:  # a key alone proves nothing here: the authorizer has to have seen it
        headers = {**context, "authorization": "Bearer some-key", "x-api-key": "some-key"}
        response = await service.http.request(method, path, json=body, headers=headers)
        error = service.error_of(response)
        assert (response.status_code, error["type"], error["code"]) == (401, "authentication_error", "missing_api_key")
        assert "some-key" not in response.text


GARBAGE = {
    "text": "garbage",
    "half": '{"requestId":',
    "a list": "[]",
    "null": "null",
    "a number": "5",
    "no UTF-8": b'{"requestId": "\xff"}',
    "deep": "[" * 5000,
}


@pytest.mark.parametrize("authorization", ["none", "api_key"])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_a_broken_request_context_is_no_context(gateway, authorization: str, garbage: Any) -> None:
    service = await gateway(provider=Never(), authorization=authorization)
    response = await service.post(CHAT, chat(model="mock"), {"x-amzn-request-context": garbage})
    if authorization == "none":
        assert response.status_code == 200 and response.json()["request_id"] == response.headers["x-request-id"]
    else:
        assert response.status_code == 401 and service.error_of(response)["code"] == "missing_api_key"


async def test_a_token_that_has_expired_since_api_gateway_asked_the_authorizer(gateway) -> None:
    service = await gateway(provider=Never(), authorization="jwt")
    known = {"tenant": "acme", "key": "me", "models": '"all"'}
    expired = service.context({**known, "expires": str(int(time.time()) - 1)})
    response = await service.http.get("/v1/models", headers=expired)
    assert (response.status_code, service.error_of(response)["code"]) == (401, "invalid_api_key")
    for valid in ({**known, "expires": str(int(time.time()) + 60)}, known):
        assert (await service.http.get("/v1/models", headers=service.context(valid))).status_code == 200


@pytest.mark.parametrize("authorizer", ["tenant", 5, ["tenant"], True])
async def test_an_authorizer_that_is_no_object_is_none(gateway, authorizer: Any) -> None:
    service = await gateway(provider=Never(), authorization="api_key")
    headers = {"x-amzn-request-context": json.dumps({"requestId": "1", "authorizer": authorizer})}
    response = await service.post(CHAT, chat(model="mock"), headers)
    assert response.status_code == 401 and service.error_of(response)["code"] == "missing_api_key"


@pytest.mark.parametrize("garbage", ["garbage", "[]", '{"deadline": "soon"}', '{"deadline": null}'])
async def test_a_broken_lambda_context_is_no_deadline(gateway, garbage: str) -> None:
    service = await gateway(provider=Never())
    response = await service.post(CHAT, chat(model="mock"), {"x-amzn-lambda-context": garbage})
    assert response.status_code == 200


# The cause.


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", [CHAT, STREAM, OPENAI])
async def test_the_cause_of_a_failure_is_shown_only_with_debug(gateway, path: str, debug: bool) -> None:
    service = await gateway(provider=Never(), debug=debug)
    response = await service.post(path, openai() if path == OPENAI else chat())
    error = service.error_of(response)
    assert (response.status_code, error["type"], error["code"]) == (500, "server_error", "internal_error")
    assert error.get("detail") == ("AssertionError: a bad request reached the model" if debug else None)
    assert "Traceback" not in response.text
