"""Turns how a nightly run ended into issues: one per red kind, none for a green one.

`python3 .ci/report.py KIND...` is the last job of .github/workflows/nightly.yml; a kind
is the name of a job of the same run. It needs nothing but Python and GitHub's `gh`,
which finds its token and repository in GH_TOKEN and GH_REPO.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TITLE = "Nightly: {} is red"
SINCE = "Red since "
AUTHOR = (
    "github-actions%5Bbot%5D"  # whose token the job has; nobody else's issue counts
)
REPOSITORY = "repos/{owner}/{repo}"  # gh fills this in from GH_REPO


class ReportError(Exception):
    """GitHub gave no answer that can be reported on."""


@dataclass(frozen=True)
class Job:
    """How one kind ended: GitHub's conclusion, the job's page, the failed steps."""

    kind: str
    conclusion: str
    url: str
    steps: tuple[str, ...] = ()

    @property
    def green(self) -> bool:
        """Say whether the kind held; only `success` says so, silence never does."""
        return self.conclusion == "success"


def main(kinds: Sequence[str]) -> int:
    """Open, update or close the issue of each kind and print what was done.

    Returns 0 when every kind was reported, red or green: the jobs themselves are red.
    """
    if not kinds:
        print("report: name the kinds, for example: report.py locked", file=sys.stderr)
        return 2
    try:
        ended, known = jobs(kinds), issues()
        for job in ended:
            print(f"{job.kind}: {job.conclusion}, {told(job, known)}", flush=True)
    except ReportError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    return 0


def jobs(kinds: Sequence[str]) -> list[Job]:
    """Ask how the jobs of this run ended; a kind without a job never ran."""
    run, attempt = os.environ["GITHUB_RUN_ID"], os.environ["GITHUB_RUN_ATTEMPT"]
    path = f"{REPOSITORY}/actions/runs/{run}/attempts/{attempt}/jobs?per_page=100"
    found = {job["name"]: job for job in api("GET", path)["jobs"]}
    return [
        of(kind, found[kind]) if kind in found else Job(kind, "never ran", run_url())
        for kind in kinds
    ]


def of(kind: str, job: dict[str, Any]) -> Job:
    """Read one job of GitHub's answer."""
    steps = job.get("steps") or []
    held = (
        "success",
        "skipped",
        None,
    )  # None: never started, because one before failed
    failed = tuple(s["name"] for s in steps if s["conclusion"] not in held)
    return Job(kind, job["conclusion"] or "not ended", job["html_url"], failed)


def issues() -> dict[str, dict[str, Any]]:
    """Return this report's open issues by title."""
    path = f"{REPOSITORY}/issues?state=open&creator={AUTHOR}&per_page=100"
    return {issue["title"]: issue for issue in api("GET", path)}


def told(job: Job, known: dict[str, dict[str, Any]]) -> str:
    """Open, update or close the one issue of a kind; say which in a few words."""
    title = TITLE.format(job.kind)
    issue = known.get(title)
    if issue is None and job.green:
        return "nothing to report"
    if issue is None:
        api("POST", f"{REPOSITORY}/issues", {"title": title, "body": body(job)})
        return "issue opened"
    path = f"{REPOSITORY}/issues/{issue['number']}"
    if job.green:
        api("POST", f"{path}/comments", {"body": f"Green again: {job.url}"})
        api("PATCH", path, {"state": "closed"})
        return f"issue {issue['number']} closed"
    api("PATCH", path, {"body": body(job, since(issue["body"] or ""))})
    return f"issue {issue['number']} updated"


def body(job: Job, first: str | None = None) -> str:
    """Write an issue's text: how it ended, where, since when, how to repeat it."""
    where = f", in: {', '.join(job.steps)}" if job.steps else ""
    return f"""\
The nightly run of **{job.kind}** ended as **{job.conclusion}**{where}.

Last red: {job.url}
{SINCE}{first or job.url}

`.github/workflows/nightly.yml` has the commands to repeat it with. This text is written
anew each night; comments stay. The issue is closed when the kind is green again.
"""


def since(text: str) -> str | None:
    """Return the first red job that an issue's text names."""
    lines = [line for line in text.splitlines() if line.startswith(SINCE)]
    return lines[0].removeprefix(SINCE) if lines else None


def run_url() -> str:
    """Return the page of this run."""
    server, repository = os.environ["GITHUB_SERVER_URL"], os.environ["GH_REPO"]
    return f"{server}/{repository}/actions/runs/{os.environ['GITHUB_RUN_ID']}"


def api(method: str, path: str, data: dict[str, str] | None = None) -> Any:
    """Ask GitHub through gh and return its answer."""
    command = ["gh", "api", "--method", method, path]
    if data is not None:
        command += ["--input", "-"]
    text = json.dumps(data) if data is not None else None
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise ReportError(f"gh could not {method} {path}: {done.stderr.strip()}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
