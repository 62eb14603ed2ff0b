"""Release: idempotent, from the record alone, also after the driver was killed at any of its steps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from scalable_core.testing.conformance.cluster import ClusterAspect
from scalable_core.types import ClusterRecord, HookContext, ReleaseReport, to_data


class ReleaseChecks(ClusterAspect):
    """`release_cluster` and `find_resources`.

    Attributes:
        steps: ``module:function`` that counts more than events. It is called in the driver with a function
            ``step()`` and sees to it that this is called before each thing that the provider creates.
        kills: Most drivers that are killed, at steps spread evenly over those that there are.
    """

    steps: ClassVar[str] = ""
    kills: ClassVar[int] = 6

    def test_releasing_what_was_never_there_is_a_success(self) -> None:
        """A record of things long gone leaves nothing to do."""
        report = self._release(self._record("run-20200101-000000-calm-heron-0000"))
        assert not report.remaining, f"it says that {report.remaining} remain of nothing"

    def test_releasing_after_the_end_is_a_success_each_time(self) -> None:
        """The session has closed; `down` comes later, twice."""
        with self.subject.run() as client:
            folder = client.session.run_dir
        for _ in range(2):
            report = self._release(_record_of(folder))
            assert report.provider == self.provider, f"the report is by {report.provider!r}"
            assert not report.remaining, f"{report.remaining} remain"

    def test_a_dry_release_ends_nothing(self) -> None:
        """``dry_run`` only says what would be."""
        with self.subject.run() as client:
            self._release(_record_of(client.session.run_dir), dry_run=True)
            assert client.submit(abs, -5).result(timeout=self.patience) == 5, "it ended the run"

    def test_releasing_one_run_leaves_another_alone(self) -> None:
        """Both are of one project."""
        with self.subject.run() as one:
            with self.subject.run() as other:
                folder = other.session.run_dir
            self._release(_record_of(folder))
            assert one.submit(abs, -6).result(timeout=self.patience) == 6, "it ended the other run"

    def test_the_record_of_a_cluster_is_plain_data(self) -> None:
        """JSON, and the same when it is read again by another process."""
        with self.subject.run() as client:
            record = _record_of(client.session.run_dir)
        assert json.loads(json.dumps(to_data(record))) == to_data(record), "it is not plain data"
        assert record.provider == self.provider, f"the record is of {record.provider!r}"

    def test_a_driver_that_is_killed_leaves_what_its_record_can_release(self) -> None:
        """SIGKILL when all workers are there; the record alone is enough, and enough twice."""
        driver = self._start_driver(None)
        run_dir = Path(self._line(driver, "run"))
        self._line(driver, "ready")
        driver.kill()
        self._code(driver)
        self._gone_after_release(run_dir)

    def test_a_driver_may_be_killed_at_any_of_its_steps(self) -> None:
        """Before and after each thing that it creates, as far as its steps can be counted; several at once."""
        driver = self._start_driver(0)
        run_dir = Path(self._line(driver, "run"))
        count = int(self._line(driver, "steps"))
        self._code(driver)
        self._gone_after_release(run_dir)
        drivers = {step: self._start_driver(step) for step in _spread(count, self.kills)}
        folders = [Path(self._line(driver, "run")) for driver in drivers.values()]
        codes = {step: self._code(driver) for step, driver in drivers.items()}
        # One that looks less often than the first may have ended well before it came to its step.
        wrong = {step: code for step, code in codes.items() if code not in (0, -signal.SIGKILL)}
        assert not wrong, f"drivers to be killed at a step of {count} ended otherwise: {wrong}"
        killed = [step for step, code in codes.items() if code != 0]
        assert 2 * len(killed) > len(codes), (
            f"only at {killed} of {count} steps a driver was killed"
        )
        for run_dir in folders:
            self._release_twice(_record_of(run_dir))
        for run_dir in folders:
            self.nothing_is_left(run_dir.name)

    def _gone_after_release(self, run_dir: Path) -> None:
        record = _record_of(run_dir)
        self._release_twice(record)
        self.nothing_is_left(record.run)

    def _release_twice(self, record: ClusterRecord) -> None:
        for _ in range(2):
            report = self._release(record)
            assert not report.remaining, f"{report.remaining} remain after the release"

    def _release(self, record: ClusterRecord, *, dry_run: bool = False) -> ReleaseReport:
        context = HookContext(
            project="conformance", run=record.run, workdir=self.folder, dry_run=dry_run
        )
        return self.subject.host.release_cluster(record, context)

    def _record(self, run: str) -> ClusterRecord:
        return ClusterRecord(
            provider=self.provider,
            run=run,
            project="conformance",
            target="there",
            created="2020-01-01T00:00:00+00:00",
            data={"region": self.target.get("region")},
        )

    def _start_driver(self, kill_at: int | None) -> subprocess.Popen[str]:
        """Start a driver that is killed at a step; 0 counts them, None waits to be killed."""
        manifest = self.subject.manifest(workers=1)
        module = f"{__name__.rpartition('.')[0]}.driver"
        kill = "wait" if kill_at is None else str(kill_at)
        words = [sys.executable, "-m", module, str(manifest), kill, self.steps]
        path = os.pathsep.join(filter(None, sys.path))
        with self._log(kill).open("wb") as log:
            return subprocess.Popen(
                words,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _line(self, driver: subprocess.Popen[str], word: str) -> str:
        assert driver.stdout is not None
        for line in driver.stdout:
            name, _, value = line.strip().partition(" ")
            if name == word:
                return value
        assert isinstance(driver.args, list)
        said = self._log(driver.args[4]).read_text("utf-8", "replace")
        raise AssertionError(f"a driver ends before it says {word!r}: {said[-300:].strip()}")

    def _log(self, kill: str) -> Path:
        return self.folder / f"driver-{kill}.log"

    def _code(self, driver: subprocess.Popen[str]) -> int:
        """Wait until a driver has ended, and return its exit code."""
        code = driver.wait(self.patience)
        assert driver.stdout is not None
        driver.stdout.close()
        return code


def _record_of(run_dir: Path) -> ClusterRecord:
    from scalable_core.session.recorded import record_of

    return record_of(run_dir)


def _spread(count: int, most: int) -> Sequence[int]:
    """Return step numbers from 1 to ``count``, at most so many, evenly."""
    if count <= most:
        return range(1, count + 1)
    return sorted({1 + round(i * (count - 1) / (most - 1)) for i in range(most)})
