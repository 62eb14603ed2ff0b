"""`scalable cache` shows what is kept, and removes only what is named."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scalable_core.cache import Store


@pytest.fixture
def store(project: Path) -> Store:
    """The project's store with three results of two functions."""
    store = Store(project / ".scalable" / "cache")
    for number, (function, value) in enumerate(
        [("model.step", 1), ("model.step", np.arange(5000.0)), ("__main__.read", "text")]
    ):
        note = {
            "function": function,
            "code": f"{number:040x}",
            "parts": [("argument year", "0" * 40, str(2000 + number))],
            "seconds": 2.0,
            "run": "run-20260101-000000-calm-heron-0001",
        }
        store.write_code(
            f"{number:040x}", lambda: [("code model.step", "1" * 40, "def step(): ...")]
        )
        assert store.put(f"{number:x}" * 40, value, note)
    return store


def listed(scalable, *options: str) -> list[dict]:
    """What `cache ls` lists."""
    done = scalable("cache", "ls", "--json", *options)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.cache/1"
    return document["entries"]


def keys(store: Store) -> set[str]:
    """First digits of what is there."""
    return {entry.key[0] for entry in store.entries()}


def test_results_are_listed_and_chosen(store: Store, scalable) -> None:
    """By function, by age, by size, in the order that was asked for."""
    assert len(listed(scalable)) == 3
    assert listed(scalable, "--sort", "size")[0]["size"] > 40_000
    assert {e["key"][0] for e in listed(scalable, "--function", "step")} == {"0", "1"}
    assert {e["key"][0] for e in listed(scalable, "--function", "__main__.read")} == {"2"}
    assert {e["key"][0] for e in listed(scalable, "--larger", "10K")} == {"1"}
    assert listed(scalable, "--older", "1h") == []
    assert len(listed(scalable, "--newer", "1h")) == 3
    text = scalable("cache", "ls").stdout
    assert "year=2001" in text
    assert text.splitlines()[-1].startswith("3 results (")


def test_an_age_that_is_none_is_a_sentence(store: Store, scalable) -> None:
    """It names the option, exit code 2."""
    done = scalable("cache", "ls", "--older", "soon")

    assert done.returncode == 2
    assert "--older" in done.stderr


def test_one_result_is_shown_by_the_start_of_its_key(store: Store, scalable) -> None:
    """With what it depends on; a start that several have is refused."""
    done = scalable("cache", "show", "1111")
    assert "argument year" in done.stdout
    assert "code model.step" in done.stdout
    document = json.loads(scalable("cache", "show", "1111", "--json").stdout)
    assert document["entry"]["function"] == "model.step"
    assert [part["part"] for part in document["parts"]] == ["code model.step", "argument year"]
    assert scalable("cache", "show", "ffff").returncode == 2
    assert "3 keys start" in scalable("cache", "show", "").stderr


def test_totals_are_given_by_function(store: Store, scalable) -> None:
    """How many, how large, how long they took."""
    document = json.loads(scalable("cache", "stats", "--json").stdout)

    assert document["results"] == 3
    assert document["seconds"] == 6.0
    assert [(f["function"], f["results"], f["seconds"]) for f in document["functions"]] == [
        ("model.step", 2, 4.0),
        ("__main__.read", 1, 2.0),
    ]
    assert document["size"] == sum(f["size"] for f in document["functions"])


def test_clear_needs_a_yes_where_it_cannot_ask(store: Store, scalable) -> None:
    """Nothing is removed by a dry run or without a yes; with one only what was named."""
    done = scalable("cache", "clear")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    done = scalable("cache", "clear", "--function", "read", "-n")
    assert done.stdout.startswith("Dry run: would remove 1 result (")
    assert keys(store) == {"0", "1", "2"}

    assert scalable("cache", "clear", "--function", "read", "--yes").returncode == 0
    assert keys(store) == {"0", "1"}
    document = json.loads(scalable("cache", "clear", "--yes", "--json").stdout)
    assert len(document["entries"]) == 2
    assert keys(store) == set()


def test_the_oldest_are_removed_down_to_a_size(project: Path, scalable) -> None:
    """The user's own bound, said before and after; nothing else keeps it."""
    folder = project / ".scalable" / "cache"
    for number in range(4):
        Store(folder).put(f"{number}" * 40, "x" * 20_000, {"function": f"f{number}"})
    done = scalable("cache", "clear", "--down-to", "41K", "--yes")

    assert done.stdout.startswith("Removed 2 results")
    assert len(list(Store(folder).entries())) == 2
    assert scalable("cache", "clear", "--down-to", "1G", "--yes").stdout.startswith("Removed 0")
    assert scalable("cache", "clear", "--down-to", "much", "--yes").returncode == 2


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals here")
@pytest.mark.parametrize(("answer", "left"), [(b"n\n", {"0", "1", "2"}), (b"y\n", set())])
def test_clear_asks_on_a_terminal(
    store: Store, project: Path, user_environment: dict[str, str], answer: bytes, left: set[str]
) -> None:
    """The question says how much; no is no."""
    ours, theirs = os.openpty()
    os.write(ours, answer)
    done = subprocess.run(
        [sys.executable, "-m", "scalable", "cache", "clear"],
        cwd=project,
        env=user_environment,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
    )
    os.close(ours)
    os.close(theirs)

    assert "Remove 3 results (" in done.stderr
    assert keys(store) == left


def test_gc_removes_what_is_left_over_and_no_result(store: Store, project: Path, scalable) -> None:
    """What a killed writer had aside, and old code that no result names."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(60)
    from scalable_core.cache.writers import _place

    aside = project / ".scalable" / "cache" / "aside"
    left = aside / f"{_place()}.{gone.pid}.abc.value"
    left.write_bytes(b"half")
    store.write_code("f" * 40, list)
    unused = next((project / ".scalable" / "cache" / "code").rglob(f"{'f' * 40}.json"))
    os.utime(unused, (time.time() - 30 * 86400,) * 2)

    done = scalable("cache", "gc", "-n")
    assert "1 file of killed writers, 1 unused text of code" in done.stdout
    assert left.exists()
    assert unused.exists()
    document = json.loads(scalable("cache", "gc", "--json").stdout)
    assert (document["left_behind"], document["code"]) == (1, 1)
    assert not left.exists()
    assert not unused.exists()
    assert keys(store) == {"0", "1", "2"}
    assert store.read_code("0" * 40) is not None


def test_the_key_is_made_once_and_never_printed(project: Path, scalable) -> None:
    """Only its owner can read the file."""
    first, second = scalable("cache", "key"), scalable("cache", "key")
    path = project / ".scalable" / "cache.key"

    assert first.stdout == second.stdout == f"{path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in first.stdout + first.stderr + second.stderr
    assert "made now" in first.stderr
    assert "was there" in second.stderr


def test_another_folder_is_taken_from_the_environment(
    project: Path, scalable, tmp_path: Path
) -> None:
    """As runs take it."""
    Store(tmp_path / "elsewhere").put("a" * 40, 1, {"function": "f"})

    done = scalable("cache", "ls", "--json", SCALABLE_CACHE_DIR=str(tmp_path / "elsewhere"))
    assert [entry["function"] for entry in json.loads(done.stdout)["entries"]] == ["f"]


def test_what_is_only_in_the_shared_place_is_removed_too(
    store: Store, project: Path, scalable, tmp_path: Path
) -> None:
    """A result that was cleared does not come back."""
    from scalable_core.cache import Place
    from scalable_core.session.storage import StorageOpener

    shared = (tmp_path / "shared").as_uri()
    opener = StorageOpener(shared)
    place = Place(root=str(project / ".scalable" / "cache"), remote=opener)
    both = place.open()
    both.put("c" * 40, 3, {"function": "other.f"})
    assert both.flush(60)
    assert Place(remote=opener).open().peek("c" * 40) is not None

    done = scalable("cache", "clear", "--function", "f", "--yes", SCALABLE_CACHE_REMOTE=shared)
    assert done.returncode == 0, done.stderr
    assert Place(remote=opener).open().peek("c" * 40) is None


def test_looking_at_the_cache_imports_no_dask(
    store: Store, project: Path, user_environment: dict[str, str]
) -> None:
    """`cache ls` answers without it."""
    code = (
        "import sys; sys.argv = ['scalable', 'cache', 'ls']\nfrom scalable_core.cli import main\n"
    )
    code += (
        "try: main()\nexcept SystemExit: pass\nprint({'dask', 'distributed'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project, env=user_environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.stdout.endswith("set()\n"), done.stdout + done.stderr
