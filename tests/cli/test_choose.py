"""`scalable plan` compares targets and regions, and chooses workers for a deadline or a budget."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MANIFEST = """\
version: 1
project: {name: study, default_storage: s3://bucket/runs}
targets:
  local: {provider: local, max_workers: 4, processes: false}
  aws:
    provider: aws
    region: us-east-1
    adaptive: {minimum: 1, maximum: 10}
  gcp:
    provider: gcp
    region: us-central1
    adaptive: {minimum: 2, maximum: 20}
components:
  model: {cpus: 4, memory: 16G}
tasks:
  simulate: {component: model, expect: {count: 500, duration: 90s}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A manifest with three targets and tasks that are known."""
    path = tmp_path / "scalable.yaml"
    path.write_text(MANIFEST)
    return path


def rows(text: str) -> list[list[str]]:
    """The table's rows, their cells; without its heading."""
    lines = text.split("\n\n")
    table = next(part for part in lines if "unpriced" in part.splitlines()[0])
    return [line.replace("* ", "*").split("  ") for line in table.splitlines()[1:]]


def first(text: str) -> list[str]:
    """The first cells of a table, the chosen one with its star."""
    return [next(cell for cell in row if cell).strip() for row in rows(text)]


def test_every_target_is_shown_as_it_is_and_as_it_might_be_bought(study: Path, scalable) -> None:
    """The cheapest first, the one in use marked, and a verdict."""
    done = scalable("plan", "--compare", "--target", "aws")

    assert done.returncode == 0, done.stderr
    assert sorted(first(done.stdout)) == ["*aws", "aws", "aws", "aws", "gcp", "local"]
    assert first(done.stdout)[0] == "local"
    assert "spot arm64" in done.stdout
    assert "Basis: expect of simulate" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Cheapest: local, $0.00 in ")
    assert done.stderr == "Next: scalable plan --target local\n"


def test_a_comparison_for_programs(study: Path, scalable) -> None:
    """Sorted by what is expected; each way says which options it changes."""
    done = scalable("plan", "--compare", "--json")

    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.plan-comparison/1"
    ways = document["ways"]
    assert [way["cost"]["expected"] for way in ways] == sorted(
        way["cost"]["expected"] for way in ways
    )
    assert ways[document["current"]]["target"] == "local"
    spot = next(way for way in ways if (way["target"], way["label"]) == ("aws", "spot"))
    assert spot["changes"] == {"capacity": "spot_with_fallback"}
    assert spot["cost"]["low"] <= spot["cost"]["expected"] <= spot["cost"]["high"]
    assert "Inter-zone traffic" in spot["cost"]["unpriced"]


def test_exact_hours_are_compared_too(study: Path, scalable) -> None:
    """10 workers x 2 h and 20 workers x 2 h, whatever is known of the tasks."""
    done = scalable("plan", "--compare", "--hours", "2", "--json")

    ways = json.loads(done.stdout)["ways"]
    assert {way["target"]: way["worker_hours"] for way in ways} == {
        "local": 8, "aws": 20, "gcp": 40,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("{provider: slurm}", "the provider 'slurm' is not installed"),
        ("{provider: aws, region: nowhere}", "'nowhere' is not an AWS region"),
        ("{provider: aws}", "'region' is missing"),
        ("{provider: gcp, region: '${REGION}'}", "REGION"),
        ("{provider: aws, region: us-east-1, worker_mem: 900G}", "at most 244G of memory"),
    ],
)
def test_a_target_without_a_plan_is_a_row_with_the_reason(
    target: str, reason: str, study: Path, scalable
) -> None:
    """The others are compared nevertheless."""
    study.write_text(MANIFEST.replace("targets:\n", f"targets:\n  hpc: {target}\n"))

    done = scalable("plan", "--compare")

    assert done.returncode == 0, done.stderr
    assert first(done.stdout)[-1] == "hpc"
    assert reason in done.stdout
    failed = json.loads(scalable("plan", "--compare", "--json").stdout)["failed"]
    assert [no["target"] for no in failed] == ["hpc"]


def test_without_any_plan_it_is_an_error(study: Path, scalable) -> None:
    """The same as `plan` alone gives."""
    study.write_text(MANIFEST.replace("cpus: 4", "cpos: 4"))

    done = scalable("plan", "--compare")

    assert done.returncode == 2
    assert "did you mean 'cpus'?" in done.stderr


def test_an_unknown_target_is_named_before_anything_is_compared(study: Path, scalable) -> None:
    """It is a slip, not a target that has no plan."""
    done = scalable("plan", "--compare", "--target", "asw")

    assert done.returncode == 2
    assert "did you mean 'aws'?" in done.stderr


def test_the_cheapest_regions_with_their_ratio(study: Path, scalable) -> None:
    """The one in use is 1.00, and regions without a price are named."""
    done = scalable("plan", "--regions", "--target", "aws", "--hours", "2")

    assert done.returncode == 0, done.stderr
    assert "*us-east-1" in first(done.stdout)
    assert next(row for row in rows(done.stdout) if "*us-east-1" in row[0])[1:] != []
    assert "no price for the workers in" in done.stdout
    document = json.loads(scalable("plan", "--regions", "--target", "gcp", "--json").stdout)
    assert document["ways"][document["current"]]["label"] == "us-central1"


def test_a_target_without_regions_says_so(study: Path, scalable) -> None:
    """This machine is in one place."""
    done = scalable("plan", "--regions", "--target", "local")

    assert done.returncode == 2
    assert "the provider 'local' knows no other region" in done.stderr


def test_what_is_chosen_is_kept_and_run_as_it_was_chosen(study: Path, scalable) -> None:
    """plan.json has the workers and the capacity, and `run` takes both from it."""
    done = scalable("plan", "--target", "aws", "--deadline", "1h", "--output", "plan.json")

    assert done.returncode == 0, done.stderr
    assert "Chosen: " in done.stdout
    assert "keeps to 1h00m (at p90)" in " ".join(done.stdout.split())
    assert done.stderr == "Next: scalable run plan.json\n"
    kept = json.loads((study.parent / "plan.json").read_text())
    assert kept["changes"] == {"capacity": "spot_with_fallback"}
    assert kept["forecast"]["high_wall_hours"] <= 1.0
    run = scalable("run", "plan.json", "--dry-run")
    assert "Chosen capacity: spot_with_fallback" in run.stdout
    assert f"1 to {kept['maximum']} workers together" in run.stdout
    restored = json.loads(scalable("run", "plan.json", "--dry-run", "--json").stdout)
    assert restored["target"]["options"]["capacity"] == "spot_with_fallback"
    assert (restored["cost"], restored["groups"]) == (kept["cost"], kept["groups"])


def test_a_chosen_plan_runs(project: Path, scalable) -> None:
    """On this machine: within the deadline one of two workers is enough, and cheaper."""
    path = project / "scalable.yaml"
    expect = "{component: model, expect: {count: 10, duration: 1s}}"
    path.write_text(path.read_text().replace("{component: model}", expect))

    planned = scalable("plan", "--deadline", "1h", "--output", "plan.json")
    done = scalable("run", "plan.json")

    assert planned.returncode == 0, planned.stderr
    assert json.loads((project / "plan.json").read_text())["maximum"] == 1
    assert done.returncode == 0, done.stderr
    assert "squares 285" in done.stdout


def test_when_nothing_does_the_nearest_is_shown_and_nothing_is_written(
    study: Path, scalable
) -> None:
    """Exit code 2, and the next command tries more workers."""
    done = scalable("plan", "-t", "aws", "--deadline", "10m", "--output", "plan.json")

    assert done.returncode == 2
    assert "Nothing keeps to 10m00s (at p90). Nearest: 10 workers" in " ".join(done.stdout.split())
    assert done.stderr == "Next: scalable plan --target aws --deadline 10m --max-workers 20\n"
    assert not (study.parent / "plan.json").exists()


def test_more_workers_do_not_help_a_budget(study: Path, scalable) -> None:
    """What costs too much is not tried with more of them."""
    done = scalable("plan", "-t", "aws", "--budget", "0.01")

    assert done.returncode == 2
    assert "Nothing keeps to $0.01 (at p90)." in done.stdout
    assert done.stderr == ""


def test_more_workers_than_the_target_says_may_be_allowed(study: Path, scalable) -> None:
    """Then the same deadline is kept."""
    done = scalable("plan", "-t", "aws", "--deadline", "10m", "--max-workers", "200", "--json")

    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["schema"] == "scalable.plan-choice/1"
    chosen = document["ways"][document["chosen"]]
    assert 10 < chosen["workers"] <= 200
    assert chosen["hours"]["high"] <= document["deadline"] == pytest.approx(1 / 6)
    assert document["plan"]["maximum"] == chosen["workers"]


def test_what_is_expected_comes_sooner_than_what_is_at_p90(study: Path, scalable) -> None:
    """10 workers are expected to be done in 23 min, and nine times of ten in 31: --likely says which counts."""
    safe = scalable("plan", "-t", "aws", "--deadline", "26m", "-q")
    likely = scalable("plan", "-t", "aws", "--deadline", "26m", "--likely", "-q")

    assert (safe.returncode, likely.returncode) == (2, 0)
    assert "keeps to 26m00s (expected)." in likely.stdout


def test_a_budget_takes_a_currency_sign(study: Path, scalable) -> None:
    """And with a budget alone the fastest is chosen."""
    done = scalable("plan", "-t", "aws", "--budget", "$1", "-q")

    assert done.returncode == 0, done.stderr
    assert "the fastest that keeps to $1.00 (at p90). " in done.stdout
    assert done.stdout.endswith(" lines not priced.\n")


def test_tasks_that_nobody_knows_are_one_sentence(project: Path, scalable) -> None:
    """With the cure."""
    done = scalable("plan", "--deadline", "2h")

    assert done.returncode == 2
    assert "there is no earlier run, and no task expects both count and duration" in done.stderr
    assert "expect: {count: 500, duration: 90s}" in done.stderr


def test_a_budget_where_nothing_has_a_price_is_one_sentence(study: Path, scalable) -> None:
    """Nobody can say whether it is kept."""
    study.write_text(MANIFEST.replace("region: us-east-1", "region: us-east-9"))

    done = scalable("plan", "-t", "aws", "--budget", "50")

    assert done.returncode == 2
    assert "nobody can say whether 50 USD are enough for target 'aws'" in done.stderr
    assert "Compute" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--compare", "--regions"], "--compare and --regions do not go together"),
        (["--compare", "--budget", "5"], "--compare and --budget do not go together"),
        (["--regions", "-o", "p.json"], "--regions and --output do not go together"),
        (["--deadline", "2h", "--hours", "2"], "--deadline and --hours do not go together"),
        (["--max-workers", "5"], "--max-workers is for a plan that is chosen"),
        (["--budget", "nan"], "'nan' is not a sum of money"),
        (["--budget", "-5"], "'-5' is not a sum of money"),
        (["--deadline", "soon"], "'soon' is not a duration"),
        (["--deadline", "0"], "it must be above 0"),
        (["--deadline", "2h", "--max-workers", "0"], "0 is not in the range"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str], sentence: str, study: Path, scalable
) -> None:
    """Exit code 2 and a sentence, before anything is read."""
    done = scalable("plan", *options)

    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())


def test_the_target_keeps_at_least_its_fewest_workers(study: Path, scalable) -> None:
    """A choice among fewer is refused."""
    done = scalable("plan", "-t", "gcp", "--deadline", "9h", "--max-workers", "1")

    assert done.returncode == 2
    assert "target 'gcp' has at least 2 workers, not 1" in done.stderr


ALL = [["--compare"], ["--regions", "-t", "aws"], ["-t", "aws", "--deadline", "1h"]]


@pytest.mark.parametrize("arguments", ALL, ids=lambda words: words[0] + words[-1])
def test_it_opens_no_socket_and_loads_no_sdk(arguments: list[str], study: Path) -> None:
    """Offline: whoever opens a socket, or imports an SDK or distributed, ends the process."""
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('a socket')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from scalable_core.cli import main\n"
        f"sys.argv = {['scalable', 'plan', '--json', *arguments]!r}\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "unwanted = {'distributed', 'dask', 'boto3', 'botocore', 'aiobotocore', 'google', 'gcloud',"
        " 'kubernetes', 'pandas', 'numpy'}\n"
        "sys.exit(code or ', '.join(sorted(loaded & unwanted)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=study.parent, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"].startswith("scalable.plan-")


@pytest.mark.parametrize("arguments", ALL, ids=lambda words: words[0] + words[-1])
def test_it_is_the_same_on_any_machine(arguments: list[str], study: Path, scalable) -> None:
    """Whatever the hash seed, the time zone, the language and the number of CPUs."""
    here = scalable("plan", "--json", *arguments, PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")
    there = scalable(
        "plan", "--json", *arguments, PYTHONHASHSEED="2", TZ="Asia/Tokyo", LC_ALL="de_DE.UTF-8"
    )

    assert here.returncode == 0, here.stderr
    assert here.stdout == there.stdout
