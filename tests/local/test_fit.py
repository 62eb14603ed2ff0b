"""What each worker gets when the machine holds less than all want."""

from __future__ import annotations

import pytest

from scalable_local.fit import LEAST_MEMORY, fit
from scalable_local.machine import Machine

GIB = 2**30


@pytest.mark.parametrize(
    ("workers", "cpus", "memory", "machine", "threads", "got"),
    [
        (2, 1, 1, (4, 8), 1, 1),  # fits
        (4, 4, 16, (2, 8), 1, 2),  # the laptop: a quarter of the memory, never less than a thread
        (4, 4, 16, (8, 8), 2, 2),  # threads shared out
        (2, 4, 4, (8, 6), 4, 3),  # only memory is short
        (3, 4, 1, (8, 16), 2, 1),  # only CPUs are short; parts of threads are dropped
        (1, 4, 16, (2, 8), 2, 8),  # one worker gets all there is
    ],
)
def test_workers_share_what_there_is(group, workers, cpus, memory, machine, threads, got):
    """All workers run; each gets the same fraction of what it wants."""
    one = group(maximum=workers, cpus=float(cpus), threads=cpus, memory=memory * GIB)

    sizes, _ = fit([one], workers, Machine(cpus=machine[0], memory=machine[1] * GIB))

    assert (threads, got * GIB) == (sizes["analysis"].threads, sizes["analysis"].memory)


def test_one_warning_says_the_numbers(group):
    """It names what is wanted, what is there, and what each group's workers get."""
    groups = [
        group("a", maximum=2, cpus=4.0, threads=4, memory=16 * GIB),
        group("b", maximum=1, cpus=2.0, threads=2, memory=4 * GIB),
    ]

    _, (problem,) = fit(groups, 3, Machine(cpus=5, memory=18 * GIB))

    assert problem.code == "W1401"
    assert problem.severity == "warning"
    assert problem.message == (
        "3 workers want 10 CPUs and 36G of memory, this machine has 5 and 18G: "
        "each 'a' gets 2 threads and 8G; each 'b' gets 1 thread and 2G"
    )


def test_what_fits_is_left_alone_without_a_warning(group):
    """Exactly as much as there is still fits."""
    sizes, problems = fit(
        [group(maximum=2, cpus=2.0, threads=2, memory=4 * GIB)], 2, Machine(cpus=4, memory=8 * GIB)
    )

    assert (sizes["analysis"].threads, sizes["analysis"].memory, problems) == (2, 4 * GIB, ())


def test_without_a_size_memory_is_shared_equally(group):
    """A group that wants no certain amount gets its share of the machine, without a warning."""
    groups = [group("a", maximum=3), group("b", maximum=1, memory=GIB)]

    sizes, problems = fit(groups, 4, Machine(cpus=4, memory=8 * GIB))

    assert (sizes["a"].memory, sizes["b"].memory, problems) == (2 * GIB, GIB, ())


def test_the_total_bounds_what_is_reckoned_with(group):
    """With a total over all groups only so many of the largest workers run at one time."""
    groups = [
        group("a", maximum=4, cpus=1.0, memory=GIB),
        group("b", maximum=4, cpus=2.0, threads=2, memory=3 * GIB),
    ]

    _, none = fit(groups, 4, Machine(cpus=8, memory=12 * GIB))
    _, some = fit(groups, 4, Machine(cpus=7, memory=12 * GIB))

    assert none == ()
    assert len(some) == 1


def test_threads_that_were_chosen_for_the_machine_stay(group):
    """``threads_per_worker`` is kept; the libraries' threads give way."""
    sizes, _ = fit(
        [group(maximum=2, cpus=4.0, threads=3)], 2, Machine(cpus=2, memory=GIB), keep_threads=True
    )

    assert (sizes["analysis"].threads, sizes["analysis"].cpus) == (3, 1.0)


def test_no_worker_gets_less_memory_than_it_needs_to_live(group):
    """Many workers on a small machine still start."""
    sizes, _ = fit([group(maximum=100, memory=GIB)], 100, Machine(cpus=2, memory=GIB))

    assert sizes["analysis"].memory == LEAST_MEMORY
