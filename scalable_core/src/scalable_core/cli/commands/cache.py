"""``scalable cache``: what is kept, and what of it to remove."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scalable_core.cli.options import common_options, json_option

if TYPE_CHECKING:
    from scalable_core.cache import Entry, Place, Store

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group
def command() -> None:
    """Look at the results that are kept, and remove those you name.

    They are kept in .scalable/cache beside the manifest; project.local_cache or SCALABLE_CACHE_DIR names
    another folder, SCALABLE_CACHE_REMOTE a place that is shared. Nothing is ever removed by itself.
    """


def selection(function: Function) -> Function:
    """Add the options that choose among what is kept."""
    for decorate in (
        click.option("--larger", metavar="SIZE", help="Only results above a size, such as 10M."),
        click.option("--newer", metavar="AGE", help="Only results kept within an age, such as 2h."),
        click.option(
            "--older", metavar="AGE", help="Only results kept before an age, such as 30d."
        ),
        click.option(
            "--function",
            "functions",
            multiple=True,
            metavar="NAME",
            help="Only results of a function, such as model.step or step; may be given more than once.",
        ),
    ):
        function = decorate(function)
    return function


@command.command("ls")
@selection
@click.option(
    "--sort",
    type=click.Choice(["age", "size", "function"]),
    default="age",
    show_default=True,
    help="Newest, largest or by function first.",
)
@json_option
@common_options
def ls(
    functions: tuple[str, ...],
    older: str | None,
    newer: str | None,
    larger: str | None,
    sort: str,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """List the results that are kept."""
    from scalable_core.cli.render.cache import listing_document, render_listing
    from scalable_core.cli.terminal import look_of, say, show, show_json

    with _store(quiet, verbose) as (place, store):
        entries = _select(store, functions, older, newer, larger)
    entries.sort(key=_ORDERS[sort])
    if as_json:
        show_json(listing_document(place, entries))
        return 0
    if not entries:
        say(f"Nothing is kept in {place.root}." if not functions else "Nothing of that is kept.")
        return 0
    for line in render_listing(entries, look_of(sys.stdout)):
        show(line)
    return 0


@command.command("show")
@click.argument("key")
@json_option
@common_options
def show_entry(key: str, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Say all that is known of one result.

    KEY is the start of its key, as `scalable cache ls` shows it.
    """
    from scalable_core.cli.render.cache import entry_document, render_entry
    from scalable_core.cli.terminal import look_of, show, show_json

    with _store(quiet, verbose) as (_, store):
        entry = _find(store, key)
        code = store.read_code(entry.code)
    if as_json:
        show_json(entry_document(entry, code))
        return 0
    for line in render_entry(entry, code, look_of(sys.stdout)):
        show(line)
    return 0


@command.command("stats")
@json_option
@common_options
def stats(as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Say what is kept of each function, and how long it took to compute."""
    from scalable_core.cli.render.cache import render_stats, stats_document
    from scalable_core.cli.terminal import look_of, show, show_json

    with _store(quiet, verbose) as (place, store):
        entries = list(store.entries())
    if as_json:
        show_json(stats_document(place, entries))
        return 0
    for line in render_stats(place, entries, look_of(sys.stdout)):
        show(line)
    return 0


@command.command("clear")
@selection
@click.option(
    "--down-to",
    metavar="SIZE",
    help="Of these only the oldest, until no more than a size is kept of them, such as 10G.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
@json_option
@common_options
def clear(
    functions: tuple[str, ...],
    older: str | None,
    newer: str | None,
    larger: str | None,
    down_to: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> int:
    """Remove results: all of them, or those that the options choose; also from the shared place.

    It asks on a terminal. Elsewhere it needs --yes. Nothing bounds the size of the cache by itself; a bound is
    kept by running it with --down-to now and then.
    """
    from scalable_core.cli.render.cache import listing_document, sum_up
    from scalable_core.cli.terminal import say, show, show_json
    from scalable_core.errors import UsageError
    from scalable_core.types.units import parse_size

    with _store(quiet, verbose) as (place, store):
        entries = _select(store, functions, older, newer, larger)
        if down_to is not None:
            entries = _above(entries, _parse("down-to", down_to, parse_size))
        what = f"{sum_up(entries)} in {place.root}"
        if place.remote:
            what += f" and {place.remote.uri}"
        if entries and not (dry_run or yes):
            if not sys.stdin.isatty():
                raise UsageError(f"this removes {what}", cure="say so: --yes; or look first: -n")
            if not click.confirm(f"Remove {what}?", err=True):
                say("Nothing was removed.")
                return 1
        if not dry_run:
            for entry in entries:
                store.remove(entry.key)
    if as_json:
        show_json({**listing_document(place, entries), "dry_run": dry_run, "removed": not dry_run})
        return 0
    show(f"Dry run: would remove {what}." if dry_run else f"Removed {what}.")
    return 0


@command.command("gc")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed.")
@json_option
@common_options
def gc(dry_run: bool, as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Remove what killed runs have left half written, and code that no result needs; no result is removed."""
    from scalable_core.cli.render.cache import CACHE_SCHEMA
    from scalable_core.cli.terminal import show, show_json
    from scalable_core.records.report.words import count

    with _store(quiet, verbose) as (_, store):
        disk = store.disk
        assert disk is not None
        left = 0
        if dry_run:
            from scalable_core.cache.writers import is_orphan

            left = sum(map(is_orphan, _scan(disk.root / "aside")))
        else:
            left = store.collect()
        used = {entry.code for entry in store.entries()}
        unused = [path for path in (disk.root / "code").glob("*/*.json") if path.stem not in used]
        unused = [path for path in unused if _is_settled(path)]
        if not dry_run:
            for path in unused:
                path.unlink(missing_ok=True)
    if as_json:
        document = {"left_behind": left, "code": len(unused), "dry_run": dry_run}
        show_json({"schema": CACHE_SCHEMA, **document})
        return 0
    what = f"{count(left, 'file')} of killed writers, {count(len(unused), 'unused text')} of code"
    show(f"Dry run: would remove {what}." if dry_run else f"Removed {what}.")
    return 0


@command.command("key")
@json_option
@common_options
def key(as_json: bool, quiet: bool, verbose: int, debug: bool) -> int:
    """Say where the project's key is, and make it when there is none.

    Results in a shared place are signed with it, and pickles are only read when they are. Copy the file to
    every machine that shares the place, or put its content into SCALABLE_CACHE_KEY. It is never printed.
    """
    from scalable_core.cache.signing import ensure_key
    from scalable_core.cli.kept import key_file
    from scalable_core.cli.render.cache import CACHE_SCHEMA
    from scalable_core.cli.terminal import say, show, show_json

    with _store(quiet, verbose) as (place, _):
        path = key_file(place)
        made = not path.exists()
        ensure_key(path)
    if as_json:
        show_json({"schema": CACHE_SCHEMA, "key_file": str(path), "made": made})
        return 0
    show(str(path))
    if not quiet:
        say("It was made now; keep it secret." if made else "It was there; keep it secret.")
    return 0


_ORDERS: dict[str, Callable[[Any], Any]] = {
    "age": lambda entry: _Reversed(entry.created),
    "size": lambda entry: -entry.size,
    "function": lambda entry: (entry.function, _Reversed(entry.created)),
}


class _Reversed(str):
    """A text that sorts the other way round."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


@contextmanager
def _store(quiet: bool, verbose: int) -> Iterator[tuple[Place, Store]]:
    from scalable_core.cli.host import make_host
    from scalable_core.cli.kept import open_store, place_of, read_project

    place = place_of(read_project(make_host(quiet=quiet, verbose=verbose, offline=False)))
    yield place, open_store(place)


def _select(
    store: Store,
    functions: tuple[str, ...],
    older: str | None,
    newer: str | None,
    larger: str | None,
) -> list[Entry]:
    """Return what the options choose.

    Raises:
        UsageError: An age or a size cannot be read.
    """
    import time

    from scalable_core.types.units import parse_duration, parse_size

    now = time.time()
    least = None if older is None else _parse("older", older, parse_duration)
    most = None if newer is None else _parse("newer", newer, parse_duration)
    size = None if larger is None else _parse("larger", larger, parse_size)
    return [
        entry
        for entry in store.entries()
        if (not functions or any(is_called(entry.function, name) for name in functions))
        and (least is None or now - _seconds(entry) >= least)
        and (most is None or now - _seconds(entry) <= most)
        and (size is None or entry.size > size)
    ]


def _above(entries: list[Entry], size: float) -> list[Entry]:
    """Return the oldest results without which the others take no more than so many bytes."""
    over = sum(entry.size for entry in entries) - size
    found = []
    for entry in sorted(entries, key=lambda entry: entry.created):
        if over <= 0:
            break
        over -= entry.size
        found.append(entry)
    return found


def _parse(option: str, text: str, parse: Callable[[object], float]) -> float:
    from scalable_core.errors import UsageError

    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"--{option}: {error}") from None


def is_called(function: str, name: str) -> bool:
    """Tell whether a function may be called so: by its whole name, or the end of it after a dot."""
    return function == name or function.endswith(f".{name}")


def _seconds(entry: Entry) -> float:
    from scalable_core.records.reading import seconds_of

    return seconds_of(entry.created.replace("Z", "+00:00"))


def _find(store: Store, start: str) -> Entry:
    """Return the one entry whose key starts so.

    Raises:
        UsageError: There is none, or there are several.
    """
    from scalable_core.errors import UsageError

    found = [entry for entry in store.entries() if entry.key.startswith(start)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{len(found)} keys start with {start!r}", cure="give more of it")
    raise UsageError(f"no result has the key {start!r}", cure="list them: scalable cache ls")


def _is_settled(path: Path) -> bool:
    """Tell whether a text of code is old enough that no running call will still name it (a week)."""
    import time

    try:
        return time.time() - path.stat().st_mtime > 7 * 86400
    except OSError:
        return False


def _scan(folder: Path) -> list[Any]:
    import os

    return list(os.scandir(folder)) if folder.is_dir() else []
