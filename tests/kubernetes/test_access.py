"""Who asks the API server: programs of a kubeconfig that give tokens, as kubectl runs them."""

from __future__ import annotations

import json
import sys

import pytest

from scalable_core.errors import ClusterError
from scalable_kubernetes.access import find_access
from scalable_kubernetes.api import Api

PROGRAM = """\
import json, sys
from pathlib import Path
here = Path(sys.argv[1])
with (here / "asked").open("a") as file:
    file.write("x")
token, *later = (here / "tokens").read_text().split()
if later:
    (here / "tokens").write_text(" ".join(later))
kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
print(json.dumps({**kind, "status": {"token": token}}))
"""


@pytest.fixture
def program(kubernetes, tmp_path):
    """A kubeconfig with a program that gives tokens from a file, in turn; returns the folder of all."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "tokens").write_text("admin-token")
    words = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "command": sys.executable,
        "args": [str(tmp_path / "program.py"), str(tmp_path)],
    }
    document = json.loads(kubernetes.kubeconfig().read_text())
    document["users"][0]["user"] = {"exec": words}
    (tmp_path / "config").write_text(json.dumps(document))
    return tmp_path


def asked(folder):
    """Return how often the program was run."""
    return len((folder / "asked").read_text())


def test_a_program_of_the_kubeconfig_gives_the_token(program, namespace):
    """Once for many requests."""
    api = Api(find_access("config", None, program))

    for _ in range(3):
        assert api.get(f"/api/v1/namespaces/{namespace}/pods")["items"] == []

    assert asked(program) == 1


def test_the_program_is_asked_again_when_its_token_is_refused(program, namespace):
    """As when the token has ended in the middle of a run: the request is sent again, and succeeds."""
    (program / "tokens").write_text("stale admin-token")
    api = Api(find_access("config", None, program))

    assert api.get(f"/api/v1/namespaces/{namespace}/pods")["items"] == []

    assert asked(program) == 2


def test_a_kubeconfig_that_leads_nowhere_is_one_sentence(tmp_path):
    """With what to write."""
    with pytest.raises(ClusterError, match="does not lead to a cluster") as caught:
        Api(find_access("missing", None, tmp_path)).get("/api")

    assert "kubeconfig:" in caught.value.cure
