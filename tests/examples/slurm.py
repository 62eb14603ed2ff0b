"""A Slurm of our own on this machine: munged, slurmctld and two slurmd that start jobs as processes."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

#: What must be on the PATH, as Debian's packages slurm-wlm and munge bring it.
PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")

CONF = """\
ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# The nodes are said to be larger than this machine, so that four workers fit anywhere.
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=30
KillWait=5
SchedulerParameters=sched_interval=2,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000
PartitionName=debug Nodes=node1,node2 Default=YES MaxTime=60 State=UP
"""


def missing_programs() -> list[str]:
    """Return what a Slurm needs and this machine lacks."""
    return [name for name in PROGRAMS if _find(name) is None]


@contextlib.contextmanager
def running_slurm() -> Iterator[dict[str, str]]:
    """Run a Slurm and give the variables by which its commands find it.

    Raises:
        RuntimeError: It does not come up; what its daemons wrote is in the message.
    """
    # A socket's path must be short, and munged wants a folder that everybody may enter.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    environ = {"SLURM_CONF": str(folder / "slurm.conf")}
    conf = CONF.format(folder=folder, ports=_free_ports(3), user=pwd.getpwuid(os.geteuid()).pw_name)
    (folder / "slurm.conf").write_text(conf)
    (folder / "state").mkdir()
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        _start(folder, environ, daemons)
        yield environ
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, environ: dict[str, str], daemons: list[subprocess.Popen[bytes]]) -> None:
    key, sock = folder / "munge.key", folder / "munge.socket"
    subprocess.run([_find("mungekey"), "--create", f"--keyfile={key}"], check=True)
    munged = ["munged", "--foreground", "--force", f"--socket={sock}", f"--key-file={key}"]
    munged += [f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed"]
    munged += [f"--log-file={folder}/munged.log"]
    commands = [munged, ["slurmctld", "-D", "-c"]]
    commands += [["slurmd", "-D", "-N", node] for node in ("node1", "node2")]
    for command in commands:
        program = _find(command[0])
        assert program is not None
        output = (folder / f"{command[0]}.{len(daemons)}.out").open("wb")
        with output:
            daemons.append(
                subprocess.Popen(
                    [program, *command[1:]],
                    env={**os.environ, **environ},
                    stdout=output,
                    stderr=output,
                )
            )
        if command is munged:
            _wait_until(sock.exists, folder)
    idle = ["sinfo", "--noheader", "--format=%A"]
    _wait_until(
        lambda: _output(idle, environ) == "0/2", folder, other=lambda: _output(idle, environ)
    )


def _wait_until(condition, folder: Path, *, other=lambda: "") -> None:
    end = time.monotonic() + 90
    while not condition():
        if time.monotonic() > end:
            logs = sorted([*folder.glob("*.log"), *folder.glob("*.out")])
            said = "\n".join(
                f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}" for log in logs
            )
            raise RuntimeError(f"Slurm does not start; sinfo says {other()!r}\n{said}")
        time.sleep(0.2)


def _output(command: list[str], environ: dict[str, str]) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).strip()


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
