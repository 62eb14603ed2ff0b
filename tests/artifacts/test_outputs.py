"""A task's outputs are named by the arguments of its calls, and stored when a call has returned."""

from __future__ import annotations

import pickle
from pathlib import Path

import cloudpickle
import pytest
from dask.tokenize import tokenize

from scalable import ScalableSession
from scalable_core.artifacts import outputs
from scalable_core.artifacts.outputs import StoringCall, fill, output_name
from scalable_core.errors import ArtifactError, ManifestError


def simulate(year: int, scenario: str = "base", *extra: int, **more: object) -> int:
    return year


@pytest.mark.parametrize(
    ("output", "args", "kwargs", "filled"),
    [
        ("out.csv", (1,), {}, "out.csv"),
        ("./r/{year}.csv", (2030,), {}, "r/2030.csv"),
        ("r/{year:05d}-{scenario}.csv", (7,), {}, "r/00007-base.csv"),
        ("{scenario}", (), {"year": 1, "scenario": "low"}, "low"),
        ("{0}/{place}", (3,), {"place": "x"}, "3/x"),
        ("{scenario}/*.csv", (1, "a*b"), {}, "a[*]b/*.csv"),
        ("{{x}}", (1,), {}, "{x}"),
    ],
)
def test_arguments_stand_in_place_of_their_names(
    output: str, args: tuple[object, ...], kwargs: dict[str, object], filled: str
) -> None:
    """By name or position, with a format and with defaults; wildcards in a value mean themselves."""
    assert fill(output, simulate, args, kwargs) == filled


def test_what_is_no_argument_is_named_with_those_that_are() -> None:
    """Before the call runs, so that no work is lost."""
    with pytest.raises(ArtifactError, match=r"'yaer'; its arguments: year, scenario"):
        fill("{yaer}", simulate, (1,), {})


def test_an_output_keeps_its_path_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One elsewhere keeps its path from the root; one that leads out is refused."""
    monkeypatch.chdir(tmp_path)

    assert output_name("a/b.csv") == "a/b.csv"
    assert output_name(f"{tmp_path}/a/b.csv") == "a/b.csv"
    assert output_name("/outputs/b.csv") == "outputs/b.csv"
    with pytest.raises(ArtifactError, match="another meaning"):
        output_name("../b.csv")


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What calls have stored, in a folder of their own."""
    found: list[tuple[str, Path]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outputs, "store_artifact", lambda name, path: found.append((name, path)))
    return found


def test_outputs_are_stored_when_the_call_has_returned(stored: list[tuple[str, Path]]) -> None:
    """And its result is what the function gives."""

    def work(year: int) -> int:
        assert stored == []
        Path(f"{year}.csv").write_text("x")
        return year * 2

    assert StoringCall(work, ["{year}.csv"])(2030) == 4060
    assert stored == [("2030.csv", Path("2030.csv"))]


def test_an_output_that_is_not_there_fails_the_call(stored: list[tuple[str, Path]]) -> None:
    """A call that has not written what it says is not done."""
    with pytest.raises(ArtifactError, match=r"its output 1.csv is not in"):
        StoringCall(simulate, ["{year}.csv"])(1)


@pytest.mark.parametrize("output", ["../out.csv", "../*.csv", "a/../../{year}"])
def test_an_output_that_leads_out_is_refused_before_the_work(
    stored: list[tuple[str, Path]], output: str
) -> None:
    """No work is lost for a name that cannot be kept."""

    def work(year: int) -> None:
        raise AssertionError("it ran")

    with pytest.raises(ArtifactError, match="another meaning"):
        StoringCall(work, [output])(1)


def test_a_wildcard_stands_for_what_the_call_has_written(stored: list[tuple[str, Path]]) -> None:
    """Files that were there before and are as they were belong to someone else."""
    Path("old.csv").write_text("old")
    Path("changed.csv").write_text("old")

    def work() -> None:
        Path("changed.csv").write_text("changed")
        Path("deep/down").mkdir(parents=True)
        Path("deep/down/new.csv").write_text("new")

    StoringCall(work, ["**/*.csv"])()

    assert [name for name, _ in stored] == ["changed.csv", "deep/down/new.csv"]


def test_a_value_with_brackets_is_found_as_it_is(stored: list[tuple[str, Path]]) -> None:
    """Characters of wildcards in an argument are not wildcards."""

    def work(name: str) -> None:
        Path(f"{name}.csv").write_text("x")

    StoringCall(work, ["{name}.csv"])("a[1]*?")

    assert stored == [("a[1]*?.csv", Path("a[1]*?.csv"))]


def test_a_failed_call_stores_nothing(stored: list[tuple[str, Path]]) -> None:
    """What it raises is raised."""

    def work() -> None:
        Path("a.csv").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        StoringCall(work, ["a.csv"])()
    assert stored == []


def test_a_storing_call_is_as_its_function_to_dask() -> None:
    """It travels, has its name, and the same function has the same token."""
    call = StoringCall(simulate, ["a"])

    assert pickle.loads(cloudpickle.dumps(call)).outputs == ("a",)
    assert call.__name__ == "simulate"
    assert tokenize(call) == tokenize(StoringCall(simulate, ["a"]))
    assert tokenize(call) != tokenize(StoringCall(simulate, ["b"]))


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("../out.csv", "leads out of the folder"),
        ("a/../../{year}", "leads out of the folder"),
        ("{year", "cannot be read"),
        ("", "is empty"),
    ],
)
def test_an_output_that_cannot_be_is_found_before_anything_runs(
    tmp_path: Path, output: str, says: str
) -> None:
    """By `scalable validate`, with its position."""
    manifest = tmp_path / "scalable.yaml"
    manifest.write_text(
        "version: 1\nproject: {name: study}\ntargets:\n  local: {provider: local}\n"
        "components:\n  model: {cpus: 1}\ntasks:\n  simulate:\n    component: model\n"
        f"    outputs: ['good/{{year}}.csv', {output!r}]\n"
    )

    with pytest.raises(ManifestError, match=says) as caught:
        ScalableSession.from_yaml(manifest)
    (problem,) = caught.value.problems
    assert (problem.code, problem.line) == ("E0211", 10)
