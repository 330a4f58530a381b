"""Keeps workers ready: each has loaded what a run needs, and serves one notebook.

Loading papermill takes longer than starting a kernel. A worker that loads while other
notebooks run, or while this process reads the machine, costs its notebook nothing. The
kernel is never prepared: it starts in its own folder, with its own environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


@dataclass
class Worker:
    """A process that waits for its job; ``log`` holds what it writes."""

    process: subprocess.Popen
    log: Path

    def give(self, job: Path) -> None:
        """Give the worker its job, and its log a place in the job's folder."""
        os.replace(self.log, job.parent / "log.txt")
        self.process.stdin.write(os.fsencode(job) + b"\n")
        self.process.stdin.flush()


@dataclass
class Crew:
    """The workers that wait; ``folder`` is where their logs begin."""

    folder: Path
    idle: list[Worker] = field(default_factory=list)
    hired: int = 0

    def ready(self, count: int) -> None:
        """Have at least so many workers waiting."""
        while len(self.idle) < count:
            self.idle.append(self._hire())

    def call(self) -> Worker:
        """Return the worker that has waited longest, or a new one."""
        self.ready(1)
        return self.idle.pop(0)

    def dismiss(self) -> None:
        """End the workers that were not needed."""
        for worker in self.idle:
            worker.process.kill()
            worker.process.wait()
            worker.process.stdin.close()
            worker.log.unlink(missing_ok=True)
        self.idle.clear()

    def _hire(self) -> Worker:
        """Start a worker in a session of its own: Ctrl-C reaches only this process.

        It reads its stdin to the end: should this process die, it leaves too.
        """
        self.hired += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"worker-{os.getpid()}-{self.hired}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "verify.worker"],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(HERE)},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Worker(process, log)
