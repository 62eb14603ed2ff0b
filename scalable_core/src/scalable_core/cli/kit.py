"""The conformance kit as a process of its own: neither what it checks nor the command can disturb the other."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from scalable_core.cli.terminal import say
from scalable_core.errors import ProviderError

#: Named and not imported: nothing but tests, and this process, needs it.
_KIT = "scalable_core.testing.conformance"


def run_kit(provider: str, *, spend: bool, quiet: bool) -> list[dict[str, Any]]:
    """Run the kit on an installed provider and return one row for each check.

    Args:
        provider: Its name.
        spend: Start clusters whatever they cost.
        quiet: Do not say which aspect is being checked.

    Raises:
        ProviderError: The kit itself came to an end.
    """
    words = [sys.executable, "-m", _KIT, provider, *(["spend"] if spend else [])]
    rows: list[dict[str, Any]] = []
    noise = subprocess.DEVNULL if quiet else None
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=noise, text=True) as kit:
        assert kit.stdout is not None
        for line in kit.stdout:
            row = json.loads(line)
            if not quiet and (not rows or rows[-1]["aspect"] != row["aspect"]):
                say(f"checking {row['aspect']}")
            rows.append(row)
    if kit.returncode != 0:
        raise ProviderError(
            f"the conformance kit ended with code {kit.returncode} after {len(rows)} checks of {provider!r}",
            cure="what it printed says why; certificates of fleets need: pip install 'scalable-core[testing]'",
        )
    return rows
