"""``python -m scalable_core.testing.conformance NAME [spend]``: one line of JSON for each check, as it ends."""

from __future__ import annotations

import json
import os
import sys

from scalable_core.testing.conformance.runner import check_provider
from scalable_core.types import to_data


def main(provider: str, *words: str) -> None:
    """Check a provider; what plugins print goes to stderr."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        for result in check_provider(provider, spend="spend" in words):
            out.write(json.dumps(to_data(result)) + "\n")
            out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
