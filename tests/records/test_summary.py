"""What a run's rows come to."""

from __future__ import annotations

import json

import pytest
from records_rows import START, call, worker

from scalable_core.records.summary import natural, quantile, spread, summarise, summary_document


def test_each_call_is_counted_once_by_how_it_ended_last(made) -> None:
    """Attempts that were tried again or lost are counted apart."""
    rows = [
        call(1, state="retried"),
        call(1, attempt=2),
        call(2, state="lost", started=None),
        call(2, state="failed", attempt=2),
        call(3),
        call(4, state="cached", started=None, worker=None),
    ]
    (task,) = summarise(made(tasks=rows)).tasks

    assert (task.calls, task.done, task.failed, task.cached) == (4, 2, 1, 1)
    assert (task.retried, task.lost) == (1, 1)


def test_times_are_those_of_attempts_that_gave_a_result(made) -> None:
    """A call that fails at once does not make its task look fast; waiting counts for all that started."""
    rows = [call(0, state="failed", finished=START), call(2, finished=START + 6), call(4)]
    (task,) = summarise(made(tasks=rows)).tasks

    assert (task.duration.count, task.duration.p50, task.duration.largest) == (2, 2.5, 4)
    assert (task.queue.count, task.queue.p50) == (3, 2)
    assert (task.peak.count, task.peak.largest) == (3, 1004)
    assert task.cpu.total == 1.0


def test_quantiles_are_linear_between_the_values() -> None:
    """As numpy's default has them."""
    values = [1.0, 2.0, 4.0, 8.0, 16.0]

    assert [quantile(values, part) for part in (0, 0.1, 0.5, 0.9, 1)] == [1, 1.4, 4, 12.8, 16]
    assert spread([None, None]) is None
    assert spread([3.0, None]).p90 == 3.0


def test_utilisation_is_work_by_the_time_that_threads_were_there(made) -> None:
    """A worker that was lost and replaced counts for as long as either was there."""
    workers = [
        worker(time=START),
        worker(time=START + 10, event="lost"),
        worker(time=START + 60),
        worker("model-1", time=START + 80, threads=2),
        worker("model-1", time=START + 90, event="removed", threads=2),
    ]
    rows = [call(0, finished=START + 10), call(70, finished=START + 75)]
    summary = summarise(made(tasks=rows, workers=workers))

    first, second = summary.workers
    assert (first.present, first.busy, first.lost, first.calls) == (50, 15, 1, 2)
    assert (second.present, second.busy, second.lost) == (20, 0, 0)
    assert summary.utilisation == pytest.approx(15 / 70)


def test_the_peak_of_a_worker_is_the_most_that_anyone_saw(made) -> None:
    """Its calls' own peaks and the samples in between."""
    samples = [
        {
            "time": START,
            "workers": 1,
            "threads": 1,
            "queued": 0,
            "running": 1,
            "memory": {"model-0": 3000},
        }
    ]
    summary = summarise(made(tasks=[call(1)], workers=[worker()], resources=samples))

    assert (summary.workers[0].peak, summary.workers[0].limit) == (3000, 4000)


def test_the_cache_says_what_it_saved(made) -> None:
    """Seconds of hits whose cost is known, and each problem once."""
    rows = [
        {"time": START, "event": "hit", "task": "simulate", "seconds": 90.0, "nbytes": 10},
        {"time": START, "event": "hit", "task": "simulate"},
        {"time": START, "event": "uncacheable", "task": "plot", "detail": "'figure' has no name"},
        {"time": START, "event": "uncacheable", "task": "plot", "detail": "'figure' has no name"},
    ]
    cache = summarise(made(cache=rows)).cache

    assert (cache.events["hit"], cache.saved, cache.nbytes) == (2, 90.0, 10)
    assert cache.problems == ("'figure' has no name",)


def test_cached_results_are_counted_by_the_run_that_made_them(made) -> None:
    """The report of a run that went on where another was killed says how many came from that one."""
    cached = {"state": "cached", "started": None, "worker": None}
    rows = [call(n, **cached, source="run-1") for n in range(3)]
    rows += [call(7, **cached, source="run-0"), call(8, **cached), call(9)]

    assert summarise(made(tasks=rows)).cache.sources == {"run-1": 3, "run-0": 1}


def test_what_is_not_known_is_none(made) -> None:
    """A run without any row has no utilisation and no cost, not nothing of them."""
    summary = summarise(made())

    assert (summary.calls, summary.utilisation, summary.spent, summary.expected) == (
        0,
        None,
        None,
        None,
    )


def test_the_document_of_a_summary_is_versioned_json(made) -> None:
    """It is what summary.json holds."""
    document = summary_document(summarise(made(tasks=[call(1)], workers=[worker()])))

    assert json.loads(json.dumps(document)) == document
    assert document["schema"] == "scalable.summary/1"


def test_workers_are_sorted_as_people_count() -> None:
    """Number two comes before number ten."""
    names = ["model-10", "model-2", "post-0", "model-1a"]

    assert sorted(names, key=natural) == ["model-1a", "model-2", "model-10", "post-0"]
