"""Runs a command that ends when its parent does: ``python child.py COMMAND…``, with a pipe from the parent as standard input.

The parent never writes to the pipe. When the parent is gone, however it went, the pipe ends, and this process ends its whole
group. SIGTERM is for the command, which this process outlives. Standard library only, for it runs in the functions' own
interpreter.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    # The whole group gets the signal. A handler of Python's is not inherited by the command, as SIG_IGN would be.
    signal.signal(signal.SIGTERM, _outlive)
    parent = os.dup(0)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end_with_parent() -> None:
        while os.read(parent, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.exit(command.wait())


def _outlive(_signal: int, _frame: object) -> None:
    """Wait on for the command, which has got the signal, too."""


if __name__ == "__main__":
    main()
