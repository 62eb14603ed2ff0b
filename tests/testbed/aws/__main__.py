"""Start the local AWS and print what to export: ``python tests/testbed/aws``. Ends with Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path[:] = [path for path in sys.path if Path(path or ".").absolute() != Path(__file__).parent]

from aws.agent import Clock  # noqa: E402
from aws.server import LocalAws  # noqa: E402


def main() -> None:
    """Serve until told to end."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--folder", type=Path, help="for the logs of members")
    words.add_argument("--provision", type=float, default=0.3, help="seconds until PENDING")
    words.add_argument("--pull", type=float, default=0.2, help="seconds until the process starts")
    words.add_argument("--teardown", type=float, default=0.2, help="seconds until STOPPED")
    words.add_argument("--hive", action="store_true", help="all members in one process")
    words.add_argument("--apart", action="store_true", help="a group of users for each member")
    given = words.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="local-aws-"))
    clock = Clock(given.provision, given.pull, given.teardown)
    aws = LocalAws(folder.absolute(), given.port, clock, hive=given.hive, apart=given.apart)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=aws._server.shutdown).start())
    print(f"export AWS_ENDPOINT_URL={aws.url}")
    print("export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing")
    print("export AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true")
    print("export SCALABLE_CALLER_ADDRESS=127.0.0.1/32")
    print(f"export SOLAR_IMAGE={aws.url.removeprefix('http://')}/solar:1.0", flush=True)
    try:
        aws.serve()
    finally:
        aws.close()


if __name__ == "__main__":
    main()
