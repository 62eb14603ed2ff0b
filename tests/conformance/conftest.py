"""Testbeds of services, as processes of their own, for the providers' conformance."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "testbed"), str(HERE)]


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A local AWS whose members are real schedulers and workers of Dask, most of them in one process."""
    from aws.testbed import Testbed

    clock = {"provision": 0.1, "pull": 0.1, "teardown": 0.1}
    with Testbed(tmp_path_factory.mktemp("local-aws"), hive=True, **clock) as bed:
        yield bed


@pytest.fixture(scope="class")
def environ() -> Iterator[dict[str, str]]:
    """The environment, for tests of a class to change; afterwards it is as before."""
    before = dict(os.environ)
    try:
        yield os.environ  # type: ignore[misc]
    finally:
        os.environ.clear()
        os.environ.update(before)
