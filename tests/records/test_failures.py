"""Failed attempts are grouped by cause, each with its cure."""

from __future__ import annotations

from records_rows import START, call, failure

from scalable_core.records.failures import group_failures, user_frames

MIB = 2**20
PLAN = {"tasks": {"simulate": {"component": "model", "retries": 2, "timeout": 90.0}}}


def test_messages_that_differ_in_numbers_are_one_cause(made) -> None:
    """Three calls with the same error are one group; another error is another."""
    rows = [failure(1), failure(2), failure(3, task="reduce"), failure(4, type="KeyError")]
    first, second = group_failures(made(failures=rows))

    assert (first.type, first.attempts, first.calls, first.given_up) == ("ValueError", 3, 3, 3)
    assert first.tasks == ("simulate", "reduce")
    assert (first.message, second.type) == ("scenario 3 is empty", "KeyError")
    assert first.cure == "the same call would fail again: mend the code or its input"


def test_calls_that_were_saved_by_a_retry_are_told_apart(made) -> None:
    """A transient cause says how many calls gave a result in the end."""
    rows = [
        failure(1, final=False, transient=True, type="ConnectionError"),
        failure(2, final=False, transient=True, type="ConnectionError"),
        failure(2, attempt=2, transient=True, type="ConnectionError"),
    ]
    tasks = [call(1, state="retried"), call(1, attempt=2), call(2, state="failed")]
    (group,) = group_failures(made(failures=rows, tasks=tasks, plan=PLAN))

    assert (group.attempts, group.calls, group.given_up, group.recovered) == (3, 2, 1, 1)
    assert group.cure.endswith("give task 'simulate' more than 2 retries")


def test_out_of_memory_names_peak_limit_and_advised_size(made) -> None:
    """And the component of the manifest that must be given more."""
    rows = [
        failure(
            1, kind="memory", type="KilledWorker", transient=True, peak=570 * MIB, limit=600 * MIB
        )
    ]
    (group,) = group_failures(made(failures=rows, plan=PLAN))

    assert group.title == "Out of memory"
    assert (group.peak, group.limit, group.advised) == (570 * MIB, 600 * MIB, 1280 * MIB)
    assert group.cure == "it held 570M of 600M; try memory: 1.25G for component 'model'"


def test_a_timeout_names_how_long_it_was(made) -> None:
    """From the plan of the run."""
    (group,) = group_failures(made(failures=[failure(1, kind="timeout")], plan=PLAN))

    assert group.title == "Ran longer than its timeout"
    assert group.cure.startswith("its timeout was 1m30s; raise timeout: of task 'simulate'")


def test_a_lost_worker_comes_with_what_its_provider_said(made) -> None:
    """The event that is nearest in time and names the worker."""
    events = [
        {
            "time": START + 2.5,
            "kind": "worker.lost",
            "message": "worker model-0 ended with exit code 3",
        },
        {
            "time": START + 2,
            "kind": "worker.lost",
            "message": "worker model-1 ended with exit code 4",
        },
        {
            "time": START + 50,
            "kind": "worker.lost",
            "message": "worker model-0 ended with exit code 5",
        },
    ]
    lost = failure(1, kind="worker-lost", type="KilledWorker", transient=True)
    (group,) = group_failures(made(failures=[lost], events=events))

    assert group.said == "worker model-0 ended with exit code 3"


def test_frames_of_the_plumbing_are_left_out_of_the_log() -> None:
    """A user reads their own code."""
    log = [
        '  File "/v/site-packages/scalable_core/member/measure.py", line 48, in __call__',
        "    return self.function(*args, **kwargs)",
        "           ^^^^^^^^^^^^^",
        '  File "/study/workflow.py", line 3, in simulate',
        "    raise ValueError()",
        "ValueError",
    ]

    assert user_frames(log) == tuple(log[3:])


def test_what_cost_most_calls_comes_first(made) -> None:
    """A cause that retries mended comes after those that did not."""
    rows = [failure(n, final=False, type="OSError", transient=True) for n in range(9)]
    groups = group_failures(made(failures=[*rows, failure(20)]))

    assert [group.type for group in groups] == ["ValueError", "OSError"]


def test_what_the_provider_knows_of_a_lost_worker_counts(made) -> None:
    """The scheduler saw nothing; who watched the process did."""
    lost = {"kind": "worker-lost", "type": "WorkerLost", "transient": True, "limit": 600 * MIB}
    rows = [failure(1, **lost), failure(40, **lost), failure(70, **lost, worker="model-1")]
    for row in rows[:2]:
        row["peak"] = 50 * MIB
    data = {"worker": "model-0", "reason": "memory", "peak": 700 * MIB, "limit": 600 * MIB}
    events = [
        {"time": rows[0]["time"] + 0.3, "kind": "worker.lost", "message": "lost", "data": data},
        {"time": rows[2]["time"], "kind": "worker.lost", "message": "lost", "data": data},
    ]
    history = made(failures=rows, events=events)

    assert [(row.kind, row.peak) for row in history.failures] == [
        ("memory", 700 * MIB),
        ("worker-lost", 50 * MIB),
        ("worker-lost", None),
    ]
    (memory, _) = sorted(group_failures(history), key=lambda group: group.kind)
    assert memory.title == "Out of memory"
    assert (memory.peak, memory.limit) == (700 * MIB, 600 * MIB)
