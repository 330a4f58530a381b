"""Names the machines and the versions that the shown runs were made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verify.sphinx_ext.evidence import Proof
from verify.sphinx_ext.status import EvidenceDirective

KINDS = {"cpu": "CPU", "cuda": "CUDA", "npu": "NPU", "cluster": "Cluster"}


@dataclass(frozen=True)
class Machine:
    """One machine, the Pythons on it, and the runs that were made there."""

    device: Mapping[str, Any]
    pythons: list[str]
    runs: list[tuple[Proof, str | None]]


@dataclass(frozen=True)
class Environment:
    """The packages under all runs on one kind of device.

    ``versions`` maps a package to its versions, each with the runs that had it.
    """

    kind: str
    versions: Mapping[str, Mapping[str, list[str]]]

    @property
    def agreeing(self) -> dict[str, str]:
        """The packages of which all runs had the same version."""
        return {
            name: next(iter(found))
            for name, found in self.versions.items()
            if len(found) == 1
        }

    @property
    def differing(self) -> dict[str, Mapping[str, list[str]]]:
        """The packages of which runs had different versions."""
        return {n: found for n, found in self.versions.items() if len(found) > 1}


class MachinesDirective(EvidenceDirective):
    """``{machines}``: every machine and every version behind the shown runs."""

    template = "machines.html"

    def values(self, proofs: list[Proof]) -> dict[str, object]:
        """Return machines in the order of their first run, and the environments."""
        ran = [proof for proof in proofs if proof.ran]
        alike: dict[str, list[Proof]] = {}
        for proof in ran:
            device = json.dumps(proof.receipt.device, sort_keys=True)
            alike.setdefault(device, []).append(proof)
        kinds = {proof.receipt.device["kind"]: None for proof in ran}
        return {
            "machines": [self._machine(group) for group in alike.values()],
            "environments": [environment(kind, ran) for kind in kinds],
            "has_cuda": "cuda" in kinds,
        }

    def _machine(self, proofs: list[Proof]) -> Machine:
        pythons = sorted({proof.receipt.python for proof in proofs})
        runs = [(proof, self.page_of(proof)) for proof in proofs]
        return Machine(proofs[0].receipt.device, pythons, runs)


def environment(kind: str, ran: list[Proof]) -> Environment:
    """Add up the versions of all runs on one kind of device, sorted by name."""
    versions: dict[str, dict[str, list[str]]] = {}
    for proof in ran:
        receipt = proof.receipt
        if receipt.device["kind"] != kind:
            continue
        run = f"{receipt.notebook} on {receipt.profile}"
        for name, version in receipt.packages.items():
            versions.setdefault(name, {}).setdefault(version, []).append(run)
    return Environment(KINDS[kind], dict(sorted(versions.items())))
