"""pydantic-ai with its default settings: text, tools, and every way to a typed output."""

from typing import Any

from checks import API_KEY, BASE_URL, run
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

PROVIDER = OpenAIProvider(base_url=BASE_URL, api_key=API_KEY)


class City(BaseModel):
    """A city and its country."""

    name: str
    country: str
    inhabitants: int


def agent(model: str, **given: Any) -> Agent[None, Any]:
    return Agent(OpenAIChatModel(model, provider=PROVIDER), **given)


def text(model: str) -> None:
    first = agent(model, instructions="Be brief.").run_sync("Say hello.")
    assert first.output
    assert agent(model).run_sync("Go on.", message_history=first.all_messages()).output


def tool_output(model: str) -> None:
    assert isinstance(agent(model, output_type=City).run_sync("Which city?").output, City)
    assert isinstance(agent(model, output_type=ToolOutput(City)).run_sync("Which city?").output, City)


def native_output(model: str) -> None:
    assert isinstance(agent(model, output_type=NativeOutput(City)).run_sync("Which city?").output, City)


def prompted_output(model: str) -> None:
    assert isinstance(agent(model, output_type=PromptedOutput(City)).run_sync("Which city?").output, City)


def tools(model: str) -> None:
    calls: list[str] = []
    asked = agent(model)

    @asked.tool_plain
    def weather(city: str, days: int = 1) -> str:
        """Tell the weather of a city."""
        calls.append(city)
        return f"7 degrees for {days} days"

    result = asked.run_sync("What is the weather in Paris?")
    assert calls and result.output
    assert result.usage.output_tokens > 0


def responses(model: str) -> None:
    asked: Agent[None, Any] = Agent(OpenAIResponsesModel(model, provider=PROVIDER), output_type=City)
    assert isinstance(asked.run_sync("Which city?").output, City)


if __name__ == "__main__":
    run({check.__name__: check for check in (text, tool_output, native_output, prompted_output, tools, responses)})
