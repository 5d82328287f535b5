"""The routes document: which aliases there are and what answers each.

The component writes it from the stack's settings and the catalogue into the deployed archive (`ROUTES_FILE`), the gateway
reads it once at its start. It carries no secret: what a deployment only knows later (an ARN) is named by an environment
variable.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

ROUTES_FILE = "routes.json"

Parameter = Literal["max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools"]


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model at one provider, with what it accepts.

    `model` is the provider's id for it: for Bedrock a foundation model id, an inference profile id or an ARN; where it is
    known only after deployment, `model_variable` names the environment variable that holds it. Token bounds are counts,
    `temperature_max` is the model's own bound, `exclusive` lists parameters of which only one may be sent. A target that takes
    `tools` but not `stream_tools` is called whole where tools are offered, and its answer is sent on as a stream.
    """

    provider: Literal["bedrock", "mock"]
    model: str
    max_output_tokens: int
    context_tokens: int
    accepts: tuple[Parameter, ...]
    model_variable: str = ""
    exclusive: tuple[Parameter, ...] = ()
    temperature_max: float = 1.0
    stop_max: int | None = None


class Alias(msgspec.Struct, frozen=True):
    """A name that callers use, and the targets behind it in order of preference."""

    name: str
    targets: tuple[Target, ...]


class Routes(msgspec.Struct, frozen=True):
    """All aliases; the first is the default."""

    aliases: tuple[Alias, ...]

    def alias(self, name: str) -> Alias | None:
        """The alias of that name, the first one for an empty name, None for an unknown one."""
        if not name:
            return self.aliases[0]
        return next((alias for alias in self.aliases if alias.name == name), None)

    def names(self) -> list[str]:
        return [alias.name for alias in self.aliases]


def encode(routes: Routes) -> bytes:
    """The document as it stands in the archive: the same routes give the same bytes."""
    return msgspec.json.format(msgspec.json.encode(routes), indent=1) + b"\n"


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Routes:
    """Read the document and put the environment's values in their places.

    Raises `FileNotFoundError`, `msgspec.ValidationError` or `KeyError` (an environment variable that the document names is
    not set): a deployment with any of these cannot answer, so the function must not start.
    """
    routes = msgspec.json.decode(path.read_bytes(), type=Routes)
    return Routes(
        aliases=tuple(
            Alias(name=alias.name, targets=tuple(_resolved(target, environ) for target in alias.targets))
            for alias in routes.aliases
        )
    )


def _resolved(target: Target, environ: Mapping[str, str]) -> Target:
    if not target.model_variable:
        return target
    return msgspec.structs.replace(target, model=environ[target.model_variable])
