"""What runs have running is found, shown and removed, whoever remembers it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: A service whose machines are files; they outlive whoever started them.
PROVIDER = """\
import json, os
from pathlib import Path
import attrs
from scalable_core.errors import ProviderError
from scalable_core.hookspecs import hookimpl
from scalable_core.types import (
    CostEstimate, CostLine, LogLine, Policy, Problem, ReleaseReport, Resource, option,
)

SCALABLE_PLUGIN_API = 1
SERVICE = Path(os.environ["ACME_SERVICE"])

@attrs.frozen(kw_only=True)
class Options:
    pass

@hookimpl
def target_options():
    return Options

@hookimpl
def estimate_cost(plan):
    return CostEstimate(provider="acme", lines=(CostLine(item="Compute", unit="h"),))

@hookimpl
def preflight(plan):
    return [
        Problem(code="I9001", where="credentials", message="ana", severity="info"),
        Problem(code="E9001", where="quota", message="4 of 8 machines allowed", cure="ask for more"),
    ] if os.environ.get("ACME_POOR") else []

@hookimpl
def required_permissions(plan):
    return Policy(provider="acme", text="allow: machine.create", actions=("machine.create",))

@hookimpl
def provision_cluster(plan):
    return None

@hookimpl
def find_resources(target, run, context):
    if os.environ.get("ACME_DOWN"):
        raise ProviderError("the service does not answer")
    found = []
    for path in sorted(SERVICE.glob("*.json")):
        tags = json.loads(path.read_text())
        if tags["project"] == context.project and run in (None, tags["run"]):
            found.append(Resource(kind="acme:machine", id=path.stem, run=tags["run"],
                                  hourly=tags["hourly"], created=tags["created"]))
    return found

@hookimpl
def release_cluster(record, context):
    gone = []
    for path in sorted(SERVICE.glob("*.json")):
        tags = json.loads(path.read_text())
        standing = bool(context.data.get("standing"))
        if (tags["run"] is None) == standing and tags["run"] in (None, record.run):
            if not tags.get("stuck"):
                path.unlink()
            gone.append(Resource(kind="acme:machine", id=path.stem, run=tags["run"]))
    return ReleaseReport(provider="acme", released=tuple(gone))

@hookimpl
def read_logs(record, member, follow):
    lines = [LogLine(member="w-0", text="ready", time=1.0), LogLine(member="w-1", text="oh", time=2.0)]
    return iter([line for line in lines if member in (None, line.member)])
"""

RUN = "run-20260101-120000-lost-finch-88d2"


@pytest.fixture
def service(project: Path) -> Path:
    """Install the provider, make it the only target's, and return the folder of its machines."""
    info = project / "acme_scalable-0.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scalable\nVersion: 0.3.0\n")
    (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_scalable\n")
    (project / "acme_scalable.py").write_text(PROVIDER)
    manifest = (project / "scalable.yaml").read_text()
    target = "  local: {provider: local, max_workers: 2, processes: false}"
    (project / "scalable.yaml").write_text(manifest.replace(target, "  acme: {provider: acme}"))
    folder = project / "service"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(project: Path, service: Path) -> dict[str, str]:
    """The environment in which the provider is found, and finds its service."""
    return {"PYTHONPATH": str(project), "ACME_SERVICE": str(service)}


def start(
    service: Path, name: str, *, run: str | None = RUN, project: str = "study", **more: object
) -> None:
    """Let a machine be there."""
    tags = {
        "run": run,
        "project": project,
        "hourly": 0.2,
        "created": "2026-01-01T12:00:00Z",
        **more,
    }
    (service / f"{name}.json").write_text(json.dumps(tags))


def test_a_machine_without_any_record_is_found_by_its_tag(scalable, service, environ) -> None:
    """The run's records are lost, or on another machine; what it bills is shown all the same."""
    start(service, "m-1")
    start(service, "m-2")
    start(service, "theirs", run="run-20260101-130000-old-hen-0c1d", project="another")

    done = scalable("status", **environ)

    assert done.returncode == 0, done.stderr
    assert "lost-finch-88d2" in done.stdout
    assert "2 x acme:machine" in done.stdout
    assert "$0.4" in done.stdout
    assert "1 run, $0.40/h. Asked: acme." in done.stdout


def test_a_price_that_is_unknown_is_not_shown_as_nothing(scalable, service, environ) -> None:
    """One machine has a price, the other has none: nobody knows the sum."""
    start(service, "m-1")
    start(service, "m-2", hourly=None)

    done = scalable("status", **environ)

    assert "1 run, an unknown price/h" in done.stdout


def test_a_service_that_cannot_be_asked_is_said_and_is_not_taken_for_empty(
    scalable, environ
) -> None:
    """Silence is not emptiness: the sentence stands, and no target counts as asked."""
    done = scalable("status", ACME_DOWN="1", **environ)
    document = json.loads(scalable("status", "--json", ACME_DOWN="1", **environ).stdout)

    assert "! target 'acme' cannot be asked: the service does not answer" in done.stdout
    assert document["asked"] == []
    assert len(document["unasked"]) == 1


def test_down_removes_what_it_has_said_and_looks_again(scalable, service, environ) -> None:
    """First what would go and what it costs, then that it is gone; other projects' things stay."""
    start(service, "m-1")
    start(service, "theirs", run="run-20260101-130000-old-hen-0c1d", project="another")

    dry = scalable("down", "--all", "-n", **environ)
    assert (service / "m-1.json").exists()
    done = scalable("down", "lost-finch", "--yes", **environ)

    assert "Would end 1 run and remove 1 resource, stopping $0.20/h." in dry.stdout
    assert done.returncode == 0, done.stderr
    assert "removed 1 of 1; nothing is left; listed again in acme" in done.stdout
    assert [path.stem for path in service.iterdir()] == ["theirs"]


def test_what_the_service_still_shows_is_not_said_to_be_gone(scalable, service, environ) -> None:
    """The provider thinks that it has removed it; the second listing says otherwise, exit code 3."""
    start(service, "m-1", stuck=True)

    done = scalable("down", "--all", "--yes", **environ)

    assert done.returncode == 3
    assert "still there: acme:machine m-1" in done.stdout


def test_standing_things_go_only_when_they_are_named_and_nothing_runs(
    scalable, service, environ
) -> None:
    """They are listed apart, stay with `down --all`, and go with `--standing`."""
    start(service, "network", run=None, hourly=0.0)
    start(service, "m-1")

    listed = scalable("status", **environ)
    refused = scalable("down", "--standing", "--yes", **environ)
    scalable("down", "--all", "--yes", **environ)
    kept = [path.stem for path in service.iterdir()]
    done = scalable("down", "--standing", "--yes", **environ)

    assert "Standing, for all runs of the project:" in listed.stdout
    assert refused.returncode == 2
    assert "end them too: scalable down --all --standing" in refused.stderr
    assert kept == ["network"]
    assert done.returncode == 0, done.stderr
    assert list(service.iterdir()) == []


def test_nothing_is_removed_without_an_answer(scalable, service, environ) -> None:
    """There is no terminal to ask on: exit code 2, and everything is still there."""
    start(service, "m-1")

    done = scalable("down", "--all", **environ)

    assert done.returncode == 2
    assert "agree with --yes" in done.stderr
    assert (service / "m-1.json").exists()


@pytest.mark.parametrize("words", [("down",), ("down", "x", "--all")])
def test_down_wants_to_know_what_is_meant(scalable, environ, words) -> None:
    """Neither nothing nor two things at once."""
    done = scalable(*words, **environ)

    assert done.returncode == 2
    assert "say which run is to end, or --all" in done.stderr


def test_a_run_of_this_machine_is_interrupted_and_releases_itself(
    project: Path, scalable, user_environment
) -> None:
    """`status` shows that its driver is here; `down` lets it end as Ctrl-C does."""
    manifest = (project / "scalable.yaml").read_text()
    (project / "scalable.yaml").write_text(manifest.replace(", processes: false", ""))
    (project / "workflow.py").write_text(
        "import time\nfrom scalable import ScalableSession\n\n"
        "with ScalableSession.from_yaml('./scalable.yaml') as client:\n"
        "    client.gather(client.map(time.sleep, [300] * 4, task='simulate'))\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "scalable", "run"],
        cwd=project,
        env=user_environment,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 60
        while "running" not in (listed := scalable("status")).stdout:
            assert time.monotonic() < deadline, listed.stdout + listed.stderr
        done = scalable("down", "--all", "--yes")
        run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)

    assert done.returncode == 0, done.stderr
    assert run.returncode == 130
    assert "Nothing of this project is running" in scalable("status").stdout


def test_logs_are_those_of_the_run_and_the_worker_that_were_named(
    project: Path, scalable, environ
) -> None:
    """The provider is asked with the run's record; one worker can be chosen."""
    folder = project / ".scalable" / "runs" / RUN
    folder.mkdir(parents=True)
    record = {
        "schema": "scalable.run/1", "run": RUN, "project": "study", "target": "acme",
        "provider": "acme", "status": "done", "started": "2026-01-01T12:00:00Z",
        "ended": "2026-01-01T12:01:00Z", "lock": "",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))

    done = scalable("logs", "lost-finch", "--worker", "w-1", "--json", **environ)

    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["oh"]


def test_logs_of_a_local_run_are_what_it_reported(project: Path, scalable) -> None:
    """Its workers wrote to its own terminal; the events are left, and it is said."""
    assert scalable("run").returncode == 0

    done = scalable("logs")

    assert "keeps no logs" in done.stderr
    assert "scheduler at" in done.stdout


def test_the_doctor_says_what_would_stop_a_run_and_what_mends_it(scalable, environ) -> None:
    """What is right is said too; exit code 3."""
    done = scalable("doctor", ACME_POOR="1", **environ)

    assert done.returncode == 3
    assert "credentials   ok       ana" in done.stdout
    assert "quota         FAIL     4 of 8 machines allowed" in done.stdout
    assert "fix: ask for more" in done.stdout
    assert done.stdout.rstrip().endswith("1 problem. Nothing was created.")


def test_the_doctor_finds_what_an_earlier_run_has_left(scalable, service, environ) -> None:
    """A machine that was forgotten is a problem, with the command that ends it."""
    start(service, "m-1")

    done = scalable("doctor", **environ)

    assert done.returncode == 3
    assert "lost-finch-88d2 left what costs $0.20 an hour" in done.stdout
    assert "scalable down --all" in done.stdout


def test_the_doctor_is_content_with_a_local_project(project: Path, scalable) -> None:
    """Exit code 0, and the next command."""
    done = scalable("doctor")

    assert done.returncode == 0, done.stdout
    assert "Ready to run" in done.stdout
    assert "Next: scalable run" in done.stderr


def test_the_policy_is_printed_as_the_service_takes_it(scalable, environ) -> None:
    """Nothing else is on stdout; a provider without one says so."""
    done = scalable("doctor", "--print-policy", **environ)

    assert done.stdout == "allow: machine.create\n"


def test_a_provider_without_a_policy_says_so(project: Path, scalable) -> None:
    """Exit code 3 and one sentence."""
    done = scalable("doctor", "--print-policy")

    assert done.returncode == 3
    assert "provider 'local' has no permissions to print" in done.stderr
