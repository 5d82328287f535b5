"""The command `pulumi-llm`."""

from typing import Annotated

import typer

app = typer.Typer(
    name="pulumi-llm",
    help="Run an LLM inference service on this machine, and chat with one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("local")
def _local(
    stack: Annotated[str, typer.Option(help="The stack to run, configured in Pulumi.<stack>.yaml.")] = "dev",
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 chooses a free one.", min=0, max=65535)] = 8787,
    directory: Annotated[str, typer.Option(help="The folder of the Pulumi program.")] = ".",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the status page in a browser.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the outputs as one line of JSON when everything is ready.")
    ] = False,
    bedrock: Annotated[str, typer.Option(help="'local' uses a stand-in for Bedrock; 'aws' calls Amazon Bedrock.")] = "local",
    model_url: Annotated[
        str, typer.Option(help="Let an OpenAI-compatible server answer, such as http://localhost:11434/v1#llama3.2.")
    ] = "",
    model_delay: Annotated[
        str,
        typer.Option(
            help="Seconds that the stand-in waits before the first token and before each one.", metavar="FIRST[,TOKEN]"
        ),
    ] = "0.3,0.02",
    fault: Annotated[
        list[str] | None, typer.Option(help="Make a share of the model calls fail.", metavar="[PROVIDER=]KIND[:RATE]")
    ] = None,
    config: Annotated[
        list[str] | None, typer.Option(help="Override a setting, such as api.daily_quota=50.", metavar="KEY=VALUE")
    ] = None,
) -> None:
    """Run a stack on this machine: the resources of the real program, with a stand-in for each AWS service."""
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
        str, typer.Option(envvar="PULUMI_LLM_API_KEY", help="The API key. Leave it out for a service without authentication.")
    ] = "",
    message: Annotated[
        str, typer.Option("--message", "-m", help="Send one message and exit; '-' reads it from standard input.")
    ] = "",
    model: Annotated[str, typer.Option(help="The alias of the model. Default: the first model of the service.")] = "",
    system_prompt: Annotated[str, typer.Option(help="How the model should behave.")] = "",
    max_tokens: Annotated[int, typer.Option(help="The maximum length of the answer, in tokens.", min=1, max=4000)] = 1000,
) -> None:
    """Chat with a service: interactively, or one message with --message. Answers are streamed."""
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
