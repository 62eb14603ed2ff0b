"""Edit this, expect a hit or a miss: keys of real source files, imported fresh after each edit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROJECT = HERE / "project"

Edit = Callable[[Path], None]


def edit(file: str, old: str, new: str) -> Edit:
    """Replace text in a file."""

    def apply(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return apply


def rename(old: str, new: str) -> Edit:
    """Move a file."""
    return lambda folder: (folder / old).rename(folder / new)


def write(file: str, text: str) -> Edit:
    """Write a file."""
    return lambda folder: (folder / file).write_text(text)


def delete(file: str) -> Edit:
    """Remove a file."""
    return lambda folder: (folder / file).unlink()


def both(*edits: Edit) -> Edit:
    """Make several edits."""

    def apply(folder: Path) -> None:
        for each in edits:
            each(folder)

    return apply


def touch(folder: Path) -> None:
    """Give every file another time."""
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))


PKG = "site-packages/fakepkg-1.0.dist-info/METADATA"
OTHER = "site-packages/otherpkg-1.0.dist-info/METADATA"
SPREAD = edit(
    "flow.py",
    "    if a and b and (a > b or b > 2 * a):\n        return [i * a for i in range(b) if i != a]\n",
    "    if (\n        a\n        and b\n        and (\n            a > b or\n"
    "            b > 2 * a\n        )\n    ):\n"
    "        return [\n            i * a\n            for i in range(b)\n            if i != a\n        ]\n",
)

HIT, MISS = True, False
#: What is edited, the call, the edit, and what becomes of its key.
CASES: list[tuple[str, str, Edit, bool]] = [
    ("nothing", "own", lambda folder: None, HIT),
    ("times of all files", "own", touch, HIT),
    # The function's own code
    ("a constant", "own", edit("flow.py", "y * 2", "y * 3"), MISS),
    ("an operator", "own", edit("flow.py", "y * 2", "y - 2"), MISS),
    ("the type of a constant", "own", edit("flow.py", "y * 2", "y * 2.0"), MISS),
    ("a comment", "own", edit("flow.py", "# A comment.", "# Another.\n    # And more."), HIT),
    ("a docstring", "own", edit("flow.py", '"""Return a number."""', '"""Give one."""'), HIT),
    ("no docstring", "own", edit("flow.py", '    """Return a number."""\n', ""), HIT),
    ("blank lines", "own", edit("flow.py", "    y = x + 1", "\n\n    y = x + 1\n"), HIT),
    ("spaces and brackets", "own", edit("flow.py", "y = x + 1", "y = ( x+1 )"), HIT),
    ("lines above", "own", edit("flow.py", "LIMIT = 3", "LIMIT = 3\n\n\n\nMORE = 9"), HIT),
    ("layout of conditions and loops", "long_condition", SPREAD, HIT),
    ("another function", "own", edit("flow.py", "return x - 1", "return x - 2"), HIT),
    ("order of two functions", "first_of_two", both(
        edit("flow.py", "def second_of_two", "def moved(x):\n    return x\n\n\ndef second_of_two"),
    ), HIT),
    ("a lambda", "short", edit("flow.py", "x + 11", "x + 12"), MISS),
    ("layout of a lambda", "short", edit("flow.py", "x: x + 11", "x: (x\n    + 11)"), HIT),
    ("a generator", "generates", edit("flow.py", "x + 31", "x + 32"), MISS),
    ("a coroutine", "awaits", edit("flow.py", "x + 41", "x + 42"), MISS),
    ("a function that calls itself", "recurses", edit("flow.py", "+ 61", "+ 62"), MISS),
    ("the other of two that call each other", "first_of_two", edit("flow.py", "72", "73"), MISS),
    ("an inner function", "nested_function", edit("flow.py", "y + 95", "y + 94"), MISS),
    ("an inner docstring", "nested_function", edit("flow.py", "Inner doc", "Inside doc"), HIT),
    ("an inner class", "makes_class", edit("flow.py", "size = 96", "size = 97"), MISS),
    ("an inner class's docstring", "makes_class", edit("flow.py", "Local doc", "A doc"), HIT),
    ("a method's docstring of an inner class", "makes_class", edit("flow.py", "Get doc", "A doc"), HIT),
    # What it reaches
    ("a helper", "calls_helper", edit("helpers.py", "* 2", "* 4"), MISS),
    ("a helper's docstring", "calls_helper", edit("helpers.py", "Scale a number", "Scale"), HIT),
    ("a helper of a helper", "calls_helper", edit("deep.py", "x - deepest", "x + deepest"), MISS),
    ("three helpers down", "calls_helper", edit("deep.py", "x + 6", "x + 9"), MISS),
    ("a function that no helper calls", "calls_helper",
     edit("helpers.py", "def never_called(x):\n    return x", "def never_called(x):\n    return -x"), HIT),
    ("an imported name", "calls_imported", edit("helpers.py", "x + 5", "x + 6"), MISS),
    ("another name of that module", "calls_imported", edit("helpers.py", "* 2", "* 4"), HIT),
    ("where a name is imported from", "calls_imported", both(
        edit("flow.py", "from helpers import from_import", "from inside import idle as from_import"),
        edit("inside.py", "return x\n", "return x + 5\n")), MISS),
    ("a module imported inside", "imports_inside", edit("inside.py", "x * RATE", "x + RATE"), MISS),
    ("a global of that module", "imports_inside", edit("inside.py", "RATE = 2", "RATE = 3"), MISS),
    ("an unused function of it", "imports_inside", edit("inside.py", "return x\n", "return 0\n"), HIT),
    ("a name imported inside", "imports_from_inside", edit("inside.py", "* RATE", "+ RATE"), MISS),
    ("a package of the project", "uses_package", edit("pkg/__init__.py", "x + 7", "x + 6"), MISS),
    ("a module of a package", "uses_package", edit("pkg/sub.py", "+ 8", "+ 9"), MISS),
    ("a class's method", "uses_class", edit("shapes.py", "self.side**2", "self.side**3"), MISS),
    ("a base class's method", "uses_class", edit("shapes.py", "size() * 2", "size() * 3"), MISS),
    ("a base class's attribute", "uses_class", edit("shapes.py", '"m"', '"km"'), MISS),
    ("a class attribute", "uses_class", edit("shapes.py", "corners = 4", "corners = 5"), MISS),
    ("a property", "uses_class", edit("shapes.py", "side * self", "side + self"), MISS),
    ("a static method", "uses_class", edit("shapes.py", '"square"', '"box"'), MISS),
    ("a class's docstring", "uses_class", edit("shapes.py", "A square.", "Square."), HIT),
    ("a method's docstring", "uses_class", edit("shapes.py", "Return the area.", "Area."), HIT),
    ("an exception class", "catches", edit("deep.py", "code = 8", "code = 9"), MISS),
    ("a table of functions", "dispatches", edit("flow.py", "x + 91", "x + 92"), MISS),
    ("a module used by getattr", "by_attribute", edit("helpers.py", "x + 5", "x + 6"), MISS),
    # Values
    ("a global", "reads_global", edit("flow.py", "LIMIT = 3", "LIMIT = 4"), MISS),
    ("the type of a global", "reads_global", edit("flow.py", "LIMIT = 3", "LIMIT = 3.0"), MISS),
    ("another global", "reads_global", edit("flow.py", "UNUSED = 1", "UNUSED = 2"), HIT),
    ("inside a global", "reads_table", edit("flow.py", "[1, 2]", "[1, 3]"), MISS),
    ("a module's global", "reads_other_global", edit("helpers.py", "OFFSET = 4", "OFFSET = 5"), MISS),
    ("a default", "has_default", edit("flow.py", "x, step=5", "x, step=6"), MISS),
    ("a keyword's default", "has_keyword_default", edit("flow.py", "*, step=5", "*, step=6"), MISS),
    ("a closure's value", "closed", edit("flow.py", "make_closure(7)", "make_closure(8)"), MISS),
    ("a closure's code", "closed", edit("flow.py", "x * factor", "x + factor"), MISS),
    ("a partial's value", "partial", edit("flow.py", "step=9", "step=8"), MISS),
    ("a partial's function", "partial", edit("flow.py", "x + step", "x - step"), MISS),
    ("a decorator", "decorated", edit("flow.py", "+ 100", "+ 101"), MISS),
    ("a decorated function", "decorated", edit("flow.py", "x * 3", "x * 4"), MISS),
    ("a decorator's docstring", "decorated", edit("flow.py", "Decorate.", "Adorn."), HIT),
    ("no decorator", "decorated", edit("flow.py", "@shout\ndef", "def"), MISS),
    ("the declared version", "versioned", edit("flow.py", 'version="1"', 'version="2"'), MISS),
    ("a called function's version", "calls_cacheable", edit("flow.py", '"1"', '"2"'), MISS),
    ("a function behind functools.cache", "calls_remembered", edit("flow.py", "+ 21", "+ 22"), MISS),
    ("a context manager", "uses_manager", edit("flow.py", "x + 51", "x + 52"), MISS),
    # Arguments
    ("the class of an argument", "takes_scenario", edit("flow.py", "year * self", "year + self"), MISS),
    ("a field's default", "takes_scenario", edit("flow.py", "float = 0.5", "float = 0.6"), MISS),
    ("an unused class's member", "takes_scenario", edit("flow.py", "BLUE = 2", "BLUE = 3"), HIT),
    ("an enum's member", "takes_colour", edit("flow.py", "Colour.RED,", "Colour.BLUE,"), MISS),
    ("a function given as argument", "takes_function", edit("flow.py", "x + 91", "x + 92"), MISS),
    ("an object that is called", "caller", edit("flow.py", "Caller(5), (1", "Caller(6), (1"), MISS),
    ("its code", "caller", edit("flow.py", "x + self.bias", "x * self.bias"), MISS),
    ("a bound method's object", "method", edit("flow.py", "Caller(5).m", "Caller(6).m"), MISS),
    ("the order in a set", "takes_set",
     edit("flow.py", '{"a", "b", "c", "d"}', '{"d", "c", "b", "a"}'), HIT),
    ("a set's member", "takes_set", edit("flow.py", '"c", "d"}', '"c", "e"}'), MISS),
    ("the order in a dict", "takes_dict", edit("flow.py", '"a": 1, "b": 2', '"b": 2, "a": 1'), MISS),
    ("NaN", "takes_nan", lambda folder: None, HIT),
    ("NaN to infinity", "takes_nan", edit("flow.py", '"nan"', '"inf"'), MISS),
    ("a column of a frame", "takes_frame", edit("flow.py", "[3, 4]})", "[3, 5]})"), MISS),
    ("the names of two columns", "takes_frame",
     edit("flow.py", '"b": [0.5, 0.25], "c": [3, 4]', '"b": [3, 4], "c": [0.5, 0.25]'), MISS),
    ("the shape of an array", "takes_array", edit("flow.py", "(3, 4)", "(4, 3)"), MISS),
    ("an array's type", "takes_array", edit("flow.py", "arange(12.0)", "arange(12)"), MISS),
    ("an argument's default given", "has_default_given", edit("flow.py", "(1, 6)", "(1, 7)"), MISS),
    # Files
    ("a file's content", "reads_file", write("data.txt", "some dato"), MISS),
    ("a file's path", "reads_file", both(
        rename("data.txt", "moved.txt"), edit("flow.py", '("data.txt",)', '("moved.txt",)')), HIT),
    ("a file in a folder", "reads_folder", write("folder/one.txt", "Inside the folder"), MISS),
    ("a name in a folder", "reads_folder", rename("folder/one.txt", "folder/two.txt"), MISS),
    ("one more file in a folder", "reads_folder", write("folder/two.txt", ""), MISS),
    ("a folder's path", "reads_folder", both(
        rename("folder", "box"), edit("flow.py", 'Path("folder")', 'Path("box")')), HIT),
    ("a path's content", "reads_path", write("data.txt", "some dato"), MISS),
    ("a path", "reads_path", both(
        rename("data.txt", "moved.txt"), edit("flow.py", '(Path("data.txt")', '(Path("moved.txt")')), MISS),
    ("a path's file gone", "reads_path", delete("data.txt"), MISS),
    # Packages
    ("a package's version", "uses_package_dist", edit(PKG, "Version: 1.0", "Version: 1.1"), MISS),
    ("a required package's version", "uses_package_dist", edit(OTHER, "Version: 1.0", "Version: 1.1"), MISS),
    ("an optional package's version", "uses_package_dist", edit(PKG, "unwanted;", "other;"), HIT),
    ("an installed package's code", "uses_package_dist",
     edit("site-packages/fakepkg.py", "return x", "return -x"), HIT),
    ("a package that is not used", "own", edit(PKG, "Version: 1.0", "Version: 1.1"), HIT),
]  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """The key before and after each edit."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    wanted = []
    for _what, call, apply, _hit in CASES:
        place = tmp_path_factory.mktemp("edit") / "project"
        shutil.copytree(PROJECT, place)
        wanted.append(f"{place}:{call}")
        edited = place.parent / "edited"
        shutil.copytree(PROJECT, edited)
        apply(edited)
        wanted.append(f"{edited}:{call}")
    done = subprocess.run(
        [sys.executable, HERE / "keys.py", *wanted],
        capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == len(wanted)
    return {
        what: (lines[2 * place], lines[2 * place + 1]) for place, (what, *_) in enumerate(CASES)
    }


@pytest.mark.parametrize(
    ("what", "hit"), [(what, hit) for what, _, _, hit in CASES], ids=[case[0] for case in CASES]
)
def test_an_edit_is_a_hit_or_a_miss(keys: dict[str, tuple[str, str]], what: str, hit: bool) -> None:
    """A key changes when, and only when, what is edited can change the result."""
    before, after = keys[what]

    assert len(before) == len(after) == 40, (before, after)
    assert (before == after) is hit


def test_the_cases_have_names_of_their_own() -> None:
    """No case hides another."""
    assert len({case[0] for case in CASES}) == len(CASES) >= 40
