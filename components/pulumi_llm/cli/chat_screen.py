"""Shows an answer while it is streamed."""

import sys

from rich.console import Console


class Screen:
    """Writes the text of an answer to stdout, and everything else to `notes` (None: nowhere)."""

    def __init__(self, notes: Console | None) -> None:
        self._notes = notes
        self._terminal = sys.stdout.isatty()
        # A single answer in a pipe consists of its unchanged text and nothing else.
        self._bare = not self._terminal and (notes is None or notes.stderr)
        self._shown = ""  # the kind of the last piece: "answer" or "reasoning"
        self._open = False  # whether its line has no end yet

    def note(self, text: str, style: str = "dim") -> None:
        if self._notes is not None:
            self._notes.out(visible(text), style=style, highlight=False)

    def reasoning(self, text: str) -> None:
        if self._notes is not None:
            if self._shown == "answer":
                self.end()
            self._notes.out(visible(text), style="dim", end="", highlight=False)
            self._shown, self._open = "reasoning", not text.endswith("\n")

    def answer(self, text: str) -> None:
        if self._notes is not None and self._shown == "reasoning":
            self.end()
            self._notes.line()  # a blank line between the two
        sys.stdout.write(visible(text) if self._terminal else text)
        sys.stdout.flush()
        self._shown, self._open = "answer", not self._bare and not text.endswith("\n")

    def reconnecting(self) -> None:
        if self._notes is not None:
            self.end()
            self.note("The connection was lost; opening it again…")

    def end(self) -> None:
        """End the current line if it has no end yet."""
        if self._open:
            (sys.stdout if self._shown == "answer" or self._notes is None else self._notes.file).write("\n")
            sys.stdout.flush()
        self._shown, self._open = "", False


# Control characters except tab and line feed: the text of a model must not control the terminal.
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)}


def visible(text: str) -> str:
    return text.translate(_CONTROLS)
