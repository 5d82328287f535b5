"""The command `pulumi-llm`."""

from typing import Annotated

import typer

app = typer.Typer(
    name="pulumi-llm",
    help="An LLM inference service in your own AWS account: run it on this machine, and talk to it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("local")
def _local(
    stack: Annotated[str, typer.Option(help="The stack whose Pulumi.<stack>.yaml is run.")] = "dev",
    port: Annotated[int, typer.Option(help="Where to listen on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8787,
    directory: Annotated[str, typer.Option(help="The folder of the Pulumi program.")] = ".",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the web client.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON, the outputs, once all is ready.")] = False,
    bedrock: Annotated[str, typer.Option(help="'local' answers by itself, 'aws' calls Amazon Bedrock.")] = "local",
    model_url: Annotated[
        str, typer.Option(help="Answer with an OpenAI-compatible server, such as http://localhost:11434/v1#llama3.2.")
    ] = "",
    model_delay: Annotated[
        str, typer.Option(help="The local model's delays in seconds: FIRST or FIRST,TOKEN.", metavar="FIRST[,TOKEN]")
    ] = "0.3,0.02",
    fault: Annotated[
        list[str] | None, typer.Option(help="Make a share of the model calls fail.", metavar="[PROVIDER=]KIND[:RATE]")
    ] = None,
    config: Annotated[
        list[str] | None, typer.Option(help="Override a setting, such as api.daily_quota=50.", metavar="KEY=VALUE")
    ] = None,
) -> None:
    """Run a stack on this machine: the real program's resources, with a stand-in for each AWS service."""
    from pulumi_llm.cli.local import run

    run(
        stack=stack,
        port=port,
        directory=directory,
        open_browser=not no_browser and not json,
        as_json=json,
        bedrock=bedrock,
        model_url=model_url,
        model_delay=model_delay,
        faults=fault or [],
        config=config or [],
    )


@app.command("chat")
def _chat(
    endpoint: Annotated[
        str, typer.Option(envvar="PULUMI_LLM_ENDPOINT", help="The service's URL (the output api_gateway_url).")
    ],
    api_key: Annotated[
        str, typer.Option(envvar="PULUMI_LLM_API_KEY", help="An API key; none for a service without authentication.")
    ] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="Ask once and leave; '-' reads standard input.")] = "",
    model: Annotated[str, typer.Option(help="The model's alias; default: the service's first.")] = "",
    system_prompt: Annotated[str, typer.Option(help="How the model shall behave.")] = "",
    max_tokens: Annotated[int, typer.Option(help="The longest answer, in tokens.", min=1, max=4000)] = 1000,
) -> None:
    """Chat with a service, streaming: interactively, or with --message once."""
    from pulumi_llm.cli.chat import run

    run(
        endpoint=endpoint,
        api_key=api_key,
        message=message,
        model=model,
        system_prompt=system_prompt,
        max_tokens=max_tokens,
    )


def main() -> None:
    app()
