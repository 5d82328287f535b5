"""Writes the golden files anew: what others build on, so that a change of it is seen in review (make golden)."""

import json
import os
import runpy
import sys
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parents[1]
SCHEMA = GOLDEN / "schema.json"
STACKS = ("dev", "prod")


def schema() -> str:
    """The schema that components/__main__.py serves: what the SDKs for other languages are generated from."""
    served = runpy.run_path(str(ROOT / "components" / "__main__.py"), run_name="served")
    return json.dumps(json.loads(served["provider"]().schema), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def urns(stack: str) -> str:
    """The URNs of a stack's resources, by which the engine knows what is what: a new name is a new resource."""
    from support import programs

    return "".join(f"{resource.urn}\n" for resource in sorted(programs.run_project(ROOT, stack).of_type(), key=lambda r: r.urn))


def urns_file(stack: str) -> Path:
    return GOLDEN / f"urns.{stack}.txt"


def main() -> None:
    SCHEMA.write_text(schema())
    for stack in STACKS:
        urns_file(stack).write_text(urns(stack))


if __name__ == "__main__":
    sys.path.insert(0, str(GOLDEN.parent))
    os.environ["PULUMI_LLM_BUNDLE"] = "host"
    main()
