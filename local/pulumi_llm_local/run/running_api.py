"""What answers, and the lines that call it as they are pasted."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_gateway.operations import PATHS


@dataclass(frozen=True)
class RunningApi:
    """A REST API that answers at `url`. `keys` are its API keys, none where it asks for none; `models` its aliases.

    `signing` is how curl signs a call; empty where no AWS signature is asked for.
    """

    url: str
    keys: Sequence[str]
    models: Sequence[str]
    signing: str = ""

    @property
    def path(self) -> str:
        """The path of its address, such as /api."""
        return urlsplit(self.url).path

    def curl(self) -> str:
        """A line for curl that streams an answer."""
        key = f" -H 'x-api-key: {self.keys[0]}'" if self.keys else f" {self.signing}" if self.signing else ""
        return (
            f"curl -N {self.url}{PATHS['chat_stream']}{key} -H 'content-type: application/json' -d '{{\"message\": \"Hello\"}}'"
        )

    def openai(self, python: str) -> str:
        """A line that answers with the OpenAI client; `python` is the interpreter that has it."""
        code = (
            f"from openai import OpenAI; c = OpenAI(base_url='{self.url}/v1', api_key='{self._key}'); "
            f"print(c.chat.completions.create(model='{self.models[0]}', "
            "messages=[{'role': 'user', 'content': 'Hello'}]).choices[0].message.content)"
        )
        return f'{shlex.quote(python)} -c "{code}"'

    def chat(self, command: str) -> str:
        """A line that chats in the terminal; `command` is how pulumi-llm is called."""
        return f"{command} chat --endpoint {self.url}{_key_option(self.keys)}"

    def load(self, command: str, websocket: str) -> str:
        """A line that measures this API and a WebSocket API."""
        return f"{command} load --endpoint {self.url} --websocket {websocket}{_key_option(self.keys)}"

    @property
    def _key(self) -> str:
        return self.keys[0] if self.keys else "none"


@dataclass(frozen=True)
class RunningWebSocketApi:
    """A WebSocket API that answers at `url`. `keys` are the API keys that may connect, none where it asks for none."""

    url: str
    keys: Sequence[str]
    models: Sequence[str]

    def chat(self, command: str) -> str:
        """A line that chats in the terminal; `command` is how pulumi-llm is called."""
        return f"{command} chat --transport ws --endpoint {self.url}{_key_option(self.keys)}"

    def load(self, command: str) -> str:
        """A line that measures this API."""
        return f"{command} load --websocket {self.url}{_key_option(self.keys)}"


def _key_option(keys: Sequence[str]) -> str:
    return f" --api-key {keys[0]}" if keys else ""
