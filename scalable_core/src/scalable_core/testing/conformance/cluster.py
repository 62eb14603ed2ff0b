"""Clusters: they work, follow what is asked of them, keep apart, and end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scalable_core.cluster import component_resource
from scalable_core.errors import TaskTimeoutError
from scalable_core.testing.conformance.base import Conformance, refused, skip
from scalable_core.testing.conformance.subject import FIRST, SECOND, Sink
from scalable_core.types import LazyCluster, Resource

if TYPE_CHECKING:
    from scalable_core.testing.conformance.subject import Run


class ClusterAspect(Conformance):
    """What those share that start clusters: how a worker is lost, and what is left of a run."""

    def lose_worker(self, client: Run, address: str) -> None:
        """Take a worker away as its service might: its process dies. Override it for a better way."""
        import os
        import signal

        client.submit(
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            workers=[address],
            allow_other_workers=False,
            pure=False,
        )

    def leftovers(self, run: str) -> tuple[Any, ...]:
        """Return what is there of a run that has ended, by `find_resources`. Override it to look closer."""
        return self.found(run)

    def found(self, run: str) -> tuple[Resource, ...]:
        """Return what the provider itself finds of a run."""
        target = self.subject.read_target()
        return self.subject.host.find_resources(target, run, self.subject.context)

    def nothing_is_left(self, run: str) -> None:
        """Hold that there is nothing of a run, at once or soon."""
        self.subject.wait_for(
            lambda: not self.leftovers(run), f"something is left of {run}, and does not go"
        )


class ClusterChecks(ClusterAspect):
    """`provision_cluster`."""

    def test_a_cluster_computes(self) -> None:
        """It is a Dask cluster, a client reaches it, and calls give their results."""
        from distributed.deploy import Cluster

        with self.subject.run() as client:
            assert isinstance(client.cluster, Cluster), "it is no distributed.deploy.Cluster"
            results = client.gather(client.map(pow, range(20), [2] * 20, task="use_first"))
        assert results == [n * n for n in range(20)], f"wrong results: {results}"

    def test_workers_are_of_the_size_that_was_planned(self) -> None:
        """Threads as planned; memory, where it is limited, within an eighth."""
        with self.subject.run() as client:
            group = client.session.plan().group(FIRST)
            (worker,) = _workers(client).values()
        assert worker["nthreads"] == group.threads, (
            f"a worker has {worker['nthreads']} threads, {group.threads} were planned"
        )
        if group.memory and worker["memory_limit"]:
            share = worker["memory_limit"] / group.memory
            assert 0.5 <= share <= 1.13, f"a worker has {share:.0%} of the memory that was planned"

    def test_calls_go_to_the_workers_of_their_component(self) -> None:
        """Each worker advertises its component, and each call runs there."""
        both = {FIRST: self.component, SECOND: self.component}
        with self.subject.run(workers=2, components=both) as client:
            workers = _workers(client)
            for name in both:
                wanted = set(component_resource(name))
                homes = {at for at, w in workers.items() if wanted <= set(w["resources"])}
                assert homes, f"no worker advertises component {name!r}"
                futures = client.map(abs, range(-8, 0), tag=name, pure=False)
                client.gather(futures)
                seen = {at for held in client.who_has(futures).values() for at in held}
                assert seen <= homes, f"calls of {name!r} run on other workers"

    def test_the_environment_of_a_component_reaches_its_workers(self) -> None:
        """As written in the manifest."""
        import os

        machine = {**self.component, "env": {"CONFORMANCE_WORD": "as written"}}
        with self.subject.run(components={FIRST: machine}) as client:
            seen = client.submit(os.getenv, "CONFORMANCE_WORD").result(timeout=self.patience)
        assert seen == "as written", f"the variable is {seen!r} on the worker"

    def test_secrets_reach_workers_and_nothing_else(self) -> None:
        """A value from the environment is on the worker, and in no event, record or text."""
        import os

        value = "hunter2-in-the-clear"
        os.environ["CONFORMANCE_SECRET"] = value
        sink = Sink()
        machine = {**self.component, "env": {"CONFORMANCE_WORD": "${CONFORMANCE_SECRET}"}}
        try:
            with self.subject.run(components={FIRST: machine}, sink=sink) as client:
                seen = client.submit(
                    lambda: os.getenv("CONFORMANCE_WORD") == "hunter2-" + "in-the-clear"
                )
                assert seen.result(timeout=self.patience), "the worker does not have the value"
                texts = [repr(client.cluster), str(client.cluster), repr(sink.events)]
                folder = client.session.run_dir
        finally:
            del os.environ["CONFORMANCE_SECRET"]
        texts += [
            path.read_text("utf-8", "replace")
            for path in folder.rglob("*")
            if path.is_file() and path.suffix in (".json", ".jsonl", ".log", ".txt")
        ]
        assert not any(value in text for text in texts), "a record, event or text shows the value"

    def test_a_lazy_cluster_waits_to_be_asked(self) -> None:
        """No worker before the first call that needs one, and then as many as planned."""
        with self.subject.run(eager=False) as client:
            if not isinstance(client.cluster, LazyCluster):
                skip("its workers come at once")
            assert not _workers(client), "workers are there before anyone asked"
            assert client.submit(abs, -1).result(timeout=self.patience) == 1, "no result"

    def test_a_cluster_scales_up_and_down(self) -> None:
        """``cluster.scale(n)``, as users of Dask know it."""
        with self.subject.run() as client:
            client.cluster.scale(2)
            client.wait_for_workers(2, timeout=self.patience)
            client.cluster.scale(1)
            self._until(client, 1)

    def test_no_result_is_lost_when_workers_are_retired(self) -> None:
        """What the leaving worker holds moves to one that stays."""
        with self.subject.run() as client:
            client.cluster.scale(2)
            client.wait_for_workers(2, timeout=self.patience)
            futures = client.map(lambda n: bytes([n]) * 1000, range(20), pure=False)
            client.gather(futures)
            client.cluster.scale(1)
            self._until(client, 1)
            held = client.who_has(futures)
            assert all(held.values()), "results went away with the worker that was retired"
            assert client.gather(futures) == [bytes([n]) * 1000 for n in range(20)], "changed"

    def test_the_number_of_workers_follows_the_work(self) -> None:
        """With ``adaptive`` it grows with the queue and shrinks to the minimum."""
        import time

        if "adaptive" not in self.subject.option_names:
            skip("it has no option adaptive")
        bounds = {"minimum": 1, "maximum": 2}
        with self.subject.run(adaptive=bounds) as client:
            futures = client.map(lambda _: time.sleep(0.5), range(24), pure=False)
            self._until(client, 2)
            client.gather(futures)
            del futures
            self._until(client, 1)

    def test_two_clusters_at_once_keep_apart(self) -> None:
        """Other schedulers, other workers; the end of one leaves the other alone."""
        with self.subject.run() as one:
            with self.subject.run() as other:
                assert one.scheduler.address != other.scheduler.address, "they share a scheduler"
                assert not set(_workers(one)) & set(_workers(other)), "they share workers"
                assert other.submit(abs, -2).result(timeout=self.patience) == 2, "no result"
            assert one.submit(abs, -3, pure=False).result(timeout=self.patience) == 3, (
                "the end of one cluster ends the other"
            )

    def test_closing_a_cluster_leaves_nothing_and_may_be_done_twice(self) -> None:
        """Everything of the run is gone when its block ends."""
        with self.subject.run() as client:
            run, cluster = client.session.run_id, client.cluster
        cluster.close()
        self.nothing_is_left(run)

    def test_a_run_that_fails_is_released_too(self) -> None:
        """The error comes through as it is."""
        runs = []
        with refused(ZeroDivisionError, "a workflow that raises"):  # noqa: SIM117
            with self.subject.run() as client:
                runs.append(client.session.run_id)
                client.submit(divmod, 1, 0).result(timeout=self.patience)
        self.nothing_is_left(runs[0])

    def test_a_run_that_is_cancelled_while_it_starts_is_released(self) -> None:
        """Ctrl-C after the request for workers, before they are there."""
        runs = []
        with suppress(KeyboardInterrupt), self.subject.run(eager=False) as client:
            runs.append(client.session.run_id)
            client.request_workers()
            interrupt()
        self.nothing_is_left(runs[0])

    def test_a_call_that_is_cancelled_frees_its_worker(self) -> None:
        """The next call runs."""
        import time

        with self.subject.run() as client:
            future = client.submit(time.sleep, 1.0, pure=False)
            future.cancel()
            assert client.submit(abs, -1).result(timeout=self.patience) == 1, "no result"

    def test_a_call_that_takes_too_long_is_stopped(self) -> None:
        """With a sentence, and the component goes on."""
        import time

        tasks = {
            "use_first": {"component": FIRST},
            "slow": {"component": FIRST, "timeout": "2s"},
        }
        with self.subject.run(tasks=tasks) as client:
            future = client.submit(time.sleep, 600, task="slow", pure=False)
            with refused(TaskTimeoutError, "a call with a timeout of 2 s"):
                future.result(timeout=self.patience)
            assert client.submit(abs, -1, task="use_first").result(timeout=self.patience) == 1

    def test_an_error_of_a_call_comes_back_as_it_is(self) -> None:
        """Its type and its text."""
        with self.subject.run() as client:
            future = client.submit(int, "no number")
            with refused(ValueError, "a call that raises ValueError") as caught:
                future.result(timeout=self.patience)
        assert "no number" in str(caught[0]), f"the text is {caught[0]}"

    def _until(self, client: Run, count: int) -> None:
        self.subject.wait_for(
            lambda: len(_workers(client)) == count, f"there are not {count} workers"
        )


def interrupt() -> None:
    """Do as Ctrl-C does."""
    raise KeyboardInterrupt


def _workers(client: Run) -> dict[str, Any]:
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1).get("workers", {})
    return workers
