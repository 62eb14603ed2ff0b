"""Extensions wrap the verbs of every provider; one that is broken is a warning."""

from __future__ import annotations

import logging
import sys

import pytest

from scalable_core.errors import PluginContractError, ProviderError
from scalable_core.types import ImageRequest, RunRecord

RECORD = RunRecord(
    run="run-1", project="p", target="t", provider="acme", status="done", started="", lock=""
)


def test_a_wrapper_applies_to_every_provider(installed, context, plan_for):
    """It sees the answer of whichever is addressed."""
    host = installed("acme", "zeta", "guard")

    for name in ("acme", "zeta"):
        assert host.estimate_cost(plan_for(name), context).expected == 2.0


def test_a_wrapper_may_refuse(installed, context, plan_for):
    """Before the provider is asked; the note names the extension and whom it wrapped."""
    host = installed("acme", "guard")
    host.target_options("acme")
    sys.modules["acme_guard"].LIMIT = 0.5

    with pytest.raises(ProviderError, match="the budget is spent") as caught:
        host.provision_cluster(plan_for("acme"), context)

    assert caught.value.__notes__ == [
        "raised by provision_cluster() of extension 'budget-guard' (acme-guard 1.2), around that of"
        " provider 'acme' (acme-scalable 1.0)"
    ]


def test_a_provider_is_blamed_through_a_wrapper(installed, context, plan_for):
    """What the provider raises is the provider's, though it passes through an extension."""
    with pytest.raises(KeyError) as caught:
        installed("raises", "guard").estimate_cost(plan_for("broken"), context)

    assert caught.value.__notes__ == [
        "raised by estimate_cost() of provider 'broken' (broken-scalable 0.3)"
    ]


def test_a_wrapper_that_forgets_the_answer_is_found_out(installed, context, plan_for):
    """The sentence names the verb, and that an extension may be the cause."""
    with pytest.raises(PluginContractError, match="returned None, wanted a CostE") as caught:
        installed("acme", "forgetful").estimate_cost(plan_for("acme"), context)

    assert "or of an extension that wraps estimate_cost()" in caught.value.cure


def test_an_extension_may_answer_first(installed, context):
    """A company's mirror of images comes before the provider, and before the core."""
    host = installed("acme", "mirror")

    image = host.resolve_image("acme", ImageRequest(reference="python"), context)

    assert image.pinned.startswith("mirror.example/python@sha256:1")


@pytest.mark.parametrize("disabled", ["budget-guard", "acme-guard"])
def test_a_disabled_extension_wraps_nothing(installed, context, plan_for, caplog, disabled):
    """By its own name or its dist's, and without a word."""
    host = installed("acme", "guard", SCALABLE_DISABLE_PLUGINS=disabled)

    assert host.estimate_cost(plan_for("acme"), context).expected == 1.0
    assert "acme_guard" not in sys.modules
    assert caplog.records == []


@pytest.mark.parametrize(
    ("case", "name", "words"),
    [
        (
            "bad_extension",
            "notifier",
            "extension 'notifier' (bad-extension 0.1) is installed, but importing bad_notifier failed:"
            " RuntimeError: no token; it is left out; SCALABLE_DISABLE_PLUGINS=notifier leaves it out",
        ),
        (
            "old_wrapper",
            "old-wrapper",
            "extension 'old-wrapper' (old-wrapper 0.1) wraps estimate_cost() in the old style",
        ),
    ],
)
def test_a_broken_extension_is_a_warning(installed, context, plan_for, caplog, case, name, words):
    """It is said once, with how to be rid of it, and the work goes on."""
    host = installed("acme", "guard", case)

    assert host.estimate_cost(plan_for("acme"), context).expected == 2.0
    assert host.estimate_cost(plan_for("acme"), context).expected == 2.0
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert words in record.getMessage()


def test_extensions_are_loaded_before_the_first_call_of_any_hook(installed):
    """Not to know names, but for the first options that are asked for."""
    host = installed("acme", "guard")
    host.provider_names()
    host.statuses(load=False)
    assert "acme_guard" not in sys.modules

    host.target_options("acme")
    assert "acme_guard" in sys.modules


def test_a_listener_that_fails_silences_no_other(installed, context, caplog):
    """What it raises is logged with its name, and changes nothing."""
    host = installed("bad_listener", "guard")

    host.run_recorded(RECORD, context)

    assert sys.modules["acme_guard"].HEARD == ["run-1"]
    (record,) = caplog.records
    assert "extension 'a-listener' (bad-listener 0.1)" in record.getMessage()
    assert "no route" in str(record.exc_info[1])
