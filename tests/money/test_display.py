"""What is spent is seen while a run lasts and when it has ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paid_project import MANIFEST

from scalable_core.cli.display import is_news
from scalable_core.cli.render.run import money_text, progress_line, render_stop, spent_lines
from scalable_core.cli.terminal import Look
from scalable_core.types import Progress, RunCost, RunRecord, TaskCounts

LOOK = Look(width=100, color=False, unicode=False, animated=False)


def record(cost: RunCost | None) -> RunRecord:
    """A run that was stopped after 40 of 49 calls on 6 workers."""
    return RunRecord(
        run="run-20261124-180000-brisk-otter-7f3a", project="p", target="gcp", provider="gcp",
        status="stopped", started="", lock="", cost=cost,
        tasks={"total": 49, "done": 40, "failed": 0, "cached": 0}, workers={"added": 6, "lost": 0},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("money", "said"),
    [
        ({}, ""),
        ({"spent": 0.09}, "spent $0.090"),
        ({"spent": 0.1, "projected": 0.18}, "spent $0.10, projected $0.18"),
        (
            {"spent": 0.1, "projected": 0.18, "budget": 0.5},
            "spent $0.10, projected $0.18 of $0.50",
        ),
    ],
)
def test_money_is_shown_where_there_is_some(money: dict[str, float], said: str) -> None:
    """Nothing is said of it where nothing is billed."""
    progress = Progress(tasks={"simulate": TaskCounts(total=41, done=29)}, workers=8, added=8)
    progress = Progress(tasks=progress.tasks, workers=8, added=8, **money)

    assert money_text(progress) == said
    assert progress_line(progress).endswith(f"; {said}" if said else "8 workers")


def test_money_alone_is_no_news() -> None:
    """It runs on while nothing happens; a log would have a line for each cent."""
    before = Progress(workers=1, spent=0.1, projected=0.2)

    assert not is_news(Progress(workers=1, spent=0.3, projected=0.4), before)
    assert is_news(Progress(workers=2, spent=0.3, projected=0.4), before)


def test_the_error_of_an_estimate_is_said_where_it_is_one() -> None:
    """A run whose results came from the cache costs less, which is nobody's error."""
    fair = RunCost(estimate=0.19, spent=0.18, comparable=True)

    assert spent_lines([record(fair)]) == ["spent $0.18 (estimate $0.19, -5%)"]
    cached = RunCost(estimate=0.19, spent=0.01)
    assert spent_lines([record(cached)]) == ["spent $0.010 (estimate $0.19)"]
    assert spent_lines([record(None)]) == []


def test_a_stop_says_what_the_rest_costs_and_how_to_go_on() -> None:
    """The budget that is proposed is a quarter more than the rest, in two digits."""
    cost = RunCost(estimate=0.6, spent=0.47, budget=0.5, rest=0.21, left=9, kept=38)

    assert render_stop([record(cost)], "scalable run --target gcp --resume brisk-otter", LOOK) == [
        "! budget reached: spent $0.47 of $0.50; finishing would cost about $0.21 more (9 tasks left)",
        "  kept 38 results, released 6 workers",
        "  2 results not kept, to be done again: see cache: true",
        "  resume: scalable run --target gcp --resume brisk-otter --budget 0.27",
    ]


def test_programs_hear_of_the_money(project: Path, scalable) -> None:
    """--json: progress has it while the run lasts, the record and the error at its end."""
    (project / "scalable.yaml").write_text(MANIFEST % "max_workers: 2, processes: false")

    done = scalable("run", "--json", "--yes", "--budget", "0.16", "--", "90", "0.2")

    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 75, done.stderr
    *events, run, error = documents
    seen = [event["data"] for event in events if event["kind"] == "progress"]
    assert seen[-1]["budget"] == 0.16
    assert 0 < seen[-1]["spent"] <= 0.16 < seen[-1]["projected"]
    assert "budget.reached" in {event["kind"] for event in events}
    assert (run["status"], run["cost"]["budget"]) == ("stopped", 0.16)
    assert (error["type"], error["exit_code"]) == ("BudgetReachedError", 75)
