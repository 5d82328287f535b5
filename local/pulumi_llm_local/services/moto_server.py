"""moto's server for the programs of this machine alone: ``python -m pulumi_llm_local.services.moto_server PORT``.

moto checks no signature and lets every page read its answers, so a page in the user's browser could read and change the tables.
"""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pulumi_llm_local.services.loopback import is_loopback

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def guarded(app: "WSGIApplication") -> "WSGIApplication":
    """Refuse what comes from a page: SDKs send no Origin, and the address that they are given."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if "HTTP_ORIGIN" in environ or not is_loopback(environ.get("HTTP_HOST")):
            start_response("403 Forbidden", [("content-type", "text/plain")])
            return [b"only programs of this machine may call"]
        return app(environ, start_response)

    return answer


def main(port: int) -> None:
    """Serve on a port of 127.0.0.1."""
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # read when moto is imported
    os.environ.setdefault("MOTO_PORT", str(port))
    from moto.moto_server.werkzeug_app import (  # pyright: ignore[reportMissingTypeStubs]
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import run_simple

    app = guarded(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", port, app, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(int(sys.argv[1]))
