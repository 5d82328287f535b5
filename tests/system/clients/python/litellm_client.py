"""LiteLLM as a client, by its OpenAI and Anthropic routes."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it fetches nothing

import litellm
from checks import API_KEY, BASE_URL, run
from pydantic import BaseModel

litellm.num_retries = 0


class City(BaseModel):
    """A city and its country."""

    name: str
    country: str


ASKED = [{"role": "user", "content": "Which city? Answer in JSON with the keys name and country."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def chat(model: str) -> None:
    answer = litellm.completion(f"openai/{model}", ASKED, api_base=BASE_URL, api_key=API_KEY, num_retries=0)
    assert answer.choices[0].message.content


def structured(model: str) -> None:
    answer = litellm.completion(f"openai/{model}", ASKED, api_base=BASE_URL, api_key=API_KEY, response_format=City)
    assert City.model_validate_json(answer.choices[0].message.content)


def tools(model: str) -> None:
    messages = [{"role": "user", "content": "The weather in Paris?"}]
    answer = litellm.completion(
        f"openai/{model}", messages, api_base=BASE_URL, api_key=API_KEY, tools=[TOOL], tool_choice="required"
    )
    message = answer.choices[0].message
    call = message.tool_calls[0]
    assert "city" in json.loads(call.function.arguments)
    messages += [message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "7 degrees"}]
    assert litellm.completion(f"openai/{model}", messages, api_base=BASE_URL, api_key=API_KEY, tools=[TOOL])


def messages(model: str) -> None:
    base = BASE_URL.removesuffix("/v1")
    answer = litellm.completion(f"anthropic/{model}", ASKED, api_base=base, api_key=API_KEY, max_tokens=100)
    assert answer.choices[0].message.content


if __name__ == "__main__":
    run({check.__name__: check for check in (chat, structured, tools, messages)})
