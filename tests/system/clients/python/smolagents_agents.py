"""smolagents: an agent that calls tools, and one that writes code with structured output."""

from checks import API_KEY, BASE_URL, run
from smolagents import ChatMessage, MessageRole, OpenAIServerModel, tool


@tool
def weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: The name of the city.
    """
    return f"7 degrees in {city}"


def _served(model: str) -> OpenAIServerModel:
    return OpenAIServerModel(model_id=model, api_base=BASE_URL, api_key=API_KEY)


ASKED = [ChatMessage(role=MessageRole.USER, content=[{"type": "text", "text": "The weather in Paris?"}])]


def chat(model: str) -> None:
    assert _served(model).generate(ASKED, stop_sequences=["Observation:"]).content


def tool_call(model: str) -> None:
    """What its tool-calling agent asks in each step."""
    answer = _served(model).generate(ASKED, stop_sequences=["Observation:", "Calling tools:"], tools_to_call_from=[weather])
    assert answer.tool_calls and answer.tool_calls[0].function.name == "weather"


def code_agent_step(model: str) -> None:
    """What its code agent asks with `use_structured_outputs_internally`."""
    schema = {
        "type": "object",
        "properties": {"thought": {"type": "string"}, "code": {"type": "string"}},
        "required": ["thought", "code"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "ThoughtAndCodeAnswer", "strict": True, "schema": schema}}
    assert "thought" in str(_served(model).generate(ASKED, response_format=form).content)


if __name__ == "__main__":
    run({check.__name__: check for check in (chat, tool_call, code_agent_step)})
