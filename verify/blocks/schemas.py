"""Judges Kubernetes objects with the schemas of the environment it runs in.

``python -m verify.blocks.schemas`` reads a JSON list of objects and answers in JSON.
The newest and the platform's Trainer API cannot be installed together, so each has its
own environment, and this module runs in both.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import Any

TRAINER = "kubeflow-trainer-api"
PREFIXES = {"trainer.kubeflow.org": "Trainer", "jobset.x-k8s.io": "Jobset"}


def main() -> None:
    """Answer for each object whether it was checked, and what does not fit."""
    objects = json.load(sys.stdin)
    answer = {"trainer": importlib.metadata.version(TRAINER), "kubernetes": ""}
    if any(_group(one) not in PREFIXES for one in objects):
        import kubernetes_validate

        answer["kubernetes"] = kubernetes_validate.latest_version()
    results = [_trainer(o) if _group(o) in PREFIXES else _core(o) for o in objects]
    json.dump({**answer, "results": results}, sys.stdout)


def _group(one: dict[str, Any]) -> str:
    return str(one["apiVersion"]).partition("/")[0]


def _core(one: dict[str, Any]) -> dict[str, Any]:
    import kubernetes_validate as schemas

    version = schemas.latest_version()
    try:
        schemas.validate(one, version, strict=True)
    except schemas.SchemaNotFoundError:
        return {"checked": False, "problems": []}
    except schemas.ValidationError as error:
        path = list(error.path)
        where = ".".join(map(str, path))
        said = f"{where}: {error.message}" if where else error.message
        return {"checked": True, "problems": [{"path": path, "what": said}]}
    return {"checked": True, "problems": []}


def _trainer(one: dict[str, Any]) -> dict[str, Any]:
    """Read an object into the model of its kind and report what the model refuses."""
    from kubeflow_trainer_api import models
    from pydantic import ValidationError

    version = str(one["apiVersion"]).partition("/")[2].capitalize()
    name = f"{PREFIXES[_group(one)]}{version}{one['kind']}"
    model = getattr(models, name, None)
    if model is None:
        return {"checked": False, "problems": []}
    try:
        kept = model.from_dict(one).to_dict()
    except ValidationError as error:
        rows = [_refused(row) for row in error.errors()]
        return {"checked": True, "problems": rows}
    lost = [
        {"path": path, "what": f"{'.'.join(map(str, path))} is not known"}
        for path in _lost(one, kept)
    ]
    return {"checked": True, "problems": lost}


def _refused(row: dict[str, Any]) -> dict[str, Any]:
    where = ".".join(map(str, row["loc"]))
    return {"path": list(row["loc"]), "what": f"{where}: {row['msg']}"}


def _lost(given: Any, kept: Any, path: tuple = ()) -> list[list]:
    """List the paths of what was given and is not in what the model kept."""
    found: list[list] = []
    if isinstance(given, dict):
        for key, value in given.items():
            inner = (*path, key)
            if value is None:
                continue
            if not isinstance(kept, dict) or key not in kept:
                found.append(list(inner))
            else:
                found += _lost(value, kept[key], inner)
    elif isinstance(given, list) and isinstance(kept, list):
        for number, (one, other) in enumerate(zip(given, kept, strict=False)):
            found += _lost(one, other, (*path, number))
    return found


if __name__ == "__main__":
    main()
