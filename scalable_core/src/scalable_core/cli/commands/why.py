"""``scalable why``: what changed since results were kept."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalable_core.cli.options import common_options, json_option

if TYPE_CHECKING:
    from scalable_core.cache import Entry, Store
    from scalable_core.cache.why import Change
    from scalable_core.cli.render.why import Reason

    #: A result, and an earlier one to compare it with.
    Pair = tuple[Entry, Entry | None]

#: One call of a task, such as ``simulate[17]``.
_PLACE = re.compile(r"(.+)\[(\d+)\]")
_ENDS = {"failed": "it failed", "retried": "it failed", "lost": "its worker was lost"}
_NONE: tuple[Change, ...] = ()


@click.command
@click.argument("name", metavar="TASK|TASK[INDEX]|FUNCTION")
@json_option
@common_options
def command(name: str, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Say why calls are computed again: which part of what they depend on changed.

    The newest kept result of the task or function is compared with today: its code and all that it reaches,
    the files it read, the packages or the image. Then with the kept result before it that is most like it.

    `simulate[17]` is one call of a task, the first being 0, in the order in which the latest run made them. It
    is compared with today, and with the same call of the run before: its arguments too.

    The workflow is not run. Its own functions can be looked at when its main part is below
    `if __name__ == "__main__":`; modules beside it are imported.

    \b
    scalable why simulate
    scalable why 'simulate[17]'
    scalable why model.step --json
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.kept import open_store, place_of, read_project
    from scalable_core.cli.render.why import render_reasons, why_document
    from scalable_core.cli.terminal import look_of, show, show_json

    manifest = read_project(make_host(quiet=quiet, verbose=verbose, offline=True))
    workflow = manifest.path.absolute().parent / (manifest.project.workflow or "workflow.py")
    store = open_store(place_of(manifest))
    task = manifest.tasks.get(name)
    cached = task is not None and task.cache
    place = _PLACE.fullmatch(name)
    called, index = (place[1], int(place[2])) if place else (name, -1)
    entries = list(store.entries())
    entries += _only_shared(called, index, {entry.key for entry in entries}, store)
    if place is not None:
        newest, before = _of_call(called, index, entries)
        reasons = [_reason(newest, before, store, workflow, call=name)]
    else:
        pairs = [_of_function(each, name, entries, store) for each in _functions(name, entries)]
        reasons = [_reason(newest, before, store, workflow) for newest, before in pairs]
    if not reasons:
        raise _nothing_kept(name, entries, in_manifest=task is not None, cached=cached)
    if as_json:
        show_json(why_document(name, reasons))
        return 0
    for line in render_reasons(reasons, look_of(sys.stdout)):
        show(line)
    return 0


def _only_shared(task: str, index: int, known: set[str], store: Store) -> Iterator[Entry]:
    """Yield what only the shared place has of one call of a task, in the latest two runs."""
    if store.remote is None:
        return
    for _, keys in islice(_calls_of(task), 2):
        for key in keys[index:][:1]:
            entry = None if key in known else store.peek(key)
            if entry is not None:
                yield entry


def _functions(name: str, entries: Sequence[Entry]) -> list[str]:
    """Return the functions that a name stands for: its own, or those whose results the task's calls are."""
    from scalable_core.cli.commands.cache import is_called

    _, keys = next(_calls_of(name), (None, []))
    known = set(keys)
    found = [e.function for e in entries if e.key in known or is_called(e.function, name)]
    return sorted(set(found))


def _calls_of(task: str) -> Iterator[tuple[Path, list[str]]]:
    """Yield the runs in which a task's results were kept, the latest first, and the keys of its calls."""
    from scalable_core.cli.history import runs_folder
    from scalable_core.records.reading import list_runs, read_kept_keys

    for folder in reversed(list_runs(runs_folder())):
        keys = read_kept_keys(folder, task)
        if keys:
            yield folder, keys


def _of_function(function: str, name: str, entries: Sequence[Entry], store: Store) -> Pair:
    """Return the newest result of a function, and the one that says most about why that was computed.

    That is the one most like it of before the last change of code; where there is none, the result of the same
    call, by its place among the task's calls, in the run before.
    """
    from scalable_core.cache.why import nearest
    from scalable_core.cli.today import call_of

    own = [entry for entry in entries if entry.function == function]
    newest = max(own, key=lambda entry: (entry.created, entry.key))
    earlier = [e for e in own if e.code != newest.code and e.created <= newest.created]
    before = nearest(earlier, call_of(newest, store.read_code(newest.code) or ()))
    if before is None:
        runs = list(_calls_of(name))
        places = [keys.index(newest.key) for _, keys in runs[:1] if newest.key in keys]
        before = _earlier(runs, places[0], entries) if places else None
    return newest, before


def _of_call(task: str, index: int, entries: Sequence[Entry]) -> Pair:
    """Return the result of one call in the latest run, and that of the same call in a run before.

    Raises:
        UsageError: No run made such a call, or its result is not kept.
    """
    from scalable_core.errors import UsageError
    from scalable_core.records.report.words import short_id

    runs = list(_calls_of(task))
    if not runs:
        raise UsageError(
            f"no run has made calls of task {task!r} whose results are kept",
            cure=f"let it: cache: true under task {task!r}, then scalable run",
        )
    folder, keys = runs[0]
    if index >= len(keys):
        raise UsageError(
            f"run {short_id(folder.name)} made {len(keys)} calls of {task!r}, so there is no {task}[{index}]",
            cure=f"the last one is {task}[{len(keys) - 1}]",
        )
    entry = next((entry for entry in entries if entry.key == keys[index]), None)
    if entry is None:
        run = short_id(folder.name)
        raise UsageError(
            f"no result of {task}[{index}] of run {run} is kept, so it will run: {_end(folder, keys[index])}",
            cure=f"scalable report {run}",
        )
    return entry, _earlier(runs, index, entries)


def _end(folder: Path, key: str) -> str:
    """Return how a call without a kept result ended."""
    from scalable_core.records.reading import read_rows
    from scalable_core.types import TaskRow

    rows = [row for row in read_rows(folder / "tasks.jsonl", TaskRow) if row.key.endswith(key)]
    if not rows:
        return "it had not ended when the run did"
    return _ENDS.get(rows[-1].state, "its result was removed since")


def _earlier(
    runs: Sequence[tuple[Path, list[str]]], index: int, entries: Sequence[Entry]
) -> Entry | None:
    """Return the kept result of a call, by its place, in the latest run in which it had another key."""
    (_, latest), *others = runs
    kept = {entry.key: entry for entry in entries}
    for _, keys in others:
        if index < len(keys) and keys[index] != latest[index] and keys[index] in kept:
            return kept[keys[index]]
    return None


def _reason(
    newest: Entry, before: Entry | None, store: Store, workflow: Path, *, call: str = ""
) -> Reason:
    from scalable_core.cache.why import explain
    from scalable_core.cli.render.why import Reason
    from scalable_core.cli.today import call_of, call_today
    from scalable_core.errors import UsageError

    code = store.read_code(newest.code)
    unknown, said, changes = "", "", _NONE
    try:
        said, changes = explain(newest, code, call_today(newest, code or (), workflow))
    except UsageError as error:
        unknown = f"{error.message}; {error.cure}" if error.cure else error.message
    then, differences = "", _NONE
    if before is not None and code is not None:
        then, differences = explain(before, store.read_code(before.code), call_of(newest, code))
    return Reason(
        call=call,
        function=newest.function,
        newest=newest,
        today=said,
        changes=changes,
        unknown=unknown,
        before=before,
        then=then.replace("will run:", "it ran because:", 1),
        differences=differences,
    )


def _nothing_kept(
    name: str, entries: Sequence[Entry], *, in_manifest: bool, cached: bool
) -> Exception:
    from difflib import get_close_matches

    from scalable_core.errors import UsageError

    if in_manifest and not cached:
        cure = f"let it: cache: true under task {name!r}, or @cacheable on its function"
    elif in_manifest:
        cure = "run it: scalable run"
    else:
        known = sorted({entry.function for entry in entries})
        close = get_close_matches(name, [*known, *(f.rpartition(".")[2] for f in known)], n=1)
        there = f"there are: {', '.join(known)}" if known else "run the workflow: scalable run"
        cure = f"did you mean {close[0]!r}?" if close else there
    return UsageError(f"no result of {name!r} is kept", cure=cure)
