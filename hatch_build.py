"""The wheel's own build step: the functions' finished archive, the lock of what is in it, and the built web client.

With them a user of the wheel deploys without Python 3.13 and without Node.js, and runs locally what was locked here. No sdist
is released: it could not carry the archive, so that installing it would build one, and that takes Python 3.13 on the user's
machine.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FinishedParts(BuildHookInterface[Any]):
    """Puts ``lambda.zip``, ``lambda.txt`` and ``web_client_files`` into `pulumi_llm.base`, where its modules look for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":  # an editable install builds its bundles from the checkout
            return
        root = Path(self.root)
        sys.path[:0] = [str(root / "components"), str(root / "lambda_src")]
        from pulumi_llm.base import bundle, web_client

        try:
            built = bundle.build("lambda")
            page = web_client.files()
        except (bundle.BundleError, web_client.WebClientError) as error:
            self.app.abort(str(error))
        else:
            build_data["force_include"] |= {
                str(built): "pulumi_llm/base/lambda.zip",
                str(root / "requirements" / "lambda.txt"): "pulumi_llm/base/lambda.txt",
                **{str(file): f"pulumi_llm/base/web_client_files/{path}" for path, file in page.items()},
            }
