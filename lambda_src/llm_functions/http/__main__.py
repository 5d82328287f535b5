"""The entry point `http`: the ASGI application under uvicorn."""

from llm_functions.compose import gateway, key_store, ticket_table
from llm_functions.http.application import Application
from llm_gateway.http.client import HttpClient


def main() -> None:
    import gc

    import uvicorn

    from llm_functions.http.server import config

    client = HttpClient()
    application = Application(gateway(client), keys=key_store(client), tickets=ticket_table(client))
    server = uvicorn.Server(config(application))
    # All objects so far live as long as the process, and an answer leaves no cycles behind: collect seldom.
    gc.freeze()
    gc.set_threshold(50_000)
    server.run()


if __name__ == "__main__":
    main()
