"""Records go to plain data and back, and secrets do not go anywhere."""

from __future__ import annotations

import json
import pickle

from scalable_core.errors import ManifestError, TaskTimeoutError
from scalable_core.types import (
    CostEstimate,
    CostLine,
    Problem,
    ResolvedImage,
    Secret,
    WorkerGroup,
    from_data,
    to_data,
)


def test_a_group_survives_json() -> None:
    """What plan.json holds reads back as the same record."""
    group = WorkerGroup(
        name="a",
        cpus=2,
        memory=2**30,
        threads=2,
        minimum=0,
        maximum=3,
        env={"MODE": "fast"},
        tags=("x",),
        resolved=ResolvedImage(
            reference="r",
            pinned="r@sha256:0",
            digest="sha256:0",
            platforms=("linux/amd64",),
            provider="oci",
        ),
    )

    assert from_data(json.loads(json.dumps(to_data(group))), WorkerGroup) == group


def test_a_secret_appears_nowhere_but_where_it_is_revealed() -> None:
    """Text, repr and data show the variable's name and never the value."""
    secret = Secret("hunter2", template="${TOKEN}")
    group = WorkerGroup(name="a", cpus=1, threads=1, minimum=1, maximum=1, env={"T": secret})

    shown = f"{secret} {secret!r} {group} {json.dumps(to_data(group))}"

    assert "hunter2" not in shown
    assert "${TOKEN}" in shown
    assert secret.reveal() == "hunter2"


def test_an_unknown_price_is_counted_and_not_zero() -> None:
    """A line without an amount is named among the unpriced."""
    estimate = CostEstimate(
        provider="x",
        expected=1.0,
        lines=(
            CostLine(item="Compute", unit="h", amount=1.0),
            CostLine(item="Egress", unit="GB"),
        ),
    )

    assert estimate.unpriced == ("Egress",)
    assert to_data(estimate)["lines"][1]["amount"] is None


def test_errors_keep_their_cure_across_processes() -> None:
    """Errors raised on workers reach the driver whole."""
    problem = Problem(
        code="E0102", message="unknown key", where="tasks.x", cure="did you mean 'y'?"
    )

    error = pickle.loads(pickle.dumps(ManifestError("m", [problem])))
    timeout = pickle.loads(pickle.dumps(TaskTimeoutError("too long", cure="raise timeout:")))

    assert error.problems == (problem,)
    assert (timeout.message, timeout.cure) == ("too long", "raise timeout:")
    assert isinstance(timeout, TimeoutError)


def test_a_problem_reads_as_place_code_sentence_and_cure() -> None:
    """The one-line form is the one of the documentation."""
    problem = Problem(
        code="E0102",
        message="unknown option",
        where="targets.aws.regoin",
        cure="did you mean 'region'?",
        file="scalable.yaml",
        line=12,
        column=5,
    )

    assert (
        str(problem)
        == "scalable.yaml:12:5  E0102  targets.aws.regoin: unknown option; did you mean 'region'?"
    )
