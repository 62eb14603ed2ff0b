"""Values come back exactly as they were, whatever form they are kept in."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalable_core.cache.fingerprint import fingerprint
from scalable_core.cache.values import decode, encode


@dataclasses.dataclass
class Result:
    """A result."""

    value: float


def take(value: Any) -> None:
    """Take a value, so that its key can tell whether it is the same."""


def same(one: Any, two: Any) -> bool:
    """Say whether two values cannot be told apart: types, NaN, order and sharing included."""
    return fingerprint(take, (one,)).key == fingerprint(take, (two,)).key


def round_trip(value: Any) -> tuple[str, Any]:
    """Return the kind in which a value is kept, and the value that comes back."""
    encoded = encode(value)
    return encoded.kind, decode(encoded.kind, bytearray(b"".join(encoded.buffers)))


SHARED = [1]
KINDS: list[tuple[Any, str]] = [
    (None, "json"), (True, "json"), (3, "json"), (-0.0, "json"), (1e300, "json"), ("text", "json"),
    ("\ud800", "json"), ({"a": [1, 2.5, None, {"b": "c"}]}, "json"), ([], "json"), ({}, "json"),
    (10**100, "json"), (10**5000, "pickle"), (math.nan, "pickle"), ([math.inf], "pickle"), ((1, 2), "pickle"),
    ({"a": (1,)}, "pickle"), ({1: 2}, "pickle"), ({True: 1}, "pickle"), ({None: 1}, "pickle"), ({1}, "pickle"),
    (b"bytes", "pickle"), (1j, "pickle"), ([SHARED, SHARED], "pickle"), (OrderedDict(a=1), "pickle"),
    (list(range(20_000)), "pickle"), (Result(1.0), "pickle"), (Path("x"), "pickle"), (range(3), "pickle"),
    (np.arange(6.0), "npy"), (np.arange(6).reshape(2, 3), "npy"), (np.asfortranarray(np.ones((2, 3))), "npy"),
    (np.array(3), "npy"), (np.zeros((0, 3)), "npy"), (np.array([1], ">i4"), "npy"), (np.array(["a"]), "npy"),
    (np.array(["2020"], "M8[D]"), "npy"), (np.array([True]), "npy"), (np.arange(10)[::2], "npy"),
    (np.array([None]), "pickle"), (np.zeros(2, [("a", "i4")]), "pickle"),
    (np.float64(0.1), "scalar"), (np.float32(0.1), "scalar"), (np.int8(1), "scalar"), (np.bool_(1), "scalar"),
    (np.datetime64("2020"), "scalar"), (np.float64("nan"), "scalar"),
    (pd.Series([1, 2]), "pickle"), (pd.Timestamp(0), "pickle"),
    (pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]}), "arrow"),
    (pd.DataFrame({"a": ["x", None, "z"]}), "arrow"),
    (pd.DataFrame({"t": pd.to_datetime([0, 1]), "b": [True, False]}), "arrow"),
    (pd.DataFrame({"a": np.array([1, 2], "i1"), "b": np.array([1, 2], "f4")}, index=[5, 3]), "arrow"),
    (pd.DataFrame({"a": [1.0, 2.0]}, index=pd.RangeIndex(3, 7, 2, name="i")), "arrow"),
    (pd.DataFrame({"a": [1, "x"]}), "pickle"), (pd.DataFrame([[1, 2]]), "pickle"), (pd.DataFrame(), "pickle"),
    (pd.DataFrame({"a": pd.Categorical(["x"])}), "pickle"), (pd.DataFrame({"a": [1]}, index=["r"]), "pickle"),
    (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "pickle"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "pickle"),
    (pd.DataFrame({"a": [1]}, index=pd.Index([1], name="a")), "pickle"),
    (pd.DataFrame({"a": pd.to_datetime([0], utc=True)}), "pickle"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind"), KINDS, ids=range(len(KINDS)))
def test_a_value_comes_back_as_it_was(value: Any, kind: str) -> None:
    """Kept by kind, a value keeps its type, layout and content; pickle takes what nothing else can."""
    if kind == "arrow":
        pytest.importorskip("pyarrow")
    found, again = round_trip(value)

    assert found == kind
    assert type(again) is type(value)
    assert same(again, value)


def test_tables_are_pickled_without_arrow() -> None:
    """pyarrow is optional."""
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import pandas as pd\n"
        "from scalable_core.cache.values import decode, encode\n"
        "frame = pd.DataFrame({'a': [1, 2], 'b': ['x', None]})\n"
        "kept = encode(frame)\n"
        "assert kept.kind == 'pickle', kept.kind\n"
        "pd.testing.assert_frame_equal(decode(kept.kind, kept.buffers[0]), frame)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_comes_back_can_be_changed() -> None:
    """Arrays and tables are not read-only."""
    for value in (
        np.arange(4.0),
        pd.DataFrame({"a": [1, 2]}),
        pd.DataFrame({"a": [1], "b": [2.0]}),
    ):
        _, again = round_trip(value)
        if isinstance(again, np.ndarray):
            again[0] = 7
        else:
            again.iloc[0, 0] = 7


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_any_plain_value_comes_back(value: Any) -> None:
    """Whatever is nested in whatever, it comes back as it was."""
    _, again = round_trip(value)

    assert same(again, value)


COLUMNS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.sampled_from(
        ["int64", "int8", "uint16", "float64", "float32", "bool", "datetime64[ns]", "str"]
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(COLUMNS, st.integers(0, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_plain_table_comes_back(
    columns: dict[str, str], rows: int, labelled: bool, seed: int
) -> None:
    """Types, missing values, labels and column names survive."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(index=random.permutation(rows) if labelled else pd.RangeIndex(rows))
    for name, dtype in columns.items():
        values = random.integers(0, 2, rows)
        column = pd.Series(values, index=frame.index).astype(dtype)
        if dtype.startswith(("float", "datetime", "str")) and rows:
            column.iloc[0] = None
        frame[name] = column
    _, again = round_trip(frame)

    pd.testing.assert_frame_equal(again, frame, check_exact=True, check_column_type=True)
    assert same(again, frame)


def test_plain_data_are_kept_as_json() -> None:
    """People can read them."""
    (text,) = encode({"a": [1, 2.5, None]}).buffers

    assert json.loads(bytes(text)) == {"a": [1, 2.5, None]}


def test_classes_of_a_script_are_themselves_again(tmp_path: Path) -> None:
    """What a worker has kept of the workflow's own class is an instance of it in the next run."""
    script = tmp_path / "script.py"
    script.write_text(
        "import dataclasses, subprocess, sys\n"
        "from scalable_core.cache.values import decode, encode\n"
        "import cloudpickle\n"
        "@dataclasses.dataclass\n"
        "class Result:\n    value: int\n"
        "def work():\n"
        "    from scalable_core.cache.values import encode\n"
        "    return encode(Result(5)).buffers[0]\n"
        "if __name__ == '__main__':\n"
        "    code = 'import sys, cloudpickle; f = cloudpickle.load(sys.stdin.buffer);'\n"
        "    code += 'sys.stdout.buffer.write(f())'\n"
        "    worker = subprocess.run([sys.executable, '-c', code], input=cloudpickle.dumps(work),\n"
        "                            capture_output=True, check=True)\n"
        "    found = decode('pickle', worker.stdout)\n"
        "    assert isinstance(found, Result), type(found)\n"
        "    assert found == Result(5)\n"
        "    other = subprocess.run([sys.executable, '-c',\n"
        "        'import sys; from scalable_core.cache.values import decode;'\n"
        "        'print(decode(\"pickle\", sys.stdin.buffer.read()).value)'],\n"
        "        input=worker.stdout, capture_output=True, check=True)\n"
        "    assert other.stdout.strip() == b'5'\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
