"""What most people would write: a function on FastAPI and boto3 that answers OpenAI's chat completions from Bedrock.

bench/peers_gateways.py starts it. It does the least for a request: no keys, no limits, no log line, one model's fields.
"""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

bedrock = boto3.client("bedrock-runtime")
app = FastAPI()


class Message(BaseModel):
    role: str
    content: str


class Chat(BaseModel):
    model: str
    messages: list[Message]
    max_tokens: int = 1024
    temperature: float = 0.7
    stream: bool = False


@app.post("/v1/chat/completions", response_model=None)
def chat(request: Chat) -> dict[str, Any] | StreamingResponse:
    call: dict[str, Any] = {
        "modelId": request.model,
        "messages": [
            {"role": each.role, "content": [{"text": each.content}]} for each in request.messages if each.role != "system"
        ],
        "system": [{"text": each.content} for each in request.messages if each.role == "system"],
        "inferenceConfig": {"maxTokens": request.max_tokens, "temperature": request.temperature},
    }
    common = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": request.model}
    if request.stream:
        events = bedrock.converse_stream(**call)["stream"]
        return StreamingResponse(chunks(events, common), media_type="text/event-stream")
    answer = bedrock.converse(**call)
    message = {"role": "assistant", "content": answer["output"]["message"]["content"][0]["text"]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**common, "object": "chat.completion", "choices": [choice], "usage": usage(answer["usage"])}


def chunks(events: Any, common: dict[str, Any]) -> Iterator[str]:
    for event in events:
        chunk: dict[str, Any] = {**common, "object": "chat.completion.chunk", "choices": []}
        if "contentBlockDelta" in event:
            chunk["choices"] = [{"index": 0, "delta": {"content": event["contentBlockDelta"]["delta"]["text"]}}]
        elif "messageStop" in event:
            chunk["choices"] = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
        elif "metadata" in event:
            chunk["usage"] = usage(event["metadata"]["usage"])
        else:
            continue
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def usage(counted: dict[str, int]) -> dict[str, int]:
    return {
        "prompt_tokens": counted["inputTokens"],
        "completion_tokens": counted["outputTokens"],
        "total_tokens": counted["totalTokens"],
    }


def serve(port: int) -> None:
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
