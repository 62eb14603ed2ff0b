"""What a fresh Python sees of a provider: ``python -m ...probe NAME MANIFEST`` prints it as one line of JSON.

Sockets are refused and noted, by an audit hook, from before the plugin is imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
import time
from typing import Any

#: What asks or tells another machine, or waits for one.
_SOCKETS = frozenset(
    {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
)


def main(provider: str, manifest: str) -> None:
    """Load, plan, and say what happened."""
    sockets: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _SOCKETS:
            sockets.append(f"{event}{arguments[-1]!r:.80}")
            raise OSError(f"no socket may be opened while planning: {event}")

    from scalable_core.plugins import PluginHost
    from scalable_core.session.planning import load, make_plan
    from scalable_core.types import HookContext, Settings, to_data

    host = PluginHost(settings=Settings(offline=True))
    host.provider_names()
    before, threads = set(sys.modules), threading.active_count()
    sys.addaudithook(watch)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        started = time.process_time()
        host.target_options(provider)
        seconds = time.process_time() - started
    seen: dict[str, Any] = {
        "seconds": seconds,
        "printed": printed.getvalue(),
        "threads": threading.active_count() - threads,
        "loaded": sorted(set(sys.modules) - before),
        "sockets_at_load": list(sockets),
    }
    sockets.clear()
    plan = make_plan(load(manifest, target="there", host=host), host=host, hours=2)
    context = HookContext(project="conformance", dry_run=True)
    host.price_snapshot(provider, refresh=False, context=context)
    seen["estimate"] = to_data(plan.cost)
    seen["modules"] = sorted(sys.modules)
    seen["sockets"] = sockets
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
