"""A node that is none of our stand-ins: the real kubelet with containerd, beside the testbed's API server.

It works only in namespaces of its own for mounts, network and processes, such as ``nox -s kubelet`` makes: what
a kubelet changes on a machine ends with them, all but its folders under ``/sys/fs/cgroup``, removed here, and
what it keeps below ``/var/lib``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from kube_cluster import KubernetesCluster, find_programs, free_ports

#: Set by who starts the tests in namespaces of their own.
ALONE = "SCALABLE_KUBELET"
PROGRAMS = ("kubelet", "containerd", "ctr", "runc", "catatonit", "docker-registry", "ip", "mount")
CGROUPS = Path("/sys/fs/cgroup")
#: Addresses of the node, its pods and the services, on bridges that lead nowhere else.
NODE, PODS, SERVICES = "10.76.0.1", "10.77.0.0/24", "10.78.0.0/24"
IMAGE, PAUSE = "localhost/python:1", "localhost/pause:1"
#: What the pods' image borrows from this machine, which is why it holds no Python of its own.
BORROWED = tuple(dict.fromkeys(["/usr", sys.base_prefix, sys.prefix]))
#: What a kubelet wants of the kernel. It sees these, and so leaves the machine's own as they are.
TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def find_kubelet() -> dict[str, Path] | str:
    """Return the path of each program, or a sentence that says what is missing."""
    if os.environ.get(ALONE) != "1":
        return "a kubelet wants namespaces of its own; run nox -s kubelet"
    if os.geteuid() != 0:
        return "a kubelet wants root"
    if not (CGROUPS / "memory").is_dir():
        return "it was only ever tried with the cgroups of version 1, which are not here"
    return find_programs(PROGRAMS)


class KubeletNode:
    """A real node, as a context manager; when entered, a cluster can be started which it may `join`.

    Args:
        folder: For everything it writes.
        programs: From `find_kubelet`.
    """

    def __init__(self, folder: Path, programs: dict[str, Path]) -> None:
        self.folder, self.programs = folder, programs
        self.registry = ""
        self.name = "real"
        self._group = f"testbed-{folder.name}-{os.urandom(4).hex()}"
        self._socket = folder / "containerd.sock"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> KubeletNode:
        try:
            self._prepare()
            self._start_containerd()
            self._import(IMAGE, _base(), {
                "Env": [f"PATH={sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"],
            })  # fmt: skip
            self._start_registry()
            self._import(PAUSE, [(self.programs["catatonit"], "pause")], {
                "Entrypoint": ["/pause", "-P"],
            })  # fmt: skip
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *ignored: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        for top in CGROUPS.glob(f"*/{self._group}"):  # what a pod has left, from the leaves on
            for group in sorted((top, *top.rglob("*/")), key=lambda path: -len(path.parts)):
                _remove_group(group)

    def join(self, cluster: KubernetesCluster) -> None:
        """Become a node of a cluster without any other, with `SERVICES` for its services."""
        self._start_kubelet(cluster)
        try:
            cluster.wait_for(lambda: cluster.node_ready(self.name), "the kubelet")
        except AssertionError as error:
            error.add_note((self.folder / "kubelet.log").read_text()[-3000:])
            raise

    @staticmethod
    def template() -> dict[str, Any]:
        """Return the pod template with which our pods have this machine's Python."""
        volumes, mounts = [], []
        for number, path in enumerate(BORROWED):
            name = f"borrowed-{number}"
            volumes.append({"name": name, "hostPath": {"path": path}})
            mounts.append({"name": name, "mountPath": path, "readOnly": True})
        return {"spec": {"volumes": volumes, "containers": [{"volumeMounts": mounts}]}}

    # -- inside ------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Make what belongs to these namespaces alone: folders, bridges, and a kernel as a kubelet wants it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for place in ("/run", "/var/log"):
            self._do("mount", "-t", "tmpfs", "tmpfs", place)
        for name, value in TUNABLES.items():
            file = self.folder / name.replace("/", "-")
            file.write_text(f"{value}\n")
            self._do("mount", "--bind", file, f"/proc/sys/{name}")
        self._do("ip", "link", "set", "lo", "up")
        self._do("ip", "link", "add", "node0", "type", "bridge")
        self._do("ip", "address", "add", f"{NODE}/24", "dev", "node0")
        self._do("ip", "link", "set", "node0", "up")
        self._do("ip", "route", "add", "local", SERVICES, "dev", "lo")
        for controller in CGROUPS.iterdir():
            if controller.is_dir() and controller.name != "unified" and not controller.is_symlink():
                (controller / self._group).mkdir()

    def _start_containerd(self) -> None:
        cni = self.folder / "cni"
        cni.mkdir()
        (cni / "10.conflist").write_text(json.dumps({
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{
                "type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False,
                "ipam": {
                    "type": "host-local", "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}], "dataDir": str(self.folder / "addresses"),
                },
            }],
        }))  # fmt: skip
        config = self.folder / "containerd.toml"
        config.write_text(f"""\
version = 2
root = "{self.folder}/containerd"
state = "/run/containerd"
[grpc]
  address = "{self._socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
""")
        self._run("containerd", "containerd", "--config", config)
        end = time.monotonic() + 60
        while not self._socket.exists():
            assert time.monotonic() < end, "containerd does not start"
            time.sleep(0.1)

    def _start_kubelet(self, cluster: KubernetesCluster) -> None:
        root = self.folder / "kubelet"
        ports = free_ports(2)
        config = self._settings("kubelet.yaml", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE, "port": ports[0], "readOnlyPort": 0, "healthzPort": ports[1],
            "tlsCertFile": str(cluster.pki / "server.crt"),
            "tlsPrivateKeyFile": str(cluster.pki / "server.key"),
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": str(cluster.pki / "ca.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{self._group}", "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [], "failSwapOn": False, "oomScoreAdj": 0,
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100, "makeIPTablesUtilChains": False,
            "volumePluginDir": str(root / "plugins"),
        })  # fmt: skip
        self._run(
            "kubelet", "kubelet", f"--config={config}", f"--kubeconfig={cluster.kubeconfig()}",
            f"--hostname-override={self.name}", f"--node-ip={NODE}", "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{self._socket}", f"--root-dir={root}",
            f"--cert-dir={root / 'certs'}", f"--pod-infra-container-image={PAUSE}", "--v=2",
        )  # fmt: skip

    def _start_registry(self) -> None:
        self.registry = f"127.0.0.1:{free_ports(1)[0]}"
        self._run("registry", "docker-registry", "serve", self._settings("registry.yml", {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "registry")}},
            "http": {"addr": self.registry},
        }))  # fmt: skip

    def _import(self, name: str, entries: list[Any], config: dict[str, Any]) -> None:
        """Give containerd an image of one layer: of files, folders and links."""
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:12]}.tar"
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            for entry in entries:
                if isinstance(entry, tarfile.TarInfo):
                    archive.addfile(entry)
                else:
                    archive.add(*entry)
        digest = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
        document = {"architecture": "amd64", "os": "linux", "config": config}
        document["rootfs"] = {"type": "layers", "diff_ids": [digest]}
        index = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        with tarfile.open(path, "w") as archive:
            for file, data in (
                ("layer.tar", layer.getvalue()),
                ("config.json", json.dumps(document).encode()),
                ("manifest.json", json.dumps(index).encode()),
            ):
                info = tarfile.TarInfo(file)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        self._do("ctr", "-a", self._socket, "-n", "k8s.io", "images", "import", path)

    def _settings(self, name: str, document: dict[str, Any]) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(document))  # JSON is YAML
        return path

    def _do(self, program: str, *words: Any) -> None:
        done = subprocess.run(
            [self.programs[program], *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{program} {words}: {done.stderr}"

    def _run(self, name: str, program: str, *words: Any) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [self.programs[program], *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._processes.append(process)


def _base() -> list[Any]:
    """Return what makes a system of the folders that are mounted."""
    entries = []
    for folder in ("tmp", "proc", "sys", "dev", "etc"):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
        entries.append(entry)
    for link in ("bin", "lib", "lib64", "sbin"):
        entry = tarfile.TarInfo(link)
        entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
        entries.append(entry)
    return entries


def _remove_group(group: Path) -> None:
    """End what runs in a cgroup, and remove it."""
    end = time.monotonic() + 30
    while group.exists() and time.monotonic() < end:
        with contextlib.suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            group.rmdir()
        time.sleep(0.05)
