"""LlamaIndex's OpenAI-like model: chat, streams, structured predictions, an agent's step with tools."""

from checks import API_KEY, BASE_URL, run
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class City(BaseModel):
    """A city and its country."""

    name: str
    country: str


def _served(model: str, *, structured: bool = False) -> OpenAILike:
    return OpenAILike(
        model=model,
        api_base=BASE_URL,
        api_key=API_KEY,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=structured,
        max_retries=0,
    )


def chat(model: str) -> None:
    first = _served(model).chat([ChatMessage("Say hello.")])
    assert first.message.content
    assert _served(model).chat([ChatMessage("Say hello."), first.message, ChatMessage("Again.")]).message.content
    assert len(list(_served(model).stream_chat([ChatMessage("Say hello.")]))) > 2


def structured(model: str) -> None:
    for way in (False, True):
        found = _served(model, structured=way).structured_predict(City, PromptTemplate("Which city?"))
        assert isinstance(found, City)


def tools(model: str) -> None:
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"7 degrees in {city}"

    tool = FunctionTool.from_defaults(weather)
    answer = _served(model).chat_with_tools([tool], user_msg="The weather in Paris?", tool_required=True)
    (call,) = _served(model).get_tool_calls_from_response(answer)
    assert call.tool_name == "weather" and "city" in call.tool_kwargs


def complete(model: str) -> None:
    assert _served(model).complete("Once upon a time").text


if __name__ == "__main__":
    run({check.__name__: check for check in (chat, structured, tools, complete)})
