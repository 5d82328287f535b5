"""The command `pulumi-llm chat`: one message from the shell, or a conversation at a prompt. Answers are streamed."""

import asyncio
import contextlib
import io
import re
import sys
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import Console

from llm_gateway.request import DEFAULT_MAX_TOKENS, MAX_TOKENS
from pulumi_llm.cli.chat_screen import Screen
from pulumi_llm.cli.transports import ChatError, Transport, TransportName, UsageError, open_transport

HELP = """\
/help          show this list
/models        list the models of the service
/model NAME    change to another model; without NAME, show the current one
/system TEXT   set how the model should behave; without TEXT, use the service's default
/clear         forget the conversation
/exit          leave; Ctrl-C and Ctrl-D at the prompt do the same
End a line with a backslash to continue the message on the next line. Press Ctrl-C during an answer to stop it."""


def run(
    endpoint: Annotated[
        str,
        typer.Option(
            envvar="PULUMI_LLM_ENDPOINT",
            help="The service's URL: the output api_gateway_url, or with --transport ws the output websocket_url.",
        ),
    ],
    api_key: Annotated[
        str, typer.Option(envvar="PULUMI_LLM_API_KEY", help="The API key. Leave it out for a service without authentication.")
    ] = "",
    transport: Annotated[
        TransportName,
        typer.Option(help="How the answer comes: in one piece, as Server-Sent Events, or over a WebSocket."),
    ] = TransportName.SSE,
    message: Annotated[
        str, typer.Option("--message", "-m", help="Send one message and exit; '-' reads it from standard input.")
    ] = "",
    model: Annotated[str, typer.Option(help="The alias of the model. Default: the first model of the service.")] = "",
    system_prompt: Annotated[str, typer.Option(help="How the model should behave.")] = "",
    max_tokens: Annotated[
        int, typer.Option(help="The maximum length of the answer, in tokens.", min=1, max=MAX_TOKENS)
    ] = DEFAULT_MAX_TOKENS,
) -> None:
    """Chat with a service: interactively, or one message with --message. Answers are streamed, except with --transport rest.

    \f
    The exit code is 1 after an error of the service or of the connection, 2 if an argument is wrong, and 130 after Ctrl-C
    during a single answer.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # do not stop because the terminal lacks a character
    conversation = Conversation(model, system_prompt, max_tokens)
    try:
        service = open_transport(transport, endpoint, api_key)
        if not message:
            _talk(service, conversation)
            return
        question = sys.stdin.read() if message == "-" else message
        if not question.strip():
            raise UsageError("invalid_message", "the message is empty; give some text")
        asyncio.run(_ask_once(service, conversation.body(question)))
    except ChatError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


async def _ask_once(service: Transport, body: dict[str, object]) -> None:
    console = Console(stderr=True)
    screen = Screen(console if console.is_terminal else None)
    try:
        answer = await service.ask(body, screen)
    finally:
        screen.end()
        await service.close()
    screen.note(answer.summary())


def _talk(service: Transport, conversation: "Conversation") -> None:
    with contextlib.suppress(ImportError):
        import readline as readline  # noqa: PLC0414  # importing it gives input() line editing and a history
    screen = Screen(Console())
    # One event loop for all turns; Ctrl-C cancels the task that runs in it.
    with asyncio.Runner() as runner:
        try:
            prompt = Prompt(service, conversation, screen, runner)
            screen.note(f"Connected to {service.base}; /help lists the commands.")
            while prompt.turn(_read()):
                pass
        except (EOFError, KeyboardInterrupt):
            screen.note("")
        finally:
            runner.run(service.close())
    screen.note("Goodbye.")


def _read() -> str:
    """Read one message. A backslash at the end of a line continues it on the next line."""
    lines = [input("> ")]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input("... "))
    return "\n".join(lines).strip()


@dataclass
class Conversation:
    """What is sent with each message. If `model` or `system_prompt` is empty, the service uses its default."""

    model: str
    system_prompt: str
    max_tokens: int
    history: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def body(self, message: str) -> dict[str, object]:
        chosen = {"model": self.model, "system_prompt": self.system_prompt, "history": self.history}
        return {"message": message, "max_tokens": self.max_tokens, **{k: v for k, v in chosen.items() if v}}

    def keep(self, message: str, answer: str) -> None:
        """Add a finished turn. An answer without text is left out, because the service accepts no empty turn."""
        if answer.strip():
            self.history += [{"role": "user", "content": message}, {"role": "assistant", "content": answer}]


class Prompt:
    """Runs the lines that are typed at the prompt: commands and messages."""

    def __init__(self, service: Transport, conversation: Conversation, screen: Screen, runner: asyncio.Runner) -> None:
        self._service = service
        self._conversation = conversation
        self._screen = screen
        self._runner = runner
        self._again = ""  # the message to send again after an empty line

    def turn(self, line: str) -> bool:
        """Run one line. Returns False to leave."""
        try:
            if command := re.fullmatch(r"(/[a-z]+)(?:\s+(.*))?", line, re.DOTALL):
                return self._command(command[1], command[2] or "")
            if message := line or self._again:
                self._message(message)
        except ChatError as error:
            self._screen.note(str(error), "red")
            if self._again:
                self._screen.note(f"Wait {error.retry_after:g} s; Enter on an empty line sends the message again.")
        except KeyboardInterrupt:
            self._screen.note("Stopped; this turn is not kept.")
        return True

    def _message(self, message: str) -> None:
        self._again = ""
        try:
            answer = self._runner.run(self._service.ask(self._conversation.body(message), self._screen))
        except ChatError as error:
            self._again = message if error.retry_after else ""
            raise
        finally:
            self._screen.end()
        self._screen.note(answer.summary())
        self._conversation.keep(message, answer.text)

    def _command(self, name: str, argument: str) -> bool:
        conversation, note = self._conversation, self._screen.note
        self._again = ""
        match name:
            case "/exit":
                return False
            case "/help":
                note(HELP)
            case "/models":
                known = self._runner.run(self._service.models())
                note("A WebSocket API does not list its models; --transport sse does." if known is None else "\n".join(known))
            case "/model" if argument:
                known = self._runner.run(self._service.models())
                if known is None or argument in known:
                    conversation.model = argument
                    note(f"The model is now {argument}.")
                else:
                    note(f"There is no model {argument!r} here; choose one of {', '.join(known)}.", "red")
            case "/model":
                note(conversation.model or "The service's first model; /models lists them.")
            case "/system":
                conversation.system_prompt = argument
                note("The system prompt is set." if argument else "The system prompt is the service's default.")
            case "/clear":
                conversation.history.clear()
                note("The conversation is forgotten.")
            case _:
                note(f"There is no {name}; /help lists the commands.", "red")
        return True
