"""From the bytes of a manifest to a `Map` with positions.

ruamel.yaml scans and parses; nothing here or there constructs an object from a tag. The events are read one
by one, so a file that is too deep, too large or wrong stops where it is wrong, before it costs anything.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, NoReturn

from scalable_core.manifest.build import TreeBuilder
from scalable_core.manifest.findings import Findings
from scalable_core.manifest.tree import TOP, Map, Mark
from scalable_core.types.units import MIB

#: A manifest of 5,000 components has 0.7 MB; whatever is larger than this is not a manifest.
MAX_BYTES = MIB

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEADING_TAB = re.compile(r" *\t")
_LINE_END = re.compile(r"\r\n|[\r\n]")
#: The scanner takes quadratic time for what follows the | of a block text on its line.
_ENDLESS_HEADER = re.compile(r"[|>][-+0-9]*(?: {5000}| +#[^\n]{5000})")


def read_document(path: FilePath, findings: Findings) -> Map:
    """Return a manifest's document.

    Mistakes that leave the rest readable (a duplicate key, a tag) go into ``findings``.

    Raises:
        ManifestError: The file cannot be read on from some point.
    """
    text = _decode(_read_bytes(path, findings), findings)
    builder = TreeBuilder(findings)
    for event in _events(text, findings):
        builder.feed(event)
    root = builder.root
    if root is None:
        _stop(
            findings,
            "E0004",
            "the file is empty",
            at=TOP,
            cure="`scalable init` writes a manifest to start from",
        )
    if not isinstance(root, Map):
        _stop(
            findings,
            "E0101",
            "a manifest is a mapping that starts with `version: 1`, and this is not one",
            at=TOP,
            cure="`scalable init` writes a manifest to start from",
        )
    return root


def _read_bytes(path: FilePath, findings: Findings) -> bytes:
    cure = "name the manifest, or write one with `scalable init`"
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            _stop(findings, "E0001", "this is a folder, not a manifest", cure=cure)
        if not stat.S_ISREG(found.st_mode):
            _stop(findings, "E0001", "this is not a regular file", cure=cure)
        if found.st_size > MAX_BYTES:
            _stop_large(found.st_size, findings)
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        _stop(findings, "E0001", "there is no such file", cure=cure)
    except OSError as error:
        _stop(
            findings,
            "E0001",
            f"the file cannot be read: {error.strerror}",
            cure="check its path and permissions",
        )
    except ValueError as error:  # a NUL in the path
        _stop(findings, "E0001", f"the file cannot be read: {error}", cure=cure)
    if len(data) > MAX_BYTES:
        _stop_large(len(data), findings)
    return data


def _stop_large(size: int, findings: Findings) -> NoReturn:
    _stop(
        findings,
        "E0002",
        f"the file has {size / MIB:.1f} MB, and a manifest may have {MAX_BYTES // MIB} MB",
        at=TOP,
        cure="check that this is the right file",
    )


def _decode(data: bytes, findings: Findings) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        _stop(findings, "E0003", "the file is UTF-16 text", at=TOP, cure="save it as UTF-8")
    nul = data.find(b"\0")
    if nul >= 0:
        at = _mark_of(data[:nul].decode("utf-8", "replace"))
        _stop(
            findings,
            "E0003",
            "the file is binary, not text",
            at=at,
            cure="check that this is the right file",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = _mark_of(data[: error.start].decode("utf-8", "replace"))
        byte = data[error.start]
        _stop(
            findings,
            "E0003",
            f"the file is not UTF-8 text: byte 0x{byte:02x}",
            at=at,
            cure="save it as UTF-8",
        )
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        _stop(
            findings,
            "E0003",
            f"the file has a control character, U+{ord(odd[0]):04X}",
            at=_mark_of(text[: odd.start()]),
            cure="remove it",
        )
    endless = _ENDLESS_HEADER.search(text)
    if endless is not None:
        at = _mark_of(text[: endless.start()])
        _stop(
            findings,
            "E0005",
            "this line is too long",
            at=at,
            cure="begin the text on the next line",
        )
    return text


def _mark_of(before: str) -> Mark:
    """Return the place that follows a text."""
    lines = _LINE_END.split(before)
    return len(lines), len(lines[-1]) + 1


def _events(text: str, findings: Findings) -> Iterator[Any]:
    """Yield the parser's events; what stops the parser becomes a problem."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    last = TOP
    try:
        # pure: the same events and the same words whether or not a C parser is installed.
        for event in YAML(typ="safe", pure=True).parse(text):
            last = (event.start_mark.line + 1, event.start_mark.column + 1)
            yield event
    except MarkedYAMLError as error:
        _stop_syntax(error, text, findings)
    except (AssertionError, AttributeError, LookupError, OverflowError, TypeError, ValueError):
        # The scanner lets these out for a few malformed inputs, such as an escape beyond Unicode.
        _stop(
            findings,
            "E0005",
            "this cannot be read as YAML",
            at=last,
            cure="mend it after this place",
        )


#: Words of the parser; what they mean to a person; what mends it; whether the beginning is the place to look.
_EXPLAINED = (
    ("but got '<stream end>'", "a '{' or '[' is opened here and never closed", "close it", True),
    ("found unexpected end of stream", "a quote is opened here and never closed", "close it", True),
    ("could not find expected ':'", "this is no `key: value`", "write a ':' after the key", True),
    (
        "mapping values are not allowed",
        "a ':' is not allowed here",
        "put the text in quotes",
        False,
    ),
    ("sequence entries are not allowed", "no '-' is allowed here", "put it on its own line", False),
    ("expected ',' or", "a comma or a closing bracket is missing before this", "add it", False),
    ("expected <block end>", "this does not line up with the lines above", "indent alike", False),
    ("found undefined tag handle", "tags are not allowed in a manifest", "remove the tag", False),
)


def _stop_syntax(error: Any, text: str, findings: Findings) -> NoReturn:
    problem = str(error.problem or error.context or "")
    mark = error.problem_mark or error.context_mark
    message, cure = f"this cannot be read as YAML: {problem}", "mend it near this place"
    for words, meaning, remedy, at_beginning in _EXPLAINED:
        if words in problem:
            message, cure = meaning, remedy
            mark = (error.context_mark if at_beginning else None) or mark
            break
    if mark is None:
        _stop(findings, "E0005", message, at=TOP, cure=cure)
    line = _LINE_END.split(text)[mark.line]
    column = mark.column
    tab = _LEADING_TAB.match(line)
    if tab is not None:
        column = tab.end() - 1
        message, cure = "a tab is used for indentation", "indent with spaces"
    elif line[column - 1 : column + 1] == "${":
        column -= 1
        message, cure = "a variable inside { } or [ ] needs quotes", 'write "${NAME}"'
    _stop(findings, "E0005", message, at=(mark.line + 1, column + 1), cure=cure)


def _stop(
    findings: Findings, code: str, message: str, *, at: Mark | None = None, cure: str | None = None
) -> NoReturn:
    findings.add(code, message, at=at, cure=cure)
    findings.fail()
