"""Says in one sentence why a member ended, from what the service and its own log tell. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from scalable_core.cluster.launcher import FailureKind, LaunchFailure, Member
from scalable_core.errors import ClusterError, NoCapacityError
from scalable_core.member.boot import MARK

#: Of a process that was killed, mostly for using more memory than it may.
KILLED = 137
#: Lines of a log that are kept with an event.
LINES = 20


def explain_end(
    name: str, member: Member | None, log: Sequence[str], *, joined: bool
) -> LaunchFailure:
    """Return why a member ended, and what can be done.

    Args:
        name: Its name.
        member: What the service has said last; None when it shows it no more.
        log: Its last lines.
        joined: It was at work.
    """
    said = _last_words(log)
    when = "ended" if joined else "ended before it joined"
    error = said.get("error")
    if error:
        kind: FailureKind = "image" if "image" in error else "other"
        return LaunchFailure(kind=kind, message=f"{name} {when}: {error}", cure=said.get("cure"))
    if member is None:
        return LaunchFailure(kind="other", message=f"{name} {when}: the service shows it no more")
    last = next((line for line in reversed(log) if line.strip()), None)
    parts = [member.reason or said.get("ended") or last or "the service gives no reason"]
    facts = []
    if member.stop_code:
        facts.append(f"stop code {member.stop_code}")
    if member.exit_code is not None:
        facts.append(f"exit code {member.exit_code}")
    if facts:
        parts.append(f"({', '.join(facts)})")
    return LaunchFailure(
        kind=member.failure or "other",
        message=f"{name} {when}: {' '.join(parts)}",
        cure=_cure(member),
    )


def to_error(failure: LaunchFailure, context: str = "") -> ClusterError:
    """Return the error for a failure, with what it means before what happened."""
    kind = NoCapacityError if failure.kind == "no-capacity" else ClusterError
    return kind(f"{context}{failure.message}", cure=failure.cure)


def _last_words(log: Sequence[str]) -> dict[str, str | None]:
    for line in reversed(log):
        _, mark, words = line.partition(MARK)
        if mark:
            try:
                found: dict[str, str | None] = json.loads(words)
            except ValueError:
                continue
            return found
    return {}


def _cure(member: Member) -> str | None:
    if member.exit_code == KILLED:
        return "give the component more memory: a process that uses too much ends with code 137"
    if member.failure == "image":
        return "check the image's name, and that the role that pulls it may read it"
    if member.failure == "quota":
        return "ask for fewer workers, or have the quota raised"
    if member.failure == "permission":
        return "see which permission is missing with: scalable doctor --print-policy"
    return None
