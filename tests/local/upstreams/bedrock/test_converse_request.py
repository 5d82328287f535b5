"""The requests that the local Bedrock refuses."""

import asyncio
import json
from typing import Any

from botocore.exceptions import ClientError

from support.local_bedrock import HELLO, WEATHER, client, running


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


USE = {"toolUse": {"toolUseId": "u1", "name": "get_weather", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "u1", "content": [{"text": "sunny"}]}}
TEXT = {"text": "Hi"}
TOOLS = {"tools": [WEATHER]}
IMAGE = {"image": {"format": "png", "source": {"bytes": "aGk="}}}


def inference(**values: Any) -> dict[str, Any]:
    return {"messages": HELLO, "inferenceConfig": values}


def tools(*entries: Any, **more: Any) -> dict[str, Any]:
    return {"messages": HELLO, "toolConfig": {"tools": list(entries), **more}}


def history(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages), "toolConfig": TOOLS}


def called(identifier: str) -> dict[str, Any]:
    return {"toolUse": {**USE["toolUse"], "toolUseId": identifier}}


def result(text: str, identifier: str = "u1") -> dict[str, Any]:
    return {"toolResult": {"toolUseId": identifier, "content": [{"text": text}]}}


def takes(**schema: Any) -> dict[str, Any]:
    return {"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object", **schema}}}}


POINT = {"cachePoint": {"type": "default"}}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}
TEXT_5 = "Value '5' at 'messages.1.member.content.1.member.text' failed to satisfy constraint: Member must be of type string"
TOO_HOT = (
    "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to satisfy constraint: Member must have "
    "value less than or equal to 1"
)
NO_TOOLS = "Value at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1"
A_SPACE = (
    "'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint: Member must satisfy regular expression pattern"
)
NO_TYPE = "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object."
THINKING = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
BAD_REQUESTS: dict[str, list[tuple[Any, str]]] = {
    "test.all-v1:0": [
        (b"{", "not valid JSON"),
        (b'{"inferenceConfig": {"temperature": NaN}}', "not valid JSON"),
        ([], "Member must be of type structure"),
        ({"messages": "Hi"}, "Member must be of type list"),
        ({"messages": HELLO, "maxTokens": 5}, "Value at 'maxTokens' failed to satisfy constraint: Member must be one of: "),
        ({"messages": [{"role": "user"}]}, "Value null at 'messages.1.member.content' failed to satisfy constraint"),
        ({"messages": [{"role": "bot", "content": [TEXT]}]}, "Member must satisfy enum value set: [user, assistant"),
        ({"messages": [user({"text": 5})]}, TEXT_5),
        ({"messages": [user({**TEXT, **RESULT})]}, "Member must set one of the following keys: text, image"),
        (inference(temperature=1.5), TOO_HOT),
        ({**inference(temperature=0.5), **THINKING}, "may only be set to 1 when thinking is enabled"),
        ({**inference(maxTokens=1024), **THINKING}, "must be greater than `thinking.budget_tokens`"),
        (inference(topP=-0.1, temperature=2), "2 validation errors detected: "),
        (inference(maxTokens=0), "Member must have value greater than or equal to 1"),
        (inference(maxTokens=True), "Member must be of type integer"),
        (inference(maxTokens=2.5), "Member must be of type integer"),
        (inference(stopSequences=[""]), "Value '' at 'inferenceConfig.stopSequences.1.member' failed to satisfy constraint"),
        (tools(), NO_TOOLS),
        (tools({"toolSpec": {**WEATHER["toolSpec"], "name": "a space"}}), A_SPACE),
        (tools({"toolSpec": {**WEATHER["toolSpec"], "inputSchema": {"json": {}}}}), NO_TYPE),
        (tools(WEATHER, WEATHER), "already defined at toolConfig.tools.1"),
        (tools(WEATHER, toolChoice={"tool": {"name": "other"}}), "The tool other at"),
        (tools({"systemTool": {"name": "x"}}), "systemTool"),
        ({}, "A conversation must start with a user message."),
        (history(assistant(TEXT)), "A conversation must start with a user message."),
        (history(user(TEXT), user(TEXT)), "must alternate between user and assistant"),
        (history(user(TEXT), assistant(TEXT)), "must end with a user message"),
        (history(user()), "The content field in the Message object at messages.0 is empty."),
        (history(user({"text": " "})), "The text field in the ContentBlock object at messages.0.content.0 is blank."),
        (history(user(IMAGE)), "image content block that you provided"),
        (history(user(USE)), "toolUse content block at messages.0.content.0"),
        ({"messages": [user(TEXT), assistant(USE), user(RESULT)]}, "The toolConfig field must be defined"),
        (history(user(TEXT), assistant(USE), user(TEXT)), "toolResult blocks at messages.2.content for the following Ids: u1"),
        (history(user(RESULT)), "exceeds the number of toolUse blocks of previous turn"),
        (history(user(TEXT), assistant(USE), user(RESULT, RESULT)), "duplicate Ids"),
        (history(user(TEXT), assistant(USE), user(result(" "))), "text content blocks must be non-empty"),
        (tools({"toolSpec": {**WEATHER["toolSpec"], "description": " "}}), "toolSpec.description is blank"),
        ({"messages": HELLO, "system": [{"cachePoint": {"type": "default"}}]}, "cachePoint"),
        ({"messages": HELLO, "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, "guardrailConfig"),
    ],
    "test.unknown-v1:0": [({"messages": HELLO}, "The provided model identifier is invalid.")],
    "test.bare-v1": [
        ({"messages": HELLO, "system": [TEXT]}, "This model doesn't support system messages."),
        (tools(WEATHER), "This model doesn't support tool use."),
        (inference(temperature=0.5), "This model doesn't support the temperature field. Remove temperature and try again."),
        (inference(stopSequences=["x"]), "This model doesn't support the stopSequences field."),
        (inference(maxTokens=101), "exceeds the model limit of 100"),
    ],
    "test.claude-v1:0": [
        (
            history(user(TEXT), assistant(called("run:0")), user(result("x", "run:0"))),
            "match pattern '^[a-zA-Z0-9_-]+$'",
        ),
        (tools(takes(anyOf=[{}])), "does not support oneOf, allOf, or anyOf at the top level"),
        (tools(takes(properties={"$filter": {}})), "Property keys should match pattern"),
        (tools(takes(properties={"a": {"type": "array", "items": [{}]}})), "It must match JSON Schema draft 2020-12"),
        ({"messages": [user(TEXT), assistant(TEXT, THOUGHT, POINT), user(TEXT)]}, "cannot be inserted after reasoning block"),
    ],
    "test.nova-v1:0": [
        (tools(takes(additionalProperties=False)), "inputSchema/json: extraneous key [additionalProperties] is not permitted"),
        (tools(WEATHER, POINT), "#/toolConfig/tools/1: extraneous key [cachePoint] is not permitted"),
    ],
    "test.exclusive-v1": [(inference(temperature=0.5, topP=0.5), "`temperature` and `top_p` cannot both be specified")],
}


async def test_bad_requests() -> None:
    def refusal(boto: Any, model: str, body: Any) -> ClientError | None:
        """Send `body` as it stands: boto3 would refuse or mend much of it itself."""

        def replace(request: Any, **_: Any) -> None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()

        boto.meta.events.register_first("before-sign.bedrock-runtime.Converse", replace, unique_id="replace")
        try:
            boto.converse(modelId=model, messages=HELLO)
        except ClientError as error:
            return error
        finally:
            boto.meta.events.unregister("before-sign.bedrock-runtime.Converse", replace, unique_id="replace")
        return None

    async with running() as url:
        boto = client(url)
        for model, body, message in ((model, *case) for model, cases in BAD_REQUESTS.items() for case in cases):
            error = await asyncio.to_thread(refusal, boto, model, body)
            assert error is not None, body
            response = error.response
            assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationException", 400)
            assert message in response["Error"]["Message"], body
            assert response["ResponseMetadata"]["RequestId"]
