"""Workers that are taken away: replaced or reported, and nobody's work is lost for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scalable_core.testing.conformance.base import skip
from scalable_core.testing.conformance.cluster import ClusterAspect
from scalable_core.testing.conformance.subject import Sink

if TYPE_CHECKING:
    from scalable_core.testing.conformance.subject import Run


class LossChecks(ClusterAspect):
    """What happens after `Conformance.lose_worker`."""

    def test_a_worker_that_is_lost_is_replaced_or_reported(self) -> None:
        """Another one comes and works, or an event says that none will."""
        sink = Sink()
        with self.subject.run(sink=sink) as client:
            (lost,) = self._losable(client)
            before = len(sink.events)
            self.lose_worker(client, lost)
            self.subject.wait_for(
                lambda: lost not in client.scheduler_info(n_workers=-1)["workers"],
                "the worker that was lost is still counted",
            )

            def told_or_replaced() -> bool:
                return bool(
                    client.scheduler_info(n_workers=-1)["workers"] or len(sink.events) > before
                )

            self.subject.wait_for(told_or_replaced, "it is neither replaced nor reported")
            assert client.submit(abs, -1).result(timeout=self.patience) == 1, "no result"

    def test_work_goes_on_when_a_worker_is_lost(self) -> None:
        """Calls that it ran, and results that it held, are computed again."""
        with self.subject.run() as client:
            client.cluster.scale(2)
            client.wait_for_workers(2, timeout=self.patience)
            lost = self._losable(client)[0]

            def slowly(n: int) -> int:
                time.sleep(0.2)
                return n

            futures = client.map(slowly, range(20), pure=False)
            self.lose_worker(client, lost)
            results = client.gather(futures)
        assert results == list(range(20)), f"wrong results: {results}"

    def test_the_loss_of_one_cluster_leaves_another_alone(self) -> None:
        """A worker that goes takes none of another run with it."""
        with self.subject.run() as one, self.subject.run() as other:
            mine = set(one.scheduler_info(n_workers=-1)["workers"])
            self.lose_worker(other, self._losable(other)[0])
            assert one.submit(abs, -4).result(timeout=self.patience) == 4, "no result"
            assert set(one.scheduler_info(n_workers=-1)["workers"]) == mine, "it lost its worker"

    def _losable(self, client: Run) -> list[str]:
        if getattr(client.cluster, "in_this_process", False):
            skip("its workers are threads of this process")
        return sorted(client.scheduler_info(n_workers=-1)["workers"])
