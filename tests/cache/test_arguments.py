"""Keys of arguments: what is told apart, and what is not."""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import math
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalable_core.cache import CallKeys, DirType, FileDigests, FileType, Uncacheable, cacheable
from scalable_core.cache.fingerprint import fingerprint


def take(value: Any = None, other: Any = None, *rest: Any, flag: Any = None, **more: Any) -> None:
    """Take anything."""


def key(*args: Any, **kwargs: Any) -> str:
    """Return the key of a call of `take`."""
    return fingerprint(take, args, kwargs).key


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: Any
    y: Any = 0


@attrs.define
class Place:
    """An attrs class."""

    x: Any
    y: Any = 0


class Pair(NamedTuple):
    """A tuple with names."""

    x: Any
    y: Any = 0


class Level(enum.IntEnum):
    """A number with a name."""

    LOW = 1


class Loud(str):
    """A string that prints like another."""

    def __repr__(self) -> str:
        return "'a'"


def f_ordered(array: np.ndarray) -> np.ndarray:
    """Return the same values, columns first."""
    return np.asfortranarray(array)


DIFFERENT: list[Any] = [
    None, ..., NotImplemented, True, False, 0, 1, 2, 1.0, 0.0, -0.0, 1 + 0j, "1", b"1", bytearray(b"1"), "",
    math.nan, math.inf, -math.inf, 10**5000, Decimal(1), Decimal("1.0"), Level.LOW, Loud("b"), "a",
    (), [], {}, set(), frozenset(), (1,), [1], {1}, frozenset({1}), {1: 1}, {1: 1.0}, {True: 1}, {"1": 1},
    [1, 2], [2, 1], (1, 2), [(1, 2)], [[1, 2]], [[1], 2], [1, [2]], [[], []], [[[]]], ["ab", "c"],
    ["a", "bc"], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6.0], (1, 2, 3, 4, 5, 6), [1, 2, 3, 4, 5, True],
    {"a": 1, "b": 2}, {"b": 2, "a": 1}, OrderedDict(a=1), defaultdict(int, a=1), {"a": 1}, {"a": None},
    range(3), range(0, 3, 2), slice(1), slice(1, None), [0, 1, 2], memoryview(b"1"), object, int, list[int],
    Point(1), Point(1.0), Point(1, 1), Place(1), Place(1, 1), Pair(1), (1, 0), {"x": 1, "y": 0},
    Path("nowhere"), "nowhere", Path("nowhere/else"), take, f_ordered, functools.partial(take, 1),
    np.int64(1), np.int32(1), np.float64(1), np.float32(1), np.bool_(True), np.str_("1"),
    np.datetime64(1, "s"), np.datetime64(1, "ms"), np.dtype("i4"), np.dtype("i8"), np.array(1), np.array([1]),
    np.array([[1]]), np.array([1.0]), np.array([1], "i4"), np.array([1], ">i8"), np.array([np.nan]),
    np.array([1, 2, 3, 4]), np.array([[1, 2], [3, 4]]), np.array([[1, 3], [2, 4]]), np.array([["1"]]),
    f_ordered(np.array([[1, 2], [3, 4]])), np.array(["a", "b"]), np.array(["a", "b"], object),
    np.array(["a-b", "c"], object), np.array(["a", "b-c"], object), np.array([b"a", b"b"], object),
    np.array([]), np.array([[]]), np.zeros((0, 2)), np.array([None]), np.zeros(1, [("a", "i4"), ("b", "i4")]),
    np.zeros(1, [("a", "i4"), ("c", "i4")]), np.ma.array([1], mask=[0]), np.ma.array([1], mask=[1]),
    np.array([1]).view(np.matrix),
    pd.Timestamp(0), pd.Timestamp(0, tz="UTC"), pd.Timedelta(0), pd.NaT, pd.NA, pd.Period("2020"),
    pd.Series([1, 2]), pd.Series([1, 2], name="a"), pd.Series([1, 2], index=[1, 2]), pd.Series([1.0, 2.0]),
    pd.Series([1, 2], dtype="Int64"), pd.Series([1, None], dtype="Int64"), pd.Series(["a", "b"]),
    pd.Series(["a", None]), pd.Series(["a", "b"], dtype="category"), pd.Series(["a", "b"], dtype=object),
    pd.Series(pd.Categorical(["a", "b"], ["b", "a"])), pd.Series(pd.Categorical(["a", "b"], ordered=True)),
    pd.Series(pd.to_datetime([0, 1])), pd.Series(pd.to_datetime([0, 1], utc=True)), pd.Index([1, 2]),
    pd.Index([1, 2], name="a"), pd.RangeIndex(1, 3), pd.date_range("2020", periods=3),
    pd.DatetimeIndex(list(pd.date_range("2020", periods=3))), pd.interval_range(0, 2),
    pd.MultiIndex.from_tuples([(1, 2)], names=["a", "b"]),
    pd.MultiIndex.from_tuples([(1, 2)], names=["c", "b"]),
    pd.DataFrame(), pd.DataFrame({"a": [1, 2], "b": [0.5, 0.6], "c": [3, 4]}),
    pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [0.5, 0.6]}), pd.DataFrame({"a": [1, 2]}),
    pd.DataFrame({"a": [1, 2]}, index=[1, 2]), pd.DataFrame([[1, 2]]), pd.DataFrame([[1], [2]]),
]  # fmt: skip


def test_values_that_differ_have_keys_that_differ() -> None:
    """No two of many look-alikes share a key: types, nesting, order, shape and names all count."""
    keys = [key(value) for value in DIFFERENT]

    same = [
        (DIFFERENT[a], DIFFERENT[b])
        for a, b in itertools.combinations(range(len(keys)), 2)
        if keys[a] == keys[b]
    ]
    assert same == []


def test_keys_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Three processes with their own hash seeds compute the same keys."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_arguments as t\n"
        "print(*[t.key(value) for value in t.DIFFERENT], t.key({'a', 'b', 'c', (1, 2), None}))"
    )
    folder = str(Path(__file__).parent)
    said = [
        subprocess.run(
            [sys.executable, "-c", script, folder],
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path,
        ).stdout
        for seed in ("1", "2", "random")
    ]

    assert len(set(said)) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_equal_keys_mean_equal_values(one: Any, two: Any) -> None:
    """Two values share a key only when they are written in the same way."""
    assert (key(one) == key(two)) is (repr(one) == repr(two))


def test_order_of_arguments_counts() -> None:
    """``f(a, b)`` and ``f(b, a)`` are two calls."""
    assert key(1, 2) != key(2, 1)


def test_spelling_of_arguments_does_not_count() -> None:
    """By keyword, by position or as the default, an argument is the same."""
    assert key(1, 2) == key(1, other=2) == key(other=2, value=1) == key(1, 2, flag=None)
    assert key() == key(None) == key(None, None)


def test_a_name_binds_its_value() -> None:
    """The same value for another parameter is another call."""
    assert len({key(1), key(other=1), key(flag=1), key(more=1), key(None, None, 1)}) == 5


def test_what_a_partial_fixes_is_an_argument() -> None:
    """A partial is the call that it makes."""
    assert fingerprint(functools.partial(take, 1), (2,)).key == key(1, 2)
    assert fingerprint(functools.partial(take, flag=3), (1,)).key == key(1, flag=3)


def test_nan_is_found_again() -> None:
    """NaN is not equal to itself, but it has a key."""
    assert key(math.nan) == key(float("nan"))
    assert key(np.array([1.0, np.nan])) == key(np.array([1.0, np.nan]))


def test_a_frame_is_its_columns() -> None:
    """How pandas keeps a frame in blocks does not count."""
    whole = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    grown = pd.DataFrame({"a": [1, 2]})
    grown["b"] = [3, 4]

    assert len(whole._mgr.blocks) != len(grown._mgr.blocks)
    assert key(whole) == key(grown)


def test_a_view_is_its_values() -> None:
    """A slice of an array has the key of its copy."""
    array = np.arange(24).reshape(4, 6)

    assert key(array[::2, 1:5:2]) == key(array[::2, 1:5:2].copy())


def test_one_object_twice_is_not_two_equal_ones() -> None:
    """A list that holds the same list twice behaves otherwise than one that holds two."""
    inner: list[int] = [1]

    assert key([inner, inner]) != key([[1], [1]])
    assert key([inner, inner]) == key([inner, inner])


def test_a_list_that_holds_itself_has_a_key() -> None:
    """Circles end."""
    circle: list[Any] = [1]
    circle.append(circle)

    assert len(key(circle)) == 40


class Opaque:
    """Says itself that it cannot be told apart."""

    def __reduce__(self) -> Any:
        raise TypeError("opaque objects cannot be pickled")


@pytest.mark.parametrize(
    "value",
    [
        (number for number in range(3)),
        object(),
        sys.__stderr__,
        threading.local(),
        Opaque(),
        [1, {"a": Opaque()}],
        Point(Opaque()),
    ],
    ids=["generator", "object", "file", "local", "opaque", "inside", "field"],
)
def test_what_has_no_form_is_named(value: Any) -> None:
    """A call with an argument that cannot be told apart is not cached, and the argument is named."""
    with pytest.raises(Uncacheable) as caught:
        key(1, value)

    assert caught.value.part == "argument other"
    assert "argument other" in str(caught.value)


def test_a_nested_list_too_deep_is_no_crash() -> None:
    """Very deep nesting makes a call uncacheable."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(Uncacheable, match="too deeply"):
        key(deep)


class Tokenized:
    """Speaks Dask's protocol."""

    def __init__(self, token: Any) -> None:
        self.token = token
        self.noise = time.perf_counter()

    def __dask_tokenize__(self) -> Any:
        return ("tokenized", self.token)


def test_an_object_says_its_own_token() -> None:
    """`__dask_tokenize__` decides what of an object counts."""
    assert key(Tokenized(1)) == key(Tokenized(1))
    assert key(Tokenized(1)) != key(Tokenized(2))


def test_a_token_that_is_not_deterministic_is_refused() -> None:
    """What Dask calls nondeterministic is uncacheable."""
    with pytest.raises(Uncacheable):
        key(Tokenized(object()))


@cacheable(source=FileType, folder=DirType, sources=list[FileType])
def read(source: Any = None, folder: Any = None, sources: Any = None) -> None:
    """Read files."""


def file_key(**kwargs: Any) -> str:
    """Return the key of a call of `read`."""
    return fingerprint(read, (), kwargs, files=FileDigests()).key


def test_a_declared_file_is_its_content(tmp_path: Path) -> None:
    """A file elsewhere with the same content is the same argument, as text or as a path."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    one.write_text("same")
    two.write_text("same")
    three.write_text("other")

    assert file_key(source=one) == file_key(source=str(two))
    assert file_key(source=one) != file_key(source=three)
    assert file_key(sources=[one, three]) != file_key(sources=[three, one])
    assert file_key(sources=[one, three]) == file_key(sources=[two, three])
    assert file_key(source=one) != file_key(source=tmp_path / "missing")


def test_a_path_that_is_not_declared_is_its_text_and_content(tmp_path: Path) -> None:
    """A function may use the name of a path, so it counts unless `FileType` says otherwise."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    before = key(one)

    assert before != key(two)
    one.write_text("more")
    assert before != key(one)


def test_a_uri_cannot_be_compared() -> None:
    """The content behind a URI is out of sight, so the call is not cached."""
    with pytest.raises(Uncacheable, match="cannot be compared"):
        file_key(source="s3://bucket/file")


def test_a_folder_is_its_names_and_contents(tmp_path: Path) -> None:
    """Every name and every byte below a folder counts; the folder's own place does not."""
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text("x")
    same = file_key(folder=tmp_path / "one")

    assert same == file_key(folder=tmp_path / "two")
    (tmp_path / "two" / "empty").mkdir()
    assert same != file_key(folder=tmp_path / "two")


def test_a_fifo_is_uncacheable(tmp_path: Path) -> None:
    """Neither file nor folder: not read, and said."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    with pytest.raises(Uncacheable, match="neither a file nor a folder"):
        file_key(source=fifo)


def test_a_link_to_the_folder_itself_ends(tmp_path: Path) -> None:
    """Links to folders are not followed."""
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")

    assert len(file_key(folder=tmp_path)) == 40


def test_many_calls_share_one_look_at_the_code() -> None:
    """`CallKeys` gives the keys that `fingerprint` gives."""
    keys = CallKeys(take)

    assert [keys.of((number,), {}).key for number in range(5)] == [key(n) for n in range(5)]


def test_the_environment_counts() -> None:
    """An image's digest stands for the packages in it; without one the versions count."""
    plain = fingerprint(take, (1,))
    one = fingerprint(take, (1,), environment={"image": "sha256:1"})
    two = fingerprint(take, (1,), environment={"image": "sha256:2"})

    assert len({plain.key, one.key, two.key}) == 3
    assert "package python" in plain.parts
    assert not [name for name in one.parts if name.startswith("package")]
