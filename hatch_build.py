"""The wheel's own build step: the functions' finished archive and the lock of what is in it.

With them a user of the wheel deploys without Python 3.13, and runs locally what was locked here. No sdist is released: it could
not carry the archive, so that installing it would build one, and that takes Python 3.13 on the user's machine.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LambdaBundle(BuildHookInterface[Any]):
    """Puts ``lambda.zip`` and ``lambda.txt`` beside `pulumi_llm.base.bundle`, where it looks for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":  # an editable install builds its bundles from the checkout
            return
        root = Path(self.root)
        sys.path[:0] = [str(root / "components"), str(root / "lambda_src")]
        from pulumi_llm.base import bundle

        try:
            built = bundle.build("lambda")
        except bundle.BundleError as error:
            self.app.abort(str(error))
        else:
            build_data["force_include"] |= {
                str(built): "pulumi_llm/base/lambda.zip",
                str(root / "requirements" / "lambda.txt"): "pulumi_llm/base/lambda.txt",
            }
