"""CPU of `scalable --help` against importing click, which any command line of this kind has to do."""

from __future__ import annotations

import sys

from measure import SCALABLE, cpu, ratio, report, take_turns

RUNS = 15

if __name__ == "__main__":
    medians = take_turns(
        {
            "import click": lambda: cpu(sys.executable, "-c", "import click"),
            "scalable --help": lambda: cpu(SCALABLE, "--help"),
        },
        RUNS,
    )
    report([ratio("scalable --help, CPU", medians, "scalable --help", "import click", 2.0, RUNS)])
