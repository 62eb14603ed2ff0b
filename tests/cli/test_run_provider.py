"""What a provider cannot do reaches the user as a sentence with an exit code of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

PROVIDER = """\
import attrs
from scalable_core.errors import ClusterError, NoCapacityError
from scalable_core.hookspecs import hookimpl
from scalable_core.types import CostEstimate, CostLine, Problem

SCALABLE_PLUGIN_API = 1

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
    {preflight}

@hookimpl
def provision_cluster(plan):
    {provision}
"""


@pytest.fixture
def acme(project: Path):
    """Write a provider `acme` whose hooks do what the test says, and make it the only target's."""

    def write(*, preflight: str = "return []", provision: str = "return None") -> dict[str, str]:
        info = project / "acme_scalable-0.3.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: acme-scalable\nVersion: 0.3.0\n"
        )
        (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_scalable\n")
        module = PROVIDER.format(preflight=preflight, provision=provision)
        (project / "acme_scalable.py").write_text(module)
        manifest = (project / "scalable.yaml").read_text()
        target = "  local: {provider: local, max_workers: 2, processes: false}"
        (project / "scalable.yaml").write_text(manifest.replace(target, "  acme: {provider: acme}"))
        return {"PYTHONPATH": str(project)}

    return write


@pytest.mark.parametrize(
    ("hooks", "exit_code", "said"),
    [
        (
            {"provision": "raise NoCapacityError('no machines of kind m6', cure='try later')"},
            4,
            ["error: no machines of kind m6\n", "  try later\n"],
        ),
        (
            {"provision": "raise ClusterError('the door is shut')"},
            3,
            ["error: the door is shut\n"],
        ),
        (
            {"provision": "return {}['door']"},
            3,
            [
                "error: KeyError: 'door'\n",
                "raised by provision_cluster() of provider 'acme' (acme-scalable 0.3.0)",
            ],
        ),
        (
            {"preflight": "return [Problem(code='E9', message='no credentials', cure='log in')]"},
            3,
            ["no credentials", "log in"],
        ),
    ],
    ids=["capacity", "cluster", "unforeseen", "preflight"],
)
def test_a_provider_that_cannot_is_a_sentence(
    acme, scalable, hooks: dict[str, str], exit_code: int, said: list[str]
) -> None:
    """No traceback, because nothing of it is the user's; the exit code tells a script what to do."""
    done = scalable("run", "--yes", **acme(**hooks))

    assert done.returncode == exit_code
    assert [text for text in said if text not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert all(done.stderr.count(text) == 1 for text in said)
    assert done.stderr.splitlines()[-1].startswith("failed before any task, ")


def test_debug_shows_where_a_provider_failed(acme, scalable) -> None:
    """An author of a plugin gets the whole traceback."""
    done = scalable("run", "--yes", "--debug", **acme(provision="return {}['door']"))

    assert done.returncode == 3
    assert "acme_scalable.py" in done.stderr
    assert "Traceback" in done.stderr


def test_warnings_of_the_preflight_are_said(acme, scalable) -> None:
    """A warning does not stop the run; it stands beside its time."""
    warning = "return [Problem(code='W9', message='the quota is small', severity='warning')]"
    hooks = {"preflight": warning, "provision": "raise ClusterError('later')"}

    done = scalable("run", "--yes", **acme(**hooks))

    assert "] ! W9  the quota is small\n" in done.stderr


def test_an_unknown_cost_is_said_at_the_start(acme, scalable) -> None:
    """The short plan of a run never leaves the cost out."""
    done = scalable("run", "--yes", **acme(provision="raise ClusterError('later')"))

    assert "Cost unknown: 1 line not priced." in done.stderr.splitlines()[1]
