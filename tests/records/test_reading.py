"""Whatever a kill or another version left is read as far as it goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from records_rows import call

from scalable_core.errors import UsageError
from scalable_core.records.overview import list_overviews
from scalable_core.records.reading import find_run, list_runs, read_all, read_history, read_rows
from scalable_core.types import FailureRow, TaskRow


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """A kill in the middle of a line costs that line."""
    table = tmp_path / "tasks.jsonl"
    whole = json.dumps(call(1)) + "\n" + json.dumps(call(2)) + "\n"
    for cut in range(1, len(json.dumps(call(2)))):
        table.write_text(whole[: -cut - 1])
        assert [row.key for row in read_rows(table, TaskRow)] == ["simulate-1"]
    table.write_text(whole)
    assert len(read_rows(table, TaskRow)) == 2


def test_rows_of_later_versions_are_read(tmp_path: Path) -> None:
    """Fields that are not known are ignored; lines that lack what a row must have are left out."""
    table = tmp_path / "tasks.jsonl"
    lines = [call(1, colour="blue"), {"key": "x"}, [1], "text", call(2, started="soon"), call(3)]
    table.write_text("\n".join(map(json.dumps, lines)) + "\n\xff\n", encoding="latin-1")

    assert [row.key for row in read_rows(table, TaskRow)] == ["simulate-1", "simulate-3"]


def test_a_table_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    """A run that had no failures has no such file."""
    assert read_rows(tmp_path / "failures.jsonl", FailureRow) == ()


def test_a_run_is_found_by_any_part_that_only_it_has(made, runs: Path) -> None:
    """The words, the digits or the whole id; nothing stands for the latest run; a path is taken as it is."""
    made("run-20231114-221320-brisk-otter-7f3a")
    made("run-20231115-221320-calm-heron-1c09")

    otter = runs / "run-20231114-221320-brisk-otter-7f3a"
    for name in ("brisk-otter", "7f3a", otter.name, str(otter)):
        assert find_run(runs, name) == otter
    assert find_run(runs).name.endswith("calm-heron-1c09")


def test_a_part_of_several_ids_is_refused_with_their_names(made, runs: Path) -> None:
    """Nobody reads the wrong run by chance."""
    made("run-20231114-221320-brisk-otter-7f3a")
    made("run-20231115-221320-calm-heron-1c09")

    with pytest.raises(UsageError, match=r"2 runs: .*brisk-otter-7f3a, .*calm-heron-1c09"):
        find_run(runs, "run-2023")


def test_a_run_that_is_not_there_is_a_sentence(runs: Path, made) -> None:
    """With the command that lists those that are; and the command that makes one, where there is none."""
    with pytest.raises(UsageError, match="there are no runs"):
        find_run(runs)
    made()
    with pytest.raises(UsageError, match="scalable runs"):
        find_run(runs, "lost-finch")


def test_damaged_runs_do_not_hide_the_others(made, runs: Path) -> None:
    """A folder whose record is damaged is left out of lists, and is a sentence where it is asked for."""
    made()
    for number, text in enumerate(
        ["", "{", '{"schema": "scalable.run/1"}', '{"schema": "other/1"}']
    ):
        (runs / f"run-{number}").mkdir()
        (runs / f"run-{number}" / "run.json").write_text(text)

    assert [run.record.run for run in read_all(runs)] == ["run-20231114-221320-brisk-otter-7f3a"]
    assert len(list_overviews(runs)) == 1
    with pytest.raises(UsageError, match="is not the folder of a run"):
        read_history(runs / "run-2")


def test_a_killed_run_ends_when_it_was_last_heard_of(made) -> None:
    """Its record says no end, so the last row does."""
    killed = {"status": "running", "ended": None, "pid": 2**22 + 1}
    import socket

    history = made(record={**killed, "host": socket.gethostname()}, tasks=[call(1), call(7)])

    assert history.record.status == "interrupted"
    assert history.ended - history.started == 8


def test_runs_of_one_second_are_listed_as_they_ended(tmp_path: Path) -> None:
    """Their names say the second of the start, and no more."""
    ended = {"run-20261201-120000-wise-yak-00ff": 1, "run-20261201-120000-able-ant-ff00": 2}
    for name, time in {**ended, "run-20261201-115959-zesty-zebra-0000": 3}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").touch()
        os.utime(tmp_path / name / "run.json", (time, time))

    assert [folder.name for folder in list_runs(tmp_path)] == [
        "run-20261201-115959-zesty-zebra-0000",
        *ended,
    ]
