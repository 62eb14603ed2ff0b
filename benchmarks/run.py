"""Take every figure and print them as a table; ``--json FILE`` keeps them. Names of figures take only those.

python benchmarks/run.py
python benchmarks/run.py help tasks --json figures.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from measure import machine

FIGURES = (
    "help",
    "planning",
    "manifest",
    "session",
    "tasks",
    "large_map",
    "records",
    "cache",
    "artifacts",
    "s3",
    "gcs",
    "fleet",
    "preflight",
)


def take(name: str) -> list[dict]:
    """Run one script, in its own process, and return its figures."""
    script = Path(__file__).with_name(f"{name}.py")
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Take the figures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(FIGURES):
        parser.error(f"no figure {', '.join(sorted(unknown))}; there are: {', '.join(FIGURES)}")

    document = {"schema": "scalable.benchmarks/1", "machine": machine(), "figures": []}
    for name in arguments.names or FIGURES:
        for figure in take(name):
            document["figures"].append(figure)
            value, limit = (f"{figure[key]:.2f}{figure['unit']}" for key in ("value", "limit"))
            print(
                f"{'ok ' if figure['good'] else 'BAD'} {figure['name']:<45} {value:>8}  at most {limit}",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    sys.exit(not all(figure["good"] for figure in document["figures"]))


if __name__ == "__main__":
    main()
