"""Compares the catalogue of models with public data: LiteLLM's price map, or models.dev's api.json.

Without --file it reads the map of an installed LiteLLM package. Nothing is fetched. What it prints is for a person to look
up with AWS, for these are secondary sources.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pulumi_llm.models.catalogue import Model, catalogue
from pulumi_llm.models.resolve import GEOGRAPHIES

MAP = "model_prices_and_context_window_backup.json"
MISSING = f"""\
No data to compare with: LiteLLM is not installed here, whose package carries its price map. Give a file:
  make catalogue FILE={MAP}   of a LiteLLM package (litellm/{MAP} in its wheel)
  make catalogue FILE=api.json   from https://models.dev/api.json"""


class Entry(NamedTuple):
    """What a source says of one model or inference profile; None: nothing. Prices are dollars for a million tokens."""

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    price_input: float | None = None
    price_output: float | None = None
    end_of_life: date | None = None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--file", type=Path, help=f"LiteLLM's {MAP}, or models.dev's api.json; else the installed LiteLLM's")
    file: Path | None = parser.parse_args(arguments).file or _installed_map()
    if file is None:
        sys.stderr.write(f"{MISSING}\n")
        return 1
    try:
        entries = read(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{file} cannot be read: {error}\n")
        return 1
    lines = list(differences(catalogue(), entries, datetime.now(UTC).date()))
    sys.stdout.write(f"{file}: {len(entries)} ids of Bedrock's, {len(lines)} differences\n")
    sys.stdout.writelines(f"  {line}\n" for line in lines)
    return 0


def _installed_map() -> Path | None:
    """Where an installed LiteLLM has its map; it is not imported, which would take seconds and ask the network."""
    spec = find_spec("litellm")
    return Path(spec.origin).parent / MAP if spec is not None and spec.origin else None


# The sources.


def read(data: Mapping[str, Any]) -> dict[str, Entry]:
    """Return what a file says of Bedrock's chat models, by their ids. Raises `ValueError` for a file of another form."""
    if "amazon-bedrock" in data:
        return {id_: _of_models_dev(model) for id_, model in data["amazon-bedrock"]["models"].items()}
    entries = {
        id_: _of_litellm(entry)
        for id_, entry in data.items()
        if str(entry.get("litellm_provider", "")).startswith("bedrock") and "/" not in id_ and entry.get("mode") == "chat"
    }
    if not entries:
        raise ValueError("it has neither the form of LiteLLM's price map nor that of models.dev's api.json")
    return entries


def _of_litellm(entry: Mapping[str, Any]) -> Entry:
    end = entry.get("deprecation_date")
    return Entry(
        entry.get("max_input_tokens"),
        entry.get("max_output_tokens"),
        _million(entry.get("input_cost_per_token")),
        _million(entry.get("output_cost_per_token")),
        date.fromisoformat(end) if end else None,
    )


def _million(price: float | None) -> float | None:
    return None if price is None else round(price * 1e6, 6)


def _of_models_dev(model: Mapping[str, Any]) -> Entry:
    cost, limit = model.get("cost") or {}, model.get("limit") or {}
    return Entry(limit.get("context"), limit.get("output"), cost.get("input"), cost.get("output"))


# The comparison.


def differences(models: Mapping[str, Model], entries: Mapping[str, Entry], today: date) -> Iterator[str]:
    """Yield a line for each difference: of known models, then the profiles and models that the catalogue lacks.

    GovCloud's profiles, and models that have ended, are not missed.
    """
    bases = {model.foundation_model: model for model in models.values() if model.foundation_model}
    for model in models.values():
        if model.foundation_model and model.kind == "chat" and model.status != "ended":
            yield from _of_model(model, entries)
    profiles = {profile.id for model in models.values() for profile in model.profiles}
    for id_, entry in sorted(entries.items()):
        geography, _, base = id_.partition(".")
        if geography == "us-gov" or (entry.end_of_life is not None and entry.end_of_life <= today):
            continue
        known = bases.get(base if geography in GEOGRAPHIES else id_)
        if known is None and (geography not in GEOGRAPHIES or base not in entries):
            yield f"{id_} is missing{_told(entry)}"
        elif known is not None and geography in GEOGRAPHIES and id_ not in profiles and known.status != "ended":
            yield f"{known.name}: the profile {id_} is missing"


def _of_model(model: Model, entries: Mapping[str, Entry]) -> Iterator[str]:
    # The catalogue has the prices of the US: those of its profile there, where it is called by one.
    ids = [f"us.{model.foundation_model}", model.foundation_model, *(profile.id for profile in model.profiles)]
    found = [id_ for id_ in ids if id_ in entries]
    if model.access == "foundation_model" and model.foundation_model in found:
        found = [model.foundation_model]
    if not found:
        yield f"{model.name}: the source has none of {', '.join(dict.fromkeys(ids))}"
        return
    entry = entries[found[0]]
    for key, theirs in entry._asdict().items():
        ours = getattr(model, key)
        if theirs is not None and ours != theirs:
            yield f"{model.name}: {key} is {_shown(ours)} here, {_shown(theirs)} for {found[0]}"


def _told(entry: Entry) -> str:
    said = [f"{key} {_shown(value)}" for key, value in entry._asdict().items() if value is not None]
    return f" ({', '.join(said)})" if said else ""


def _shown(value: Any) -> str:
    return "not given" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
