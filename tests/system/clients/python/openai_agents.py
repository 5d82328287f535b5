"""openai-agents: tools, a handoff and a typed output, over Chat Completions and over Responses."""

from agents import (
    Agent,
    AsyncOpenAI,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,  # nothing leaves this machine
)
from checks import API_KEY, BASE_URL, run
from pydantic import BaseModel

set_tracing_disabled(True)
CLIENT = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY)


class City(BaseModel):
    """A city and its country."""

    name: str
    country: str


def _served(model: str, *, responses: bool = False) -> OpenAIChatCompletionsModel | OpenAIResponsesModel:
    return (OpenAIResponsesModel if responses else OpenAIChatCompletionsModel)(model=model, openai_client=CLIENT)


def tools(model: str, *, responses: bool = False) -> None:
    calls: list[str] = []

    @function_tool
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        calls.append(city)
        return "7 degrees"

    asked = Agent(name="weather", instructions="Use the tool.", model=_served(model, responses=responses), tools=[weather])
    assert Runner.run_sync(asked, "What is the weather in Paris?").final_output and calls


def handoff(model: str) -> None:
    other = Agent(name="geographer", instructions="Answer.", model=_served(model))
    first = Agent(name="porter", instructions="Hand over.", model=_served(model), handoffs=[other])
    result = Runner.run_sync(first, "Where is Paris?")
    assert result.last_agent.name == "geographer" and result.final_output


def output_type(model: str, *, responses: bool = False) -> None:
    asked = Agent(name="city", instructions="Answer.", model=_served(model, responses=responses), output_type=City)
    assert isinstance(Runner.run_sync(asked, "Which city?").final_output, City)


def tools_by_responses(model: str) -> None:
    tools(model, responses=True)


def output_type_by_responses(model: str) -> None:
    output_type(model, responses=True)


if __name__ == "__main__":
    run({check.__name__: check for check in (tools, handoff, output_type, tools_by_responses, output_type_by_responses)})
