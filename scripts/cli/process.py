"""Processes that a command left running: found again by number and by what they are, never by number alone."""

import contextlib
import os
import subprocess

from cli.problem import Problem


def is_running(pid: int, word: str) -> bool:
    """The process is alive and has `word` in its command line: a stranger may have got the number since."""
    with contextlib.suppress(ChildProcessError):  # a child that ended stays a zombie until somebody waits for it
        os.waitpid(pid, os.WNOHANG)
    try:
        # -ww: where COLUMNS is set, ps cuts the command line there, and a process in a deep folder would not be found.
        command = ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)]
        asked = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise Problem("the `ps` command is missing", "Debian: apt install procps") from None
    return word in asked.stdout and not asked.stdout.startswith("Z")
