"""CPU of `validate`, `plan` and its choices; none of them imports distributed.

The solar manifest above bare Python; and a study with 100 earlier runs, whole.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import ROOT, SCALABLE, Figure, cpu, report, take_turns

RUNS = 9
SOLAR = ROOT / "examples" / "solar" / "scalable.yaml"
STUDY = """\
version: 1
project: {name: study, default_storage: s3://bucket/runs}
targets:
  local: {provider: local, max_workers: 4}
  fargate: {provider: aws, region: us-east-1, adaptive: {minimum: 1, maximum: 100}}
  ec2: {provider: aws, region: us-east-1, cluster_type: ec2, adaptive: {minimum: 1, maximum: 100}}
  gcp: {provider: gcp, region: us-central1, adaptive: {minimum: 2, maximum: 20}}
components:
  model: {cpus: 4, memory: 16G}
tasks:
  simulate: {component: model}
  reduce: {component: model}
"""
EARLIER = 100


def write_study(folder: Path) -> Path:
    """Write a manifest with its earlier runs, as they are on disk; return the manifest."""
    path = folder / "scalable.yaml"
    path.write_text(STUDY)
    for number in range(EARLIER):
        run = folder / ".scalable" / "runs" / f"run-20260101-000000-calm-heron-{number:04x}"
        run.mkdir(parents=True)
        target = ("fargate", "ec2", "gcp")[number % 3]
        (run / "run.json").write_text(json.dumps({"status": "done", "target": target}))
        tasks = [_past("simulate", 5000, 90.0 + number % 7), _past("reduce", 50, 30.0)]
        (run / "summary.json").write_text(json.dumps({"tasks": tasks}))
    return path


def _past(task: str, calls: int, seconds: float) -> dict[str, object]:
    quantiles = {"p10": 0.6 * seconds, "p50": seconds, "p90": 1.5 * seconds, "largest": 3 * seconds}
    return {
        "task": task,
        "component": "model",
        "calls": calls,
        "retried": 0,
        "duration": {"count": calls, "total": calls * seconds, **quantiles},
        "result": {"total": 1000.0 * calls},
    }


def imports_distributed(*command: object) -> bool:
    """Tell whether a command line loads distributed."""
    code = (
        f"import sys; sys.argv = {['scalable', *map(str, command)]!r}\n"
        "from scalable_core.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('distributed' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False)
    return bool(done.returncode)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Path(folder))
        above = {
            "validate": ("validate", SOLAR, "--target", "local"),
            "plan": ("plan", SOLAR, "--target", "local"),
        }
        whole = {
            "plan --dry-run": (("plan", study, "--target", "fargate", "--dry-run"), 0.5),
            "plan --compare": (("plan", study, "--compare"), 0.5),
            "plan --regions": (("plan", study, "--regions", "--target", "ec2"), 0.5),
            "plan --deadline": (("plan", study, "--target", "ec2", "--deadline", "6h"), 1.0),
        }
        commands = {**above, **{name: command for name, (command, _) in whole.items()}}
        medians = take_turns(
            {
                "python": lambda: cpu(sys.executable, "-c", "pass"),
                **{name: lambda c=c: cpu(SCALABLE, *c) for name, c in commands.items()},
            },
            RUNS,
        )
        figures = []
        for name in above:
            extra = medians[name] - medians["python"]
            figures.append(
                Figure(f"{name} above bare Python, CPU", extra, "s", 0.45, medians, RUNS)
            )
        for name, (_, limit) in whole.items():
            title = f"{name} after {EARLIER} runs, CPU"
            figures.append(Figure(title, medians[name], "s", limit, medians, RUNS))
        for name, command in commands.items():
            loaded = float(imports_distributed(*command))
            figures.append(Figure(f"{name}: imports of distributed", loaded, "", 0.0))
        report(figures)
