"""What the machine is said to hold."""

from __future__ import annotations

import os

import psutil

from scalable_local.machine import cpu_count, memory_size, read_machine

MIB = 2**20


def write(folder, path, text):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def test_this_machine_is_read():
    """At most what the hardware has, at least something."""
    machine = read_machine()

    assert 1 <= machine.cpus <= os.cpu_count()
    assert 64 * MIB < machine.memory <= psutil.virtual_memory().total


def test_affinity_counts():
    """A process that may use one CPU has one."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})

        assert cpu_count() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_limits_of_control_groups_version_2_count(tmp_path):
    """The group's own and those above it; the smallest holds."""
    write(tmp_path, "proc/self/cgroup", "0::/user/job\n")
    write(tmp_path, "sys/fs/cgroup/user/job/memory.max", "max\n")
    write(tmp_path, "sys/fs/cgroup/user/memory.max", f"{300 * MIB}\n")
    write(tmp_path, "sys/fs/cgroup/user/job/cpu.max", "50000 100000\n")

    assert memory_size(tmp_path) == 300 * MIB
    assert cpu_count(tmp_path) == 1


def test_limits_of_control_groups_version_1_count(tmp_path):
    """With the controllers mounted apart, and named together or alone."""
    write(tmp_path, "proc/self/cgroup", "4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n")
    write(tmp_path, "sys/fs/cgroup/memory/job/memory.limit_in_bytes", f"{200 * MIB}\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n")

    assert memory_size(tmp_path) == 200 * MIB
    assert cpu_count(tmp_path) == 1


def test_inside_a_container_the_top_folder_is_its_own(tmp_path):
    """The path in ``/proc`` may be the host's, which is not there."""
    write(tmp_path, "proc/self/cgroup", "4:memory:/docker/0123\n0::/docker/0123\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{100 * MIB}\n")

    assert memory_size(tmp_path) == 100 * MIB


def test_no_limit_is_no_limit(tmp_path):
    """Version 1 writes -1 or a huge number, version 2 ``max``; without ``/proc`` there is none."""
    assert psutil.virtual_memory().total == memory_size(tmp_path)
    write(tmp_path, "proc/self/cgroup", "2:cpu:/\n0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000\n")

    assert len(os.sched_getaffinity(0)) == cpu_count(tmp_path)
