"""A workflow whose functions are read by the tests of keys."""

import contextlib
import dataclasses
import enum
import functools
import logging
from pathlib import Path

import helpers
import numpy as np
import pandas as pd
import pkg
import pkg.sub
import shapes
from deep import DeepError
from helpers import from_import

from scalable_core.cache import DirType, FileType, cacheable

LIMIT = 3
TABLE = {"a": [1, 2], "b": (3.0, None)}
UNUSED = 1
log = logging.getLogger(__name__)


def own(x):
    """Return a number."""
    # A comment.
    y = x + 1
    return y * 2


def unrelated(x):
    return x - 1


def calls_helper(x):
    return helpers.scale(x)


def calls_imported(x):
    return from_import(x)


def imports_inside(x):
    import inside

    return inside.work(x)


def imports_from_inside(x):
    from inside import work

    return work(x)


def uses_package(x):
    return pkg.top(x) + pkg.sub.below(x)


def uses_class(x):
    return shapes.Square(x).area()


def reads_global(x):
    log.info("working")
    return x + LIMIT


def reads_table(x):
    return TABLE["a"][x]


def reads_other_global(x):
    return x + helpers.OFFSET


def has_default(x, step=5):
    return x + step


def has_keyword_default(x, *, step=5):
    return x + step


def make_closure(factor):
    def closed(x):
        return x * factor

    return closed


closed = make_closure(7)
short = lambda x: x + 11  # noqa: E731
partial = functools.partial(has_default, step=9)


def shout(function):
    """Decorate."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 100

    return wrapper


@shout
def decorated(x):
    return x * 3


@cacheable(version="1")
def versioned(x):
    return x


def calls_cacheable(x):
    return versioned(x) + 1


@cacheable(path=FileType)
def reads_file(path):
    return Path(path).read_text()


@cacheable(path=DirType)
def reads_folder(path):
    return sorted(Path(path).iterdir())


def reads_path(path):
    return path.read_text()


@functools.cache
def remembered(x):
    return x + 21


def calls_remembered(x):
    return remembered(x)


def uses_package_dist(x):
    import fakepkg

    return fakepkg.value(x)


def uses_numpy(x):
    return np.sqrt(x)


def generates(x):
    yield x
    yield x + 31


async def awaits(x):
    return x + 41


@contextlib.contextmanager
def managed(x):
    yield x + 51


def uses_manager(x):
    with managed(x) as y:
        return y


def recurses(x):
    return x if x <= 0 else recurses(x - 1) + 61


def first_of_two(x):
    return second_of_two(x - 1) if x else 71


def second_of_two(x):
    return first_of_two(x - 1) if x else 72


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A scenario."""

    year: int
    rate: float = 0.5

    def value(self):
        return self.year * self.rate


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Caller:
    """An object that is called."""

    def __init__(self, bias):
        self.bias = bias

    def __call__(self, x):
        return x + self.bias

    def method(self, x):
        return x - self.bias


def takes(scenario):
    return scenario


def catches(x):
    try:
        return 1 / x
    except DeepError:
        return 81


def dispatches(x):
    return OPERATIONS["plus"](x)


def plus(x):
    return x + 91


OPERATIONS = {"plus": plus}


def by_attribute(name, x):
    return getattr(helpers, name)(x)


def nested_function(x):
    def inner(y):
        """Inner docstring."""
        return y + 95

    return inner(x)


def makes_class(x):
    class Local:
        """Local docstring."""

        size = 96

        def get(self):
            """Get docstring."""
            return self.size

    return Local().get() + x


def long_condition(a, b):
    if a and b and (a > b or b > 2 * a):
        return [i * a for i in range(b) if i != a]
    return {"a": a, "b": [b, a]}


FRAME = pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25], "c": [3, 4]})

#: Name to function and arguments.
CALLS = {
    "own": (own, (1,)),
    "calls_helper": (calls_helper, (1,)),
    "calls_imported": (calls_imported, (1,)),
    "imports_inside": (imports_inside, (1,)),
    "imports_from_inside": (imports_from_inside, (1,)),
    "uses_package": (uses_package, (1,)),
    "uses_class": (uses_class, (1,)),
    "reads_global": (reads_global, (1,)),
    "reads_table": (reads_table, (1,)),
    "reads_other_global": (reads_other_global, (1,)),
    "has_default": (has_default, (1,)),
    "has_default_given": (has_default, (1, 6)),
    "has_keyword_default": (has_keyword_default, (1,)),
    "closed": (closed, (1,)),
    "short": (short, (1,)),
    "partial": (partial, (1,)),
    "decorated": (decorated, (1,)),
    "versioned": (versioned, (1,)),
    "calls_cacheable": (calls_cacheable, (1,)),
    "reads_file": (reads_file, ("data.txt",)),
    "reads_folder": (reads_folder, (Path("folder"),)),
    "reads_path": (reads_path, (Path("data.txt"),)),
    "calls_remembered": (calls_remembered, (1,)),
    "uses_package_dist": (uses_package_dist, (1,)),
    "uses_numpy": (uses_numpy, (1,)),
    "generates": (generates, (1,)),
    "awaits": (awaits, (1,)),
    "uses_manager": (uses_manager, (1,)),
    "recurses": (recurses, (1,)),
    "first_of_two": (first_of_two, (1,)),
    "takes_scenario": (takes, (Scenario(2030),)),
    "takes_colour": (takes, (Colour.RED,)),
    "takes_function": (takes, (plus,)),
    "takes_set": (takes, ({"a", "b", "c", "d"},)),
    "takes_dict": (takes, ({"a": 1, "b": 2},)),
    "takes_nan": (takes, (float("nan"),)),
    "takes_frame": (takes, (FRAME,)),
    "takes_array": (takes, (np.arange(12.0).reshape(3, 4),)),
    "caller": (Caller(5), (1,)),
    "method": (Caller(5).method, (1,)),
    "catches": (catches, (1,)),
    "dispatches": (dispatches, (1,)),
    "by_attribute": (by_attribute, ("scale", 1)),
    "nested_function": (nested_function, (1,)),
    "makes_class": (makes_class, (1,)),
    "long_condition": (long_condition, (1, 2)),
}
