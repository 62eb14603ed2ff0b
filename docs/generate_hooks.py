"""Write ``reference/hooks.md`` from the hook specifications; ``--check`` only compares.

python docs/generate_hooks.py [--check]
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from scalable_core import hookspecs

PAGE = Path(__file__).parent / "reference" / "hooks.md"

HEAD = """\
<!-- Written by docs/generate_hooks.py from scalable_core/hookspecs.py; change that. -->

# Hooks

"""

_BANNER = re.compile(r"^# -+\n# (.+)\n# -+$", re.MULTILINE)
_HOOK = re.compile(r"^@hookspec(?:\((.*)\))?\ndef (\w+)\(", re.MULTILINE)
_SECTION = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)?):$", re.MULTILINE)
_ITEM = re.compile(r"^(\w+): ", re.MULTILINE)


def render() -> str:
    """Return the page."""
    source = inspect.getsource(hookspecs)
    marks = [*_BANNER.finditer(source), *_HOOK.finditer(source)]
    parts = [HEAD + _prose(inspect.cleandoc(hookspecs.__doc__ or ""))]
    for mark in sorted(marks, key=lambda mark: mark.start()):
        if mark.re is _BANNER:
            parts.append(f"## {mark[1]}")
        else:
            parts += _hook(mark[2], mark[1] or "")
    return "\n\n".join(parts) + "\n"


def _hook(name: str, options: str) -> Iterator[str]:
    """A heading, the call, what is said of it, and the example."""
    function = getattr(hookspecs, name)
    signature = inspect.signature(function)
    yield f"### {name}"
    answer = signature.return_annotation
    yield f"`{name}({', '.join(signature.parameters)})` → `{answer}`" + _asked(options)
    lead, *rest = _SECTION.split(inspect.cleandoc(function.__doc__ or ""))
    yield _prose(lead.strip())
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        text = textwrap.dedent(body).strip()
        if title == "Example":
            code = textwrap.dedent(text.partition("\n")[2]).strip()
            yield f"```python\n{code}\n```"
        elif title in ("Args", "Raises"):
            yield from _items(text, signature if title == "Args" else None)
        else:
            yield _definition(title, _prose(text))


def _asked(options: str) -> str:
    """Who is asked."""
    if "historic" in options:
        return ", asked of every plugin"
    return ", asked of one provider" if "firstresult" in options else ", asked of all plugins"


def _items(text: str, signature: inspect.Signature | None) -> Iterator[str]:
    """The arguments with their types, or the errors."""
    _, *parts = _ITEM.split(text)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        kind = f" ({_code(signature.parameters[name].annotation)})" if signature else ""
        raised = "" if signature else "Raises "
        yield _definition(f"{raised}`{name}`{kind}", _prose(textwrap.dedent(body).strip()))


def _code(text: str) -> str:
    return f"`{text}`"


def _definition(term: str, text: str) -> str:
    return f"{term}\n: {textwrap.indent(text, '  ').strip()}"


def _prose(text: str) -> str:
    """Markdown from a docstring: code that is indented gets a fence, double backticks become single ones."""
    text = re.sub(
        r":\n\n((?:    .*\n)+)",
        lambda code: f":\n\n```python\n{textwrap.dedent(code[1])}```\n",
        text,
    )
    return re.sub(r"(?<!`)``(?!`)", "`", text)


def main() -> None:
    """Write the page, or say whether it is as it would be written."""
    if "--check" not in sys.argv:
        PAGE.write_text(render(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != render():
        sys.exit(f"{PAGE} is not up to date; run: python docs/generate_hooks.py")


if __name__ == "__main__":
    main()
