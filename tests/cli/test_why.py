"""`scalable why` names the part that changed, without running the workflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = '''\
FACTOR = 3


class Scenario:
    def __init__(self, name):
        self.name = name

    def size(self):
        return len(self.name)


def clip(x):
    """Clip."""
    return max(0, x)


def step(year, scenario):
    return clip(year * FACTOR) + scenario.size()
'''

WORKFLOW = """\
import model
from scalable import FileType, ScalableSession, cacheable

@cacheable(path=FileType)
def read(path):
    return len(open(path).read())

def main():
    open("ran", "a").write("x")
    with ScalableSession.from_yaml("scalable.yaml") as client:
        steps = client.map(model.step, [2020, 2030], scenario=model.Scenario("ssp2"), task="simulate")
        client.gather([*steps, client.submit(read, "data.txt")])

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def study(project: Path, scalable) -> Path:
    """A project that has run once, with two results of a task and one of a function that reads a file."""
    manifest = project / "scalable.yaml"
    manifest.write_text(
        manifest.read_text().replace("component: model}", "component: model, cache: true}")
    )
    (project / "model.py").write_text(MODEL)
    (project / "workflow.py").write_text(WORKFLOW)
    (project / "data.txt").write_text("one")
    done = scalable("run", "-q")
    assert done.returncode == 0, done.stderr
    return project


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that is there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def explained(scalable, name: str) -> dict:
    """What is said of the only function of a name, as JSON."""
    done = scalable("why", name, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.why/1"
    (function,) = document["functions"]
    return function


def changed(parts: list[dict]) -> dict[str, list[str]]:
    """Part to diff of those that are not the same."""
    return {part["part"]: part["diff"] for part in parts if part["status"] != "same"}


def test_nothing_changed(study: Path, scalable) -> None:
    """The same call would be taken; comments and docstrings are nothing; the workflow does not run."""
    edit(study / "model.py", '"""Clip."""', '"""Clip it."""  # well')

    for name, function in (
        ("simulate", "model.step"),
        ("step", "model.step"),
        ("read", "__main__.read"),
    ):
        said = explained(scalable, name)
        assert said["function"] == function
        assert said["today"].startswith("its result of 20"), said
        assert changed(said["parts"]) == {}
    assert (study / "ran").read_text() == "x"


def test_a_helper_that_changed_is_shown_with_a_diff(study: Path, scalable) -> None:
    """Of the task, by the name of the helper."""
    edit(study / "model.py", "max(0, x)", "max(0.0, min(x, 9))")
    said = explained(scalable, "simulate")

    assert said["today"] == "will run: code model.clip changed"
    diff = [" def clip(x):", "-    return max(0, x)", "+    return max(0.0, min(x, 9))"]
    assert changed(said["parts"]) == {"code model.clip": diff}
    text = scalable("why", "simulate").stdout
    assert "today     will run: code model.clip changed\n" in text
    assert "      +    return max(0.0, min(x, 9))\n" in text


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("FACTOR = 3", "FACTOR = 4", "global model.FACTOR"),
        ("year * FACTOR", "FACTOR + year", "code model.step"),
        ("len(self.name)", "len(self.name) + 1", "code model.Scenario.size"),
    ],
)
def test_other_code_that_changed_is_named(
    study: Path, scalable, old: str, new: str, part: str
) -> None:
    """Globals, the function itself, and methods of an argument's class."""
    edit(study / "model.py", old, new)

    assert set(changed(explained(scalable, "simulate")["parts"])) == {part}


def test_a_file_that_changed_is_named(study: Path, scalable) -> None:
    """With its digests of then and today; a function of the workflow itself is looked at too."""
    (study / "data.txt").write_text("two")
    said = explained(scalable, "read")
    assert said["today"] == "will run: file path changed"

    edit(study / "workflow.py", "return len(open", "return 1 + len(open")
    said = explained(scalable, "read")
    assert set(changed(said["parts"])) == {"file path", "code __main__.read"}


def test_after_a_rerun_it_says_why_it_ran(study: Path, scalable) -> None:
    """Against the result of before, also where today cannot be told without running the workflow."""
    edit(study / "workflow.py", "return len(open", "return 1 + len(open")
    edit(study / "workflow.py", 'if __name__ == "__main__":\n    main()', "main()")
    assert scalable("run", "-q").returncode == 0
    said = explained(scalable, "read")

    assert said["today"] is None
    assert "cannot be told without running it" in said["unknown"]
    assert said["before"]["reason"] == "it ran because: code __main__.read changed"
    assert set(changed(said["before"]["parts"])) == {"code __main__.read"}
    assert (study / "ran").read_text() == "xx"


def test_a_function_that_is_gone_is_said(study: Path, scalable) -> None:
    """Its results are still there."""
    edit(study / "model.py", "def step", "def stride")

    assert explained(scalable, "simulate")["unknown"] == "there is no model.step() today"


def test_one_call_of_a_task_is_named_by_its_place(study: Path, scalable) -> None:
    """Against the same call of the run before: the argument that changed, then and now."""
    edit(study / "workflow.py", "[2020, 2030]", "[2020, 2040]")
    assert scalable("run", "-q").returncode == 0
    first, second = explained(scalable, "simulate[0]"), explained(scalable, "simulate[1]")

    assert first["before"] is None
    assert first["today"].startswith("its result of 20")
    assert second["call"] == "simulate[1]"
    assert second["before"]["reason"] == "it ran because: argument year changed"
    (part,) = (part for part in second["before"]["parts"] if part["status"] != "same")
    assert (part["before"], part["after"]) == ("2030", "2040")
    text = scalable("why", "simulate[1]").stdout
    assert "  ~ argument year  2030 -> 2040\n" in text
    assert "argument year changed" in scalable("why", "simulate").stdout


def test_results_that_only_the_shared_place_has_are_compared_too(study: Path, scalable) -> None:
    """As those of workers on other machines are."""
    shared = {"SCALABLE_CACHE_REMOTE": (study / "shared").as_uri()}
    shutil.rmtree(study / ".scalable")
    assert scalable("run", "-q", **shared).returncode == 0
    edit(study / "workflow.py", "[2020, 2030]", "[2020, 2040]")
    assert scalable("run", "-q", **shared).returncode == 0
    shutil.rmtree(study / ".scalable" / "cache")
    edit(study / "model.py", "max(0, x)", "max(1, x)")

    for name in ("simulate", "simulate[1]"):
        done = scalable("why", name, "--json", **shared)
        assert done.returncode == 0, done.stderr
        (said,) = json.loads(done.stdout)["functions"]
        assert set(changed(said["parts"])) == {"code model.clip"}
        assert set(changed(said["before"]["parts"])) == {"argument year"}


def test_a_long_argument_is_cut(study: Path, scalable) -> None:
    """A list of a thousand numbers does not fill the screen, then or now."""
    edit(study / "model.py", "scenario.size()", "len(scenario)")
    edit(study / "workflow.py", 'model.Scenario("ssp2")', "list(range(1000))")
    assert scalable("run", "-q").returncode == 0
    edit(study / "workflow.py", "list(range(1000))", "list(range(1, 1001))")
    assert scalable("run", "-q").returncode == 0
    text = scalable("why", "simulate[0]", COLUMNS="100").stdout

    (line,) = (line for line in text.splitlines() if "~ argument scenario" in line)
    assert "[0, 1, 2, " in line
    assert "->" in line
    assert len(line) <= 100


def test_a_call_that_no_run_made_is_said(study: Path, scalable) -> None:
    """With the last one there is."""
    done = scalable("why", "simulate[2]")

    assert done.returncode == 2
    assert "made 2 calls of 'simulate'" in done.stderr
    assert "the last one is simulate[1]" in done.stderr


def test_a_call_without_a_result_is_told_by_its_end(study: Path, scalable) -> None:
    """One that failed runs again because it failed."""
    edit(study / "model.py", "clip(year * FACTOR)", "clip(year * FACTOR) // (year - 2030)")
    assert scalable("run", "-q").returncode == 1
    done = scalable("why", "simulate[1]")

    assert done.returncode == 2
    assert "it failed" in done.stderr


def test_a_name_of_nothing_is_a_sentence(study: Path, scalable) -> None:
    """With the nearest name, exit code 2."""
    done = scalable("why", "stepp")

    assert done.returncode == 2
    assert "no result of 'stepp' is kept" in done.stderr
    assert "did you mean 'step'?" in done.stderr


def test_a_task_that_keeps_nothing_is_told_how(project: Path, scalable) -> None:
    """What to write into the manifest."""
    done = scalable("why", "simulate")

    assert done.returncode == 2
    assert "cache: true" in done.stderr


def test_a_rerun_says_which_run_its_results_came_from(study: Path, scalable) -> None:
    """Also those whose arguments are objects of the project; its report counts them."""
    done = scalable("run", "-q")
    assert done.returncode == 0, done.stderr
    runs = sorted((study / ".scalable" / "runs").iterdir())
    rows = [json.loads(line) for line in (runs[-1] / "tasks.jsonl").read_text().splitlines()]

    assert [(row["state"], row["source"]) for row in rows] == [("cached", runs[0].name)] * 3
    assert "3 results from it" in scalable("report").stdout
    short = runs[0].name.split("-", 3)[3]
    assert f"3 of 3 came from run {short}" in scalable("report").stdout
    scalable("report", "--format", "html")
    assert f"3 of 3 came from run {short}." in (runs[-1] / "report.html").read_text()


def test_what_pickling_notes_on_a_class_is_no_change(study: Path, scalable) -> None:
    """A key does not depend on whether an object of a class was pickled before."""
    code = """
import pickle, model
from scalable_core.cache.fingerprint import fingerprint

def use():
    return model.Scenario("a").size()

before = fingerprint(use).key
pickle.dumps(model.Scenario("a"), 2)
assert "__slotnames__" in vars(model.Scenario)
assert fingerprint(use).key == before
"""
    (study / "pickled.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "pickled.py"], cwd=study, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
