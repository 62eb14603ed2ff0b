"""Write ``reference/manifest.md`` from the records that describe a manifest; ``--check`` only compares.

python docs/generate_manifest.py [--check]
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from scalable_core.plugins import PluginHost
from scalable_core.types import Adaptive, Component, Expect, Project, Secret, Task
from scalable_core.types.units import format_duration, format_size

PAGE = Path(__file__).parent / "reference" / "manifest.md"
PROVIDERS = ("local", "aws", "gcp", "kubernetes")

HEAD = """\
<!-- Written by docs/generate_manifest.py; change that, or the records it reads. -->

# The manifest

A manifest is one YAML file, `scalable.yaml`, with these keys:

| key | what it holds |
|---|---|
| `version` | the version of this format: `1` |
| [`project`](#project) | what holds for every target |
| [`targets`](#targets) | where the work may run, by name |
| [`components`](#components) | the kinds of worker that the work needs, by name |
| [`tasks`](#tasks) | the kinds of call, by name |
| `overlays` | parts of a manifest, by name, that a target or `--overlay` merges in |

It is read as YAML 1.2, without tags; a key that stands twice is an error.
Every problem that it can have has [a code](problem-codes.md).
[Variables and overlays](../how-to/overlays-and-variables.md) have a page of their own.
An editor that knows JSON Schema checks a manifest while you write it:

```console
$ scalable schema
{
...
```

How values are written:

size
: `512M`, `16G`, `1.5TiB`: powers of 1024, however the unit is spelled.

CPUs
: `4`, `0.5`, `500m`.

duration
: `90s`, `30m`, `1h30m`, or a number of seconds.

`${NAME}`, `${NAME:-default}`
: The variable of that name.
"""

PARTS = (
    ("Project", "`project`", Project),
    ("Components", "A component: `components.<name>`", Component),
    ("Tasks", "A task: `tasks.<name>`", Task),
    ("Expectations", "`tasks.<name>.expect`", Expect),
)

TARGETS = """\
## Targets

A target: `targets.<name>`. Three keys are the same for every provider, and the others are the provider's own.

| key | value | default | meaning |
|---|---|---|---|
| `provider` | text | required | The provider: {providers}, or that of another plugin. |
| `cluster_type` | text | the first below | The provider's kind of cluster, where it has more than one. |
| `overlay` | text | | An overlay that is merged in when this target is used. |
"""


def render() -> str:
    """Return the page."""
    project, *others = PARTS
    sections = [HEAD, *_part(*project), *_targets()]
    for part in others:
        sections += _part(*part)
    return "\n".join(sections)


def _part(title: str, what: str, cls: type) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{what}. {_sentence(cls)}\n"
    yield _table(_rows(cls))


def _targets() -> Iterator[str]:
    host = PluginHost()
    yield TARGETS.format(providers=", ".join(f"`{name}`" for name in PROVIDERS))
    for provider in PROVIDERS:
        options = host.target_options(provider)
        kinds = options if isinstance(options, Mapping) else {None: options}
        shared = [
            row
            for row in _rows(next(iter(kinds.values())))
            if all(row in _rows(k) for k in kinds.values())
        ]
        yield f"### `provider: {provider}`\n"
        if len(kinds) > 1:
            yield f"What every `cluster_type` of {provider} has:\n"
            yield _table(shared)
        for kind, cls in kinds.items():
            yield (
                f"{_sentence(cls)}\n"
                if kind is None
                else f"`cluster_type: {kind}`. {_sentence(cls)}\n"
            )
            own = [row for row in _rows(cls) if len(kinds) == 1 or row not in shared]
            yield _table(own) if own else "It has no more options.\n"
    yield "### `adaptive`\n"
    yield f"{_sentence(Adaptive)}\n"
    yield _table(_rows(Adaptive))


#: Classes of options that have a table of their own.
LINKED = {Adaptive: "[bounds](#adaptive)", Expect: "[mapping](#expectations)"}


def _table(rows: Iterable[str]) -> str:
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _rows(cls: type, prefix: str = "") -> Iterator[str]:
    """A row for each option; those of a mapping follow it, with dotted keys."""
    hints = typing.get_type_hints(cls)
    for field in attrs.fields(cls):
        if "help" not in field.metadata:
            continue
        hint = hints[field.name]
        cells = (_value(field, hint), _default(field), _meaning(field))
        yield f"| `{prefix}{field.name}` | {' | '.join(cells)} |"
        for part in (hint, *typing.get_args(hint)):
            if attrs.has(part) and part not in LINKED:
                yield from _rows(part, f"{prefix}{field.name}.")


def _value(field: attrs.Attribute, hint: object) -> str:
    """What may be written, in words."""
    quantity = field.metadata["quantity"]
    if quantity:
        words = {"size": "size", "cpus": "CPUs", "duration": "duration"}[quantity]
        unit = field.metadata["unit"]
        if unit and quantity == "size":
            return f"{words}; a bare number is in {format_size(unit)[-1]}iB"
        if unit and unit != 1:
            return f"{words}; a bare number is in 1/{round(1 / unit)} vCPU"
        return words
    return _type(hint)


def _type(hint: object) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        named = [_type(part) for part in arguments if part not in (types.NoneType, Secret)]
        return " or ".join(dict.fromkeys(named))
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is not None:
        return f"mapping of text to {_type(arguments[1])}"
    if attrs.has(hint):
        return LINKED.get(hint, "mapping")
    return {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "`true` or `false`",
        Secret: "text",
        typing.Any: "anything",
    }[hint]


def _default(field: attrs.Attribute) -> str:
    default = field.default
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory) or default is None or default == ():
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if field.metadata["quantity"] == "size":
        return f"`{format_size(default)}`"
    if field.metadata["quantity"] == "duration":
        return f"`{_duration(default)}`"
    return f"`{default}`"


def _meaning(field: attrs.Attribute) -> str:
    """What it is for, and its bounds where they say more than that it is not negative."""
    show = {"size": format_size, "duration": _duration}.get(
        field.metadata["quantity"], lambda value: f"{value:g}"
    )
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    text: str = field.metadata["help"]
    if low and low >= 0.01:
        text += f" At least {show(low)}."
    if high is not None:
        text += f" At most {show(high)}."
    return text


def _duration(seconds: float) -> str:
    """``20m`` rather than ``20m00s``."""
    return re.sub(r"(?<=[dhm])00[hms]$", "", format_duration(seconds))


def _sentence(cls: type) -> str:
    """The first line of a docstring."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def main() -> None:
    """Write the page, or say whether it is as it would be written."""
    if "--check" not in sys.argv:
        PAGE.write_text(render(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != render():
        sys.exit(f"{PAGE} is not up to date; run: python docs/generate_manifest.py")


if __name__ == "__main__":
    main()
