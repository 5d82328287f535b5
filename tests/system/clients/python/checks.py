"""Runs the checks of one client over several models. For each it prints a line of JSON: name, model, and what failed."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
MODELS = os.environ["MODELS"].split(",")


def run(checks: Mapping[str, Callable[[str], Any]]) -> None:
    """Call each check with each model. A check fails by any exception."""
    for model in MODELS:
        for name, check in checks.items():
            failure = ""
            try:
                check(model)
            except Exception as error:  # whatever a client raises is what its user sees
                failure = f"{type(error).__name__}: {error}"
            sys.stdout.write(json.dumps({"check": name, "model": model, "failure": failure}) + "\n")
            sys.stdout.flush()
