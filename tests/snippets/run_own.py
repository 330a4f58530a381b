"""Run notebooks as a reader would: a fresh kernel, a folder, and other parameters.

Called by test_own_model.py, in a process of its own that may have mounts of its own.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

OUTCOME = "application/vnd.handbook.outcome+json"


def main(jobs):
    logging.disable(logging.CRITICAL)
    for job in jobs:
        for path in job.get("remove", []):
            Path(path).unlink()
        Path(job["result"]).write_text(json.dumps(run(job)), encoding="utf-8")


def run(job):
    def fill(cell, cell_index, execute_reply):
        if cell.id == job.get("fill_after"):
            fill_disk(Path(job["fill"]), job["leave"])

    # Two kernels that start at once, in two workers, may choose the same TCP port.
    folder = tempfile.mkdtemp(prefix="kernel-")
    sockets = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
    error = None
    try:
        papermill.execute_notebook(
            job["notebook"],
            job["executed"],
            parameters=job["parameters"],
            kernel_name="python3",
            cwd=job["cwd"],
            progress_bar=False,
            request_save_on_cell_execute=False,
            shutdown_kernel="immediate",
            start_timeout=900,  # seconds, on a machine that does other things too
            config=Config(KernelManager=sockets),
            on_cell_executed=fill,
        )
    except (papermill.PapermillExecutionError, CellExecutionError) as raised:
        error = f"{raised.ename}: {raised.evalue}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    cells = nbformat.read(job["executed"], as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    return {
        "error": error,
        "ran": [cell.id for cell in code if cell.execution_count],
        "cells": [cell.id for cell in code],
        "printed": {cell.id: printed(cell) for cell in code},
        "outcomes": dict(
            (output.data[OUTCOME]["name"], output.data[OUTCOME]["value"])
            for cell in code
            for output in cell.outputs
            if OUTCOME in output.get("data", {})
        ),
    }


def printed(cell):
    texts = [o.text for o in cell.outputs if o.output_type == "stream"]
    return "".join(texts)


def fill_disk(ballast, leave):
    """Fill the file system of a file, but for ``leave`` bytes."""
    free = shutil.disk_usage(ballast.parent).free - leave
    with ballast.open("wb") as file:
        while free > 0:
            free -= file.write(bytes(min(free, 2**20)))
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
