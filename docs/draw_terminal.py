"""Draw the picture of the terminal, ``_static/run.svg``, from a real run of the solar example.

The command runs in a pseudo-terminal as wide as the picture; an emulator keeps what the screen shows at the
end, colours included, and rich draws it. The example's own picture is kept beside it.

    pip install pyte rich
    python docs/draw_terminal.py
"""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
STATIC = Path(__file__).parent / "_static"
COLUMNS = 100
NAMED = {"brown": "yellow"}  # pyte's own word for it

THEME = TerminalTheme(
    (24, 28, 36),
    (216, 222, 233),
    [(59, 66, 82), (224, 108, 117), (152, 195, 121), (229, 192, 123),
     (97, 175, 239), (198, 120, 221), (86, 182, 194), (216, 222, 233)],
    [(92, 103, 125), (240, 128, 137), (172, 215, 141), (245, 210, 145),
     (122, 195, 250), (214, 142, 237), (110, 202, 214), (236, 239, 244)],
)  # fmt: skip

# rich's own frame, without the web font that it would load.
FRAME = """\
<svg class="{unique_id}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def watch(command: list[str], folder: Path) -> pyte.Screen:
    """Run a command in a terminal and return the screen as it is at the end."""
    screen = pyte.Screen(COLUMNS, 60)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other end is closed: the command has ended
                break
            if not data:
                break
            stream.feed(data)
    os.close(ours)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}:\n" + "\n".join(screen.display))
    return screen


def lines(screen: pyte.Screen) -> list[Text]:
    """Return what a screen shows as text with its colours, without the empty lines below it."""
    shown = [screen.buffer[row] for row in range(screen.lines)]
    last = max(row for row, text in enumerate(screen.display) if text.strip())
    found = []
    for row in shown[: last + 1]:
        line = Text()
        for column in range(screen.columns):
            cell = row[column]
            line.append(cell.data, Style(color=colour(cell.fg), bold=cell.bold))
        line.rstrip()
        found.append(line)
    return found


def colour(name: str) -> str | None:
    """Return rich's name of a colour of pyte's."""
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    name = NAMED.get(name, name)
    return f"bright_{name.removeprefix('bright')}" if name.startswith("bright") else name


def draw(name: str, typed: str, folder: Path) -> None:
    """Run what is typed and draw the screen."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        prompt = Text.assemble(("$ ", "bright_black"), (typed, "bold bright_white"))
        for line in [prompt, *lines(watch(typed.split(), folder))]:
            console.print(line, no_wrap=True, overflow="crop")
        console.save_svg(
            str(STATIC / name), title="", theme=THEME, code_format=FRAME, unique_id="run"
        )


def main() -> None:
    """Run the example in a copy of its folder, draw the terminal, and keep the example's picture."""
    with tempfile.TemporaryDirectory() as folder:
        solar = Path(folder, "solar")
        skip = shutil.ignore_patterns("results", ".scalable", "__pycache__")
        shutil.copytree(ROOT / "examples" / "solar", solar, ignore=skip)
        draw("run.svg", "scalable run", solar)
        shutil.copy(solar / "results" / "yields.png", STATIC)


if __name__ == "__main__":
    main()
