"""Why a call is computed again: what it depended on when its result was kept, against today. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scalable_core.cache.fingerprint import Fingerprint
from scalable_core.cache.metadata import Entry

#: Name, digest and text of a part, as they are kept.
KeptPart = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One part of a key, then and now.

    Attributes:
        part: Its name, such as ``code model.step``.
        status: How it is now.
        before: Its text when the result was kept; empty when it is new.
        after: Its text today; empty when it is gone.
    """

    part: str
    status: Literal["same", "changed", "new", "gone"]
    before: str = ""
    after: str = ""

    @property
    def kind(self) -> str:
        """The first word of the part's name: code, class, global, closure, default, argument, file, package."""
        return self.part.partition(" ")[0]

    def diff(self) -> tuple[str, ...]:
        """Return the lines that differ, each after ``-`` or ``+``, with two lines around them after a blank."""
        before, after = self.before.splitlines(), self.after.splitlines()
        lines = difflib.unified_diff(before, after, lineterm="", n=2)
        return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))


def compare(kept: Iterable[KeptPart], today: Fingerprint) -> tuple[Change, ...]:
    """Say of each part how it is now, in today's order, what is gone last.

    Args:
        kept: The parts of a result: `Entry.parts` and what its ``code`` names.
        today: What the same call depends on now.
    """
    then: Mapping[str, KeptPart] = {part[0]: part for part in kept}
    changes = []
    for name, part in today.parts.items():
        before = then.get(name)
        if before is None:
            changes.append(Change(part=name, status="new", after=part.read()))
        elif before[1] == part.digest:
            changes.append(Change(part=name, status="same", before=before[2], after=before[2]))
        else:
            text = part.read()
            changes.append(Change(part=name, status="changed", before=before[2], after=text))
    gone = [name for name in then if name not in today.parts]
    changes += [Change(part=name, status="gone", before=then[name][2]) for name in gone]
    return tuple(changes)


def nearest(entries: Iterable[Entry], today: Fingerprint) -> Entry | None:
    """Return the kept result of the same function whose arguments are most like today's, the newest of several.

    Args:
        entries: What is kept.
        today: The call in question.
    """
    own = {(part.name, part.digest) for part in today.own}

    def likeness(entry: Entry) -> tuple[int, bool, str]:
        alike = sum((name, digest) in own for name, digest, _ in entry.parts)
        return alike, entry.code == today.code, entry.created

    same = [entry for entry in entries if entry.function == today.function]
    return max(same, key=likeness, default=None)


def explain(
    entry: Entry | None, code: Sequence[KeptPart] | None, today: Fingerprint
) -> tuple[str, tuple[Change, ...]]:
    """Say in one sentence why a call would be computed, or that it would not, and how each part is now.

    Args:
        entry: The nearest kept result, from `nearest`; None when there is none.
        code: What is kept under its ``code``, from `Store.read_code`; None when that is lost.
        today: The call.
    """
    if entry is None:
        return f"{today.function}() has no kept result", ()
    if entry.key == today.key:
        return f"its result of {entry.created} is kept", compare(
            [*(code or ()), *entry.parts], today
        )
    changes = compare([*(code or ()), *entry.parts], today)
    if code is None:
        changes = tuple(change for change in changes if change.kind in ("argument", "file"))
    different = [change for change in changes if change.status != "same"]
    if not different:
        return "what changed cannot be told: the code of then is no longer kept", changes
    shown = ", ".join(f"{change.part} {_VERBS[change.status]}" for change in different[:3])
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return f"will run: {shown}{more}", changes


_VERBS = {"changed": "changed", "new": "is new", "gone": "is gone"}
