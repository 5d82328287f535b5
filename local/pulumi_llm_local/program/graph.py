"""A program's resource graph: what the local run runs."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.program.given import Given


class GraphError(Exception):
    """The program could not be evaluated; the text is for the one who wrote it."""


@dataclass(frozen=True)
class Resource:
    """One resource: `inputs` as the program gave them, `state` with what AWS computes, secrets revealed, camelCase keys.

    `parents` are the URNs of the components that it is in, the outermost first.
    """

    urn: str
    type: str
    name: str
    id: str
    inputs: Mapping[str, Any]
    state: Mapping[str, Any]
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Everything that a program registered, in its order, with the stack's outputs."""

    region: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]
    warnings: tuple[str, ...]

    def of_type(self, type: str) -> Iterator[Resource]:
        return (resource for resource in self.resources if resource.type == type)


def load(
    directory: Path,
    stack: str,
    overrides: Mapping[str, Any],
    *,
    seed: str,
    environment: Mapping[str, str],
    given: Given | None = None,
) -> Graph:
    """Evaluate the program in `directory` with its configuration of `stack`.

    `overrides` are settings that win over the stack's file, as a path of keys ("api.throttle.rate_limit") and a value. `seed`
    varies what is made up (keys, ids). `environment` is what the program sees, `given` what it reads from elsewhere. Raises
    `GraphError`.
    """
    project, config = configuration(directory, stack, overrides)
    check_python(directory)
    given = given or Given()
    region = config.get("aws:region") or environment.get("AWS_REGION") or "us-east-1"
    request = {
        "directory": str(directory),
        "project": project,
        "stack": stack,
        "region": region,
        "seed": seed,
        "config": config,
        "outputs": given.outputs,
        "answers": given.answers,
    }
    done = subprocess.run(
        [sys.executable, "-m", "pulumi_llm_local.program.evaluate"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=dict(environment),
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise GraphError(f"the program in {directory} could not be run:\n{done.stderr.strip()}")
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise GraphError("\n".join([answer["error"], *unread_environments(directory, stack)]))
    parent_of = {r["urn"]: r["parent"] for r in answer["resources"]}
    resources = tuple(
        Resource(
            r["urn"], r["type"], r["name"], r["id"], revealed(r["inputs"]), revealed(r["state"]), _parents(r["urn"], parent_of)
        )
        for r in answer["resources"]
        if r["custom"]
    )
    return Graph(
        region=region,
        resources=resources,
        outputs=answer["outputs"],
        warnings=(*unread_environments(directory, stack), *answer["warnings"]),
    )


def _parents(urn: str, parent_of: Mapping[str, str]) -> tuple[str, ...]:
    """The URNs of what a resource is in, the outermost first. The stack itself is left out."""
    parent = parent_of[urn]
    return (*_parents(parent, parent_of), parent) if parent in parent_of else ()


def configuration(directory: Path, stack: str, overrides: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The project's name and the stack's configuration as the engine hands it over: every value a text, objects as JSON."""
    project_file, stack_file = directory / "Pulumi.yaml", directory / f"Pulumi.{stack}.yaml"
    if not project_file.exists():
        raise GraphError(f"there is no Pulumi.yaml in {directory}; run this in a Pulumi project, or name its folder")
    if not stack_file.exists():
        stacks = sorted(path.name.split(".")[1] for path in directory.glob("Pulumi.*.yaml"))
        others = f"name another one with --stack ({', '.join(stacks)}), or" if stacks else "name another one with --stack, or"
        raise GraphError(
            f"there is no stack {stack!r} in {directory}: {others} make the file {stack_file.name} with its settings; an empty "
            "one is enough where the program needs none"
        )
    project, settings = _read(project_file), _read(stack_file)
    name = str(project["name"])
    values = {**_defaults(name, project), **cast("dict[str, Any]", settings.get("config") or {})}
    in_file = _encrypted(name, values)
    for path, value in overrides.items():
        _override(values, name, path, value)
    # An override may be encrypted, too: with the key of the stack that it is for.
    if secret := [path for path in _encrypted(name, values) if path in in_file]:
        needed = " ".join(f"--config {path}=VALUE" for path in secret)
        raise GraphError(f"the stack's secrets cannot be read without its passphrase or key; give them with {needed}")
    return name, {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def check_python(directory: Path) -> None:
    """Raises `GraphError` where the project's program is none in Python that stands in its folder."""
    runtime: Any = _read(directory / "Pulumi.yaml").get("runtime")
    language = cast("dict[str, Any]", runtime).get("name") if isinstance(runtime, dict) else runtime
    if language != "python":
        raise GraphError(f"the program in {directory} is in {language}; only one in Python can be evaluated here")
    if not (directory / "__main__.py").exists():
        raise GraphError(f"there is no __main__.py in {directory}")


def _read(file: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", yaml.safe_load(file.read_text()) or {})
    except yaml.YAMLError as error:
        raise GraphError(f"{file} is not YAML: {error}") from error


def _defaults(name: str, project: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the project itself has for every stack. What is under `pulumi:` is the engine's.

    https://www.pulumi.com/docs/iac/concepts/config/#project-level-configuration
    """
    found: dict[str, Any] = {}
    for key, entry in cast("dict[str, Any]", project.get("config") or {}).items():
        described = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {"value": entry}
        value = described.get("value", described.get("default"))
        if value is not None and not key.startswith("pulumi:"):
            found[key if ":" in key else f"{name}:{key}"] = value
    return found


def unread_environments(directory: Path, stack: str) -> list[str]:
    """A line on the ESC environments that a stack's file imports, if any: they are Pulumi Cloud's, and not read here."""
    file = directory / f"Pulumi.{stack}.yaml"
    settings = _read(file) if file.exists() else {}
    given: Any = settings.get("environment") or []
    imports = cast("list[Any]", given if isinstance(given, list) else cast("dict[str, Any]", given).get("imports", []))
    names = [str(next(iter(cast("dict[str, Any]", each)))) if isinstance(each, dict) else str(each) for each in imports]
    if not names:
        return []
    text = f"the environments of Pulumi ESC are not read here ({', '.join(names)})"
    return [f"{text}; give what the program needs of them with --config KEY=VALUE"]


def _encrypted(project: str, values: Mapping[str, Any]) -> list[str]:
    """The paths of the encrypted values in a stack's settings, as --config takes them."""
    return [path for key, value in values.items() for path in _encrypted_in(key.removeprefix(f"{project}:"), value)]


def _encrypted_in(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _encrypted_in(f"{path}.{index}", item)
    elif isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        if set(items) == {"secure"}:
            yield path
        else:
            for key, item in items.items():
                yield from _encrypted_in(f"{path}.{key}", item)


def _override(values: dict[str, Any], project: str, path: str, value: Any) -> None:
    """Set one setting by its path; a namespace other than the project's stands before a colon (aws:region)."""
    namespace, _, rest = path.rpartition(":")
    first, *keys = rest.split(".")
    key = f"{namespace or project}:{first}"
    if not keys:
        values[key] = value
        return
    place: Any = values.setdefault(key, {})
    for part in keys[:-1]:
        place = _step(place, part, path)
    if isinstance(place, list):
        items = cast("list[Any]", place)
        items[_index(items, keys[-1], path)] = value
    else:
        place[keys[-1]] = value


def _step(place: Any, part: str, path: str) -> Any:
    if isinstance(place, list):
        items = cast("list[Any]", place)
        return items[_index(items, part, path)]
    if not isinstance(place, dict):
        raise GraphError(f"--config {path}: there is nothing below {part!r} to set")
    return cast("dict[str, Any]", place).setdefault(part, {})


def _index(place: list[Any], part: str, path: str) -> int:
    if not part.isdigit() or int(part) >= len(place):
        raise GraphError(f"--config {path}: {part!r} is no place in a list of {len(place)}")
    return int(part)
