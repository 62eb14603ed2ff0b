"""CPU of `validate` and `plan` of the solar manifest above bare Python; neither imports distributed."""

from __future__ import annotations

import subprocess
import sys

from measure import ROOT, SCALABLE, Figure, cpu, report, take_turns

RUNS = 9
MANIFEST = ROOT / "examples" / "solar" / "scalable.yaml"


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
    commands = {
        "validate": ("validate", MANIFEST, "--target", "local"),
        "plan": ("plan", MANIFEST, "--target", "local"),
    }
    medians = take_turns(
        {
            "python": lambda: cpu(sys.executable, "-c", "pass"),
            **{name: lambda c=c: cpu(SCALABLE, *c) for name, c in commands.items()},
        },
        RUNS,
    )
    figures = []
    for name, command in commands.items():
        extra = medians[name] - medians["python"]
        figures.append(Figure(f"{name} above bare Python, CPU", extra, "s", 0.45, medians, RUNS))
        loaded = float(imports_distributed(*command))
        figures.append(Figure(f"{name}: imports of distributed", loaded, "", 0.0))
    report(figures)
