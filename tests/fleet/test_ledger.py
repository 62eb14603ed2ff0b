"""Nothing is created that is not on record before, whenever the driver dies."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scalable_core.cluster.ledger import (
    FILE,
    Ledger,
    read_ledger,
    read_record,
    read_stored_ledger,
    read_stored_record,
    reconcile,
)
from scalable_core.errors import ClusterError
from scalable_core.types import ClusterRecord, Resource


def _things(*ids, kind="task"):
    return [Resource(kind=kind, id=each, region="here", run="run-a", hourly=0.5) for each in ids]


class Shelf:
    """A `Storage` in memory."""

    def __init__(self):
        self.uri, self.objects = "shelf://", {}

    def put(self, key, data):
        self.objects[key] = data

    def put_if_absent(self, key, data):
        return self.objects.setdefault(key, data) is data

    def get(self, key):
        return self.objects[key]

    def list(self, prefix):
        from scalable_core.types import StoredObject

        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield StoredObject(key=key, size=len(self.objects[key]))


def test_what_is_not_gone_is_read_back_from_disk_and_from_storage(tmp_path):
    """Both tell the same, with the service's own ids."""
    shelf = Shelf()
    ledger = Ledger(tmp_path, "run-a", shelf)

    async def write():
        await ledger.intend(_things("one", "two", "three"))
        await ledger.made("task", {"two": "arn:2"})
        await ledger.gone("task", ["one", "never-there"])

    asyncio.run(write())
    left = [(entry.resource.id, entry.made, entry.resource.hourly) for entry in ledger.entries]
    assert left == [("two", "arn:2", 0.5), ("three", None, 0.5)]
    assert read_ledger(tmp_path) == ledger.entries == read_stored_ledger(shelf, "run-a")


def test_a_record_holds_what_the_ledger_has(tmp_path):
    """It is all that a release needs, from any machine."""
    shelf = Shelf()
    ledger = Ledger(tmp_path, "run-a", shelf)
    asyncio.run(ledger.intend(_things("one")))
    ledger.write_record(
        ClusterRecord(provider="acme", run="run-a", project="p", target="t", created="now",
                      data={"region": "here"})
    )  # fmt: skip

    record = read_record(tmp_path)
    assert record == read_stored_record(shelf, "run-a")
    assert (record.data["region"], [each.id for each in record.resources]) == ("here", ["one"])
    assert read_record(tmp_path / "elsewhere") is None


def test_a_line_that_a_kill_has_torn_is_no_entry_and_spoils_no_other(tmp_path):
    """What it would have announced was not created."""
    asyncio.run(Ledger(tmp_path, "run-a").intend(_things("one")))
    with (tmp_path / FILE).open("a") as file:
        file.write('{"what":"intend","kind":"task","id":"tw')
    asyncio.run(Ledger(tmp_path, "run-a").intend(_things("three")))

    assert [entry.resource.id for entry in read_ledger(tmp_path)] == ["one", "three"]


def test_a_ledger_that_cannot_be_written_lets_nothing_be_created(tmp_path):
    """An error with a cure, before the call."""
    ledger = Ledger(tmp_path, "run-a")
    (tmp_path / FILE).mkdir()

    with pytest.raises(ClusterError, match="nothing is created"):
        asyncio.run(ledger.intend(_things("one")))


def test_reconciling_deletes_what_is_there_and_closes_what_is_not(tmp_path):
    """Found by own id or by the service's; what nobody has recorded is told apart."""
    ledger = Ledger(tmp_path, "run-a")
    asyncio.run(ledger.intend(_things("one", "two", "three")))
    asyncio.run(ledger.made("task", {"two": "arn:2"}))

    result = reconcile(ledger.entries, _things("one", "arn:2", "stray"))
    assert [each.id for each in result.delete] == ["one", "arn:2", "stray"]
    assert [each.id for each in result.gone] == ["three"]
    assert [each.id for each in result.unrecorded] == ["stray"]


DRIVER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import conftest
from scalable_core.cluster.fleet import FleetCluster
from scalable_core.cluster.launcher import Limits
from scalable_core.testing import HiveLauncher
from scalable_core.types import HookContext
from distributed import Client

left = {step}

def count(call):
    global left
    left -= call != "poll"
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    here = Path({here!r})
    context = HookContext(project="test", run={run!r}, run_dir=here / "run")
    launcher = HiveLauncher(here / "hive", {port}, on_call=count, batch=2)
    fleet = FleetCluster(conftest._make_plan(4), launcher, context, eager=True,
                         limits=Limits(no_driver=3.0, join=10.0))
    with Client(fleet) as client:
        client.wait_for_workers(4, timeout=60)
        assert client.submit(sum, [1, 2]).result() == 3
        fleet.scale(2)
        while launcher.count("stop") < 1:
            pass
    fleet.close()
"""


def test_a_driver_killed_before_any_call_leaves_nothing_that_is_not_in_its_ledger(
    tmp_path, hive, wait_until
):
    """For every call of a whole run; and what is left ends by itself."""
    for step in range(20):
        run, here = f"run-killed-{step}", tmp_path / str(step)
        here.mkdir()
        program = here / "driver.py"
        program.write_text(
            DRIVER.format(
                tests=str(Path(__file__).parent), step=step, here=str(here), run=run, port=hive.port
            )
        )
        code = subprocess.run([sys.executable, program], timeout=120, check=False).returncode

        recorded = {entry.resource.id for entry in read_ledger(here / "run")}
        assert set(hive.alive(run)) <= recorded, step
        if code == 0:
            break
        assert code == -9
    assert 6 <= step < 19
    wait_until(lambda: not any(hive.alive(f"run-killed-{i}") for i in range(step)), timeout=60)
    lines = (here / "run" / FILE).read_text().splitlines()
    kinds = [json.loads(line)["what"] for line in lines]
    assert kinds.count("intend") == kinds.count("gone")
