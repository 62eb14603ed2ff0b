"""The kit itself: a provider that does one thing wrong fails the check that is about it, with a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scalable_core.cli.new_plugin import write_plugin
from scalable_core.testing.conformance import (
    ArtifactConformance,
    ClusterConformance,
    OfflineConformance,
    ProviderConformance,
)
from scalable_core.testing.conformance.base import checks_of

API = "SCALABLE_PLUGIN_API = 1"
HOURS = "Span(known.worker_hours, known.low, known.high)"
PRICE = "usd_per_hour:"
TOTAL = "    return total(provider, basis, lines)"
#: What is changed in the template, as file, old, new; the check that sees it; a word of its sentence.
WRONGS = {
    "help": (
        "options.py", 'help="Number of workers."', 'help="Number of workers"',
        "test_every_option_has_one_line_of_help", "full stop",
    ),
    "frozen": (
        "options.py", "@frozen(kw_only=True)", "@__import__('attrs').define(kw_only=True)",
        "test_options_are_frozen_records_with_names", "not frozen",
    ),
    "reserved": (
        "options.py", PRICE, f"overlay: str = option(default='', help='Wrong.')\n    {PRICE}",
        "test_no_option_has_a_name_of_the_manifest_itself", "overlay",
    ),
    "secret": (
        "options.py", PRICE, f"api_token: str = option(default='', help='Wrong.')\n    {PRICE}",
        "test_options_that_hold_secrets_say_so", "api_token",
    ),
    "default": (
        "options.py", "default=1, minimum=1", "default=0, minimum=1",
        "test_defaults_keep_to_their_own_bounds", "n_workers",
    ),
    "sdk": (
        "plugin.py", API, f"import numpy\n{API}",
        "test_importing_it_loads_no_sdk_and_no_dask", "numpy",
    ),
    "prints": (
        "plugin.py", API, f"print('hello')\n{API}",
        "test_importing_it_does_nothing_else", "prints",
    ),
    "private": (
        "options.py", "from attrs import frozen",
        "from attrs import frozen\nfrom scalable_core.session import planning",
        "test_it_imports_only_what_is_public", "scalable_core.session",
    ),
    "slow": (
        "plugin.py", API,
        f"import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\n{API}",
        "test_importing_it_is_quick", "ms of CPU",
    ),
    "socket": (
        "estimate.py", "usd, forecast =", "__import__('scalable_acme.ask')\n    usd, forecast =",
        "test_planning_opens_no_socket", "socket",
    ),
    "zero": (
        "estimate.py", TOTAL, f"    lines = [attrs.evolve(each, amount=0.0) for each in lines]\n{TOTAL}",
        "test_what_is_unknown_is_never_0", "without price",
    ),
    "impure": (
        "estimate.py", "provider, basis,", "provider, str(__import__('time').time_ns()),",
        "test_an_estimate_is_the_same_each_time", "differs",
    ),
    "machine": (
        "estimate.py", "provider, basis,", "provider, __import__('os').environ.get('TZ', 'here'),",
        "test_an_estimate_is_the_same_on_every_machine", "machine",
    ),
    "falls": (
        "estimate.py", HOURS, "Span(*[1 / known.worker_hours] * 3)",
        "test_more_hours_never_cost_less", "falls",
    ),
    "sum": (
        "estimate.py", TOTAL,
        "    return attrs.evolve(total(provider, basis, lines), expected=1e6, high=1e6)",
        "test_the_total_is_the_sum_of_the_lines", "add up",
    ),
    "band": (
        "estimate.py", TOTAL,
        "    return attrs.evolve(total(provider, basis, lines), low=1e6)",
        "test_amounts_are_within_their_bands", "band",
    ),
    "coupled": (
        "estimate.py", HOURS, "Span(*[len(plan.groups)] * 3)",
        "test_components_do_not_change_the_cost_of_each_other", "change",
    ),
    "missing": (
        "plugin.py", "@hookimpl\ndef release_cluster", "def release_cluster",
        "test_it_implements_what_is_required", "release_cluster",
    ),
    "core": (
        "pyproject.toml", ",<0.", ",>=0.", "test_its_dist_says_which_core_it_needs", "upper bound",
    ),
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path):
    """Writes the template as a provider `acme` with a price, changed, and installs it on a path of its own."""

    def write(file=None, old="", new=""):
        write_plugin("acme", tmp_path)
        source = tmp_path / "src"
        (source / "scalable_acme" / "ask.py").write_text(
            "import contextlib, socket\n"
            "with contextlib.suppress(OSError):\n"
            "    socket.create_connection(('127.0.0.1', 9), timeout=1)\n"
        )
        if file is not None:
            path = tmp_path / file if file == "pyproject.toml" else source / "scalable_acme" / file
            text = path.read_text()
            assert old in text
            text = text.replace(old, new)
            path.write_text(
                text.replace("import annotations\n", "import annotations\nimport attrs\n")
            )
        needs = next(
            line.split('"')[1]
            for line in (tmp_path / "pyproject.toml").read_text().splitlines()
            if line.startswith("dependencies")
        )
        info = source / "scalable_acme-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: scalable-acme\nVersion: 0.1.0\nRequires-Dist: {needs}\n"
        )
        (info / "entry_points.txt").write_text(
            "[scalable.providers]\nacme = scalable_acme.plugin\n"
        )
        return source

    return write


@pytest.fixture
def check(tmp_path):
    """Runs checks on `acme` in a fresh Python, and returns outcome and sentence of each."""

    def check(source: Path, *names: str, **target):
        code = textwrap.dedent(f"""
            import json
            from scalable_core.testing.conformance import OfflineConformance, runner
            facts = dict(provider="acme", import_seconds=0.3, target={target!r})
            rows = [runner._run(type("Acme", (OfflineConformance,), facts), n) for n in {names!r}]
            print(json.dumps([[row.outcome, row.sentence] for row in rows]))
        """)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(source), "PATH": os.defpath, "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return check


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_provider_that_does_one_thing_wrong_fails_its_check(wrong, plugin, check):
    """With one sentence that says what."""
    file, old, new, name, word = WRONGS[wrong]
    priced = {} if wrong == "zero" else {"usd_per_hour": 0.5}

    [(outcome, sentence)] = check(plugin(file, old, new), name, **priced)

    assert (outcome, word in sentence) == ("failed", True), sentence
    assert "\n" not in sentence


def test_the_template_passes_the_checks_that_the_wrong_ones_fail(plugin, check):
    """So that it is the change that is seen."""
    names = sorted({wrong[3] for wrong in WRONGS.values()} - {"test_importing_it_is_quick"})

    assert check(plugin(), *names, usd_per_hour=0.5) == [["passed", ""]] * len(names)


def test_the_kit_has_about_sixty_checks():
    """Many of each aspect, and no name twice."""
    parts = [
        checks_of(cls) for cls in (OfflineConformance, ArtifactConformance, ClusterConformance)
    ]
    shared = "test_no_check_of_the_kit_is_left_out"

    assert len(checks_of(ProviderConformance)) == sum(map(len, parts)) - 2 >= 60
    assert all(shared in part for part in parts)


def test_every_check_says_what_it_holds():
    """One sentence of docstring, which is the kit's own documentation."""
    for name in checks_of(ProviderConformance):
        assert getattr(ProviderConformance, name).__doc__.strip().endswith("."), name


def replacement(*marks):
    """A check of one's own in the place of the kit's."""

    def test_planning_opens_no_socket(self):
        pass

    for mark in marks:
        test_planning_opens_no_socket = mark(test_planning_opens_no_socket)
    return test_planning_opens_no_socket


def with_override(override):
    """A class of tests that has it."""
    facts = {"provider": "local", "test_planning_opens_no_socket": override}
    return type("Mine", (OfflineConformance,), facts)()


@pytest.mark.parametrize(
    "override",
    [
        replacement(),
        None,
        replacement(pytest.mark.xfail),
        replacement(pytest.mark.skip(reason="no time")),
    ],
)
def test_an_override_without_a_reason_fails_the_kit_itself(override):
    """A check that is replaced, deleted, or excused without a reason is named."""
    with pytest.raises(AssertionError, match=r"overrides test_planning_opens_no_socket; mark it"):
        with_override(override).test_no_check_of_the_kit_is_left_out()


def test_an_override_that_is_expected_to_fail_for_a_reason_is_allowed():
    """It is in every report of the tests, with the reason."""
    mark = pytest.mark.xfail(reason="it asks a license server")

    with_override(replacement(mark)).test_no_check_of_the_kit_is_left_out()


def test_the_kit_runs_under_pytest_as_a_class_of_tests(tmp_path):
    """What does not apply is skipped with its reason, an override with its reason is expected to fail."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from scalable_core.testing.conformance import OfflineConformance\n"
        "class TestLocal(OfflineConformance):\n"
        "    provider = 'local'\n"
        "    @pytest.mark.xfail(reason='it asks a license server')\n"
        "    def test_planning_opens_no_socket(self): assert 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stdout
    assert "it offers no variants" in done.stdout
    assert "XFAIL" in done.stdout


def test_a_class_that_names_no_provider_says_so():
    """The first thing that an author may forget."""
    with pytest.raises(AssertionError, match="names no provider"):
        OfflineConformance().setup_method()
