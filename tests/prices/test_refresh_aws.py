"""Today's prices of AWS, fetched through its own SDK from a server in the real shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from price_services import PriceList, serving

from scalable_aws.client import Patience
from scalable_aws.prices import DATA
from scalable_core.errors import ProviderError
from scalable_core.plugins import PluginHost
from scalable_core.types import HookContext, PriceSnapshot
from scalable_core.types.prices import PriceBook
from scalable_core.types.snapshot import price_folder

FARGATE = {"provider": "aws", "region": "us-east-1", "subnets": ["subnet-0a1b2c3d"]}


@pytest.fixture
def aws(own_snapshot: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceList]:
    """AWS on a local port, and a user whose prices are those of one region and few machines."""
    answers = PriceList()
    own_snapshot("aws", DATA, "us-east-1", machines=list(answers.machines))
    answers.service.answer = answers
    with serving(answers.service):
        monkeypatch.setenv("AWS_ENDPOINT_URL", answers.service.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"AKIA{answers.service.url[-5:]}")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield answers


def refreshed(refresh: bool = True) -> PriceSnapshot:
    """The snapshot of `aws`, refreshed or not."""
    host = PluginHost(environ={})
    snapshot = host.price_snapshot("aws", refresh=refresh, context=HookContext())
    assert snapshot is not None
    return snapshot


def book() -> PriceBook:
    """The prices that estimates are made with."""
    return PriceBook(price_folder("aws", DATA), "us-east-1")


def usd(service: str, item: str) -> float:
    """One of them."""
    price = book().find(service, item)
    assert price is not None
    return price.usd


def test_a_refresh_takes_the_price_that_is_meant_among_all_that_are_like_it(aws):
    """On demand, shared, used, Linux, of the region itself, above the free band."""
    before = refreshed(refresh=False)
    after = refreshed()

    assert (after.notes, after.origin) == ((), "refreshed")
    assert after.id != before.id
    assert usd("fargate", "linux_x86_vcpu_hour") == 0.0411
    assert usd("fargate", "linux_arm_gb_hour") == 0.0037
    assert usd("fargate", "linux_ephemeral_gb_hour") == 0.000113
    assert usd("cloudwatch_logs", "ingest_standard") == 0.51
    assert usd("s3", "put_copy_post_list") == pytest.approx(0.0051)
    assert usd("vpc", "nat_gateway") == 0.046
    assert usd("data_transfer", "inter_az_each_direction") == 0.01
    tiers = book().tiers("data_transfer", "internet_egress")
    assert [(tier.start, tier.end, tier.price.usd) for tier in tiers] == [
        (0, 10240, 0.091), (10240, 51200, 0.086), (51200, None, 0.071),
    ]  # fmt: skip
    machines = {machine.name: machine for machine in book().machines()}
    assert {name: machine.price.usd for name, machine in machines.items()} == aws.machines
    assert (machines["c7g.xlarge"].arch, machines["m5.large"].gib) == ("arm64", 8)


def test_spot_is_a_share_of_todays_price_with_its_band(aws):
    """m5: 0.07 / 0.194 = 0.3608, 0.08 / 0.194 = 0.4124 and 0.045 / 0.097 = 0.4639, the newest of each zone."""
    refreshed()

    ratio = book().find("ec2_spot", "m5")
    assert (ratio.low, ratio.usd, ratio.high) == pytest.approx((0.3608, 0.4124, 0.4639), abs=1e-4)


def test_estimates_are_made_with_what_was_fetched(aws, estimate):
    """80 vCPU-h x 0.0411 = 3.288, and it says from which snapshot."""
    old = estimate(FARGATE)
    snapshot = refreshed()
    new = estimate(FARGATE)

    assert {line.item: line.amount for line in old.lines}["Compute"] == pytest.approx(3.2384)
    assert {line.item: line.amount for line in new.lines}["Compute"] == pytest.approx(3.288)
    assert old.snapshot != new.snapshot == snapshot.id


def _off(answers: PriceList) -> None:
    answers.usd["Fargate-vCPU-Hours:perCPU"] = 0.411


def _missing(answers: PriceList) -> None:
    del answers.usd["Fargate-GB-Hours"]


def _free(answers: PriceList) -> None:
    answers.usd["NatGateway-Hours"] = 0.0


def _family(answers: PriceList) -> None:
    del answers.machines["c7g.xlarge"]


def _endless(answers: PriceList) -> None:
    answers.broken = lambda what, page: {**page, "NextToken": "at-0"}


def _cut(answers: PriceList) -> None:
    answers.broken = lambda what, page: {} if "NextToken" not in page else page


def _short(answers: PriceList) -> None:
    """The pages of machines end after the first."""
    answers.broken = lambda what, page: (
        {name: page[name] for name in page if name != "NextToken"} if what == "machines" else page
    )


def _nonsense(answers: PriceList) -> None:
    answers.broken = lambda what, page: {**page, "PriceList": ["{"]}


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_off, "fargate linux_x86_vcpu_hour went from 0.04048 to 0.411, which is 10.2 times off"),
        (_missing, "fargate linux_x86_gb_hour is missing"),
        (_free, "vpc nat_gateway has the price 0"),
        (_family, "the machine family c7g is missing"),
        (_endless, "the pages of the answer have no end"),
        (_cut, "a page of the answer has no PriceList"),
        (_short, "the machine family"),
        (_nonsense, "the answer is not a price list"),
    ],
)
def test_a_refresh_that_looks_wrong_keeps_the_old_prices_and_says_so(aws, break_it, said):
    """By region and by name; nothing of the region's list prices changes."""
    before, machines = usd("fargate", "linux_x86_vcpu_hour"), book().machines()
    break_it(aws)
    snapshot = refreshed()

    (note,) = [note for note in snapshot.notes if "list prices" in note]
    assert note.startswith("us-east-1 keeps its old list prices: ")
    assert said in note
    assert (usd("fargate", "linux_x86_vcpu_hour"), book().machines()) == (before, machines)


def test_a_wrong_spot_price_of_one_family_leaves_the_others(aws):
    """0.05 of 0.146 is now 0.002: more than three times off."""
    was = usd("ec2_spot", "c7g")
    aws.spot["c7g.xlarge", "us-east-1a"] = ("0.002000",)
    snapshot = refreshed()

    (note,) = snapshot.notes
    assert note.startswith("us-east-1 keeps its old Spot prices: ec2_spot c7g went from ")
    assert usd("ec2_spot", "c7g") == was
    assert usd("ec2_spot", "m5") == pytest.approx(0.08 / 0.194)


def test_what_is_refused_is_named_with_its_permission(aws):
    """The list is AWS's own word; other regions would still be asked."""
    refusal = {"__type": "AccessDeniedException", "Message": "no"}
    aws.service.answer = lambda asked: (
        (400, "application/x-amz-json-1.1", json.dumps(refusal)) if asked[0] else aws(asked)
    )
    snapshot = refreshed()

    assert "pricing:GetProducts" in " ".join(snapshot.notes)
    assert usd("fargate", "linux_x86_vcpu_hour") == 0.04048


def test_without_credentials_the_cure_is_said(aws, monkeypatch, tmp_path):
    """Exit code 3."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))

    with pytest.raises(ProviderError, match="prices cannot be refreshed: there are no AWS cred"):
        refreshed()


def test_where_nothing_answers_one_question_is_enough(aws, monkeypatch):
    """One sentence for all regions, and not minutes of waiting for each."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("scalable_aws.client.PATIENCE", Patience(attempts=2, first=0.01))
    (note,) = refreshed().notes

    assert note.startswith("every region keeps its old prices: ")
    assert usd("fargate", "linux_x86_vcpu_hour") == 0.04048


def test_every_request_asks_for_what_the_service_can_filter(aws):
    """All of type TERM_MATCH, at most 100 a page, and all pages are followed."""
    refreshed()

    asked = [request for (action, request), _ in aws.service.asked if action == "GetProducts"]
    wanted: list[dict[str, Any]] = [each for request in asked for each in request["Filters"]]
    assert {each["Type"] for each in wanted} == {"TERM_MATCH"}
    assert {request["MaxResults"] for request in asked} == {100}
    fields = [{each["Field"] for each in request["Filters"]} for request in asked]
    assert (
        sum({"tenancy", "capacitystatus"} <= each for each in fields) == 7
    )  # 27 products, 4 a page
