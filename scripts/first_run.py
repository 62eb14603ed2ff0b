"""Install what a laptop needs into ``.venv`` and run the solar example; arguments go to `scalable run`."""

from __future__ import annotations

import sys

from workspace import BIN, LOCAL, ROOT, install, run, say

if __name__ == "__main__":
    example = ROOT / "examples" / "solar"
    install(LOCAL, "-r", str(example / "requirements.txt"))
    command = [str(BIN / "scalable"), "run", str(example / "scalable.yaml"), *sys.argv[1:]]
    say(" ".join(["scalable run examples/solar/scalable.yaml", *sys.argv[1:]]))
    run(*command)
