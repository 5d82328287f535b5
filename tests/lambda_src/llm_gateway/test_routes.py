"""The routes document."""

import json
from pathlib import Path

import msgspec
import pytest

from llm_gateway.routes import encode, load
from support.chat_requests import ROUTES


def test_routes_survive_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_bytes(encode(ROUTES))
    routes = load(path, {"MODEL_ARN": "arn:of:it"})
    assert routes.names() == ["one", "two"] and routes.aliases[0] == ROUTES.aliases[0]
    assert [each.model for each in routes.aliases[1].targets] == ["arn:of:it", "m"]
    assert encode(ROUTES) == encode(ROUTES) and json.loads(encode(ROUTES))
    assert routes.alias("").name == "one" and routes.alias("two").name == "two" and routes.alias("three") is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, FileNotFoundError),
        (b"", msgspec.DecodeError),
        (b"{}", msgspec.ValidationError),
        (encode(ROUTES).replace(b'"mock"', b'"mocked"'), ValueError),
        (encode(ROUTES).replace(b'"top_p"', b'"top_q"'), msgspec.ValidationError),
        (encode(ROUTES).replace(b"4096", b'"4096"'), msgspec.ValidationError),
        (encode(ROUTES), KeyError),  # the variable is not set
    ],
)
def test_broken_routes_stop_the_start(tmp_path: Path, content: bytes | None, error: type[Exception]) -> None:
    path = tmp_path / "routes.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        load(path, {})
