"""Today's prices of Google Cloud, fetched from a server in the real shape of its billing catalog."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs

import pytest
from price_services import Catalog, serving, sku

from scalable_core.cli.app import run
from scalable_core.errors import ProviderError
from scalable_core.plugins import PluginHost
from scalable_core.types import HookContext, PriceSnapshot
from scalable_core.types.prices import PriceBook
from scalable_core.types.snapshot import price_folder
from scalable_gcp.prices import DATA

MACHINES = ["n2-standard-4", "e2-medium", "g2-standard-4"]


@pytest.fixture
def gcp(own_snapshot: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    """The catalog on a local port, and a user whose prices are those of one region and few machines."""
    own_snapshot("gcp", DATA, "us-central1", machines=MACHINES)
    answers = Catalog()
    answers.service.answer = answers
    with serving(answers.service):
        url = answers.service.url
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING", f"{url}/")
        monkeypatch.setenv("GOOGLE_API_KEY", "a-key")
        monkeypatch.setattr("scalable_gcp.refresh._PAUSES", (0.01,))
        yield answers


def refreshed(refresh: bool = True) -> PriceSnapshot:
    """The snapshot of `gcp`, refreshed or not."""
    host = PluginHost(environ={})
    snapshot = host.price_snapshot("gcp", refresh=refresh, context=HookContext())
    assert snapshot is not None
    return snapshot


def book() -> PriceBook:
    """The prices that estimates are made with."""
    return PriceBook(price_folder("gcp", DATA), "us-central1")


def usd(service: str, item: str) -> float:
    """One of them."""
    price = book().find(service, item)
    assert price is not None
    return price.usd


def test_a_refresh_takes_the_price_that_is_meant_among_all_that_are_like_it(gcp):
    """Nanos, thousandths of a vCPU, free bands, places of one region, neither custom nor committed."""
    before = refreshed(refresh=False)
    after = refreshed()

    assert (after.notes, after.origin) == ((), "refreshed")
    assert after.id != before.id
    assert usd("run", "pool_vcpu_second") == 0.0000115
    assert usd("run", "pool_gib_second") == 0.0000013
    assert usd("gke", "pod_vcpu_hour") == 0.045
    assert usd("gke", "pod_vcpu_hour_spot") == 0.014
    assert usd("gke", "cluster") == 0.10
    assert usd("gcs", "storage_standard") == 0.021
    assert usd("gcs", "class_a_standard") == 0.051
    assert usd("disk", "pd_balanced") == 0.11
    assert usd("network", "external_ipv4_in_use") == 0.0051


def test_machines_cost_what_their_parts_cost(gcp):
    """4 x 0.032 + 16 x 0.0043 = 0.1968; e2-medium has one vCPU: 0.022 + 4 x 0.003 = 0.034.

    What has a GPU has more parts, and keeps its price and its date.
    """
    old = {machine.name: machine for machine in book().machines()}
    refreshed()

    new = {machine.name: machine for machine in book().machines()}
    assert new["n2-standard-4"].price.usd == pytest.approx(0.1968)
    assert new["n2-standard-4"].spot.usd == pytest.approx(4 * 0.008 + 16 * 0.001)
    assert new["e2-medium"].price.usd == pytest.approx(0.034)
    gpu = "g2-standard-4"
    assert new[gpu].price.usd == old[gpu].price.usd
    assert new[gpu].price.as_of == old[gpu].price.as_of < new["n2-standard-4"].price.as_of


def test_every_request_asks_in_usd_with_the_key_in_a_header(gcp):
    """A key in the address would be in logs. All pages are followed."""
    refreshed()

    asked = [(request, headers) for request, headers in gcp.service.asked]
    assert {headers["X-Goog-Api-Key"] for _, headers in asked} == {"a-key"}
    assert {parse_qs(request.query)["currencyCode"][0] for request, _ in asked} == {"USD"}
    assert not any("a-key" in request.query for request, _ in asked)
    assert len(asked) == 4 + 1 + 2 + 1  # 13, 4, 8 and 3 SKUs, 4 a page


def _change(answers: Catalog, service: str, words: str, usd: float | None, **more) -> None:
    skus = [each for each in answers.skus[service] if each["description"] != words]
    answers.skus[service] = [*skus, *([] if usd is None else [sku(words, usd, **more)])]


def _broken(change) -> Callable[[Catalog], None]:
    def break_it(answers: Catalog) -> None:
        answers.broken = lambda what, page: change(page) if what == "152E-C115-5142" else page

    return break_it


POOL = "Worker Pools CPU in us-central1"


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (
            lambda answers: _change(answers, "152E-C115-5142", POOL, 0.000115),
            "us-central1 keeps its old prices of Cloud Run: run pool_vcpu_second went from 1.1244e-05"
            " to 0.000115, which is 10.2 times off",
        ),
        (
            lambda answers: _change(answers, "152E-C115-5142", POOL, None),
            "us-central1 keeps its old prices of Cloud Run: run pool_vcpu_second is missing",
        ),
        (
            lambda answers: _change(answers, "152E-C115-5142", POOL, 0.0),
            "us-central1 keeps its old prices of Cloud Run: run pool_vcpu_second has the price 0",
        ),
        (
            _broken(lambda page: {**page, "nextPageToken": "0"}),
            "every region keeps its old prices of Cloud Run: the pages of the answer have no end",
        ),
        (
            _broken(lambda page: {}),
            "every region keeps its old prices of Cloud Run: a page of the answer has no skus",
        ),
        (
            _broken(lambda page: json.loads(json.dumps(page).replace("USD", "EUR"))),
            f"every region keeps its old prices of Cloud Run: {POOL} is not in USD",
        ),
    ],
)  # fmt: skip
def test_what_looks_wrong_keeps_the_old_prices_and_says_so(gcp, break_it, said):
    """By service, region and name; the other services are refreshed."""
    break_it(gcp)
    snapshot = refreshed()

    assert snapshot.notes == (said,)
    assert usd("run", "pool_vcpu_second") == 0.000011244
    assert usd("gke", "pod_vcpu_hour") == 0.045


def _without(answers: Catalog, words: str) -> None:
    skus = answers.skus["6F81-5844-456A"]
    answers.skus["6F81-5844-456A"] = [each for each in skus if words not in each["description"]]


def test_a_family_without_cores_keeps_its_prices_and_is_named(gcp):
    """The others are refreshed."""
    _without(gcp, "N2 Instance Core")
    (note,) = refreshed().notes

    assert (
        note == "us-central1 keeps its old prices of n2 machines: their cores or memory have none"
    )
    prices = {machine.name: machine.price.usd for machine in book().machines()}
    assert (prices["n2-standard-4"], prices["e2-medium"]) == (0.194236, pytest.approx(0.034))


def test_a_region_without_cores_keeps_its_machines(gcp):
    """A page that is missing takes whole families away."""
    _without(gcp, "Instance")
    (note,) = refreshed().notes

    assert note.endswith("prices of Compute Engine: there are no prices of cores and memory")
    assert {machine.name: machine.price.usd for machine in book().machines()}["n2-standard-4"] == (
        0.194236
    )


def test_a_server_in_trouble_is_asked_again(gcp):
    """Once is not enough to give up."""
    answers = iter([(503, "text/plain", "busy")])
    gcp.service.answer = lambda asked: next(answers, None) or gcp(asked)

    assert refreshed().notes == ()


def test_a_refused_key_is_an_error_with_a_cure(gcp):
    """In the catalog's own words; the key is not in them."""
    said = json.dumps({"error": {"code": 403, "message": "API has not been used in project 1."}})
    gcp.service.answer = lambda asked: (403, "application/json", said)

    with pytest.raises(ProviderError, match="says 403 API has not been used") as caught:
        refreshed()
    assert "cloudbilling.googleapis.com" in caught.value.cure
    assert "a-key" not in str(caught.value)


def test_the_command_refreshes_and_plans_are_made_with_it(gcp, tmp_path, monkeypatch, capsys):
    """80 vCPU-h x 0.0000115 x 3,600 = 3.312; the plan names the snapshot that the table has."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workflow.py").write_text("")
    (tmp_path / "scalable.yaml").write_text("""
version: 1
project: {name: study}
targets: {gcp: {provider: gcp, region: us-central1, n_workers: 10}}
components: {model: {cpus: 4, memory: 16G}}
""")
    assert run(["prices", "--refresh", "--provider", "gcp", "--json"]) == 0
    (snapshot,) = json.loads(capsys.readouterr().out)["snapshots"]
    assert run(["plan", "--target", "gcp", "--hours", "2"]) == 0
    plan = capsys.readouterr().out

    assert snapshot["origin"] == "refreshed"
    assert snapshot["age_days"] in (0, 1)
    assert any(
        source.startswith("Cloud Billing Catalog, as fetched") for source in snapshot["sources"]
    )
    assert "$3.31 (10 workers x 4 vCPU x 2h x $0.0414/vCPU-h" in plan
    assert f"id {snapshot['id']}" in " ".join(plan.split())


def test_a_refresh_that_keeps_something_ends_with_3(gcp, capsys):
    """A script can tell."""
    _without(gcp, "N2 Instance Core")

    assert run(["prices", "--refresh", "--provider", "gcp"]) == 3
    out = capsys.readouterr().out
    assert (
        "! gcp: us-central1 keeps its old prices of n2 machines: their cores or memory have" in out
    )
    assert out.splitlines()[-1].endswith("1 thing not refreshed.")
