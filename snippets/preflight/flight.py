"""What a run needs beside what there is, ready to print."""

from __future__ import annotations

from dataclasses import dataclass

from snippets.memory import Geometry, in_units
from snippets.preflight.bill import Bill, duration
from snippets.preflight.device import Room
from snippets.preflight.request import Run


@dataclass(frozen=True)
class Flight:
    """What a run needs beside what there is."""

    bill: Bill
    room: Room
    left_out: dict[str, str]  # extra -> why
    seconds: tuple[float, float]
    disk: int
    download: int  # bytes that the hub would send; 0 for a folder
    warnings: tuple[str, ...]

    @property
    def run(self) -> Run:
        """The run, with nothing in it 0 or None any more."""
        return self.bill.run

    @property
    def geometry(self) -> Geometry:
        """The shapes of the model."""
        return self.bill.geometry

    @property
    def new_tokens(self) -> int:
        """How many tokens an evaluation lets the model write."""
        return self.bill.new_tokens

    @property
    def at_once(self) -> int:
        """How many rows an evaluation answers at a time."""
        return min(64, 4 * self.run.micro_batch_size)

    def runs(self, extra: str) -> bool:
        """Tell whether an extra runs; say why where it does not."""
        if extra in self.left_out:
            print(f"left out: {extra}, {self.left_out[extra]}")
        return extra not in self.left_out

    def table(self) -> str:
        """Return what is needed beside what there is, ready to print."""
        need, bill, room = self.bill.memory(), self.bill, self.room
        low, high = map(duration, self.seconds)
        spare = f"{in_units(need.total)} and {in_units(room.reserve)} to spare"
        rows = [
            ("model", bill.model()),
            ("data", bill.data()),
            ("run", bill.plan()),
            ("memory", f"{spare}, of {in_units(room.memory)} free ({bill.kind})"),
            ("", ", ".join(f"{part} {size}" for part, size in need.rows()[:-1])),
            ("disk", f"{in_units(self.disk)} of {in_units(room.disk)} free"),
            ("time", f"{low} to {high}, an estimate ({bill.speed.summary()})"),
        ]
        if self.download:
            rows.append(("download", f"about {in_units(self.download)} from the hub"))
        rows += [("left out", f"{n}: {why}") for n, why in self.left_out.items()]
        rows += [("mind", warning) for warning in self.warnings]
        return "\n".join(f"{name:8}  {text}" for name, text in rows)
