"""A record of a run that survives an outage of MLflow: first on disk, then sent.

Stock MLflow repeats a failed request seven times. That holds the training up for 13 s
in an outage of 10 s, and for 247 s in one that does not end (measured with 3.17.2).
Then it raises, and the run is lost though the GPU did its work.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import inspect
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.artifact.artifact_repo import verify_artifact_path
from requests import HTTPError

CALLS = "log_batch log_metric log_param set_tag set_terminated".split()
FILES = "log_artifact log_artifacts".split()
KINDS = {"metrics": Metric, "params": Param, "tags": RunTag}
LONGEST_PAUSE = 30.0  # seconds between two tries while MLflow is away
LAST_PAUSE = 3.0  # the same at the end of a block, when nothing else is to be done
TOGETHER = 100  # recorded calls that go into one request when MLflow is back
Line = dict[str, Any]

_log = logging.getLogger(__name__)


class NotSent(RuntimeError):
    """MLflow stayed away; ``count`` recorded calls wait in the file ``path``."""

    def __init__(self, path: Path, count: int, cause: Exception) -> None:
        self.path, self.count = path, count
        super().__init__(
            f'{count} recorded calls did not reach MLflow and wait in "{path}" '
            f"({_why(cause)}); send them when it answers again: "
            f'python -m snippets.journal "{path}"'
        )


# region: journal
class Journal:
    """Keep what a run logs in a file, and send it as soon as MLflow takes it.

    Open it around ``mlflow.start_run``, so that the end of the run is kept too. What
    anyone logs inside the block through ``MlflowClient`` (the functions of ``mlflow``,
    the callback of transformers, autologging, system metrics) is first appended to the
    file and synced, then sent. While MLflow is away, calls return at once and the
    training goes on. Covered are metrics, parameters, tags, the end of a run, and
    artifacts, which are copied beside the file when they cannot be sent. All else, such
    as the start of a run, goes to MLflow directly and needs it.

    Nothing arrives twice: what is sent again has the timestamp of the first time, and
    MLflow's database keeps one row for a key, step, timestamp and value.

    Parameters
    ----------
    path
        The file, one JSON object a line, for one process. What an earlier process left
        unsent in it goes first; ``mlflow.start_run(run_id=...)`` resumes its run.
    seconds
        For how long the end of the block goes on trying.

    Raises
    ------
    NotSent
        At the end of the block, if MLflow stayed away.
    mlflow.exceptions.MlflowException
        From the call that MLflow refused, as without a journal: a bad name, a parameter
        that changed, a run that was deleted.
    BlockingIOError
        If another process has the file open.
    """

    def __init__(self, path: str | Path, seconds: float = 300) -> None:
        self.path, self.seconds = Path(path).absolute(), seconds
        self._stock = {name: getattr(MlflowClient, name) for name in CALLS + FILES}
        self._writing, self._sending = threading.Lock(), threading.Lock()
        self._pause = self._next = 0.0
        self._cause: Exception | None = None

    def __enter__(self) -> Journal:
        self._open()
        for name, stock in self._stock.items():
            setattr(MlflowClient, name, self._kept(name, stock))
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        for name, stock in self._stock.items():
            setattr(MlflowClient, name, stock)
        with contextlib.closing(self._file):
            try:
                self.deliver(self.seconds if error is None else 0)
            except NotSent as late:
                if error is None:
                    raise
                error.add_note(str(late))  # what ended the block stays the error

    def deliver(self, seconds: float) -> int:
        """Send what waits, trying for this long; return how many calls that were.

        Raises
        ------
        NotSent
            If some of them still wait.
        """
        end, count = time.monotonic() + seconds, len(self._waiting)
        with self._sending:
            while not self._send():
                left = end - time.monotonic()
                if left <= 0:
                    raise NotSent(self.path, len(self._waiting), self._cause)
                time.sleep(min(left, self._pause, LAST_PAUSE))
        return count

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b")  # noqa: SIM115, closed with the block
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._number, self._waiting, workspace = _read(self.path)
        self._uri, self._process = mlflow.get_tracking_uri(), os.getpid()
        self.workspace = os.environ.get("MLFLOW_WORKSPACE", workspace)
        self._write({"workspace": self.workspace})

    def _kept(self, name: str, stock: Callable) -> Callable:
        """Return what stands in for a method of MLflow's client inside the block."""
        signature = inspect.signature(stock)

        @functools.wraps(stock)
        def method(client: MlflowClient, *args: Any, **named: Any) -> Any:
            if client.tracking_uri != self._uri or os.getpid() != self._process:
                return stock(client, *args, **named)
            asked = signature.bind(client, *args, **named)
            asked.apply_defaults()
            said = dict(asked.arguments)
            said.pop("self")
            if name in FILES:
                return self._keep_files(name, *said.values())
            return self._keep(name, said.pop("run_id"), **said)

        return method

    def _keep(self, name: str, run: str, synchronous: Any = None, **said: Any) -> Any:
        if name == "set_terminated":
            when = said["end_time"] or _now()
            line = {"end": {"status": said["status"], "end_time": when}}
        else:
            line = {"batch": _batch(name, said)}
        error = self._record(run, **line)
        if synchronous is False:
            return _Recorded()
        if error:
            raise error
        return said["value"] if name == "log_param" else None

    def _keep_files(self, name: str, run: str, source: str, to: str | None) -> None:
        verify_artifact_path(to)  # MLflow gives its error the code of an outage
        if not self._waiting:
            with self._sending, _limited():
                try:
                    client = MlflowClient(self._uri)
                    return self._stock[name](client, run, source, to)
                except (MlflowException, HTTPError) as error:
                    if _refused(error):
                        raise
                    self._away(error)
        beside = self.path.with_suffix(".files")
        beside.mkdir(exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=beside)) / Path(source).absolute().name
        (shutil.copytree if Path(source).is_dir() else shutil.copy2)(source, copy)
        where = str(copy.relative_to(self.path.parent))
        self._record(run, call=name, files=where, to=to)

    def _record(self, run: str, **call: Any) -> Exception | None:
        """Append one call to the file, send what waits; return why it was refused."""
        with self._writing:
            self._number += 1
            line = {"n": self._number, "run": run, **call}
            self._write(line)
            os.fsync(self._file.fileno())
            self._waiting.append(line)
        if time.monotonic() >= self._next and self._sending.acquire(blocking=False):
            try:
                self._send()
            finally:
                self._sending.release()
        return line.get("refused")

    def _write(self, line: Line) -> None:
        self._file.write(b"\n" + json.dumps(line).encode())  # a torn line ends here
        self._file.flush()

    def _send(self) -> bool:
        """Send in order; false, and a pause before the next try, if MLflow is away."""
        together = TOGETHER
        while lines := _first(self._waiting, together):
            try:
                self._post(lines)
            except (MlflowException, HTTPError) as error:
                if not _refused(error):
                    return self._away(error)
                if len(lines) > 1:
                    together = 1  # find the one that it refuses
                    continue
                lines[0]["refused"] = error
                _log.warning("MLflow refused a recorded call: %s", error)
            self._done(lines)
        if self._pause:
            _log.warning("MLflow answers again, and has all that was recorded")
        self._pause = self._next = 0.0
        return True

    def _post(self, lines: list[Line]) -> None:
        client, line = MlflowClient(self._uri), lines[0]
        if "files" in line:
            files = str(_copy(self.path, line))
            with _limited():
                self._stock[line["call"]](client, line["run"], files, line["to"])
            return
        with _limited(MLFLOW_HTTP_REQUEST_TIMEOUT="15"):
            if "end" in line:
                self._stock["set_terminated"](client, line["run"], **line["end"])
                return
            rows = {
                kind: [make(**row) for at in lines for row in at["batch"][kind]]
                for kind, make in KINDS.items()
            }
            self._stock["log_batch"](client, line["run"], **rows, synchronous=True)

    def _done(self, lines: list[Line]) -> None:
        refused = lines[0].get("refused")
        why = {"why": str(refused)} if refused else {}
        self._write({"done": lines[-1]["n"], **why})
        if "files" in lines[0] and not refused:
            copy = self.path.parent / lines[0]["files"]
            shutil.rmtree(copy.parent, ignore_errors=True)  # no reason to end a run
        del self._waiting[: len(lines)]

    def _away(self, error: Exception) -> bool:
        if not self._pause:
            text = 'MLflow is away (%s); what is logged waits in "%s"'
            _log.warning(text, _why(error), self.path)
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or 1.0)
        self._next = time.monotonic() + self._pause
        self._cause = error
        return False


# endregion: journal


# region: replay
def replay(path: str | Path, seconds: float = 300) -> int:
    """Send what a journal holds and MLflow has not; return how many calls that were.

    It goes to the tracking server that MLflow is set to, into the workspace of the
    run. A second replay of the same file sends nothing.

    Raises
    ------
    NotSent
        If MLflow did not take it within ``seconds``.
    FileNotFoundError
        If there is no such file.
    BlockingIOError
        If the run that writes it still goes on.
    """
    os.stat(path)
    journal = Journal(path)
    journal._open()
    with contextlib.closing(journal._file):
        if journal.workspace:
            mlflow.set_workspace(journal.workspace)
        return journal.deliver(seconds)
        # endregion: replay


class _Recorded:
    """What an asynchronous call returns: it is on disk, nothing is left to wait for."""

    def wait(self) -> None:
        """Return at once."""


def _batch(name: str, said: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what a call logs as rows of JSON, with the time and model of now."""
    rows = {"metrics": [], "params": [], "tags": []}
    if name == "log_batch":
        rows = {kind: [dict(one) for one in said[kind]] for kind in KINDS}
    elif name == "log_metric":
        rows["metrics"] = [dict(said)]
    else:
        kind = "params" if name == "log_param" else "tags"
        rows[kind] = [{"key": said["key"], "value": said["value"]}]
    for row in rows["params"] + rows["tags"]:
        row["value"] = str(row["value"])
    for row in rows["metrics"]:
        row["value"] = float(row["value"])
        row["timestamp"] = _now() if row["timestamp"] is None else row["timestamp"]
        row["step"] = row["step"] or 0
        row["model_id"] = row["model_id"] or mlflow.get_active_model_id()
    return rows


def _now() -> int:
    """Return milliseconds since 1970, MLflow's unit."""
    return int(time.time() * 1000)


def _read(path: Path) -> tuple[int, list[Line], str | None]:
    """Return the last number, the calls that were not sent, and the workspace."""
    last, done, calls, workspace = 0, 0, [], None
    for text in path.read_bytes().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # empty, or torn: the machine went down before the sync ended
        workspace = line.get("workspace", workspace)
        done = line.get("done", done)
        if "n" in line:
            last = line["n"]
            calls.append(line)
    return last, [line for line in calls if line["n"] > done], workspace


def _copy(path: Path, line: Line) -> Path:
    """Return the copy of an artifact, if it is there and where a journal puts it.

    What was sent is deleted: a changed file must not name what is somebody else's.
    """
    copy = (path.parent / line["files"]).resolve()
    beside = copy.parent.parent
    if beside.suffix != ".files" or beside.parent != path.parent.resolve():
        wrong = "is no copy that a journal makes"
    elif not copy.exists():
        wrong = "is gone"
    else:
        return copy
    raise MlflowException.invalid_parameter_value(f'"{copy}" {wrong}: it is not sent')


def _first(waiting: list[Line], most: int) -> list[Line]:
    """Return the first calls that fit one request: batches of the same run."""
    lines = waiting[:most]
    for at, line in enumerate(lines):
        if "batch" not in line or line["run"] != lines[0]["run"]:
            return lines[: max(at, 1)]
    return lines


def _refused(error: MlflowException | HTTPError) -> bool:
    """Tell what MLflow will never take from what it cannot take now."""
    if isinstance(error, HTTPError):
        return error.response.status_code in (400, 413)
    said = isinstance(error, RestException) or error.error_code.startswith("INVALID")
    return said and error.get_http_status_code() in (400, 404, 409)


def _why(error: BaseException) -> BaseException:
    """Return what says most in a chain of errors: a remedy, or else the first cause."""
    while not hasattr(error, "remedy") and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__
    return error


@contextlib.contextmanager
def _limited(**wanted: str) -> Iterator[None]:
    """Let MLflow try a request twice in a row, where it would try for four minutes."""
    wanted["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _main(arguments: list[str] | None = None) -> None:
    """Send what a journal holds; ``python -m snippets.journal FILE``."""
    parser = argparse.ArgumentParser(
        prog="python -m snippets.journal", description=replay.__doc__.split("\n\n")[0]
    )
    parser.add_argument("file", type=Path, help="the journal, one JSON object a line")
    given = parser.parse_args(arguments)
    if os.environ.get("MLFLOW_TRACKING_AUTH") == "oidc":
        from snippets.mlflow_auth.register import connect

        connect()
    print(f"sent {replay(given.file)} recorded calls")


if __name__ == "__main__":
    _main()
