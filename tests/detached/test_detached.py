"""A run goes on without the process that has started it, and is found, followed and ended from anywhere."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from detached_project import (
    await_end,
    await_that,
    computed,
    open_gate,
    processes,
    record_of,
    start,
)

from scalable_core.session.resume import Unfinished, count_unfinished

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
    """Two hundred calls end well with nobody there, in no session of the terminal, with the project as it was.

    What the workflow writes is kept, and nothing else of its copy of the folder.
    """
    starter = start(project, "run", "--detach", "--", "200", "100", str(marks))
    assert starter.stdout is not None
    run = starter.stdout.readline().strip()
    starter.kill()
    starter.wait()
    driver = record_of(project, run)["pid"]
    assert os.getsid(driver) == driver != os.getsid(0)
    (project / "workflow.py").write_text("raise SystemExit('not this one')\n")
    open_gate(marks)

    record = await_end(project, run)

    folder = project / ".scalable/runs" / run
    assert record["status"] == "done", (folder / "driver.log").read_text()
    assert record["tasks"] == {"total": 200, "done": 200, "failed": 0, "cached": 0}
    assert record["detached"] is True
    assert computed(marks) == list(range(200))
    await_that(lambda: not processes(project), "the end of every process")
    assert [path.name for path in (folder / "project").iterdir()] == ["seen.txt"]
    assert "total" in scalable("logs", run).stdout
    assert "total.json" in scalable("artifacts", "ls", run).stdout


def test_another_folder_with_the_same_storage_sees_and_ends_a_run(
    project: Path, marks: Path, tmp_path: Path, scalable
) -> None:
    """Status, logs, attach and cancel use what both share; no call is broken off, and none is done twice."""
    elsewhere, shared = tmp_path / "elsewhere", tmp_path / "storage/.runs"
    share(project, tmp_path / "storage", elsewhere)
    run = hand_over(scalable, "--", "20", "6", str(marks))
    watcher = start(elsewhere, "attach", run, "--json")
    following = start(elsewhere, "logs", run, "--follow")
    await_that(lambda: len(computed(marks)) == 6, "some calls")
    await_that(lambda: (shared / run / "progress.json").exists(), "progress in the storage")
    (seen,) = json.loads(scalable("status", "--json", cwd=elsewhere).stdout)["runs"]
    assert (seen["run"], seen["driver"]) == (run, "here")

    cancel = start(elsewhere, "cancel", run)
    events = project / ".scalable/runs" / run / "events.jsonl"
    await_that(lambda: "run.cancelled" in events.read_text(), "the word that it is to end")
    open_gate(marks)
    said, trouble = cancel.communicate(timeout=90)

    assert cancel.returncode == 0, trouble
    assert "nothing is left" in said
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
    before = computed(marks)
    assert 6 < len(before) < 20

    again = hand_over(scalable, "--resume", run)

    record = await_end(project, again)
    assert (record["status"], record["resumed"]) == ("done", run)
    assert record["tasks"]["cached"] == len(before)
    assert computed(marks) == list(range(20))
    await_that(lambda: not processes(project), "the end of every process")
    assert json.loads(scalable("status", "--json", cwd=elsewhere).stdout)["runs"] == []


def test_a_driver_that_was_killed_is_seen_and_its_run_resumed(
    project: Path, marks: Path, scalable
) -> None:
    """Its workers end with it, status says so, and only what was not kept is done again."""
    run = hand_over(scalable, "--", "14", "6", str(marks))
    await_that(lambda: len(computed(marks)) == 6, "some calls")
    os.kill(record_of(project, run)["pid"], signal.SIGKILL)
    await_that(lambda: not processes(project), "the end of the workers")
    open_gate(marks)

    status = scalable("status")
    watched = scalable("attach", run)
    done = scalable("run", "--resume", run)

    assert "its driver is gone" in status.stdout
    assert (watched.returncode, "has not said how it ended" in watched.stderr) == (130, True)
    assert done.returncode == 0, done.stderr
    assert f"total {sum(x * x for x in range(14))}" in done.stdout
    # What the two workers had done and could not say any more may be done twice.
    assert 14 <= len(computed(marks)) <= 14 + 2
    assert set(computed(marks)) == set(range(14))
    assert "Nothing of this project is running" in scalable("status").stdout


def test_two_runs_at_once_do_not_mix(project: Path, tmp_path: Path, scalable) -> None:
    """Each has its own folder, records and workers, and the end of one is not that of the other."""
    first = hand_over(scalable, "--", "6", "2", str(tmp_path / "first"))
    second = hand_over(scalable, "--", "8", "8", str(tmp_path / "second"))
    await_that(lambda: computed(tmp_path / "first"), "a call of the first")

    ended = await_end(project, second)
    assert record_of(project, first)["status"] == "running"
    assert (ended["status"], ended["tasks"]["done"]) == ("done", 8)
    assert computed(tmp_path / "second") == list(range(8))

    open_gate(tmp_path / "first")
    assert await_end(project, first)["tasks"]["done"] == 6
    assert computed(tmp_path / "first") == list(range(6))
    await_that(lambda: not processes(project), "the end of every process")


def test_an_attached_run_goes_on_detached(project: Path, marks: Path, scalable) -> None:
    """The driver here ends in good order, and says before what is done again; the rest is done elsewhere."""
    here = start(project, "run", "--", "16", "5", str(marks))
    await_that(lambda: len(computed(marks)) == 5, "some calls")
    run = next((project / ".scalable/runs").iterdir()).name
    known = Unfinished(total=16, done=5, kept=5, running=2)
    await_that(lambda: count_unfinished(project / ".scalable/runs" / run) == known, f"{known}")

    unasked = scalable("detach", run)
    detach = start(project, "detach", run, "--yes")
    events = project / ".scalable/runs" / run / "events.jsonl"
    await_that(lambda: "run.cancelled" in events.read_text(), "the word that it is to end")
    open_gate(marks)
    again, said = detach.communicate(timeout=90)

    assert (unasked.returncode, "no terminal to ask on" in unasked.stderr) == (2, True)
    assert detach.returncode == 0, said
    assert "5 of 16 calls are done, 5 of them kept" in unasked.stderr
    assert "2 calls run again at most: 2 that run now" in said
    assert here.wait(timeout=60) == 130
    assert "detached by" in record_of(project, run)["error"]
    record = await_end(project, again.strip())
    assert (record["status"], record["resumed"], record["detached"]) == ("done", run, True)
    assert computed(marks) == list(range(16))
    assert here.communicate()[1]


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

    done = scalable("run", "--detach", "--workflow", "../outside.py")

    assert done.returncode == 2
    assert "only that folder travels" in " ".join(done.stderr.split())
    assert not list((project / ".scalable").glob("runs/*"))
    assert not processes(project)
