"""``scalable prices``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scalable_core.cli.app import run

#: Nothing may be asked, and nobody's own prices be seen.
OFFLINE = """
import socket, sys
def refuse(*arguments, **more):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from scalable_core.cli.app import run
code = run(sys.argv[1:])
heavy = {"boto3", "botocore", "aiobotocore", "google.auth", "distributed", "dask"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have refreshed prices."""
    monkeypatch.setenv("SCALABLE_PRICES_DIR", str(tmp_path / "prices"))


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    """The snapshots that a command line shows, by provider."""
    assert run(["prices", "--json", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "scalable.prices/1"
    return {each["provider"]: each for each in document["snapshots"]}


def test_each_snapshot_says_what_it_is(capsys):
    """How many prices, from when to when, of which regions, where from."""
    found = shown(capsys)

    assert set(found) == {"aws", "gcp"}
    for each in found.values():
        assert each["rows"] > 5000
        assert each["oldest"] < each["as_of"] <= each["id"]
        assert each["origin"] == "bundled"
        assert len(each["sources"]) > 5
        assert each["age_days"] >= 0
        assert each["notes"] == []
    assert "us-east-1" in found["aws"]["regions"]


def test_the_table_has_a_row_for_each_provider_and_the_sources_on_request(capsys):
    """And says in the end how many prices there are."""
    assert run(["prices"]) == 0
    short = capsys.readouterr()
    assert run(["prices", "-v", "--provider", "aws"]) == 0
    long = capsys.readouterr()

    assert short.out.splitlines()[0].startswith("PROVIDER")
    assert [line.split()[0] for line in short.out.splitlines()[1:3]] == ["aws", "gcp"]
    assert short.out.splitlines()[-1].endswith("prices of 2 providers.")
    assert "Next: scalable prices --refresh" in short.err
    assert "AWS Price List API, us-east-1 (2026-07-20T13:44Z)" in long.out


def test_a_provider_without_a_price_list_is_no_error(capsys):
    """This machine costs nothing."""
    assert run(["prices", "--provider", "local"]) == 0
    assert capsys.readouterr().out == "No installed provider has a price list.\n"


@pytest.mark.parametrize("command", [["prices"], ["plan", "--target", "aws", "--dry-run"]])
def test_no_socket_is_opened_and_no_sdk_imported(tmp_path, command):
    """Prices are read from the dist."""
    text = """
version: 1
project: {name: study, default_storage: "s3://bucket/runs/"}
targets: {aws: {provider: aws, region: us-east-1, n_workers: 10}}
components: {analysis: {cpus: 4, memory: 16G}}
"""
    (tmp_path / "scalable.yaml").write_text(text)
    (tmp_path / "workflow.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *command], cwd=tmp_path, env=dict(os.environ),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_without_credentials_a_refresh_of_all_says_what_it_kept(capsys, monkeypatch, tmp_path):
    """Exit code 3, each with its reason and cure; the old prices stay in use."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert run(["prices", "--refresh"]) == 3
    out = capsys.readouterr().out
    assert "! aws: prices cannot be refreshed: there are no AWS credentials" in out
    assert "! gcp: prices cannot be refreshed: " in out
    assert out.count("bundled") == 2
