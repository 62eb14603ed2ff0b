"""`cacheable` marks functions and leaves them as they are."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import subprocess
import sys

import cloudpickle
import pytest

from scalable_core.cache import (
    CacheOptions,
    DirType,
    FileType,
    cacheable,
    options_of,
    take_bypass,
)
from scalable_core.cache.fingerprint import fingerprint
from scalable_core.errors import UsageError


@cacheable
def bare(x: int, y: int = 2) -> int:
    """Add."""
    return x + y


@cacheable(return_type=dict, scenario_id=int, input_file=FileType, data=DirType, version="2")
def full(scenario_id: int, input_file: str, data: str) -> dict[str, int]:
    """Run a scenario."""
    return {"scenario": scenario_id}


def test_a_decorated_function_runs() -> None:
    """Called directly it is the function, with its name, docstring and signature."""
    assert bare(1) == 3
    assert bare(1, y=5, _cache_bypass=True) == 6  # type: ignore[call-arg]
    assert full(7, "a", "b") == {"scenario": 7}
    assert (bare.__name__, bare.__doc__) == ("bare", "Add.")
    assert list(inspect.signature(bare).parameters) == ["x", "y"]


def test_the_options_are_on_the_function() -> None:
    """One attribute carries what was said; nothing was said for a bare one."""
    assert options_of(bare) == CacheOptions()
    assert options_of(full) == CacheOptions(
        return_type=dict,
        types={"scenario_id": int, "input_file": FileType, "data": DirType},
        version="2",
    )
    assert full.__scalable_cache__ is options_of(full)  # type: ignore[attr-defined]
    assert options_of(functools.partial(full, 1)) is options_of(full)
    assert options_of(len) is None


def test_recompute_is_an_option() -> None:
    """``recompute=True`` is kept for the client."""
    found = options_of(cacheable(recompute=True)(lambda x: x))

    assert found is not None
    assert found.recompute


def test_a_decorated_function_can_be_pickled() -> None:
    """By reference, and by value where it has no module that can be imported."""
    assert pickle.loads(pickle.dumps(bare)) is bare
    inner = cacheable(version=3)(lambda x: x + 1)
    again = cloudpickle.loads(cloudpickle.dumps(inner))

    assert again(1) == 2
    assert options_of(again) == options_of(inner)


def test_a_coroutine_function_stays_one() -> None:
    """Dask looks whether a function is a coroutine function."""

    @cacheable
    async def later(x: int) -> int:
        return x + 1

    assert inspect.iscoroutinefunction(later)
    assert asyncio.run(later(1, _cache_bypass=True)) == 2  # type: ignore[call-arg]


def test_a_method_can_be_marked() -> None:
    """Bound to its object it is the method."""

    class Model:
        @cacheable
        def run(self, x: int) -> int:
            return x * 2

        @staticmethod
        @cacheable
        def still(x: int) -> int:
            return x * 3

    assert Model().run(2) == 4
    assert Model.still(2) == 6
    assert options_of(Model().run) == CacheOptions()


def test_marked_or_not_the_key_is_the_same() -> None:
    """``cache: true`` on a task and a bare decorator find each other's results."""

    def work(x: int) -> int:
        return x

    assert fingerprint(work, (1,)).key == fingerprint(cacheable(work), (1,)).key


def test_what_is_around_a_marked_function_counts() -> None:
    """A decorator on top of `cacheable` is part of what is cached."""

    def wrap(function: object, extra: int) -> object:
        @functools.wraps(function)  # type: ignore[arg-type]
        def outer(x: int) -> int:
            return function(x) + extra  # type: ignore[operator]

        return outer

    one, two = wrap(bare, 1), wrap(bare, 2)

    assert options_of(one) == options_of(bare)
    assert len({fingerprint(f, (1,)).key for f in (bare, one, two)}) == 3  # type: ignore[arg-type]


def test_a_parameter_that_is_not_there_is_refused() -> None:
    """A declared type for no parameter is a mistake, and the parameters are named."""
    with pytest.raises(UsageError, match=r"'scenari'.*\n.*x, y"):
        cacheable(scenari=int)(lambda x, y: x)


def test_what_is_not_a_function_is_refused() -> None:
    """Classes, types given by position, and static methods in the wrong order."""
    for wrong in (dict, 3, "name"):
        with pytest.raises(UsageError, match="marks functions"):
            cacheable(wrong)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="under it"):
        cacheable(staticmethod(lambda: 1))


def test_a_bypass_is_taken_out_of_the_arguments() -> None:
    """The keyword does not reach the key."""
    kwargs = {"x": 1, "_cache_bypass": True}

    assert take_bypass(kwargs)
    assert kwargs == {"x": 1}
    assert not take_bypass(kwargs)
    assert fingerprint(bare, (1,), {"_cache_bypass": True}).key == fingerprint(bare, (1,)).key


def test_a_worker_needs_little() -> None:
    """What runs on a worker imports no attrs, dask, numpy, pandas or fsspec by itself."""
    script = (
        "import sys\n"
        "import scalable_core.cache.decorator, scalable_core.cache.store, scalable_core.cache.call\n"
        "heavy = {'attr', 'attrs', 'cattrs', 'dask', 'distributed', 'numpy', 'pandas', 'fsspec', 'pyarrow',\n"
        "         'cloudpickle', 'ruamel', 'pluggy', 'packaging', 'rich', 'click'}\n"
        "own = {name for name in sys.modules if name.startswith('scalable_core.')}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert 'scalable_core.cache.fingerprint' not in own, own\n"
        "assert own <= {'scalable_core.errors', 'scalable_core.cache'} | {\n"
        "    f'scalable_core.cache.{name}' for name in 'call decorator disk level locks metadata'\n"
        "    ' remote signing store uploads values writers'.split()}, own\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
