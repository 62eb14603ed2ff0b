"""The word that is sent when a detached run has ended."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from detached_project import await_end, await_that, processes

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "close-the-laptop.md"


@pytest.fixture
def messages() -> Any:
    """A webhook on this machine: its URL, and what it has got."""
    got: list[dict[str, Any]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()


def test_the_driver_tells_the_webhook_of_the_guide(
    project: Path, marks: Path, tmp_path: Path, messages, scalable
) -> None:
    """The extension of the page, installed as it says, sends one message with the run's end in it."""
    url, got = messages
    code = re.search(r"```python\n(# webhook.py\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    site = tmp_path / "site"
    info = site / "acme_webhook-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "webhook.py").write_text(code[1])
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-webhook\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[scalable.extensions]\nwebhook = webhook\n")

    words = ("run", "--detach", "--", "3", "3", str(marks))
    run = scalable(*words, PYTHONPATH=str(site), RUN_WEBHOOK=url).stdout.strip()

    assert await_end(project, run)["status"] == "done"
    await_that(lambda: got, "a message")
    await_that(lambda: not processes(project), "the end of every process")
    assert [message["text"] for message in got] == [f"study on local: {run} done"]
    assert got[0]["tasks"]["done"] == 3
