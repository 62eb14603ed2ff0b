"""`scalable run` runs the workflow and says how it ended; stdout is the workflow's own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

#: A workflow's calls, around the lines of a test.
BODY = """\
import sys
from scalable import ScalableSession

def work(x):
    if x == 3:
        raise ValueError("three is too much")
    return x

with ScalableSession.from_yaml("./scalable.yaml") as client:
    {}
"""


def write_workflow(project: Path, line: str) -> None:
    """Give the project a workflow of one line in a session."""
    (project / "workflow.py").write_text(BODY.format(line))


def test_the_workflow_has_stdout_and_progress_has_stderr(project: Path, scalable) -> None:
    """What the workflow prints is the result; the plan, the run and the verdict are beside it."""
    done = scalable("run")

    assert done.returncode == 0
    assert done.stdout == "squares 285 []\n"
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Project study   Target local   Provider local (scalable-local ")
    assert lines[1] == "Workers 2 x model (1 vCPU, 256M)   Nothing is billed."
    assert lines[-1].startswith("10 tasks done, 0 failed, ")
    report = project / lines[-2].removeprefix("report ")
    assert json.loads((report.parent / "run.json").read_text())["status"] == "done"
    assert "10 tasks" in report.read_text()
    assert "\x1b" not in done.stderr


def test_quiet_leaves_only_the_result(project: Path, scalable) -> None:
    """-q: a run that goes well says nothing of itself."""
    done = scalable("run", "-q")

    assert (done.stdout, done.stderr) == ("squares 285 []\n", "")


def test_arguments_after_the_dashes_are_the_workflows(project: Path, scalable) -> None:
    """They are its sys.argv, whatever they look like."""
    done = scalable("run", "-q", "--", "--target", "--years", "30")

    assert done.stdout == "squares 285 ['--target', '--years', '30']\n"


def test_the_run_for_programs(project: Path, scalable) -> None:
    """--json: events one a line, the run's record last; what the workflow prints goes to stderr."""
    done = scalable("run", "--json")

    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert {document["schema"] for document in documents[:-1]} == {"scalable.event/1"}
    assert documents[0]["kind"] == "run.started"
    assert documents[-1]["schema"] == "scalable.run/1"
    assert documents[-1]["tasks"] == {"total": 10, "done": 10, "failed": 0, "cached": 0}
    assert Path(documents[-1]["run_dir"]).is_dir()
    assert "squares 285 []" in done.stderr


def test_output_of_processes_cannot_break_the_json(project: Path, scalable) -> None:
    """A call that prints in a worker process, and a program that it starts, print to stderr."""
    manifest = (project / "scalable.yaml").read_text()
    (project / "scalable.yaml").write_text(manifest.replace("processes: false", "processes: true"))
    write_workflow(
        project,
        "client.submit(lambda: __import__('os').system('echo from a shell'), task='simulate').result()",
    )

    done = scalable("run", "--json")

    assert [json.loads(line)["schema"] for line in done.stdout.splitlines()][-1] == "scalable.run/1"
    assert "from a shell" in done.stderr


def test_a_dry_run_shows_the_plan_and_stops(project: Path, scalable) -> None:
    """--dry-run: the whole plan, nothing created, the workflow not run."""
    done = scalable("run", "--dry-run")

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "Dry run: nothing was created."
    assert "WORKERS" in done.stdout
    assert "squares" not in done.stdout
    assert not (project / ".scalable").exists()
    document = json.loads(scalable("run", "--dry-run", "--json").stdout)
    assert document["schema"] == "scalable.plan/1"


def test_a_saved_plan_is_run(project: Path, scalable) -> None:
    """`run plan.json` runs it, from another folder too."""
    scalable("plan", "--output", "plan.json")
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()

    done = scalable("run", "-q", "../plan.json", cwd=elsewhere)

    assert done.stdout == "squares 285 []\n"


def test_a_saved_plan_is_refused_when_the_manifest_has_changed(project: Path, scalable) -> None:
    """The reason is given, nothing is run, exit code 2."""
    scalable("plan", "--output", "plan.json")
    manifest = (project / "scalable.yaml").read_text()
    (project / "scalable.yaml").write_text(manifest.replace("max_workers: 2", "max_workers: 1"))

    done = scalable("run", "plan.json")

    assert done.returncode == 2
    assert "the plan was made from another state of" in done.stderr
    assert "make the plan again" in done.stderr
    assert done.stdout == ""


def test_a_saved_plan_has_its_target_already(project: Path, scalable) -> None:
    """--target beside a plan.json is refused."""
    scalable("plan", "--output", "plan.json")

    done = scalable("run", "plan.json", "--target", "local")

    assert done.returncode == 2
    assert "a plan has its target and overlays already" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("missing.json", None, "missing.json cannot be read: No such file or directory"),
        ("other.json", "{}", "other.json is not a plan: its schema is None"),
        ("other.json", "nonsense", "other.json is not a plan: it is not JSON"),
    ],
)
def test_what_is_no_plan_is_a_sentence(
    project: Path, scalable, name: str, text: str | None, message: str
) -> None:
    """A file that is not there, or another one, exit code 2."""
    if text is not None:
        (project / name).write_text(text)

    done = scalable("run", name)

    assert done.returncode == 2
    assert f"error: {message}" in done.stderr
    assert "make one with: scalable plan --output plan.json" in done.stderr


def test_a_missing_workflow_is_a_sentence(project: Path, scalable) -> None:
    """The three ways to give one are named, exit code 2."""
    (project / "workflow.py").unlink()

    done = scalable("run")

    assert done.returncode == 2
    assert "workflow.py cannot be read: No such file or directory" in done.stderr
    assert "--workflow" in done.stderr


def test_another_workflow_can_be_named(project: Path, scalable) -> None:
    """--workflow is looked up from the current folder."""
    (project / "workflow.py").rename(project / "other.py")

    assert scalable("run", "-q", "--workflow", "other.py").stdout == "squares 285 []\n"


def test_a_workflow_that_raises_shows_its_own_traceback(project: Path, scalable) -> None:
    """Its frames, those of its functions on the workers, and none of Scalable or Dask; exit code 1."""
    write_workflow(project, "client.gather(client.map(work, range(5), task='simulate'))")

    done = scalable("run")

    assert done.returncode == 1
    trace = done.stderr[done.stderr.index("Traceback") :]
    workflow = project / "workflow.py"
    assert f'File "{workflow}", line 10, in <module>\n    client.gather(' in trace
    assert f'File "{workflow}", line 6, in work\n    raise ValueError(' in trace
    assert trace.count("  File ") == 2
    assert "ValueError: three is too much\n" in trace
    assert "--debug shows them" in trace
    # Calls beside the one that fails may not be over when it does.
    verdict = done.stderr.splitlines()[-1]
    assert verdict.startswith("failed: ")
    assert " of 5 tasks done, 1 failed, " in verdict


def test_debug_shows_the_whole_traceback(project: Path, scalable) -> None:
    """Nothing is left out of it."""
    write_workflow(project, "client.gather(client.map(work, range(5), task='simulate'))")

    done = scalable("run", "--debug")

    assert done.returncode == 1
    assert "distributed" in done.stderr
    assert "driver.py" in done.stderr


def test_a_failure_for_programs(project: Path, scalable) -> None:
    """--json ends with the record and the error."""
    write_workflow(project, "client.submit(work, 3, task='simulate').result()")

    done = scalable("run", "--json")

    assert done.returncode == 1
    record, error = [json.loads(line) for line in done.stdout.splitlines()][-2:]
    assert (record["schema"], record["status"]) == ("scalable.run/1", "failed")
    assert (error["schema"], error["type"]) == ("scalable.error/1", "ValueError")
    assert error["exit_code"] == 1
    assert "Traceback" in done.stderr


def test_a_mistake_in_the_workflow_is_shown_at_its_line(project: Path, scalable) -> None:
    """A task that the manifest does not have: the workflow's line and the close name, exit code 1."""
    write_workflow(project, "client.submit(work, 1, task='simulte')")

    done = scalable("run")

    assert done.returncode == 1
    assert f'File "{project / "workflow.py"}", line 10, in <module>' in done.stderr
    assert "the manifest has no task 'simulte'" in done.stderr
    assert "did you mean 'simulate'?" in done.stderr
    assert "client.py" not in done.stderr


def test_a_syntax_error_is_shown_as_python_does(project: Path, scalable) -> None:
    """With the line and the caret, and no frame of ours."""
    (project / "workflow.py").write_text("print('a'\n")

    done = scalable("run")

    assert done.returncode == 1
    assert f'File "{project / "workflow.py"}", line 1' in done.stderr
    assert "SyntaxError: '(' was never closed" in done.stderr
    assert "driver.py" not in done.stderr


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("0", 0, ""),
        ("3", 1, "ended itself with code 3"),
        ("'no data'", 1, "ended itself saying: no data"),
    ],
)
def test_a_workflow_may_end_itself(
    project: Path, scalable, code: str, exit_code: int, said: str
) -> None:
    """sys.exit() with 0 is well; anything else is a failed run, exit code 1, and never another's meaning."""
    write_workflow(project, f"sys.exit({code})")

    done = scalable("run")

    assert done.returncode == exit_code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_failed_calls_that_the_workflow_takes_are_counted(project: Path, scalable) -> None:
    """A workflow that goes on without some results has done its work, and the verdict names them."""
    write_workflow(
        project, "client.gather(client.map(work, range(5), task='simulate'), errors='skip')"
    )

    done = scalable("run")

    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].startswith("4 of 5 tasks done, 1 failed, ")
    assert "Compute Failed" not in done.stderr


def test_a_workflow_without_a_session_is_no_failure(project: Path, scalable) -> None:
    """The verdict says that nothing ran on the target."""
    (project / "workflow.py").write_text("print('nothing to do')\n")

    done = scalable("run")

    assert done.returncode == 0
    assert done.stdout == "nothing to do\n"
    assert "the workflow ended without a session" in done.stderr


def test_the_command_line_target_wins_and_says_so(project: Path, scalable) -> None:
    """The workflow names another target and is not changed."""
    manifest = (project / "scalable.yaml").read_text()
    other = "targets:\n  other: {provider: local, max_workers: 1, processes: false}\n"
    (project / "scalable.yaml").write_text(manifest.replace("targets:\n", other))
    workflow = (project / "workflow.py").read_text()
    (project / "workflow.py").write_text(workflow.replace('.yaml")', '.yaml", target="local")'))

    done = scalable("run", "--target", "other")

    assert done.stdout == "squares 285 []\n"
    assert "! target 'other' of the command line is used, not 'local'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_releases_everything(
    project: Path, number: signal.Signals, user_environment: dict[str, str]
) -> None:
    """Interrupted or terminated in the middle: exit code 130, the run's record says so, no process is left."""
    manifest = (project / "scalable.yaml").read_text()
    (project / "scalable.yaml").write_text(manifest.replace("processes: false", "processes: true"))
    slow = "client.submit(__import__('time').sleep, 600, task='simulate').result()"
    write_workflow(project, slow)
    process = subprocess.Popen(
        [sys.executable, "-m", "scalable", "run"],
        cwd=project,
        env=user_environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        children = wait_for_workers(process.pid, 2)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1].startswith("interrupted, everything released: 0 of 1 task done")
    assert "Traceback" not in stderr
    (record,) = project.glob(".scalable/runs/*/run.json")
    assert json.loads(record.read_text())["status"] == "interrupted"
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def wait_for_workers(pid: int, number: int) -> list[psutil.Process]:
    """Wait until a process has children that have been there for a moment, and return them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children(recursive=True)
        if len(children) >= number and min(map(threads, children)) > 1:
            return children
        time.sleep(0.1)
    raise AssertionError("the workers did not come")


def threads(process: psutil.Process) -> int:
    """How many threads a process has; a Dask worker has several."""
    try:
        return process.num_threads()
    except psutil.NoSuchProcess:
        return 0
