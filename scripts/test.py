"""Install everything that the tests need and run them; arguments go to pytest.

As root on Debian and its relatives the programs that some tests use are installed too; elsewhere the tests
that need a missing one are skipped, and pytest's closing lines say which and why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from workspace import PYTHON, ROOT, install_everything, run, say

#: Debian package to a program that it brings.
PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "etcd-server": "etcd",
    "munge": "munged",
    "slurm-wlm": "slurmctld",
}

#: Exit code of pytest when tests have failed.
FAILED = 1


def install_programs() -> None:
    """Install the programs that are missing, where that needs no question."""
    missing = [package for package, program in PROGRAMS.items() if shutil.which(program) is None]
    if not missing or not shutil.which("apt-get") or getattr(os, "geteuid", lambda: 1)() != 0:
        return
    say(f"installing {', '.join(missing)}")
    quiet = {
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
    subprocess.run(
        ["apt-get", "install", "-qq", "--no-install-recommends", *missing], check=False, **quiet
    )


if __name__ == "__main__":
    install_everything()
    install_programs()
    say("pytest")
    pytest = [str(PYTHON), "-m", "pytest"]
    # Most tests wait for processes; two at a time take little more than half as long.
    shared = ["-n", "2", "--dist", "loadfile"]
    if (
        subprocess.run([*pytest, *shared, *sys.argv[1:]], cwd=ROOT, check=False).returncode
        == FAILED
    ):
        # Many tests start processes, and machines are shared. What fails three times fails.
        again = [*pytest, "--last-failed", "--last-failed-no-failures=none", *sys.argv[1:]]
        say("what has failed is run once more, by itself")
        if subprocess.run(again, cwd=ROOT, check=False).returncode == FAILED:
            say("what has failed again is run a last time")
            run(*again)
