"""What changed from one run to another, and why."""

from __future__ import annotations

from records_rows import call, worker

from scalable_core.records.compare import compare


def group(**changes: object) -> dict[str, object]:
    """A worker group of a plan."""
    return {"name": "model", "cpus": 1.0, "memory": 2**28, "image": None, **changes}


def test_numbers_are_paired_and_reasons_named(made) -> None:
    """Durations, counts and cost side by side; what differs about the runs is said."""
    first = made(
        "run-1",
        tasks=[call(n) for n in range(10)],
        plan={"groups": [group()]},
        cost=[{"amount": 1.5}],
    )
    rows = [call(0, finished=call(0)["started"] + 3)]
    rows += [call(n, state="cached", started=None, worker=None) for n in range(1, 10)]
    second = made(
        "run-2",
        record={"target": "aws", "lock": "sha256:1", "version": "2"},
        tasks=rows,
        plan={"groups": [group(memory=2**29)]},
        cost=[{"amount": 0.5}],
    )
    comparison = compare(first, second)

    (task,) = comparison.tasks
    changes = {change.name: (change.before, change.after) for change in task.changes}
    assert changes["duration p50"] == (1.0, 3.0)
    assert changes["cached"] == (0, 9)
    assert next((c.before, c.after) for c in comparison.changes if c.name == "cost") == (1.5, 0.5)
    assert comparison.reasons == (
        "9 results were cached, was 0",
        "target local -> aws",
        "Scalable  -> 2",
        "component model: memory 256M -> 512M",
    )


def test_a_change_within_the_usual_spread_is_called_so(made) -> None:
    """A median that any two runs could have is no news."""
    spans = [1, 2, 3, 4, 5]
    first = made(
        "run-1", tasks=[call(n, finished=call(n)["started"] + s) for n, s in enumerate(spans)]
    )
    near = made("run-2", tasks=[call(1, finished=call(1)["started"] + 4)])
    far = made("run-3", tasks=[call(1, finished=call(1)["started"] + 9)])

    assert compare(first, near).tasks[0].changes[0].usual
    assert not compare(first, far).tasks[0].changes[0].usual


def test_a_task_of_one_run_only_is_named_with_it(made) -> None:
    """Nothing is compared with nothing."""
    first = made("run-1", tasks=[call(1)])
    second = made("run-2", tasks=[call(1, task="reduce")])

    assert [(task.task, task.only) for task in compare(first, second).tasks] == [
        ("reduce", "run-2"),
        ("simulate", "run-1"),
    ]


def test_a_changed_manifest_is_a_reason_when_nothing_else_is(made) -> None:
    """The lock says that something changed although sizes and tasks are the same."""
    first, second = made("run-1"), made("run-2", record={"lock": "sha256:77"})

    assert compare(first, second).reasons == (
        "the manifest changed: lock sha256:0.. -> sha256:77..",
    )
    assert compare(first, first).reasons == ()


def test_lost_workers_are_a_reason(made) -> None:
    """They cost time that no task's own numbers show."""
    lost = [worker(), worker(event="lost", time=worker()["time"] + 5)]

    assert compare(made("run-1"), made("run-2", workers=lost)).reasons[-1] == "workers lost 0 -> 1"
