"""Every provider that the tests speak for."""

from wire.anthropic import Anthropic
from wire.bedrock import Converse, Imported
from wire.openai import VLLM, DeepSeek, OpenAI
from wire.speaker import Speaker

SPEAKERS: dict[str, Speaker] = {
    "bedrock": Converse(),
    "imported": Imported(),
    "openai": OpenAI(),
    "deepseek": DeepSeek(),
    "vllm": VLLM(),
    "anthropic": Anthropic(),
}
OPENAI = {name: speaker for name, speaker in SPEAKERS.items() if isinstance(speaker, OpenAI)}
