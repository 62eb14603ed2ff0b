"""What a machine of a run does at its first start, as Container-Optimized OS takes it. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

#: Seconds that a member has after its lifetime to end by itself.
AFTERWORDS = 300


def cloud_config(
    image: str, program: str, words: Sequence[str], secrets: Sequence[str], lifetime: float
) -> str:
    """Return what Container-Optimized OS does at its first start: run a member, and end the run after it.

    Args:
        image: The member's.
        program: What Python runs in it.
        words: The program's arguments.
        secrets: Of the run, its own first; they go when the member has ended.
        lifetime: Seconds.
    """
    registry = image.partition("/")[0]
    login = f"docker-credential-gcr configure-docker --registries={shlex.quote(registry)}"
    options = "-e PYTHONUNBUFFERED=1 -v /var/lib/scalable:/var/lib/scalable:ro"
    docker = f"docker run --rm --network host --log-driver gcplogs {options}"
    script = "\n".join(
        [
            "export HOME=/var/lib/scalable",
            login if registry.endswith((".pkg.dev", "gcr.io")) else ":",
            f"timeout --foreground {int(lifetime) + AFTERWORDS} {docker} --name member {shlex.quote(image)} "
            f"python /var/lib/scalable/program.py {shlex.join(words)}",
            f"{docker} --name farewell {shlex.quote(image)} "
            f"python /var/lib/scalable/onsite.py farewell {shlex.join(secrets)}",
            "shutdown -h now",
            "",
        ]
    )
    unit = "\n".join(
        [
            "[Unit]",
            "After=network-online.target docker.service",
            "Wants=network-online.target docker.service",
            "[Service]",
            "Type=exec",
            "ExecStart=/bin/bash /var/lib/scalable/member.sh",
            "",
        ]
    )
    files = {
        "/var/lib/scalable/program.py": program,
        "/var/lib/scalable/onsite.py": onsite_program(),
        "/var/lib/scalable/member.sh": script,
        "/etc/systemd/system/scalable.service": unit,
    }
    config = {
        "write_files": [
            {"path": path, "permissions": "0644", "content": content}
            for path, content in files.items()
        ],
        "runcmd": [
            ["systemctl", "daemon-reload"],
            ["systemctl", "start", "scalable.service"],
        ],
    }
    return f"#cloud-config\n{json.dumps(config)}\n"  # JSON is YAML too


def onsite_program() -> str:
    """Return the text of `onsite`, which travels."""
    return (Path(__file__).parent / "onsite.py").read_text(encoding="utf-8")
