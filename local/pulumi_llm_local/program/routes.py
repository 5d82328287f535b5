"""The routes documents of a program: what its functions call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_gateway.routes import ROUTES_FILE, Routes, load
from pulumi_llm_local.aws_types.lambda_ import FUNCTION
from pulumi_llm_local.program.graph import Graph, Resource


def routes_documents(graph: Graph) -> list[Routes]:
    """Return the routes documents of the functions' bundles, each with the values of the function's own environment."""
    found = map(routes_document, graph.of_type(FUNCTION))
    return [routes for routes in found if routes is not None]


def routes_document(function: Resource) -> Routes | None:
    """Return that of one function, None where it has none: another one's, whose code perhaps is no folder but an image."""
    archive: Mapping[str, Any] = function.inputs.get("code") or {}
    path = Path(str(archive.get("path", ""))) / ROUTES_FILE
    return load(path, function_variables(function.state)) if path.is_file() else None


def function_variables(function: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables in a function's state."""
    environment: dict[str, Any] = function.get("environment") or {}
    return environment.get("variables") or {}
