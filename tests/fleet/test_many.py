"""A fleet of many members starts in few calls, works, and goes back to nothing."""

from __future__ import annotations


def test_two_hundred_members_start_work_and_go(make_plan, hive_launcher, start, hive, wait_until):
    """The whole life of a large fleet, with as few calls as its batches allow."""
    launcher = hive_launcher()
    fleet, client = start(make_plan(200), launcher, workers=200)

    assert launcher.count("launch") == 1 + 200 // launcher.batch
    assert sum(client.gather(client.map(lambda x: x + 1, range(400)))) == 80200

    fleet.scale(0)
    wait_until(lambda: list(hive.alive(fleet.fleet.run)) == ["scheduler-0"])
    assert fleet.members("analysis") == ()
    client.close()
    fleet.close()
    assert hive.alive(fleet.fleet.run) == {}
    assert fleet.fleet.ledger.entries == ()
