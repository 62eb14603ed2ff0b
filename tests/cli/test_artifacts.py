"""`scalable artifacts`: what runs have stored, listed, fetched, checked, added to and removed."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

WORKFLOW = """\
from pathlib import Path
from scalable import ScalableSession, store_artifact

def simulate(year):
    store_artifact(f"results/{year}.json", {"year": year})

Path("maps").mkdir(exist_ok=True)
Path("maps/a b.txt").write_text("map")
with ScalableSession.from_yaml("./scalable.yaml") as client:
    client.gather(client.map(simulate, [2030, 2040], task="simulate"))
    client.store_artifact("maps", Path("maps"))
"""

Scalable = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(project: Path, scalable: Scalable) -> str:
    """The id of a run that has stored three artifacts."""
    (project / "workflow.py").write_text(WORKFLOW)
    done = scalable("run", "-q")
    assert done.returncode == 0, done.stderr
    (folder,) = (project / ".scalable/runs").iterdir()
    return folder.name


def stored(project: Path, run: str) -> Path:
    return project / ".scalable/artifacts" / run


def test_artifacts_are_listed(run: str, scalable: Scalable) -> None:
    """Name, size and maker of each, then their sum and place, then the next command."""
    done = scalable("artifacts", "ls")

    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "MADE", "BY", "STORED", "DIGEST"]
    assert lines[1].split("  ")[0] == "maps/a b.txt"
    assert "workflow" in lines[1]
    assert "simulate on model" in lines[2]
    assert lines[-1].startswith("3 artifacts (")
    assert lines[-1].endswith(f"in .scalable/artifacts/{run}")
    assert done.stderr == "Next: scalable artifacts get NAME\n"


def test_the_list_is_there_for_programs(run: str, scalable: Scalable) -> None:
    """One object with a schema; a run is named by a part of its id."""
    document = json.loads(scalable("artifacts", "ls", run[-4:], "--json").stdout)

    assert document["schema"] == "scalable.artifacts/1"
    assert (document["run"], document["project"]) == (run, "study")
    names = [row["name"] for row in document["artifacts"]]
    assert names == ["maps/a b.txt", "results/2030.json", "results/2040.json"]


def test_a_run_without_artifacts_says_so(project: Path, scalable: Scalable) -> None:
    """And a project without runs."""
    assert "there are no runs" in scalable("artifacts", "ls").stderr
    scalable("run", "-q")

    done = scalable("artifacts", "ls")
    assert (done.returncode, done.stdout) == (0, "")
    assert "has stored no artifacts" in done.stderr


def test_an_artifact_and_a_folder_are_fetched(run: str, project: Path, scalable: Scalable) -> None:
    """The path goes to stdout, the verdict to stderr."""
    one = scalable("artifacts", "get", "results/2030.json")
    folder = scalable("artifacts", "get", "results", "-o", "here", "--run", run)
    every = scalable("artifacts", "get", ".", "-o", "all")

    assert one.stdout == "2030.json\n"
    assert one.stderr.startswith("1 artifact (")
    assert one.stderr.endswith("digests checked\n")
    assert json.loads((project / "2030.json").read_text()) == {"year": 2030}
    assert folder.stdout == "here\n"
    assert sorted(os.listdir(project / "here")) == ["2030.json", "2040.json"]
    assert every.returncode == 0
    assert (project / "all/maps/a b.txt").read_text() == "map"


def test_a_name_that_is_not_there_is_a_usage_error(run: str, scalable: Scalable) -> None:
    """With the one that may have been meant."""
    done = scalable("artifacts", "get", "result")

    assert done.returncode == 2
    assert "did you mean 'results'?" in done.stderr


def test_an_altered_artifact_is_found_and_not_fetched(
    run: str, project: Path, scalable: Scalable
) -> None:
    """`verify` exits 1 and names it; `get` exits 3 with the two digests and leaves no file."""
    assert scalable("artifacts", "verify").returncode == 0
    (stored(project, run) / "results/2030.json").write_text("{}")

    checked = scalable("artifacts", "verify")
    listed = scalable("artifacts", "verify", run, "--json")
    fetched = scalable("artifacts", "get", "results/2030.json")

    assert (checked.returncode, listed.returncode, fetched.returncode) == (1, 1, 3)
    first, last = checked.stdout.splitlines()
    assert first.startswith("x results/2030.json: has 2 bytes, not ")
    assert last.startswith("3 artifacts (")
    assert last.endswith("checked: 1 not what was stored")
    bad = [row["name"] for row in json.loads(listed.stdout)["checked"] if row["problem"]]
    assert bad == ["results/2030.json"]
    assert fetched.stderr.count("sha256:") == 2
    assert not (project / "2030.json").exists()


def test_a_file_is_added_to_a_run(run: str, project: Path, scalable: Scalable) -> None:
    """Once; again only when it is said. The list beside the artifacts has it too."""
    (project / "note.md").write_text("later")

    put = scalable("artifacts", "put", "note.md", "notes/1.md")
    again = scalable("artifacts", "put", "note.md", "notes/1.md")
    said = scalable("artifacts", "put", "note.md", "notes/1.md", "--overwrite")

    assert put.stdout == f"{(stored(project, run) / 'notes/1.md').as_uri()}\n"
    assert (put.returncode, again.returncode, said.returncode) == (0, 3, 0)
    assert "exists already" in again.stderr
    listed = json.loads((stored(project, run) / "artifacts.json").read_text())["artifacts"]
    assert [row["name"] for row in listed].count("notes/1.md") == 1
    assert "notes/1.md" in scalable("artifacts", "ls").stdout


def test_all_artifacts_of_a_run_are_removed(run: str, project: Path, scalable: Scalable) -> None:
    """Not without a word: -n says what, --yes does it, and the records of the run stay."""
    look = scalable("artifacts", "rm", "--run", run, "-n")
    unsaid = scalable("artifacts", "rm", "--run", run)
    assert look.stdout.startswith("Dry run: would remove 4 objects")
    assert unsaid.returncode == 2
    assert "say so: --yes" in unsaid.stderr
    assert stored(project, run).exists()

    done = scalable("artifacts", "rm", "--run", run, "--yes")

    assert done.stdout.startswith("Removed 4 objects")
    assert not stored(project, run).exists()
    assert "has stored no artifacts" in scalable("artifacts", "ls").stderr
    assert scalable("report").returncode == 0


def test_a_long_transfer_has_a_bar_with_its_rate(
    run: str, project: Path, scalable: Scalable, user_environment: dict[str, str]
) -> None:
    """On a terminal: how much of how much, how fast; and nothing of it where there is none."""
    source = "import os, sys, time\n"
    source += "with open(sys.argv[1], 'wb') as pipe:\n"
    source += "    for _ in range(24):\n        pipe.write(os.urandom(2**19)); pipe.flush(); time.sleep(0.1)\n"
    pipe = stored(project, run) / "results/2030.json"
    pipe.unlink()
    os.mkfifo(pipe)
    feeder = subprocess.Popen([sys.executable, "-c", source, str(pipe)])
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scalable", "artifacts", "get", "results/2030.json"],
        cwd=project,
        env={**user_environment, "TERM": "xterm", "COLUMNS": "90"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    process.wait(timeout=60)
    feeder.wait(timeout=60)

    text = seen.decode()
    assert "fetching" in text
    assert re.search(r"M of 18B [\d.]+[KM]/s", text)
    assert "is not what was stored" in text  # it was not the artifact that came out of the pipe
