"""`scalable plugins` lists what is installed, and says what is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A folder with a provider that cannot be imported."""
    info = tmp_path / "acme_scalable-0.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scalable\nVersion: 0.3.0\n")
    (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_scalable.nowhere\n")
    return str(tmp_path)


def row(text: str, name: str) -> list[str]:
    """The words of a plugin's row."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def test_plugins_are_listed_from_metadata(scalable, broken: str) -> None:
    """Every installed plugin has a row; a broken one is not found out by looking at its metadata."""
    done = scalable("plugins", "list", PYTHONPATH=broken)

    assert done.returncode == 0
    assert row(done.stdout, "acme")[1:5] == ["provider", "0.3.0", "-", "ready"]
    assert row(done.stdout, "local")[4:6] == ["ready", "scalable-local"]
    assert done.stderr == "Next: scalable plugins check\n"


def test_a_broken_plugin_is_a_row_with_its_cause(scalable, broken: str) -> None:
    """check imports each; what fails is one row and one sentence, exit code 3, and the others are fine."""
    done = scalable("plugins", "check", PYTHONPATH=broken)

    assert done.returncode == 3
    assert row(done.stdout, "acme")[4] == "broken"
    assert row(done.stdout, "local")[3:5] == ["1", "ready"]
    assert "x provider 'acme' (acme-scalable 0.3.0)" in done.stdout
    assert "No module named 'acme_scalable'" in done.stdout
    assert "Traceback" not in done.stderr
    assert " checked, " in done.stdout.splitlines()[-1]


def test_what_the_local_provider_gives(scalable) -> None:
    """A checked provider's row says what it can do, in words of the user."""
    done = scalable("plugins", "check")

    assert {"cluster", "cost", "artifacts", "file://"} <= set(row(done.stdout, "local"))


@pytest.mark.parametrize("command", ["list", "check"])
def test_plugins_for_programs(command: str, scalable, broken: str) -> None:
    """--json is one object with a schema and a record for each plugin."""
    done = scalable("plugins", command, "--json", PYTHONPATH=broken)

    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.plugins/1"
    assert document["checked"] is (command == "check")
    status = {plugin["name"]: plugin["status"] for plugin in document["plugins"]}
    assert status["acme"] == ("broken" if command == "check" else "ready")
    assert done.returncode == (3 if command == "check" else 0)


def test_a_disabled_plugin_is_no_fault(scalable, broken: str) -> None:
    """What the user has switched off is a row, and not an error."""
    done = scalable("plugins", "check", PYTHONPATH=broken, SCALABLE_DISABLE_PLUGINS="acme")

    assert done.returncode == 0
    assert row(done.stdout, "acme")[4] == "disabled"
