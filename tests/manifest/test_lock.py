"""The lock: the same for the same resolved manifest, whoever reads it and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scalable_core.manifest import read_manifest
from scalable_core.types import Manifest

Read = Callable[..., Manifest]

TEXT = """\
version: 1
project: {name: study, default_storage: 's3://${BUCKET}/x'}
targets:
  far:
    provider: cloud
    region: here
    token: plain
    environment: {A: '${TOKEN}'}
  local: {provider: local}
components:
  model: {cpus: 2, env: {B: '${TOKEN}', C: open}}
tasks:
  step: {component: model}
overlays:
  big: {components: {model: {cpus: 8}}}
"""
ENVIRON = {"BUCKET": "b", "TOKEN": "t"}


@pytest.fixture
def lock(read: Read) -> Callable[..., str]:
    """The lock of a manifest for its cloud target."""
    return lambda text, environ=ENVIRON, **more: (
        read(text, target="far", environ=environ, **more).lock
    )


def test_lock_is_a_digest(lock: Callable[..., str]) -> None:
    """`sha256:` and 64 hex digits, the same each time."""
    assert re.fullmatch("sha256:[0-9a-f]{64}", lock(TEXT))
    assert lock(TEXT) == lock(TEXT)


def test_lock_does_not_depend_on_the_machine(
    lock: Callable[..., str], tmp_path: Path, options: dict[str, Any]
) -> None:
    """Another folder and other secrets give the same lock."""
    elsewhere = tmp_path / "elsewhere" / "other.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(TEXT)
    other = read_manifest(
        elsewhere, target="far", options=options.get, environ={"BUCKET": "b", "TOKEN": "another"}
    )

    assert other.lock == lock(TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("token: plain", "token: other"),
        ("    region: here\n    token: plain\n", "    token: plain\n    region: here\n"),
        (
            "{name: study, default_storage: 's3://${BUCKET}/x'}",
            "{default_storage: 's3://b/x', name: 'study'}",
        ),
        ("cpus: 2, env: {B: '${TOKEN}', C: open}", "env: {C: open, B: '${TOKEN}'}, cpus: 2"),
        ("version: 1\n", "# a comment\nversion: 1\n\n"),
        ("  local: {provider: local}\n", ""),
        ("cpus: 8", "cpus: 16"),
    ],
)
def test_what_does_not_matter_leaves_the_lock(old: str, new: str, lock: Callable[..., str]) -> None:
    """Secrets, order, comments, spelling, other targets and overlays that do not apply."""
    assert old in TEXT
    assert lock(TEXT.replace(old, new)) == lock(TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: study", "name: other"),
        ("/x", "/y"),
        ("region: here", "region: there"),
        ("{A: '${TOKEN}'}", "{A: '${BUCKET}'}"),
        ("{A: '${TOKEN}'}", "{A: '${TOKEN}', B: c}"),
        ("    token: plain\n", ""),
        ("token: plain", "token: '${TOKEN}'"),
        ("cpus: 2", "cpus: 3"),
        ("C: open", "C: shut"),
        ("C: open", "D: open"),
        ("{component: model}", "{component: model, retries: 1}"),
        ("  step: {component: model}\n", "  step: {component: model}\n  two: {component: model}\n"),
        ("region: here", "region: here\n    overlay: big"),
    ],
)
def test_what_matters_changes_the_lock(old: str, new: str, lock: Callable[..., str]) -> None:
    """Everything else."""
    assert old in TEXT
    assert lock(TEXT.replace(old, new)) != lock(TEXT)


def test_variable_that_is_no_secret_changes_the_lock(lock: Callable[..., str]) -> None:
    """Another bucket is another plan."""
    assert lock(TEXT, {"BUCKET": "c", "TOKEN": "t"}) != lock(TEXT)
    assert lock(TEXT, ENVIRON | {"SCALABLE_DEFAULT_STORAGE": "s3://other/"}) != lock(TEXT)


def test_overlay_of_the_command_line_changes_the_lock(lock: Callable[..., str]) -> None:
    """An overlay changes it as writing its values would."""
    assert lock(TEXT, overlays=["big"]) == lock(TEXT.replace("cpus: 2", "cpus: 8")) != lock(TEXT)


def test_other_target_has_another_lock(read: Read) -> None:
    """The lock is of the selected target."""
    assert (
        read(TEXT, target="far", environ=ENVIRON).lock
        != read(TEXT, target="local", environ=ENVIRON).lock
    )
