"""Puts the executed copy of a notebook in the place of its clean source, and refuses
a copy that does not belong to the code as it stands."""

from __future__ import annotations

import json

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from verify import executed
from verify.source import read_notebook
from verify.sphinx_ext import outputs
from verify.sphinx_ext.evidence import Evidence, EvidenceError

log = logging.getLogger(__name__)


# region: swap
def swap(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the text of a notebook page by its executed copy (``source-read``).

    Prose comes from the source and outputs from the copy: text is no part of a run.
    A reason to distrust the copy is a warning, so ``-W`` fails the build. The page
    then shows the source without outputs rather than outputs that may be wrong. So it
    does, without a warning, for a run that was skipped.
    """
    evidence = Evidence.of(app)
    name = evidence.notebook_of(docname)
    if name is None:
        return
    for path in evidence.files(name):
        app.env.note_dependency(str(path))
    try:
        proof, problems = evidence.proof(name), evidence.problems(name)
    except EvidenceError as error:
        problems = [str(error)]
    for problem in problems:
        log.warning("%s", problem, location=docname, type="handbook")
    if problems or proof.executed is None:
        return
    notebook = executed.refresh(json.loads(source[0]), read_notebook(proof.executed))
    source[0] = json.dumps(outputs.prepare(notebook, proof.receipt, app.env))


# endregion: swap


def always_reread(
    app: Sphinx,
    env: BuildEnvironment,
    added: set[str],
    changed: set[str],
    removed: set[str],
) -> list[str]:
    """Return the notebook pages: they are judged on every build, never cached.

    What a page depends on can change without any file of the page changing, for
    instance when a module imports one more module.
    """
    evidence = Evidence.of(app)
    return [docname for docname in env.found_docs if evidence.notebook_of(docname)]
