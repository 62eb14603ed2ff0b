"""A run goes on without the process that has started it, and is found, followed and ended from anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
from detached_project import await_end, await_that, computed, processes, record_of, start

SHARED = "{name: study, default_storage: '%s'}"


def hand_over(scalable, *arguments: str) -> str:
    """Start a detached run and return its id."""
    done = scalable("run", "--detach", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def share(project: Path, place: Path, elsewhere: Path) -> None:
    """Give a project a storage, and let another folder have the same manifest and nothing else."""
    text = (project / "scalable.yaml").read_text()
    text = text.replace("{name: study}", SHARED % place.as_uri())
    (project / "scalable.yaml").write_text(text)
    elsewhere.mkdir()
    (elsewhere / "scalable.yaml").write_text(text)


def test_a_run_goes_on_when_what_started_it_is_killed(project: Path, marks: Path, scalable) -> None:
    """Two hundred calls end well with nobody there; the command has said which run it is."""
    starter = start(project, "run", "--detach", "--", "200", "0.01", str(marks))
    assert starter.stdout is not None
    run = starter.stdout.readline().strip()
    starter.kill()
    starter.wait()

    record = await_end(project, run)

    assert record["status"] == "done", (project / ".scalable/runs" / run / "driver.log").read_text()
    assert record["tasks"] == {"total": 200, "done": 200, "failed": 0, "cached": 0}
    assert record["detached"] is True
    assert computed(marks) == [str(i) for i in range(200)]
    await_that(lambda: not processes(project), "the end of every process")
    assert "total" in scalable("logs", run).stdout
    assert "total.json" in scalable("artifacts", "ls", run).stdout


def test_a_driver_is_in_no_session_of_the_terminal(project: Path, marks: Path, scalable) -> None:
    """So the terminal's end, and Ctrl-C in it, do not reach the driver or its workers."""
    run = hand_over(scalable, "--", "40", "0.2", str(marks))
    driver = record_of(project, run)["pid"]

    assert os.getsid(driver) == driver != os.getsid(0)

    scalable("cancel", run)


def test_another_folder_with_the_same_storage_sees_and_ends_a_run(
    project: Path, marks: Path, tmp_path: Path, scalable
) -> None:
    """Status, logs, attach and cancel read and write what both share, and nothing is left afterwards."""
    elsewhere = tmp_path / "elsewhere"
    share(project, tmp_path / "storage", elsewhere)
    run = hand_over(scalable, "--", "400", "0.2", str(marks))
    await_that(lambda: len(computed(marks)) > 3, "some calls")

    def sees() -> bool:
        found = json.loads(scalable("status", "--json", cwd=elsewhere).stdout)["runs"]
        return [(each["run"], each["driver"]) for each in found] == [(run, "here")]

    await_that(sees, "the run in the status of another folder")
    watcher = start(elsewhere, "attach", run, "--json")
    following = start(elsewhere, "logs", run, "--follow")
    await_that(
        lambda: "simulate" in (tmp_path / "storage/.runs" / run / "progress.json").read_text(),
        "progress in the storage",
    )
    done = scalable("cancel", run, cwd=elsewhere)

    assert done.returncode == 0, done.stderr
    assert "nothing is left" in done.stdout
    record = await_end(project, run)
    assert record["status"] == "interrupted"
    assert "cancelled by" in record["error"]
    lines = [json.loads(line) for line in watcher.communicate(timeout=60)[0].splitlines()]
    assert watcher.returncode == 130
    kinds = {line["kind"] for line in lines if line["schema"] == "scalable.event/1"}
    assert {"run.started", "progress", "run.cancelled", "run.ended"} <= kinds
    assert lines[-1]["status"] == "interrupted"
    assert "cancelled by" in following.communicate(timeout=60)[0]
    await_that(lambda: not processes(project), "the end of every process")
    assert json.loads(scalable("status", "--json", cwd=elsewhere).stdout)["runs"] == []


def test_what_was_done_before_a_cancel_is_not_done_again(
    project: Path, marks: Path, scalable
) -> None:
    """No call is broken off, so each is computed exactly once over both runs."""
    run = hand_over(scalable, "--", "30", "0.2", str(marks))
    await_that(lambda: len(computed(marks)) > 5, "some calls")
    assert scalable("cancel", run).returncode == 0
    before = computed(marks)
    assert 5 < len(before) < 30

    done = scalable("run", "--resume", run, "--detach")
    again = done.stdout.strip()

    assert done.returncode == 0, done.stderr
    record = await_end(project, again)
    assert (record["status"], record["resumed"]) == ("done", run)
    assert record["tasks"]["cached"] == len(before)
    assert computed(marks) == [str(i) for i in range(30)]


def test_a_driver_that_was_killed_is_seen_and_its_run_resumed(
    project: Path, marks: Path, tmp_path: Path, scalable
) -> None:
    """Its workers end with it, status says so, and only what was not kept is done again."""
    run = hand_over(scalable, "--", "30", "0.2", str(marks))
    await_that(lambda: len(computed(marks)) > 5, "some calls")
    os.kill(record_of(project, run)["pid"], signal.SIGKILL)
    await_that(lambda: not processes(project), "the end of the workers")
    kept = len(computed(marks))

    status = scalable("status")
    watched = scalable("attach", run)
    done = scalable("run", "--resume", run)

    assert "its driver is gone" in status.stdout
    assert (watched.returncode, "has not said how it ended" in watched.stderr) == (130, True)
    assert done.returncode == 0, done.stderr
    assert "total 8555" in done.stdout
    # What the two workers had done and could not say any more may be done twice.
    assert 30 <= len(computed(marks)) <= 30 + 2
    assert set(computed(marks)) == {str(i) for i in range(30)}
    assert kept > 5
    assert "Nothing of this project is running" in scalable("status").stdout


def test_two_runs_at_once_do_not_mix(project: Path, tmp_path: Path, scalable) -> None:
    """Each has its own folder, records and workers, and the end of one is not that of the other."""
    first = hand_over(scalable, "--", "300", "0.2", str(tmp_path / "first"))
    second = hand_over(scalable, "--", "12", "0.15", str(tmp_path / "second"))
    await_that(lambda: computed(tmp_path / "first"), "a call of the first")

    ended = await_end(project, second)
    assert record_of(project, first)["status"] == "running"
    assert (ended["status"], ended["tasks"]["done"]) == ("done", 12)
    assert computed(tmp_path / "second") == [str(i) for i in range(12)]

    assert scalable("cancel", first).returncode == 0
    assert await_end(project, first)["status"] == "interrupted"
    await_that(lambda: not processes(project), "the end of every process")


def test_an_attached_run_goes_on_detached(project: Path, marks: Path, scalable) -> None:
    """The driver here ends in good order, and says before what is done again; the rest is done elsewhere."""
    here = start(project, "run", "--", "40", "0.2", str(marks))
    await_that(lambda: len(computed(marks)) > 5, "some calls")
    run = next((project / ".scalable/runs").iterdir()).name

    unasked = scalable("detach", run)
    done = scalable("detach", run, "--yes")

    assert (unasked.returncode, "no terminal to ask on" in unasked.stderr) == (2, True)
    assert done.returncode == 0, done.stderr
    assert "calls run again at most" in done.stderr
    assert here.wait(timeout=60) == 130
    assert "detached by" in record_of(project, run)["error"]
    again = done.stdout.strip()
    record = await_end(project, again)
    assert (record["status"], record["resumed"], record["detached"]) == ("done", run, True)
    assert computed(marks) == [str(i) for i in range(40)]
    assert here.communicate()[1]


def test_what_the_folder_becomes_later_does_not_change_a_run(
    project: Path, marks: Path, scalable
) -> None:
    """The driver has the project as it was; what it writes there is kept, and nothing else of the copy."""
    text = (project / "workflow.py").read_text() + "open('seen.txt', 'w').write('ok')\n"
    (project / "workflow.py").write_text(text)
    run = hand_over(scalable, "--", "20", "0.1", str(marks))
    (project / "workflow.py").write_text("raise SystemExit('not this one')\n")

    assert await_end(project, run)["status"] == "done"
    copy = project / ".scalable/runs" / run / "project"
    await_that(lambda: not processes(project), "the end of every process")
    assert [path.name for path in copy.iterdir()] == ["seen.txt"]


def test_a_workflow_that_fails_before_its_session_says_so_in_the_record(
    project: Path, scalable
) -> None:
    """A run without a session has a record all the same, with what went wrong."""
    (project / "workflow.py").write_text("raise ValueError('no data')\n")

    run = hand_over(scalable)

    record = await_end(project, run)
    assert (record["status"], record["error"]) == ("failed", "ValueError: no data")
    assert "ValueError: no data" in scalable("logs", run).stdout
    assert scalable("attach", run).returncode == 1


def test_the_driver_is_in_the_estimate(project: Path, scalable) -> None:
    """On a machine that has a price, the workflow's own process has it too, and a budget counts it."""
    text = (project / "scalable.yaml").read_text()
    text = text.replace("max_workers: 2", "max_workers: 2, price: {vcpu_hour: 0.5}")
    (project / "scalable.yaml").write_text(text)

    plans = [
        json.loads(scalable("run", "--dry-run", "--json", *words).stdout)["cost"]
        for words in ((), ("--detach",))
    ]

    items = [[line["item"] for line in plan["lines"]] for plan in plans]
    assert items == [["Compute"], ["Driver", "Compute"]]
    assert plans[1]["expected"] > plans[0]["expected"]


def test_a_workflow_outside_of_the_project_cannot_travel(
    project: Path, tmp_path: Path, scalable
) -> None:
    """Before anything is started, and with what can be done about it."""
    (tmp_path / "outside.py").write_text("")

    done: subprocess.CompletedProcess[str] = scalable(
        "run", "--detach", "--workflow", "../outside.py"
    )

    assert done.returncode == 2
    assert "only that folder travels" in " ".join(done.stderr.split())
    assert not list((project / ".scalable").glob("runs/*"))
    assert not [p for p in psutil.pids() if p in {each.pid for each in processes(project)}]
