"""Every installed plugin is a row, usable or not."""

from __future__ import annotations

import sys

import click
import pytest

from scalable_core.errors import ProviderBrokenError, ProviderNotFoundError


def statuses(host, *, load):
    """Rows by kind and name."""
    return {(row.kind, row.name): row for row in host.statuses(load=load)}


def test_rows_from_metadata_import_nothing(installed):
    """A provider, an extension, a scheme and a command, with their dists and versions."""
    rows = statuses(installed("acme", "guard", "shelf", "commands"), load=False)

    acme = rows["provider", "acme"]
    assert (acme.dist, acme.version, acme.module) == ("acme-scalable", "1.0", "acme_scalable")
    assert (acme.status, acme.api, acme.provides) == ("ready", None, ())
    assert acme.schemes == ("acme",)
    assert ("scheme", "acme") not in rows
    assert rows["extension", "budget-guard"].dist == "acme-guard"
    assert rows["scheme", "shelf"].dist == "acme-shelf"
    assert rows["command", "tail"].module == "acme_commands:tail"
    assert not {"acme_scalable", "acme_guard", "acme_shelf", "acme_commands"} & set(sys.modules)


def test_rows_of_loaded_plugins_say_what_they_provide(installed):
    """The hooks and the plugin API."""
    rows = statuses(installed("acme", "guard", "shelf", "commands"), load=True)

    acme = rows["provider", "acme"]
    assert (acme.status, acme.api) == ("ready", 1)
    assert {"configure", "estimate_cost", "provision_cluster"} <= set(acme.provides)
    assert "preflight" not in acme.provides
    guard = rows["extension", "budget-guard"]
    assert guard.provides == ("estimate_cost", "provision_cluster", "run_recorded")
    assert rows["scheme", "shelf"].provides == ("store_artifact",)
    assert rows["command", "tail"].status == "ready"
    assert rows["command", "lost"].status == "broken"


@pytest.mark.parametrize(
    ("case", "name", "status", "words"),
    [
        ("import_error", "broken", "broken", "No module named 'betasdk'"),
        ("exits", "broken", "broken", "it called sys.exit(3)"),
        ("too_new", "broken", "incompatible", "needs scalable-core<10,>=9"),
        ("api_two", "broken", "incompatible", "speaks plugin API 2"),
        ("unknown_hook", "broken", "incompatible", "unknown hook 'provison_cluster'"),
        ("class_named", "broken", "broken", "names the class Broken"),
        ("verbs_missing", "broken", "broken", "does not implement target_options()"),
        ("raises", "broken", "broken", "raised OSError: disk on fire"),
        ("bad_extension", "notifier", "broken", "RuntimeError: no token"),
        ("old_wrapper", "old-wrapper", "broken", "in the old style"),
    ],
)
def test_a_broken_plugin_is_a_row(installed, case, name, status, words):
    """It has the cause and a cure, and the others are ready."""
    rows = {row.name: row for row in installed(case, "acme").statuses(load=True)}

    assert rows[name].status == status
    assert words in rows[name].detail
    assert rows[name].cure
    assert (rows["acme"].status, rows["acme"].detail) == ("ready", None)


@pytest.mark.parametrize("load", [False, True])
def test_a_disabled_plugin_is_a_row(installed, load):
    """It is not loaded to be listed."""
    host = installed("acme", "guard", SCALABLE_DISABLE_PLUGINS="acme,budget-guard")
    rows = statuses(host, load=load)

    assert rows["provider", "acme"].status == "disabled"
    assert rows["extension", "budget-guard"].status == "disabled"
    assert not {"acme_scalable", "acme_guard"} & set(sys.modules)


def test_the_command_of_a_plugin_is_loaded_by_name(installed):
    """A click command, whose dist is checked like any other's."""
    host = installed("commands")

    assert isinstance(host.load_command("tail"), click.Command)
    with pytest.raises(ProviderBrokenError, match="importing acme_commands:lost failed"):
        host.load_command("lost")
    with pytest.raises(ProviderNotFoundError):
        host.load_command("head")
