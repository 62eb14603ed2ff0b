"""What is installed is known from metadata, and one damaged dist hides no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scalable_core.errors import PluginContractError, ProviderBrokenError, ProviderNotFoundError

DATA = Path(__file__).parent / "data"


def rows(host, dist):
    """The rows of one dist, from metadata only."""
    return [row for row in host.statuses(load=False) if row.dist == dist]


def test_names_come_from_metadata(installed):
    """Both providers are named, and neither is imported to be named."""
    import sys

    host = installed("acme", "zeta")

    assert {"acme", "zeta", "local"} <= set(host.provider_names())
    assert not {"acme_scalable", "zeta_scalable"} & set(sys.modules)


def test_an_editable_install_is_found():
    """The dists of this repository are installed as editable where tests run, or as wheels; both count."""
    from scalable_core.plugins import PluginHost

    (row,) = [row for row in PluginHost().statuses(load=False) if row.name == "local"]

    assert (row.dist, row.status, row.schemes) == ("scalable-local", "ready", ("file",))


def test_an_editable_install_of_a_plugin_is_found(python, tmp_path):
    """A .pth file in site-packages that leads to the source, beside the .dist-info, is an editable install."""
    site = tmp_path / "site"
    source = tmp_path / "source"
    shutil.copytree(DATA / "acme", site)
    source.mkdir()
    (site / "acme_scalable.py").rename(source / "acme_scalable.py")
    (site / "_editable_acme.pth").write_text(f"{source}\n")
    code = (
        f"import site; site.addsitedir({str(site)!r})\n"
        "from scalable_core.plugins import PluginHost\n"
        "print(PluginHost().target_options('acme').__module__)"
    )

    assert python(code).strip() == "acme_scalable"


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("bad_value", "its entry point 'not a module!' is not a module"),
        ("bad_line", "line 2 is 'broken broken_plugin', not 'name = module'"),
        (
            "no_metadata",
            "its METADATA is missing or cannot be read (broken_scalable-0.3.dist-info)",
        ),
        ("empty_metadata", "its METADATA is missing or cannot be read"),
        ("wrong_group", "unknown entry-point group 'scalable.provider'; did you mean"),
        ("bad_requirement", "its requirement 'scalable-core >= one' cannot be read"),
    ],
)
def test_a_malformed_dist_is_a_row_and_hides_no_other(installed, context, plan_for, case, cause):
    """It is named with its version, cause and cure, and the other provider works."""
    host = installed(case, "acme")

    (row,) = rows(host, "broken-scalable")
    assert (row.status, row.version) == ("broken", "0.3")
    assert cause in row.detail
    assert "pip install --force-reinstall broken-scalable" in row.cure
    assert host.estimate_cost(plan_for("acme"), context).expected == 1.0


def test_a_dist_whose_entry_points_are_not_text_is_a_row(installed, tmp_path):
    """The bytes tell that it has to do with Scalable, and no more."""
    shutil.copytree(DATA / "bad_line", tmp_path / "bad_bytes")
    (entry_points,) = (tmp_path / "bad_bytes").glob("*/entry_points.txt")
    entry_points.write_bytes(b"[scalable.providers]\nbroken = \xff\xfe\n")

    (row,) = rows(installed(str(tmp_path / "bad_bytes"), "acme"), "broken-scalable")

    assert (row.kind, row.status) == ("dist", "broken")
    assert "its entry_points.txt is not UTF-8" in row.detail


@pytest.mark.parametrize("case", ["bad_value", "no_metadata"])
def test_a_malformed_provider_that_is_asked_for_says_why(installed, case):
    """The error has the plugin, its dist and the cause."""
    with pytest.raises(ProviderBrokenError, match=r"provider 'broken' \(broken-scalable 0.3\)"):
        installed(case).target_options("broken")


def test_a_missing_provider_may_be_in_a_dist_that_cannot_be_read(installed):
    """The error of the provider that is not found names the dist that may hold it."""
    with pytest.raises(ProviderNotFoundError, match="dist 'broken-scalable' is installed, but its"):
        installed("bad_line").target_options("broken")


@pytest.mark.parametrize(
    "found", [("acme", "leftover"), ("acme", "half_removed"), ("half_removed", "acme")]
)
def test_one_dist_seen_twice_is_no_duplicate(installed, found):
    """What is left of an older wheel behind an editable install, or of half an uninstall, does not count."""
    host = installed(*found)

    (row,) = [row for row in rows(host, "acme-scalable") if row.kind == "provider"]
    assert (row.version, row.status) == ("1.0", "ready")
    assert host.target_options("acme").__name__ == "Options"


def test_two_dists_with_one_name_are_named(installed):
    """Neither is chosen; the error names both with their versions, and what to do."""
    host = installed("acme", "same_name")

    with pytest.raises(PluginContractError) as caught:
        host.target_options("acme")

    assert caught.value.message == (
        "provider 'acme' is offered by acme-scalable 1.0 (acme_scalable) and other-acme 2.1 (other_acme)"
    )
    assert "pip uninstall one of acme-scalable, other-acme" in caught.value.cure
    claims = [row for row in host.statuses(load=False) if row.name == "acme"]
    assert [row.status for row in claims if row.kind == "provider"] == ["duplicate", "duplicate"]


def test_two_dists_with_one_scheme_are_named(installed, context, tmp_path):
    """A URI scheme with two claims stores nothing."""
    from scalable_core.types import Artifact

    host = installed("acme", "same_name")

    with pytest.raises(PluginContractError, match="artifact scheme 'acme' is offered by acme-"):
        host.store_artifact(Artifact(name="a", data=b"", run="run-1"), "acme://shelf/a", context)


def test_one_dist_that_names_a_provider_twice_is_named(installed):
    """It is for its authors to correct."""
    with pytest.raises(PluginContractError) as caught:
        installed("twice_in_one").target_options("twice")

    assert "twice-scalable 1.0 (twice_one) and twice-scalable 1.0 (twice_two)" in str(caught.value)
    assert "for the authors of twice-scalable" in caught.value.cure


def test_disabling_one_of_two_dists_leaves_the_other(installed, context, plan_for):
    """SCALABLE_DISABLE_PLUGINS takes names of dists too, which settles a duplicate."""
    host = installed("acme", "same_name", SCALABLE_DISABLE_PLUGINS="other-acme")

    assert host.estimate_cost(plan_for("acme"), context).provider == "acme"


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("acem", "did you mean 'acme'?"),
        ("azure", "pip install the dist that offers 'azure'"),
    ],
)
def test_a_provider_that_is_not_installed_has_a_cure(installed, name, cure):
    """What is installed is listed, and a near name is offered."""
    with pytest.raises(ProviderNotFoundError) as caught:
        installed("acme").target_options(name)

    assert caught.value.message.startswith(
        f"no installed plugin provides {name!r}; installed: acme, "
    )
    assert cure in caught.value.cure


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("aws", "pip install 'scalable[aws]'"),
        ("awz", "did you mean 'aws'? pip install 'scalable[aws]'"),
    ],
)
def test_a_provider_of_ours_that_is_not_installed_has_its_pip_line(python, name, cure):
    """An environment without the other dists is told which extra brings them."""
    code = (
        "import importlib.metadata as m\n"
        "ours = m.distributions\n"
        "m.distributions = lambda: (d for d in ours() if d.name != 'scalable-aws')\n"
        "from scalable_core.errors import ScalableError\n"
        "from scalable_core.plugins import PluginHost\n"
        "try:\n"
        f"    PluginHost().target_options({name!r})\n"
        "except ScalableError as error:\n"
        "    print(error)"
    )

    assert cure in python(code)


def test_options_of_a_provider_that_is_not_installed_are_none(installed):
    """A manifest may name targets of providers that this machine lacks."""
    assert installed("acme").options_lookup("azure") is None
