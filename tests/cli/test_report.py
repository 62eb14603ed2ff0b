"""`scalable runs`, `report` and `advise` say what happened, from real runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = """\
import sys
from scalable import ScalableSession

def work(x):
    if x % 20 == 3:
        raise ValueError(f"scenario {x} is <b>empty</b>")
    return x

with ScalableSession.from_yaml("./scalable.yaml") as client:
    client.gather(client.map(work, range(int(sys.argv[1])), task="simulate"), errors="skip")
"""


@pytest.fixture
def run(project: Path, scalable):
    """Run a workflow of some calls, each twentieth of which fails, and return its id."""
    (project / "workflow.py").write_text(WORKFLOW)

    def make(calls: int) -> str:
        before = set(project.glob(".scalable/runs/*"))
        done = scalable("run", "-q", "--", str(calls))
        assert done.returncode == 0, done.stderr
        (folder,) = set(project.glob(".scalable/runs/*")) - before
        return folder.name

    return make


def test_runs_are_listed_with_the_latest_first(run, scalable) -> None:
    """Their words, when they were, how they ended, and counts."""
    first, second = run(10), run(40)
    done = scalable("runs")

    head, *rows = done.stdout.splitlines()
    assert head.split() == ["RUN", "WHEN", "TARGET", "STATUS", "TASKS", "run/cached/failed", "WALL"]
    assert [row.split()[0] for row in rows] == [
        "-".join(name.split("-")[3:]) for name in (second, first)
    ]
    assert "done" in rows[0]
    assert "40 / 0 / 2" in rows[0]
    listed = json.loads(scalable("runs", "--json").stdout)
    assert listed["schema"] == "scalable.runs/1"
    assert [one["run"] for one in listed["runs"]] == [second, first]


def test_no_runs_is_no_failure_of_the_list_and_one_of_the_report(scalable) -> None:
    """A list may be empty; a report needs a run, and says how to make one."""
    assert scalable("runs").returncode == 0
    assert json.loads(scalable("runs", "--json").stdout)["runs"] == []
    done = scalable("report")
    assert done.returncode == 2
    assert "make one with: scalable run" in done.stderr


def test_the_report_ends_with_its_verdict(run, scalable) -> None:
    """The latest run without a name; tasks, workers, failures by cause, and what to ask for."""
    run(10)
    run(40)
    done = scalable("report")

    lines = done.stdout.splitlines()
    assert lines[-1].startswith("38 of 40 tasks done, 2 failed, ")
    for head in ("TASKS", "WORKERS", "FAILED", "ADVISED"):
        assert any(line.startswith(head) for line in lines)
    assert "not enough runs: 38 of 59 calls" in done.stdout
    assert done.stderr == "Next: scalable report --failures\n"
    assert (
        scalable("report", "--last").stdout == scalable("report", "--latest").stdout == done.stdout
    )


def test_failures_are_shown_once_for_each_cause_with_a_cure(run, scalable) -> None:
    """Two calls that raise alike are one cause; its last log lines are the workflow's own."""
    run(40)
    done = scalable("report", "--failures")

    assert done.stdout.count("ValueError") == 1
    assert (
        "scenario 23 is <b>empty</b>" in done.stdout or "scenario 3 is <b>empty</b>" in done.stdout
    )
    assert "cure: the same call would fail again: mend the code or its input" in done.stdout
    assert "measure.py" not in done.stdout
    assert done.stdout.splitlines()[-1] == "2 attempts failed for 1 cause, 2 calls given up"
    (group,) = json.loads(scalable("report", "--failures", "--json").stdout)["failures"]
    assert (group["attempts"], group["transient"]) == (2, False)


def test_the_report_for_programs_is_versioned(run, scalable) -> None:
    """`--json` and `--format json` are one; `--output` writes the same to a file."""
    name = run(10)
    done = scalable("report", "--json")

    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.report/1"
    assert document["run"]["run"] == name
    assert document["summary"]["failed"] == 1
    written = scalable("report", "--format", "json", "--output", "report.json", name[-4:])
    assert written.stderr == "Wrote report.json\n"


def test_the_page_is_written_into_the_folder_of_the_run(run, scalable, project: Path) -> None:
    """Its path is the result; --output names another."""
    name = run(10)
    done = scalable("report", "--format", "html")

    path = f".scalable/runs/{name}/report.html"
    assert done.stdout == f"{path}\n"
    page = (project / path).read_text()
    assert "9 of 10 tasks done, 1 failed" in page
    assert "scenario 3 is &lt;b&gt;empty&lt;/b&gt;" in page
    scalable("report", "--format", "html", "-o", "page.html")
    assert (project / "page.html").read_text() == page


def test_two_runs_are_compared(run, scalable) -> None:
    """Any unique part of their ids; what changed side by side."""
    first, second = run(10), run(40)
    done = scalable("report", "--compare", first[-4:], second[-4:])

    assert "calls         10 -> 40" in done.stdout
    assert "nothing that is recorded differs about how they were run" in done.stdout
    document = json.loads(scalable("report", "--compare", first, second, "--json").stdout)
    assert (document["schema"], document["before"]) == ("scalable.comparison/1", first)


@pytest.mark.parametrize(
    "arguments",
    [
        ("brisk", "--latest"),
        ("--compare", "a", "b", "--failures"),
        ("--compare", "a", "b", "--format", "html"),
    ],
)
def test_options_that_do_not_go_together_are_refused(scalable, arguments: tuple[str, ...]) -> None:
    """Exit code 2 and a sentence."""
    done = scalable("report", *arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("error: --")


def test_advice_needs_enough_calls_and_says_how_many(run, scalable) -> None:
    """Too few give the count that is missing; more runs make up for it."""
    run(40)
    few = scalable("advise", "--task", "simulate")
    assert "not enough runs: 38 of 59 calls" in few.stdout
    run(40)
    enough = scalable("advise", "--task", "simulate")

    assert few.returncode == enough.returncode == 0
    assert enough.stdout.startswith("Task simulate   76 calls in 2 runs on target local\n")
    assert "memory: " in enough.stdout
    assert "not enough" not in enough.stdout
    document = json.loads(
        scalable("advise", "--task", "simulate", "--confidence", "0.99", "--json").stdout
    )
    assert document["schema"] == "scalable.advice/1"
    assert (document["duration"]["value"], document["duration"]["needed"]) == (None, 90)


def test_advice_on_an_unknown_task_names_the_close_one(run, scalable) -> None:
    """Exit code 2."""
    run(10)
    done = scalable("advise", "--task", "simulte")

    assert done.returncode == 2
    assert "did you mean 'simulate'?" in done.stderr


def test_runs_of_another_manifest_are_found_by_its_variable(
    run, scalable, project: Path, tmp_path: Path
) -> None:
    """SCALABLE_MANIFEST says where the project is; a run's folder is taken from anywhere."""
    name = run(10)
    (tmp_path / "elsewhere").mkdir()

    done = scalable(
        "runs", cwd=tmp_path / "elsewhere", SCALABLE_MANIFEST=str(project / "scalable.yaml")
    )
    assert name[-4:] in done.stdout
    done = scalable("report", str(project / ".scalable/runs" / name), cwd=tmp_path / "elsewhere")
    assert done.returncode == 0


@pytest.mark.parametrize(
    "command",
    [["runs"], ["report"], ["report", "--format", "html"], ["advise", "--task", "simulate"]],
)
def test_reading_what_happened_loads_nothing_heavy(run, project: Path, command: list[str]) -> None:
    """No Dask, numpy, pandas, rich, nor any plugin."""
    run(4)
    code = (
        f"import sys; sys.argv = ['scalable', *{command!r}]\nfrom scalable_core.cli import main\n"
    )
    code += "try: main()\nexcept SystemExit: pass\nprint('MODULES', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=project, timeout=120
    )

    modules = set(done.stdout.partition("MODULES ")[2].split())
    heavy = {
        "dask",
        "distributed",
        "numpy",
        "pandas",
        "rich",
        "pluggy",
        "scalable_local",
        "ruamel.yaml",
    }
    assert "scalable_core.records.reading" in modules
    assert heavy & modules == set()
