"""The providers of this repository, asked through the plugin host, describe options that can be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from scalable_core.manifest import manifest_schema, read_manifest
from scalable_core.plugins import PluginHost

DEMETER = Path(__file__).parent / "demeter.yaml"
PROVIDERS = ("aws", "gcp", "kubernetes", "local")
ENVIRON = {"S3_BUCKET": "bucket"}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    """The plugin host of this environment."""
    return PluginHost(environ={})


@pytest.mark.parametrize("target", [None, "local", "aws", "gcp"])
def test_manifest_of_the_tutorial_is_read_for_every_target(
    target: str | None, host: PluginHost
) -> None:
    """No problem, whichever target is selected."""
    manifest = read_manifest(DEMETER, target=target, options=host.options_lookup, environ=ENVIRON)

    assert manifest.problems == ()
    assert manifest.providers == {"local": "local", "aws": "aws", "gcp": "gcp"}
    assert manifest.components["analysis"].memory == 16 * 2**30


@pytest.mark.parametrize("target", ["aws", "gcp"])
def test_bare_numbers_are_in_the_unit_of_the_service(target: str, host: PluginHost) -> None:
    """4096 on Fargate and 4 on Cloud Run are 4 vCPU; 16384 is 16 GiB on both."""
    manifest = read_manifest(DEMETER, target=target, options=host.options_lookup, environ=ENVIRON)

    assert manifest.target is not None
    options = manifest.target.options
    assert (options.worker_cpu, options.worker_mem) == (4.0, 16 * 2**30)


def test_manifest_of_the_tutorial_fits_the_schema(host: PluginHost) -> None:
    """The schema of all installed providers is valid and accepts it."""
    found = {name: host.options_lookup(name) for name in PROVIDERS}
    schema = manifest_schema(
        {name: options for name, options in found.items() if options is not None}
    )
    Draft202012Validator.check_schema(schema)
    document = YAML(typ="safe", pure=True).load(DEMETER)

    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []


def test_reading_imports_nothing_heavy() -> None:
    """Neither dask nor an SDK nor anything of the tests' kind is needed to read a manifest."""
    code = (
        "import sys\n"
        "from scalable_core.manifest import read_manifest\n"
        "from scalable_core.plugins import PluginHost\n"
        f"read_manifest({str(DEMETER)!r}, target='aws', options=PluginHost(environ={{}}).options_lookup,"
        f" environ={ENVIRON!r})\n"
        "heavy = {'dask', 'distributed', 'numpy', 'rich', 'fsspec', 'boto3', 'aiobotocore', 'kubernetes'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
