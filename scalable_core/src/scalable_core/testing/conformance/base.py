"""What every aspect of the kit stands on: the provider under test, and the rule that no check is left out."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import unittest
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from scalable_core.testing.conformance.subject import Subject

_KIT = __name__.rpartition(".")[0]
CHECK = "test_"


class Conformance:
    """Base of all aspects. A subclass names the provider and, where needed, says how it is to be tried.

    Attributes:
        provider: The provider's name, as a manifest writes it.
        target: Options of a target that it accepts, besides ``provider``; required ones at least.
        component: The machine of one worker, as a manifest writes it.
        import_seconds: CPU seconds that importing the plugin may take besides what the core itself imports.
        artifact_place: URI under which artifacts may be stored; a folder of the test when None.
        image: An image that `resolve_image` can find; None leaves those checks out.
        patience: Seconds for which workers are waited for.
    """

    provider: ClassVar[str] = ""
    target: ClassVar[Mapping[str, Any]] = {}
    component: ClassVar[Mapping[str, Any]] = {"cpus": 1, "memory": "2G"}
    import_seconds: ClassVar[float] = 3.0
    artifact_place: str | None = None
    image: ClassVar[str | None] = None
    patience: ClassVar[float] = 180.0

    subject: Subject

    def setup_method(self) -> None:
        """Make a folder and a manifest for one check."""
        assert self.provider, f"{type(self).__name__} names no provider: write provider = '...'"
        self.folder = Path(tempfile.mkdtemp(prefix="scalable-conformance-"))
        self.subject = Subject(
            provider=self.provider,
            target=self.target,
            component=self.component,
            folder=self.folder,
            patience=self.patience,
        )

    def teardown_method(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def test_no_check_of_the_kit_is_left_out(self) -> None:
        """A check is overridden only with xfail and its reason."""
        left_out = [name for name in checks_of(type(self)) if not _is_kept(type(self), name)]
        assert not left_out, (
            f"{type(self).__name__} overrides {', '.join(left_out)}; "
            "mark it @pytest.mark.xfail(reason=...) with the reason, or leave it as it is"
        )


def checks_of(cls: type) -> tuple[str, ...]:
    """Return the names of the kit's checks that a class has, aspect by aspect."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if _is_of_kit(base.__module__):
            names.update(dict.fromkeys(name for name in vars(base) if name.startswith(CHECK)))
    return tuple(names)


def aspect_of(cls: type, name: str) -> str:
    """Return the aspect of a check in one word: the module of the kit that has it."""
    for base in cls.__mro__:
        if name in vars(base) and _is_of_kit(base.__module__):
            return base.__module__.rpartition(".")[2]
    return ""


def skip(reason: str) -> NoReturn:
    """Leave a check out because it does not apply; the scorecard does not count it."""
    raise unittest.SkipTest(reason)


@contextlib.contextmanager
def refused(kind: type[Exception], what: str) -> Iterator[list[Any]]:
    """Hold that the block raises; the error is put into the list that it gets."""
    caught: list[Any] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    except Exception as error:
        raise AssertionError(
            f"{what} raises {type(error).__name__} ({error}), not {kind.__name__}"
        ) from error
    else:
        raise AssertionError(f"{what} is not refused; it should raise {kind.__name__}")


def _is_of_kit(module: str) -> bool:
    return module == _KIT or module.startswith(f"{_KIT}.")


def _is_kept(cls: type, name: str) -> bool:
    check = getattr(cls, name, None)
    if check is not None and _is_of_kit(getattr(check, "__module__", "")):
        return True
    marks = getattr(check, "pytestmark", [])
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)
