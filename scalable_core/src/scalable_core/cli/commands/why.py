"""``scalable why``: what changed since results were kept."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scalable_core.cli.options import common_options, json_option

if TYPE_CHECKING:
    from scalable_core.cache import Entry, Fingerprint, Store
    from scalable_core.cache.why import Change
    from scalable_core.cli.render.why import Reason

_KEY = re.compile(r"[0-9a-f]{40}")
_NONE: tuple[Change, ...] = ()


@click.command
@click.argument("name", metavar="TASK|FUNCTION")
@json_option
@common_options
def command(name: str, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Say why calls are computed again: which part of what they depend on changed.

    The newest kept result of the task or function is compared with today: its code and all that it reaches,
    the files it read, the packages or the image. Then with the kept result before it that is most like it.

    The workflow is not run. Its own functions can be looked at when its main part is below
    `if __name__ == "__main__":`; modules beside it are imported.

    \b
    scalable why simulate
    scalable why model.step --json
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.kept import open_store, place_of, read_project
    from scalable_core.cli.render.why import render_reasons, why_document
    from scalable_core.cli.terminal import look_of, show, show_json

    manifest = read_project(make_host(quiet=quiet, verbose=verbose, offline=True))
    workflow = manifest.path.absolute().parent / (manifest.project.workflow or "workflow.py")
    store = open_store(place_of(manifest))
    entries = list(store.entries())
    task = manifest.tasks.get(name)
    cached = task is not None and task.cache
    reasons = [
        _reason(function, entries, store, workflow, cached=cached)
        for function in _functions(name, entries)
    ]
    if not reasons:
        raise _nothing_kept(name, entries, in_manifest=task is not None, cached=cached)
    if as_json:
        show_json(why_document(name, reasons))
        return 0
    for line in render_reasons(reasons, look_of(sys.stdout)):
        show(line)
    return 0


def _functions(name: str, entries: Sequence[Entry]) -> list[str]:
    """Return the functions that a name stands for: its own, or those whose results the task's calls are."""
    from scalable_core.cli.commands.cache import is_called

    keys = set(_keys_of_task(name))
    found = [e.function for e in entries if e.key in keys or is_called(e.function, name)]
    return sorted(set(found))


def _keys_of_task(task: str) -> Iterator[str]:
    """Yield the keys of the calls of a task in the latest run that has some."""
    from scalable_core.cli.history import runs_folder
    from scalable_core.records.reading import list_runs, read_rows
    from scalable_core.types import TaskRow

    for folder in reversed(list_runs(runs_folder())):
        keys = [row.key for row in read_rows(folder / "tasks.jsonl", TaskRow) if row.task == task]
        found = [key[-40:] for key in keys if _KEY.fullmatch(key[-40:])]
        if found:
            yield from found
            return


def _reason(
    function: str, entries: Sequence[Entry], store: Store, workflow: Path, *, cached: bool
) -> Reason:
    from scalable_core.cache.why import explain, nearest
    from scalable_core.cli.render.why import Reason
    from scalable_core.errors import UsageError

    own = [entry for entry in entries if entry.function == function]
    newest = max(own, key=lambda entry: (entry.created, entry.key))
    code = store.read_code(newest.code)
    unknown, said, changes = "", "", _NONE
    try:
        today = _today(newest, code or (), workflow, cached=cached)
        said, changes = explain(newest, code, today)
    except UsageError as error:
        unknown = f"{error}; {error.cure}" if error.cure else str(error)
    earlier = [e for e in own if e.code != newest.code and e.created <= newest.created]
    before = nearest(earlier, _as_call(newest, code or ()))
    then, differences = "", _NONE
    if before is not None and code is not None:
        then, differences = explain(before, store.read_code(before.code), _as_call(newest, code))
    return Reason(
        function=function,
        newest=newest,
        today=said,
        changes=changes,
        unknown=unknown,
        before=before,
        then=then.replace("will run:", "it ran because:", 1),
        differences=differences,
    )


def _today(
    entry: Entry, code: Sequence[tuple[str, str, str]], workflow: Path, *, cached: bool
) -> Fingerprint:
    """Return the call of a kept result as it would be today.

    Arguments are those of then, files among them are read again. Code that came with an argument is looked up
    by its name. An image is taken to be that of then: it is asked for when a run starts.

    Raises:
        UsageError: The function cannot be had without running the workflow, or it cannot be cached.
    """
    from scalable_core.cache import CallKeys, FileDigests, Fingerprint, Uncacheable
    from scalable_core.cache.parts import Part
    from scalable_core.cache.reach import code_of
    from scalable_core.cli.today import find_function, find_object, project_modules
    from scalable_core.errors import UsageError

    files = FileDigests()
    image = next((text for name, _, text in code if name == "image"), None)
    with project_modules(workflow):
        function = find_function(entry.function, workflow)
        try:
            keys = CallKeys(
                function, environment={} if image is None else {"image": image}, files=files
            )
            shared = {part.name: part for part in keys.of((), {}).shared}
            for name, _, _ in code:
                kind, _, label = name.partition(" ")
                found = find_object(label) if kind in ("code", "class") else None
                if name not in shared and callable(found):
                    for part in code_of(found, files.digest).parts:
                        shared.setdefault(part.name, part)
            texts = {
                part.name: Part(part.name, part.digest, part.read()) for part in shared.values()
            }
        except Uncacheable as error:
            raise UsageError(f"results of {entry.function}() are not kept today: {error}") from None
        own = tuple(_own_part(part, files, workflow.parent) for part in entry.parts)
    same = {(n, d) for n, d, _ in (*code, *entry.parts)} == {
        (part.name, part.digest) for part in (*texts.values(), *own)
    }
    return Fingerprint(
        key=entry.key if same else "", function=entry.function, code="",
        shared=tuple(texts.values()), own=own,
    )  # fmt: skip


def _own_part(part: tuple[str, str, str], files: Any, folder: Path) -> Any:
    """Return an argument of then; a file as it is now."""
    from scalable_core.cache.parts import Part, digest_parts

    name, digest, text = part
    found = re.fullmatch(r"(.+) sha256:([0-9a-f]{64}|missing)", text)
    if name.startswith("file ") and found and ", " not in text:
        now = files.digest(folder / found[1]) or "missing"
        if now != found[2]:
            return Part(name, digest_parts([("file", now)]), f"{found[1]} sha256:{now}")
    return Part(name, digest, text)


def _as_call(entry: Entry, code: Sequence[tuple[str, str, str]]) -> Fingerprint:
    """Return the call that a kept result is of."""
    from scalable_core.cache import Fingerprint
    from scalable_core.cache.parts import Part

    return Fingerprint(
        key=entry.key,
        function=entry.function,
        code=entry.code,
        shared=tuple(Part(*part) for part in code),
        own=tuple(Part(*part) for part in entry.parts),
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
