"""Start, one call and close of a session with two worker threads, against Dask's own cluster and client."""

from __future__ import annotations

import tempfile
from pathlib import Path

from clusters import nothing, plain, write_manifest
from measure import ratio, report, take_turns, wall

from scalable import ScalableSession

RUNS = 31


def start_and_close_session(manifest: Path) -> float:
    """Return the seconds from a session that is planned to one that is closed."""
    session = ScalableSession.from_yaml(manifest)

    def work() -> None:
        session.start(eager=True).submit(nothing, 0).result()
        session.close()

    return wall(work)


def start_and_close_plain() -> float:
    """Return the seconds that Dask's own take."""

    def work() -> None:
        with plain(2) as client:
            client.submit(nothing, 0).result()

    return wall(work)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_manifest(Path(folder), workers=2, components=1)
        medians = take_turns(
            {
                "LocalCluster and Client": start_and_close_plain,
                "ScalableSession": lambda: start_and_close_session(manifest),
            },
            RUNS,
        )
    name = "session: start, one call, close"
    report([ratio(name, medians, "ScalableSession", "LocalCluster and Client", 1.15, RUNS)])
