"""Requests of the core, and the targets and routes that they are for."""

from typing import Any

from llm_functions.api_formats import chat as chat_api
from llm_gateway.call import ModelCall, model_call
from llm_gateway.request import ChatRequest, Message, Sampling, Tool
from llm_gateway.routes import Alias, Routes, Target

SAMPLING = ("max_tokens", "temperature", "top_p", "stop", "system")
HI = (Message(role="user", text="Hi"),)
TOOL = Tool(name="t", description="", parameters={"type": "object"})


def target(accepts: tuple[Any, ...] = SAMPLING, **more: Any) -> Target:
    values: dict[str, Any] = {
        "name": "mock/m",
        "provider": "mock",
        "model": "m",
        "max_output_tokens": 4096,
        "context_tokens": 9999,
        **more,
    }
    return Target(accepts=accepts, **values)


NOTHING = Sampling()


def request(explicit: Sampling = NOTHING, **more: Any) -> ChatRequest:
    values: dict[str, Any] = {"messages": HI, "defaults": chat_api.DEFAULTS, "default_system": "Default.", **more}
    return ChatRequest(sampling=explicit, **values)


def sent(request: ChatRequest, to: Target) -> ModelCall:
    return model_call(request, Alias("an-alias", (to,)), to, deadline=0.0)


PAIR = ("temperature", "top_p")


def user(text: str = "Hi") -> Message:
    return Message("user", text)


ROUTES = Routes(
    aliases=(
        Alias("one", (target(stop_max=4, exclusive=PAIR, temperature_max=2.0),), retries=0),
        Alias("two", (target(model="", model_variable="MODEL_ARN"), target(("max_tokens",)))),
    )
)
