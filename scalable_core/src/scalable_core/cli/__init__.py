"""The command line: words in, words out; the only place that prints."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that ``sys.argv`` asks for and end the process with its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from scalable_core import __version__

        print(f"scalable {__version__}")
        sys.exit(0)
    from scalable_core.cli.app import run

    sys.exit(run(arguments))
