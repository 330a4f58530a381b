"""What is red at night becomes one issue a kind, and goes when the kind is green."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stands in for GitHub's command line: answers from, and writes to, a file beside it.
STAND_IN = """\
#!{python}
import json, sys
from pathlib import Path

state = Path(__file__).with_name("github.json")
github = json.loads(state.read_text())
assert sys.argv[1:3] == ["api", "--method"], sys.argv
method, path = sys.argv[3:5]
data = json.load(sys.stdin) if "--input" in sys.argv else None
github["asked"].append([method, path])
inside = path.removeprefix("repos/{{owner}}/{{repo}}/")
if github["broken"]:
    sys.exit("gh: HTTP 502")
if inside.startswith("actions/runs/7/attempts/2/jobs"):
    answer = {{"jobs": github["jobs"]}}
elif method == "GET":
    assert inside == "issues?state=open&creator=github-actions%5Bbot%5D&per_page=100"
    answer = [i for i in github["issues"] if i["state"] == "open"]
elif inside == "issues":
    number = len(github["issues"]) + 1
    answer = {{"number": number, "state": "open", "comments": [], **data}}
    github["issues"].append(answer)
else:
    number, *what = inside.removeprefix("issues/").split("/")
    answer = github["issues"][int(number) - 1]
    answer["comments"].append(data["body"]) if what else answer.update(data)
state.write_text(json.dumps(github))
print(json.dumps(answer))
"""


class GitHub:
    """The stand-in and what it remembers."""

    def __init__(self, folder: Path):
        self.state = folder / "github.json"
        self.path = os.pathsep.join([str(folder), os.environ["PATH"]])
        (folder / "gh").write_text(STAND_IN.format(python=sys.executable))
        (folder / "gh").chmod(0o755)
        self.write({"jobs": [], "issues": [], "asked": [], "broken": False})

    def write(self, github: dict) -> None:
        self.state.write_text(json.dumps(github))

    def read(self) -> dict:
        return json.loads(self.state.read_text())

    def night(self, *kinds: str, **ended: str) -> subprocess.CompletedProcess:
        """Let jobs end as told and report on kinds, or else on those jobs."""
        jobs = [
            {
                "name": name,
                "conclusion": conclusion,
                "html_url": f"https://example.org/{name}/{len(self.read()['asked'])}",
                "steps": [
                    {"name": "set up", "conclusion": "success"},
                    {"name": "run book", "conclusion": conclusion},
                    {"name": "build", "conclusion": "skipped"},
                ],
            }
            for name, conclusion in ended.items()
        ]
        self.write({**self.read(), "jobs": jobs})
        return self.report(*(kinds or ended))

    def report(self, *kinds: str) -> subprocess.CompletedProcess:
        env = {
            **os.environ,
            "PATH": self.path,
            "GH_REPO": "someone/handbook",
            "GITHUB_SERVER_URL": "https://example.org",
            "GITHUB_RUN_ID": "7",
            "GITHUB_RUN_ATTEMPT": "2",
        }
        command = [sys.executable, str(ROOT / ".ci" / "report.py"), *kinds]
        return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.fixture
def github(tmp_path):
    return GitHub(tmp_path)


def test_each_red_kind_opens_one_issue_that_names_the_step(github):
    done = github.night(oldest="failure", locked="success", newest="failure")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "oldest: failure, issue opened",
        "locked: success, nothing to report",
        "newest: failure, issue opened",
    ]
    issues = github.read()["issues"]
    titles = [issue["title"] for issue in issues]
    assert titles == ["Nightly: oldest is red", "Nightly: newest is red"]
    assert "ended as **failure**, in: run book." in issues[0]["body"]
    assert "Red since https://example.org/oldest/0" in issues[0]["body"]


def test_the_next_red_night_updates_the_issue_and_keeps_since_when(github):
    github.night(oldest="failure")
    first = github.read()["issues"][0]["body"]
    done = github.night(oldest="cancelled")
    assert done.stdout == "oldest: cancelled, issue 1 updated\n"
    (issue,) = github.read()["issues"]
    assert issue["body"] != first and "ended as **cancelled**" in issue["body"]
    assert "Red since https://example.org/oldest/0\n" in issue["body"]
    assert "Last red: https://example.org/oldest/0\n" not in issue["body"]


def test_a_green_night_closes_the_issue_and_says_where(github):
    github.night(oldest="failure")
    done = github.night(oldest="success")
    assert done.stdout == "oldest: success, issue 1 closed\n"
    (issue,) = github.read()["issues"]
    assert issue["state"] == "closed"
    assert issue["comments"][0].startswith("Green again: https://example.org/oldest/")


def test_a_kind_that_is_red_again_gets_an_issue_of_its_own(github):
    github.night(oldest="failure")
    github.night(oldest="success")
    github.night(oldest="failure")
    states = [issue["state"] for issue in github.read()["issues"]]
    assert states == ["closed", "open"]


def test_a_kind_without_a_job_is_red_because_it_never_ran(github):
    done = github.night("newest", oldest="success")
    assert done.stdout == "newest: never ran, issue opened\n"
    assert (
        "https://example.org/someone/handbook/actions/runs/7"
        in (github.read()["issues"][0]["body"])
    )


def test_an_issue_of_another_title_is_left_alone(github):
    other = {"number": 1, "title": "A question", "body": None, "state": "open"}
    github.write({**github.read(), "issues": [{**other, "comments": []}]})
    github.night(oldest="success")
    assert github.read()["issues"][0]["state"] == "open"


def test_a_github_that_does_not_answer_fails_the_report_in_one_sentence(github):
    github.write({**github.read(), "broken": True})
    done = github.report("oldest")
    assert done.returncode == 1
    assert done.stderr.startswith("report: gh could not GET repos/")
    assert "HTTP 502" in done.stderr and "Traceback" not in done.stderr


def test_a_report_on_nothing_says_what_to_name(github):
    done = github.report()
    assert done.returncode == 2 and "name the kinds" in done.stderr
