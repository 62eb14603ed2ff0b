"""`validate` of a manifest with 2,000 components, and of twice as many."""

from __future__ import annotations

import tempfile
from pathlib import Path

from measure import SCALABLE, Figure, cpu, report, take_turns

RUNS = 5


def write(path: Path, components: int) -> Path:
    """Write a manifest with many components and a task for each."""
    lines = [
        "version: 1",
        "project: {name: large}",
        "targets:",
        "  local: {provider: local}",
        "components:",
    ]
    for i in range(components):
        lines += [f"  part_{i}:", "    cpus: 1", "    memory: 1G", "    env:", f"      PART: '{i}'"]
    lines += ["tasks:", *(f"  task_{i}: {{component: part_{i}}}" for i in range(components))]
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        one = write(Path(folder, "one.yaml"), 1)
        half = write(Path(folder, "half.yaml"), 2000)
        whole = write(Path(folder, "whole.yaml"), 4000)
        medians = take_turns(
            {
                path.stem: lambda path=path: cpu(SCALABLE, "validate", path)
                for path in (one, half, whole)
            },
            RUNS,
        )
    growth = (medians["whole"] - medians["one"]) / (medians["half"] - medians["one"])
    report(
        [
            Figure("validate, 2,000 components, CPU", medians["half"], "s", 2.0, medians, RUNS),
            Figure("validate, 4,000 against 2,000 components", growth, "x", 2.5, medians, RUNS),
        ]
    )
