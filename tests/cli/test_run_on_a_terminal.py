"""`scalable run` on a terminal: bars, output above them, and Ctrl-C as a person types it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

WORKFLOW = """\
import subprocess, sys, time
from pathlib import Path
from scalable import ScalableSession

def simulate(x):
    print("printed by call", x, flush=True)
    while not Path("go").exists():
        time.sleep(0.05)
    return x

print("on a terminal", sys.stdout.isatty(), flush=True)
with ScalableSession.from_yaml("./scalable.yaml") as client:
    futures = client.map(simulate, range(6), task="simulate")
    {}
    print("sum", sum(client.gather(futures)))
"""

#: The release waits for a word of the test: until then it is going on.
SLOW_RELEASE = """\
close = client.close
    def close_slowly(*args, **kwargs):
        print("closing", flush=True)
        while not Path("go").exists():
            time.sleep(0.05)
        return close(*args, **kwargs)
    client.close = close_slowly
"""

#: What moves the cursor, clears or paints.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own, with its process group in the foreground."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str], columns: int) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={"TERM": "xterm-256color", **env},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.written = ""

    @property
    def text(self) -> str:
        """All that was written, each drawing of a line on its own, without what moves the cursor."""
        return CONTROL.sub("", self.written.replace("\x1b[2K", "\n")).replace("\r", "")

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._master, text.encode())

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Read what is written until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.text}"
            self._read(0.1)

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + 60
        while self._read(0.2) or self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
        return self.process.wait()

    def close(self) -> None:
        """End the program, if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.written += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def start(project: Path, user_environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Start `scalable run` on a terminal, with two worker processes."""
    terminals = []

    def start_run(*arguments: str, line: str = "pass", columns: int = 80, **env: str) -> Terminal:
        manifest = (project / "scalable.yaml").read_text()
        manifest = manifest.replace("processes: false", "processes: true, threads_per_worker: 1")
        (project / "scalable.yaml").write_text(manifest)
        (project / "workflow.py").write_text(WORKFLOW.format(line))
        terminal = Terminal(
            [sys.executable, "-m", "scalable", "run", *arguments],
            project,
            {**user_environment, **env},
            columns,
        )
        terminals.append(terminal)
        return terminal

    yield start_run
    for terminal in terminals:
        terminal.close()


def test_bars_show_how_far_the_run_is(start, project: Path) -> None:
    """One bar for the task, workers under it, both drawn again until all is done; then the verdict."""
    terminal = start()
    terminal.wait_for(lambda: "0/6" in terminal.text and "2 workers" in terminal.text, "the bar")
    (project / "go").touch()

    assert terminal.wait() == 0
    assert re.search(r"simulate +━+ +6/6", terminal.text)
    assert "sum 15" in terminal.text
    assert re.search(r"\n6 tasks done, 0 failed, \S+ on 2 workers\n", terminal.text)
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h") > 0


def test_what_is_printed_appears_above_the_bars(start, project: Path) -> None:
    """Lines of the workflow, of calls in worker processes and of other programs start at the left edge."""
    terminal = start(line="subprocess.run(['echo', 'from a program'])")
    terminal.wait_for(lambda: "printed by call" in terminal.text, "the line of a call")
    terminal.wait_for(lambda: "from a program" in terminal.text, "the line of a program")
    (project / "go").touch()

    assert terminal.wait() == 0
    lines = terminal.text.splitlines()
    assert "on a terminal True" in lines
    assert "from a program" in lines
    assert {f"printed by call {x}" for x in range(6)} <= set(lines)


@pytest.mark.parametrize("columns", [40, 60])
def test_bars_keep_to_a_narrow_terminal(start, project: Path, columns: int) -> None:
    """No line of the bars is wider than the terminal."""
    terminal = start(columns=columns)
    terminal.wait_for(lambda: "0/6" in terminal.text, "the bar")
    (project / "go").touch()

    assert terminal.wait() == 0
    bars = re.findall(r"simulate +━+[^\n]*", terminal.text)
    assert bars
    assert max(map(len, bars)) <= columns


def test_no_colour_where_none_is_wanted(start, project: Path) -> None:
    """With NO_COLOR the bars are drawn without any."""
    (project / "go").touch()
    terminal = start(NO_COLOR="1")

    assert terminal.wait() == 0
    assert "6/6" in terminal.text
    assert re.findall(r"\x1b\[[0-9;]*3[0-9;]+m", terminal.written) == []


def test_a_dumb_terminal_gets_lines(start, project: Path) -> None:
    """Where the cursor cannot be moved nothing is drawn again."""
    (project / "go").touch()
    terminal = start(TERM="dumb")

    assert terminal.wait() == 0
    assert "sum 15" in terminal.text
    assert "\x1b" not in terminal.written
    assert "━" not in terminal.written


def test_ctrl_c_releases_everything(start, project: Path) -> None:
    """Typed in the middle of a run: exit code 130, the verdict, and no process of the run is left."""
    terminal = start()
    terminal.wait_for(lambda: "2 workers" in terminal.text, "the workers")
    children = psutil.Process(terminal.process.pid).children(recursive=True)
    assert len(children) >= 2
    terminal.type("\x03")

    assert terminal.wait() == 130
    assert "interrupted, everything released: 0 of 6 tasks done" in terminal.text
    assert "Traceback" not in terminal.text
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h")
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_second_ctrl_c_says_what_is_still_going_on(start, project: Path) -> None:
    """While the release takes its time the user learns that it goes on; the run still ends well."""
    terminal = start(line=SLOW_RELEASE)
    terminal.wait_for(lambda: "2 workers" in terminal.text, "the workers")
    terminal.type("\x03")
    terminal.wait_for(lambda: "closing" in terminal.text, "the release")
    terminal.type("\x03")
    terminal.wait_for(lambda: "still releasing" in terminal.text, "the second answer")
    (project / "go").touch()

    assert terminal.wait() == 130
    assert "interrupted, everything released" in terminal.text
