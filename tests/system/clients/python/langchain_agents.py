"""LangChain over its OpenAI and Anthropic packages: structured output in its three methods, streams, an agent with tools."""

import functools
import json
from typing import Any, Literal

from checks import API_KEY, BASE_URL, run
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class City(BaseModel):
    """A city and its country."""

    name: str
    country: str


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"7 degrees in {city}"


def _openai(model: str, **given: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=BASE_URL, api_key=API_KEY, max_retries=0, **given)


def _anthropic(model: str) -> ChatAnthropic:
    return ChatAnthropic(model_name=model, base_url=BASE_URL.removesuffix("/v1"), api_key=API_KEY, max_retries=0)


def chat(model: str) -> None:
    first = _openai(model).invoke([HumanMessage("Say hello.")])
    assert first.content
    assert _openai(model).invoke([HumanMessage("Say hello."), first, HumanMessage("Again.")]).content


def stream(model: str) -> None:
    parts = list(_openai(model, stream_usage=True).stream("Say hello."))
    assert len(parts) > 2 and any(part.usage_metadata for part in parts)


def _structured(method: Literal["function_calling", "json_mode", "json_schema"], model: str) -> None:
    words = f"Which city? Answer in JSON by this schema: {json.dumps(City.model_json_schema())}"
    found = _openai(model).with_structured_output(City, method=method).invoke(words)
    assert isinstance(found, City), found


def agent(model: str) -> None:
    found = create_agent(_openai(model), tools=[weather]).invoke({"messages": [HumanMessage("The weather in Paris?")]})
    assert found["messages"][-1].content


def agent_with_response_format(model: str) -> None:
    asked = create_agent(_openai(model), tools=[weather], response_format=City)
    assert isinstance(asked.invoke({"messages": [HumanMessage("Which city?")]})["structured_response"], City)


def responses(model: str) -> None:
    assert _openai(model, use_responses_api=True).invoke("Say hello.").text


def messages(model: str) -> None:
    assert _anthropic(model).invoke("Say hello.").text
    found = create_agent(_anthropic(model), tools=[weather]).invoke({"messages": [HumanMessage("The weather in Paris?")]})
    assert found["messages"][-1].content


if __name__ == "__main__":
    structured = {
        f"structured_{method}": functools.partial(_structured, method)
        for method in ("function_calling", "json_mode", "json_schema")
    }
    others = (agent, agent_with_response_format, responses, messages)
    run({"chat": chat, "stream": stream, **structured, **{check.__name__: check for check in others}})
