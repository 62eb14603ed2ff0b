"""Images are compared with this process before anything is paid."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from scalable_core import oci
from scalable_core.errors import UsageError
from scalable_core.session.detached import local_versions, prepare
from scalable_core.session.images import image_problems
from scalable_core.types import Plan, Project, ResolvedImage, Stores, Target, WorkerGroup

HERE = local_versions()


@pytest.fixture
def problems(tmp_path):
    """The problems of an image with some versions: problems({"dask": "1.0"})."""

    def make_plan(versions, *, environment=False):
        image = ResolvedImage(
            reference="acme/model:2",
            pinned="acme/model@sha256:00",
            digest="sha256:00",
            versions=versions,
            provider="oci",
        )
        group = WorkerGroup(
            name="model",
            cpus=1.0,
            threads=1,
            minimum=1,
            maximum=1,
            image="acme/model:2",
            resolved=image,
            environment=environment,
        )
        return Plan(
            project=Project(name="study"),
            target=Target(name="there", provider="there"),
            manifest="/nowhere/scalable.yaml",
            workflow="/nowhere/workflow.py",
            lock="sha256:0",
            groups=(group,),
            minimum=1,
            maximum=1,
            stores=Stores(records=str(tmp_path / "runs"), artifacts="/nowhere", cache="/nowhere"),
        )

    def problems(versions, **options):
        return image_problems(make_plan(versions, **options))

    problems.plan = make_plan
    return problems


def test_another_dask_is_an_error_with_the_cure(problems):
    """In the words of the check that every worker makes when it starts."""
    (problem,) = problems({**HERE, "dask": "1999.1.0"})

    assert (problem.severity, problem.where) == ("error", "components.model.image")
    assert (
        problem.message
        == f"the image acme/model:2 has dask 1999.1.0, and this run uses dask {HERE['dask']}"
    )
    assert problem.cure == f"install them in the image: pip install dask=={HERE['dask']}"


def test_what_fits_as_far_as_it_must_is_no_error(problems):
    """The last number of Python and of cloudpickle may differ."""
    near = {
        "python": f"{HERE['python']}.99",
        "cloudpickle": f"{HERE['cloudpickle'].rsplit('.', 1)[0]}.99",
    }
    (problem,) = problems({**HERE, **near})

    assert problem.severity == "info"
    assert f"dask {HERE['dask']}" in problem.message


def test_what_is_unknown_is_said_and_stays_unknown(problems, monkeypatch):
    """It is no error: the workers are compared when they start."""
    (problem,) = problems({"python": HERE["python"]})

    assert problem.severity == "info"
    assert (
        "dask, distributed, cloudpickle in acme/model:2 are compared when it has started"
        in problem.message
    )


def test_of_a_plain_python_only_python_counts(problems):
    """The rest is brought to it."""
    (fits,) = problems({"python": HERE["python"]}, environment=True)
    (other,) = problems({"python": "3.1"}, environment=True)

    assert fits.severity == "info"
    assert other.cure == f"name a base_image with Python {HERE['python']}, or run with Python 3.1"


def test_a_registry_is_asked_once_for_each_digest(problems, monkeypatch, tmp_path):
    """What is behind a digest does not change; what could not be told is asked for again."""
    answers = [{}, HERE]
    monkeypatch.setattr(oci, "inspect", lambda pinned, platform: answers.pop(0))

    assert [problems({})[0].severity for _ in range(3)] == ["info"] * 3
    assert answers == []
    assert json.loads((tmp_path / "images" / "00.json").read_text()) == HERE


def test_a_driver_elsewhere_is_not_given_a_plain_python(problems):
    """Nobody would bring it Scalable; the sentence says what to name."""
    plan = problems.plan({"python": HERE["python"]}, environment=True)
    host = SimpleNamespace(can=lambda verb, provider: True)

    with pytest.raises(
        UsageError, match="needs an image with scalable, and acme/model:2 has Python alone"
    ):
        prepare(plan, Path("workflow.py"), host=host)
