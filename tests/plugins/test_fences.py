"""Each way in which a plugin can be broken is one sentence with plugin, dist, cause and cure."""

from __future__ import annotations

import sys

import pytest

from scalable_core import __version__
from scalable_core.errors import (
    HookNotImplementedError,
    PluginContractError,
    ProviderBlockedError,
    ProviderBrokenError,
    ProviderIncompatibleError,
)

CORE = f"scalable-core {__version__}"

CASES = {
    "too_new": (
        ProviderIncompatibleError,
        f"provider 'broken' (broken-scalable 0.3) needs scalable-core<10,>=9; this is {CORE}",
        "pip install --upgrade scalable-core broken-scalable",
    ),
    "import_error": (
        ProviderBrokenError,
        "provider 'broken' (broken-scalable 0.3) is installed, but importing broken_plugin failed:"
        " ModuleNotFoundError: No module named 'betasdk'",
        "pip install --force-reinstall broken-scalable mends an installation",
    ),
    "syntax_error": (
        ProviderBrokenError,
        "importing broken_plugin failed: SyntaxError: ",
        "pip install --force-reinstall broken-scalable",
    ),
    "exits": (
        ProviderBrokenError,
        "importing broken_plugin failed: it called sys.exit(3)",
        "SCALABLE_DISABLE_PLUGINS=broken leaves it out",
    ),
    "api_two": (
        ProviderIncompatibleError,
        f"provider 'broken' (broken-scalable 0.3) speaks plugin API 2; {CORE} speaks 1",
        "pip install --upgrade scalable-core",
    ),
    "api_none": (
        ProviderIncompatibleError,
        f"provider 'broken' (broken-scalable 0.3) does not say which plugin API it speaks; {CORE} speaks 1",
        "write SCALABLE_PLUGIN_API = 1 in broken_plugin",
    ),
    "unknown_hook": (
        ProviderIncompatibleError,
        f"provider 'broken' (broken-scalable 0.3) does not fit {CORE}: unknown hook 'provison_cluster';"
        " did you mean 'provision_cluster'?",
        "pip install --upgrade scalable-core broken-scalable",
    ),
    "unknown_argument": (
        ProviderIncompatibleError,
        f"provider 'broken' (broken-scalable 0.3) does not fit {CORE}: estimate_cost() asks for zone, and is"
        " given plan, context",
        "pip install --upgrade scalable-core broken-scalable",
    ),
    "provider_wraps": (
        PluginContractError,
        "provider 'broken' (broken-scalable 0.3) answers hooks and wraps estimate_cost(); a module does one"
        " or the other",
        "move the wrapper to a module of its own",
    ),
    "both_kinds": (
        PluginContractError,
        "provider 'broken' (broken-scalable 0.3) names broken_plugin as a provider and as an extension",
        "move the wrappers to a module of their own",
    ),
    "class_named": (
        PluginContractError,
        "provider 'broken' (broken-scalable 0.3) names the class Broken in its entry point"
        " 'broken_plugin:Broken'; a plugin is a module",
        "name that: broken_plugin",
    ),
    "attribute_missing": (
        ProviderBrokenError,
        "importing broken_plugin:plugin failed: AttributeError: module 'broken_plugin' has no attribute",
        "pip install --force-reinstall broken-scalable",
    ),
    "configure_raises": (
        ProviderBrokenError,
        "provider 'broken' (broken-scalable 0.3) is installed, but its configure() failed: RuntimeError:"
        " no home",
        "report it to the authors of broken-scalable",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_provider_is_one_sentence(installed, case):
    """It is said in the words below, twice if it is asked for twice, and exit code 3 follows."""
    error, message, cure = CASES[case]
    host = installed(case)

    for _ in range(2):
        with pytest.raises(error) as caught:
            host.target_options("broken")
        assert message in caught.value.message
        assert "\n" not in caught.value.message
        assert cure in caught.value.cure
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("case", CASES)
def test_a_broken_provider_disturbs_no_other(installed, context, plan_for, case):
    """After it has failed, another provider is addressed as if the broken one had never been there."""
    host = installed(case, "acme")
    with pytest.raises(CASES[case][0]):
        host.target_options("broken")

    assert host.estimate_cost(plan_for("acme"), context).provider == "acme"
    assert host.check_target(plan_for("acme").target, context)[0].message == "no such site"


@pytest.mark.parametrize("case", ["too_new", "bad_requirement"])
def test_a_dist_for_another_core_is_not_imported(installed, case):
    """Its requirement is read first: the module would raise an AssertionError."""
    with pytest.raises((ProviderIncompatibleError, ProviderBrokenError)):
        installed(case).target_options("broken")

    assert "broken_plugin" not in sys.modules


def test_requirements_for_other_environments_do_not_count(installed):
    """A requirement behind a marker that is false here, or behind an extra, is no fence."""
    with pytest.raises(HookNotImplementedError):
        installed("other_python").target_options("broken")


def test_a_cause_is_kept_for_those_who_look(installed):
    """The error of a failed import has the import's own exception as its cause."""
    with pytest.raises(ProviderBrokenError) as caught:
        installed("import_error").target_options("broken")

    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_ctrl_c_during_an_import_is_ctrl_c(installed, monkeypatch):
    """It is not taken for a fault of the plugin."""

    def interrupt(name):
        raise KeyboardInterrupt

    host = installed("acme")
    monkeypatch.setattr("importlib.import_module", interrupt)

    with pytest.raises(KeyboardInterrupt):
        host.target_options("acme")


def test_an_optional_hook_may_be_unknown(installed):
    """A plugin may implement a hook of a later core, and say so."""
    with pytest.raises(PluginContractError, match="returned 3"):
        installed("optional_hook").target_options("broken")


@pytest.mark.parametrize("names", ["acme", "acme-scalable", "other, acme", " other acme "])
def test_a_disabled_provider_says_so(installed, names):
    """It is named by its own name or its dist's, among others."""
    host = installed("acme", SCALABLE_DISABLE_PLUGINS=names)

    with pytest.raises(ProviderBlockedError) as caught:
        host.target_options("acme")

    assert caught.value.message == (
        "provider 'acme' (acme-scalable 1.0) is disabled by SCALABLE_DISABLE_PLUGINS"
    )
    assert "acme" in caught.value.cure
    assert "acme_scalable" not in sys.modules
    assert "acme" not in host.provider_names()


def test_a_disabled_provider_stores_nothing_either(installed, context):
    """The schemes of its module go with it."""
    from scalable_core.types import Artifact

    host = installed("acme", SCALABLE_DISABLE_PLUGINS="acme")

    with pytest.raises(ProviderBlockedError, match="take acme out of that variable"):
        host.store_artifact(Artifact(name="a", data=b"", run="run-1"), "acme://shelf/a", context)


@pytest.mark.parametrize(
    ("verb", "words", "cure"),
    [
        ("estimate_cost", "does not implement estimate_cost()", "pip install --upgrade broken-sc"),
        (
            "provision_cluster",
            "does not implement provision_cluster(): broken_plugin has a function of that name without"
            " @hookimpl",
            "put @hookimpl from scalable_core.hookspecs above it",
        ),
    ],
)
def test_a_verb_that_is_missing_is_named(installed, context, plan_for, verb, words, cure):
    """A function without its mark is found out."""
    host = installed("verbs_missing", "acme")

    with pytest.raises(HookNotImplementedError) as caught:
        getattr(host, verb)(plan_for("broken"), context)

    assert caught.value.message == f"provider 'broken' (broken-scalable 0.3) {words}"
    assert cure in caught.value.cure
