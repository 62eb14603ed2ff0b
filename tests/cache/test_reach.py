"""What a function reaches, in a process in which things change."""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scalable_core.cache import Uncacheable
from scalable_core.cache.fingerprint import fingerprint

Import = Callable[..., types.ModuleType]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Write modules and import the first of them, as if beside a workflow."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def load(**sources: str) -> types.ModuleType:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(sources)))

    yield load
    for name in set(sys.modules) - before:
        del sys.modules[name]


def key(function: Any, *args: Any) -> str:
    """Return the key of a call."""
    return fingerprint(function, args).key


def test_a_global_that_is_bound_again_counts(project: Import) -> None:
    """The value of today counts, not that of the first call."""
    flow = project(flow_a="LIMIT = 1\ndef run(x):\n    return x + LIMIT\n")
    before = key(flow.run, 1)
    flow.LIMIT = 2
    after = key(flow.run, 1)
    flow.LIMIT = 1

    assert before != after
    assert key(flow.run, 1) == before


def test_a_global_that_changes_in_place_counts(project: Import) -> None:
    """A list that grew is another list."""
    flow = project(flow_b="LIMITS = [1]\ndef run(x):\n    return x + LIMITS[-1]\n")
    before = key(flow.run, 1)
    flow.LIMITS.append(2)

    assert key(flow.run, 1) != before


def test_a_global_that_appears_counts(project: Import) -> None:
    """A name that hides a builtin changes what the function does."""
    flow = project(flow_c="def run(x):\n    return max(x, 1)\n")
    before = key(flow.run, 1)
    flow.max = min

    assert key(flow.run, 1) != before


def test_a_helper_that_is_replaced_counts(project: Import) -> None:
    """A module's attribute is looked up each time, as the function does."""
    flow = project(
        flow_d="import tool_d\ndef run(x):\n    return tool_d.work(x)\n",
        tool_d="def work(x):\n    return x\n",
    )
    before = key(flow.run, 1)
    sys.modules["tool_d"].work = lambda x: -x

    assert key(flow.run, 1) != before


def test_a_method_that_is_replaced_counts(project: Import) -> None:
    """Also in a class, and in a class of an argument."""
    flow = project(
        flow_e="class Model:\n    def run(self):\n        return 1\ndef take(m):\n    return m\n"
    )
    before = key(flow.take, flow.Model())
    flow.Model.run = lambda self: 2

    assert key(flow.take, flow.Model()) != before


def test_a_closure_that_changes_counts() -> None:
    """A cell is read anew."""
    count = 1

    def run(x: int) -> int:
        return x + count

    before = key(run, 1)
    count = 2

    assert key(run, 1) != before


def test_a_default_that_changes_in_place_counts() -> None:
    """A list as default keeps what calls leave in it."""

    def run(x: int, seen: list[int] = []) -> int:  # noqa: B006
        return x + len(seen)

    before = key(run, 1)
    run.__defaults__[0].append(1)  # type: ignore[index]

    assert key(run, 1) != before


def test_what_is_not_read_does_not_count(project: Import) -> None:
    """Another global of the same module may change."""
    flow = project(flow_f="LIMIT = 1\nOTHER = [1]\ndef run(x):\n    return x + LIMIT\n")
    before = key(flow.run, 1)
    flow.OTHER.append(2)
    flow.more = 3

    assert key(flow.run, 1) == before


def test_a_file_edited_after_its_import_is_not_cached(project: Import, tmp_path: Path) -> None:
    """Workers would import what the file says now, which is not what was looked at."""
    flow = project(flow_g="def run(x):\n    return x + 1\n")
    key(flow.run, 1)
    (tmp_path / "flow_g.py").write_text("def run(x):\n    return x + 2  # edited\n")

    with pytest.raises(Uncacheable, match="after it was imported"):
        key(flow.run, 1)


def test_a_comment_added_after_the_import_is_no_matter(project: Import, tmp_path: Path) -> None:
    """Lines may move."""
    flow = project(flow_h="def run(x):\n    return x + 1\n")
    before = key(flow.run, 1)
    (tmp_path / "flow_h.py").write_text("# A comment.\n\n\ndef run(x):\n    return x + 1\n")

    assert key(flow.run, 1) == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def run(x):\n    return eval(x)\n", "eval"),
        ("def run(x):\n    exec(x)\n", "exec"),
        ("def run(x):\n    return globals()[x]\n", "globals"),
        ("import importlib\ndef run(x):\n    return importlib.import_module(x)\n", "import_module"),
        ("import sys\ndef run(x):\n    return sys.modules[x]\n", "modules"),
        ("class A:\n    pass\ndef run(x):\n    return A.__subclasses__()\n", "__subclasses__"),
        ("def run(x):\n    import not_there_at_all_x\n    return 1\n", None),
        (
            "import contextvars\nVAR = contextvars.ContextVar('v')\ndef run(x):\n    return VAR\n",
            "VAR",
        ),
        ("STREAM = open('/dev/null')\ndef run(x):\n    return STREAM\n", "STREAM"),
    ],
    ids="eval exec globals import_module modules subclasses missing variable stream".split(),
)
def test_what_cannot_be_known_is_not_cached(
    project: Import, source: str, said: str | None, request: pytest.FixtureRequest
) -> None:
    """Code that can reach anything, and values without a form, are named; a missing package is a part."""
    flow = project(**{f"flow_i_{request.node.callspec.id}": source})
    if said is None:
        parts = fingerprint(flow.run, (1,)).parts
        assert "not installed" in [part.read() for part in parts.values()]
        return

    with pytest.raises(Uncacheable) as caught:
        key(flow.run, "x")
    assert said in str(caught.value)
    assert caught.value.part.startswith(("code ", "global "))


def test_a_project_module_that_cannot_be_imported_is_named(project: Import) -> None:
    """A function that imports it inside is not cached."""
    flow = project(
        flow_j="def run(x):\n    import broken_j\n    return broken_j.work(x)\n",
        broken_j="import no_such_package_j\n",
    )

    with pytest.raises(Uncacheable, match="broken_j"):
        key(flow.run, 1)


def test_two_lambdas_of_one_line_differ() -> None:
    """Functions that cannot be told apart by place are told apart by what they do."""
    one, two = (lambda x: x + 1), (lambda x: x + 2)

    assert key(one, 1) != key(two, 1)


def test_functions_without_source_have_keys() -> None:
    """What was typed or made by exec counts by what it does."""

    def make(body: str) -> Any:
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def run(x):\n    return {body}\n", space)
        return space["run"]

    assert key(make("x + 1"), 1) == key(make("(x   + 1)"), 1)
    assert key(make("x + 1"), 1) != key(make("x + 2"), 1)


def test_functions_of_packages_count_by_their_version() -> None:
    """A builtin or a function of an installed package has no code here to look at."""
    import numpy as np

    assert "package numpy" in fingerprint(np.linalg.norm, ([1.0],)).parts
    assert key(sorted, [1]) != key(reversed, [1])
    assert key(np.sin, 1.0) != key(np.cos, 1.0)


def test_a_decorator_of_a_package_is_looked_through(project: Import) -> None:
    """What a package's decorator closes over is the project's own function."""
    source = "import contextlib\n@contextlib.contextmanager\ndef run(x):\n    yield {}\n"
    one = project(flow_k=source.format("x"))
    two = project(flow_l=source.format("-x"))

    parts = fingerprint(one.run, (1,)).parts
    assert any(name.startswith("code flow_k.run") for name in parts)
    assert key(one.run, 1) != key(two.run, 1).replace("flow_l", "flow_k")


def test_methods_found_by_dispatch_count(project: Import) -> None:
    """Each function that `functools.singledispatch` may choose is reached."""
    source = """
        import functools

        @functools.singledispatch
        def run(x):
            return x

        @run.register
        def _(x: int):
            return x + {}
        """
    keys = []
    for number in (1, 2):
        flow = project(flow_m=source.format(number))
        keys.append(key(flow.run, 1))
        del sys.modules["flow_m"]

    assert keys[0] != keys[1]


def test_the_main_module_is_the_project(tmp_path: Path) -> None:
    """Functions of a script count, in the file and on the command line."""
    script = tmp_path / "script.py"
    source = (
        "from scalable_core.cache.fingerprint import fingerprint\n"
        "RATE = 2\n"
        "def helper(x):\n    return x * RATE\n"
        "def run(x):\n    return helper(x)\n"
        "print(fingerprint(run, (1,)).key)\n"
    )

    def said(text: str, *, typed: bool = False) -> str:
        script.write_text(text)
        command = ["-c", text] if typed else [str(script)]
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    first = said(source)
    assert said(source.replace("RATE = 2", "RATE  =  2  # percent")) == first
    assert said(source.replace("RATE = 2", "RATE = 3")) != first
    assert said(source.replace("x * RATE", "x + RATE")) != first
    assert said(source, typed=True) == said(source + "#", typed=True)
    assert said(source, typed=True) != said(source.replace("RATE = 2", "RATE = 3"), typed=True)


def test_the_second_look_costs_little(project: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes, code is walked once."""
    from scalable_core.cache import reach

    flow = project(flow_n="def run(x):\n    return x + 1\n")
    key(flow.run, 1)
    walks: list[int] = []
    monkeypatch.setattr(reach, "_Walk", lambda *_: walks.append(1))

    for number in range(100):
        key(flow.run, number)
    assert walks == []


def test_a_partial_of_a_method_of_an_object_is_unfolded(project: Import) -> None:
    """However it is wrapped, the object and the arguments count."""
    flow = project(flow_o="class Model:\n    def run(self, x, y):\n        return x + y\n")
    model = flow.Model()
    model.rate = 1
    before = key(functools.partial(model.run, 1), 2)
    model.rate = 2

    assert key(functools.partial(model.run, 1), 2) != before


def test_where_the_project_lies_does_not_count(tmp_path: Path) -> None:
    """The same files in another folder have the same keys."""
    source = (
        "import sys\nfrom scalable_core.cache.fingerprint import fingerprint\n"
        "import tool\n"
        "def run(x):\n    return tool.work(x), __file__\n"
        "print(fingerprint(run, (1,)).key)\n"
    )
    said = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "script.py").write_text(source)
        (folder / "tool.py").write_text("def work(x):\n    return x, __file__\n")
        done = subprocess.run(
            [sys.executable, "script.py"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        said.append(done.stdout)

    assert said[0] == said[1] != ""
