"""Writes the golden files anew: what others build on, so that a change of it is seen in review (make golden)."""

import json
import runpy
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent
COMPONENTS = GOLDEN.parents[1] / "components"
SCHEMA = GOLDEN / "schema.json"


def schema() -> str:
    """The schema that components/__main__.py serves: what the SDKs for other languages are generated from."""
    served = runpy.run_path(str(COMPONENTS / "__main__.py"), run_name="served")
    return json.dumps(json.loads(served["provider"]().schema), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    SCHEMA.write_text(schema())


if __name__ == "__main__":
    main()
