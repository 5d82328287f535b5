"""Runs a command that ends when its parent does: ``python child.py COMMAND…``, with a pipe from the parent as standard input.

The parent never writes to the pipe. When the parent is gone, however it went, the pipe ends, and this process ends its whole
group. Standard library only, for it runs in the functions' own interpreter.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    parent = os.dup(0)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end_with_parent() -> None:
        while os.read(parent, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.exit(command.wait())


if __name__ == "__main__":
    main()
