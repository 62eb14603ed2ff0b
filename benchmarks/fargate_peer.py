"""The life of a cluster of dask-cloudprovider's, for `fargate.py`: its own interpreter has nothing of ours.

python benchmarks/fargate_peer.py N
"""

from __future__ import annotations

import json
import logging
import sys
import time

from dask_cloudprovider.aws import FargateCluster
from distributed import Client


def main(count: int) -> None:
    """Start so many workers, run a few calls and close, and say what it took."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    started, cpu = time.monotonic(), time.process_time()
    cluster = FargateCluster(
        image="solar:1.0",
        n_workers=count,
        worker_cpu=1024,
        worker_mem=2048,
        worker_nthreads=1,
        fargate_use_private_ip=True,  # the local AWS is at loopback addresses
        skip_cleanup=True,  # which looks at everything in the account
        region_name="us-east-1",
    )
    client = Client(cluster)
    client.wait_for_workers(count, timeout=600)
    usable, usable_at = time.monotonic() - started, time.time()
    assert client.gather(client.map(abs, range(-count, 0))) == list(range(count, 0, -1))
    client.close()
    cluster.close(timeout=300)
    told = {
        "usable": usable,
        "usable_at": usable_at,
        "closed": time.monotonic() - started - usable,
        "cpu": time.process_time() - cpu,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
