"""The `local` provider passes the conformance kit, all of it."""

from __future__ import annotations

from scalable_core.testing.conformance import ProviderConformance


class TestLocal(ProviderConformance):
    """Workers are processes of this machine."""

    provider = "local"
    target = {"dashboard": False}
    component = {"cpus": 1, "memory": "1G"}

    def leftovers(self, run):
        """Processes that work in the run's folder, or were started for it."""
        import psutil

        left = []
        for process in psutil.process_iter(["cmdline", "status"]):
            words = " ".join(process.info["cmdline"] or ())
            if str(self.folder) in words and ".driver" not in words:
                left.append(words)
        return tuple(left)
