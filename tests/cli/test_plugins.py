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


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of what is kept for the user, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_plugins_are_listed_from_metadata(scalable, broken: str) -> None:
    """Every installed plugin has a row; a broken one is not found out by looking at its metadata."""
    done = scalable("plugins", "list", PYTHONPATH=broken)

    assert done.returncode == 0
    assert row(done.stdout, "acme")[1:5] == ["provider", "0.3.0", "-", "ready"]
    assert row(done.stdout, "local")[4:7] == ["ready", "-", "scalable-local"]
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


def test_a_provider_is_checked_by_the_conformance_kit(scalable) -> None:
    """A line for each aspect, and the score: what passed of what could be run without spending."""
    done = scalable("plugins", "check", "kubernetes")

    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ASPECT")
    assert row(done.stdout, "loading")[1:] == ["11/11"]
    assert row(done.stdout, "release")[1] == "-"
    verdict = " ".join(done.stdout.split("\n\n")[-1].split())
    assert verdict.startswith("kubernetes (scalable-kubernetes 0.1.0): ")
    assert "would start clusters that may cost something (--spend)." in verdict
    assert "checking estimate" in done.stderr


def test_the_score_of_the_last_check_is_listed(scalable) -> None:
    """For that version, in the column CONFORMANCE."""
    card = json.loads(scalable("plugins", "check", "gcp", "--json").stdout)

    assert card["schema"] == "scalable.conformance/1"
    assert card["score"] == f"{card['passed']}/{card['passed'] + card['failed']}"
    assert {check["outcome"] for check in card["checks"]} <= {
        "passed", "failed", "skipped", "not run",
    }  # fmt: skip
    assert row(scalable("plugins", "list").stdout, "gcp")[5] == card["score"]


def test_a_provider_that_cannot_be_imported_fails_with_a_sentence(scalable, broken: str) -> None:
    """Exit code 3, and no traceback."""
    done = scalable("plugins", "check", "acme", PYTHONPATH=broken)

    assert done.returncode == 3
    assert "No module named 'acme_scalable'" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr


def test_a_provider_that_is_not_installed_cannot_be_checked(scalable) -> None:
    """It is said by name, with those that are there."""
    done = scalable("plugins", "check", "nimbus")

    assert done.returncode == 3
    assert "no installed plugin provides 'nimbus'; installed: " in done.stderr


def test_spending_is_asked_for_one_provider_only(scalable) -> None:
    """Nobody spends on all of them by accident."""
    assert scalable("plugins", "check", "--spend").returncode == 2


@pytest.mark.parametrize("name", ["Acme", "1st", "two words", "-x-", ""])
def test_a_name_that_no_manifest_can_write_is_refused(name: str, scalable, tmp_path: Path) -> None:
    """Before anything is written."""
    done = scalable("plugins", "new", "--", name)

    assert done.returncode == 2
    assert list(tmp_path.glob("scalable-*")) == []


def test_a_new_plugin_overwrites_nothing(scalable, tmp_path: Path) -> None:
    """The second time of a name is refused, and what is there stays."""
    first = scalable("plugins", "new", "acme", "--directory", str(tmp_path / "mine"))
    (tmp_path / "mine" / "README.md").write_text("my own")
    again = scalable("plugins", "new", "acme", "--directory", str(tmp_path / "mine"))

    assert (first.returncode, again.returncode) == (0, 2)
    assert "exists already; nothing was written" in again.stderr
    assert (tmp_path / "mine" / "README.md").read_text() == "my own"
