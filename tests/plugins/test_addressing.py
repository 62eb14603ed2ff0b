"""One provider among many is asked, its answer is checked, and what it raises bears its name."""

from __future__ import annotations

import sys

import pytest
from attrs import evolve

from scalable_core.errors import PluginContractError, ProviderBrokenError, ProviderNotFoundError
from scalable_core.types import (
    Artifact,
    ArtifactRef,
    ClusterRecord,
    CostEstimate,
    ImageRequest,
    ReleaseReport,
    ResolvedImage,
    Resource,
    RunRecord,
    Settings,
)

ORDERS = [("acme", "zeta"), ("zeta", "acme")]
RECORD = RunRecord(
    run="run-1", project="p", target="t", provider="acme", status="done", started="", lock=""
)


@pytest.mark.parametrize("order", ORDERS)
def test_the_provider_of_the_target_answers(installed, context, plan_for, order):
    """Whichever was loaded last, and the other one is not asked at all."""
    host = installed(*order)
    for name in order:
        host.target_options(name)

    for name in order:
        assert host.estimate_cost(plan_for(name), context).provider == name
    for name in order:
        asked = sys.modules[f"{name}_scalable"].ASKED
        assert asked == [("estimate_cost", "there")]


def test_only_the_provider_that_is_named_is_loaded(python):
    """The other one stays on disk, and so does Dask."""
    code = (
        "import sys\n"
        "from scalable_core.plugins import PluginHost\n"
        "assert 'pluggy' in sys.modules\n"
        "host = PluginHost()\n"
        "host.target_options('acme')\n"
        "host.statuses(load=False)\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    loaded = python(code, "acme", "zeta", "guard")

    assert "'acme_scalable'" in loaded
    assert "'acme_guard'" in loaded
    for name in ("zeta_scalable", "scalable_local", "dask", "distributed", "ruamel", "click"):
        assert f"'{name}'" not in loaded


def test_importing_the_package_imports_no_pluggy(python):
    """`scalable_core.plugins` itself is nothing but a table of names."""
    code = "import sys, scalable_core.plugins; print('pluggy' in sys.modules)"

    assert python(code).strip() == "False"


def test_settings_reach_a_plugin_however_late_it_is_loaded(installed):
    """Once, before anything else."""
    host = installed("acme")
    host.target_options("acme")
    host.target_options("acme")

    assert [Settings()] == sys.modules["acme_scalable"].SETTINGS


def test_the_context_has_the_logger_of_the_plugin(installed, context, plan_for):
    """So that what it says can be told apart."""
    host = installed("acme")
    host.check_target(plan_for("acme").target, context)

    assert sys.modules["acme_scalable"].ASKED == [("check_target", "scalable.provider.acme")]


def test_findings_come_back_as_they_were_given(installed, context, plan_for):
    """A hook that is optional and not implemented finds nothing."""
    host = installed("acme")

    (problem,) = host.check_target(plan_for("acme").target, context)
    assert (problem.code, problem.where) == ("E9001", "site")
    assert host.preflight(plan_for("acme"), context) == ()


def test_a_cluster_is_a_dask_cluster(installed, context, plan_for):
    """Any class of Dask's own will do."""
    from distributed.deploy import Cluster

    with installed("acme").provision_cluster(plan_for("acme"), context) as cluster:
        assert isinstance(cluster, Cluster)


def test_a_cluster_is_released_by_the_provider_that_its_record_names(installed, context):
    """No target is needed for it."""
    process = Resource(kind="process", id="1")
    record = ClusterRecord(
        provider="acme", run="run-1", project="p", target="t", created="", resources=(process,)
    )

    report = installed("zeta", "acme").release_cluster(record, context)

    assert report == ReleaseReport(provider="acme", released=(process,))


def test_artifacts_go_by_their_scheme(installed, context, tmp_path):
    """A scheme belongs to a provider, or to a plugin that only stores; a path is the scheme `file`."""
    host = installed("acme", "zeta", "shelf")
    artifact = Artifact(name="a.txt", data=b"abc", run="run-1")

    assert host.store_artifact(artifact, "zeta://box/a.txt", context).provider == "zeta"
    assert host.store_artifact(artifact, "SHELF://box/a.txt", context).provider == "shelf"
    stored = host.store_artifact(artifact, str(tmp_path / "a.txt"), context)
    assert (stored.provider, (tmp_path / "a.txt").read_bytes()) == ("local", b"abc")


def test_artifacts_come_back_by_their_scheme(installed, context, tmp_path):
    """The destination is the answer."""
    ref = ArtifactRef(
        uri="acme://box/a",
        digest="sha256:0",
        size=0,
        media_type="",
        run="",
        created="",
        provider="acme",
    )

    fetched = installed("acme", "zeta").fetch_artifact(ref, tmp_path / "a", context)

    assert fetched == tmp_path / "a"


def test_a_scheme_that_nobody_stores_is_named(installed, context):
    """With those that are there."""
    with pytest.raises(ProviderNotFoundError, match="stores artifacts under ftp://; installed: "):
        installed("acme").store_artifact(
            Artifact(name="a", data=b"", run="r"), "ftp://host/a", context
        )


def test_a_provider_and_its_scheme_are_registered_once(installed, context):
    """Both entry points lead to one module, which hears the settings once."""
    host = installed("acme")
    host.store_artifact(Artifact(name="a", data=b"", run="run-1"), "acme://box/a", context)
    host.target_options("acme")

    assert len(sys.modules["acme_scalable"].SETTINGS) == 1


def test_artifacts_are_stored_from_many_threads(installed, context):
    """The first calls load the plugin, all at once."""
    from concurrent.futures import ThreadPoolExecutor

    host = installed("acme")
    artifact = Artifact(name="a", data=b"", run="run-1")
    with ThreadPoolExecutor(8) as pool:
        uris = [f"acme://box/{i}" for i in range(64)]
        refs = list(pool.map(lambda uri: host.store_artifact(artifact, uri, context), uris))

    assert [ref.uri for ref in refs] == uris
    assert len(sys.modules["acme_scalable"].SETTINGS) == 1


@pytest.mark.parametrize(
    ("verb", "answer", "wanted"),
    [
        ("estimate_cost", 1.0, "returned 1.0, wanted a CostEstimate"),
        ("estimate_cost", None, "returned None, wanted a CostEstimate"),
        (
            "estimate_cost",
            CostEstimate(provider="zeta"),
            "returned a CostEstimate with provider='zeta', wanted a CostEstimate with provider='broken'",
        ),
        ("provision_cluster", "cluster", "returned 'cluster', wanted a distributed.deploy.Cluster"),
        ("provision_cluster", None, "returned None, wanted a distributed.deploy.Cluster"),
        ("preflight", ["quota"], "returned ['quota'], wanted a list of Problem"),
        ("preflight", 3, "returned 3, wanted a list of Problem"),
    ],
)
def test_a_wrong_answer_is_refused(installed, context, plan_for, verb, answer, wanted):
    """The sentence has the hook, the plugin, its dist, what came and what was wanted."""
    host = installed("wrong_answers", "acme")
    host._loader.load("provider", "broken")
    sys.modules["broken_plugin"].ANSWER = answer

    with pytest.raises(PluginContractError) as caught:
        getattr(host, verb)(plan_for("broken"), context)

    assert caught.value.message == f"{verb}() of provider 'broken' (broken-scalable 0.3) {wanted}"
    assert "report it to the authors of broken-scalable" in caught.value.cure


def test_a_wrong_image_and_a_wrong_report_are_refused(installed, context):
    """They bear the name of the provider that was asked; an image may also bear the core resolver's."""
    host = installed("wrong_answers")
    host._loader.load("provider", "broken")
    module = sys.modules["broken_plugin"]
    request = ImageRequest(reference="python")
    record = ClusterRecord(provider="broken", run="r", project="p", target="t", created="")

    module.ANSWER = ResolvedImage(reference="python", pinned="p", digest="d", provider="zeta")
    with pytest.raises(PluginContractError, match="wanted a ResolvedImage with provider='broken'"):
        host.resolve_image("broken", request, context)
    module.ANSWER = evolve(module.ANSWER, provider="oci")
    assert host.resolve_image("broken", request, context) is module.ANSWER
    module.ANSWER = {"released": []}
    with pytest.raises(PluginContractError, match="wanted a ReleaseReport"):
        host.release_cluster(record, context)


@pytest.mark.parametrize("answer", [3, None, {}, {"big": 3}, int])
def test_options_that_are_no_records_are_refused(installed, answer):
    """They describe the manifest, so they must be attrs classes."""
    host = installed("wrong_answers")
    host._loader.load("provider", "broken")
    sys.modules["broken_plugin"].ANSWER = answer

    with pytest.raises(PluginContractError, match="wanted an attrs class, or a mapping of clust"):
        host.options_lookup("broken")


def test_an_image_may_be_left_to_the_core(installed, context):
    """A provider that does not resolve images, or answers None, leaves them to the core."""
    host = installed("acme", "wrong_answers")
    request = ImageRequest(reference="python:3.12")

    assert host.resolve_image("acme", request, context) is None
    assert host.resolve_image("broken", request, context) is None


def test_what_a_provider_raises_bears_its_name(installed, context, plan_for):
    """Its own exception passes through, with a note; the traceback is its own."""
    with pytest.raises(KeyError, match=r"m5\.xlarge") as caught:
        installed("raises").estimate_cost(plan_for("broken"), context)

    assert caught.value.__notes__ == [
        "raised by estimate_cost() of provider 'broken' (broken-scalable 0.3)"
    ]


def test_a_plugin_cannot_end_the_program(installed, context, plan_for):
    """sys.exit in a hook is a fault of the plugin, and not the end of the run."""
    with pytest.raises(PluginContractError, match=r"called sys\.exit\(3\)"):
        installed("raises").preflight(plan_for("broken"), context)


def test_options_that_raise_are_a_broken_provider(installed):
    """The manifest may name it without using it, so it is an error with a cure and not a traceback."""
    with pytest.raises(ProviderBrokenError) as caught:
        installed("raises").options_lookup("broken")

    assert caught.value.message == (
        "target_options() of provider 'broken' (broken-scalable 0.3) failed: OSError: disk on fire"
    )


def test_everyone_hears_that_a_run_has_ended(installed, context):
    """Providers that are loaded, and extensions."""
    host = installed("acme", "zeta", "guard")
    host.target_options("acme")
    host.run_recorded(RECORD, context)

    assert ("run_recorded", "run-1") in sys.modules["acme_scalable"].ASKED
    assert sys.modules["acme_guard"].HEARD == ["run-1"]
    assert "zeta_scalable" not in sys.modules
