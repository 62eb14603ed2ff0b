"""Gathers problems, so that all of a file are told at once and in its order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import attrs

from scalable_core.errors import ManifestError
from scalable_core.manifest.tree import Mark, dotted, locate
from scalable_core.types import Problem
from scalable_core.types.problem import Severity

#: Comparing names takes time; a file with thousands of wrong ones gets the rest without a suggestion.
_COMPARISONS = 10_000
_LONGEST_NAME = 80

_LONGEST_TEXT = 300


class Findings:
    """The problems of one file, each said once.

    Args:
        file: The manifest's path as the user gave it.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[Problem, None] = {}
        self._comparisons = _COMPARISONS

    def add(
        self,
        code: str,
        message: str,
        *,
        path: Sequence[str | int] = (),
        at: Mark | None = None,
        cure: str | None = None,
        severity: Severity = "error",
    ) -> None:
        """Keep one problem.

        Args:
            code: From the list in docs/reference/problem-codes.md.
            message: One sentence.
            path: Where in the document it is.
            at: Line and column; None for a problem of the file as a whole.
            cure: What mends it.
            severity: ``error`` or ``warning``.
        """
        line, column = at or (None, None)
        problem = Problem(
            code=code,
            message=_one_line(message),
            where=_one_line(dotted(path)),
            cure=None if cure is None else _one_line(cure),
            severity=severity,
            file=self.file,
            line=line,
            column=column,
        )
        self._found[problem] = None

    def add_at(
        self,
        root: Any,
        path: Sequence[str | int],
        code: str,
        message: str,
        *,
        key: bool = False,
        cure: str | None = None,
        severity: Severity = "error",
    ) -> None:
        """Keep one problem of a value (or of its key) in a document."""
        at = locate(root, path, key=key)
        self.add(code, message, path=path, at=at, cure=cure, severity=severity)

    def absorb(self, others: Findings, *, as_warnings: bool = False) -> None:
        """Take over the problems of others."""
        for problem in others._found:
            if as_warnings:
                problem = attrs.evolve(problem, severity="warning")
            self._found[problem] = None

    def suggest(self, word: str, known: Iterable[str], *, listed: str = "known") -> str | None:
        """Return the cure for a misspelt name: the close one, or else the list of what there is."""
        import difflib

        names = list(known)
        if len(word) <= _LONGEST_NAME and self._comparisons >= len(names):
            self._comparisons -= len(names)
            folded = {name.lower(): name for name in names}
            close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
            if close:
                return f"did you mean {folded[close[0]]!r}?"
        if not names:
            return None
        return f"{listed}: {', '.join(names[:20])}{', ..' if len(names) > 20 else ''}"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them, in file order."""
        return tuple(sorted(self._found, key=lambda found: (found.line or 0, found.column or 0)))

    def told(self, path: Sequence[str | int]) -> bool:
        """Whether something is wrong at a path already."""
        return any(problem.where == _one_line(dotted(path)) for problem in self._found)

    @property
    def failed(self) -> bool:
        """Whether there is an error among them."""
        return any(problem.severity == "error" for problem in self._found)

    def fail(self) -> NoReturn:
        """Raise all of them.

        Raises:
            ManifestError: Always.
        """
        problems = self.problems
        errors = sum(problem.severity == "error" for problem in problems)
        counts = [_count(errors, "error"), _count(len(problems) - errors, "warning")]
        raise ManifestError(f"{self.file} has {' and '.join(filter(None, counts))}", problems)


def _one_line(text: str) -> str:
    """Return a text as it can stand in a sentence, whatever the manifest put into it."""
    line = "".join(char if char.isprintable() else " " for char in text[: _LONGEST_TEXT + 1])
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}.."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}" if number else ""
