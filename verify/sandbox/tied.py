"""Becomes another program that the kernel ends together with the one that started it.

    python -I -S tied.py PARENT PROGRAM ARGUMENTS...

Linux sends SIGKILL when the thread that started this process ends (prctl(2),
PR_SET_PDEATHSIG), and the setting survives exec. So whatever happens to a test, nothing
of its sandbox stays behind.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(parent: int, program: list[str]) -> None:
    """Tie this process to its parent, then run a program in its place."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it ended before the line above
        sys.exit("the program that started this one has ended")
    os.execvp(program[0], program)  # nosec B606 # what life.py names, without a shell


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
