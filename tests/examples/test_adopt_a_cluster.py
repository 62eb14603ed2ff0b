"""A class of Dask clusters that somebody else wrote, as a provider."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from workbench import EXAMPLES, Run

MANIFEST = """\
version: 1
project: {name: study}
targets:
  here: {provider: adopted, n_workers: 2}
components:
  model: {cpus: 1}
  plots: {cpus: 1}
tasks:
  simulate: {component: model, cache: true}
  draw: {component: plots}
"""

WORKFLOW = """\
from numbers_of_ours import double
from scalable import ScalableSession

if __name__ == "__main__":
    with ScalableSession.from_yaml("scalable.yaml") as client:
        doubled = client.map(double, range(20), task="simulate")
        drawn = client.submit(sum, doubled, task="draw")
        print("SAID", type(client.cluster).__name__, drawn.result())
"""


def test_a_cluster_class_of_dask_runs_a_workflow(tmp_path: Path, scalable: Run) -> None:
    """Calls find the workers of their components, the code beside the workflow reaches them, and hits count."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    (tmp_path / "numbers_of_ours.py").write_text("def double(number):\n    return 2 * number\n")
    assert "SAID LocalCluster 380" in scalable("run").stdout
    assert "SAID LocalCluster 380" in scalable("run").stdout
    latest = json.loads(scalable("runs", "--json").stdout)["runs"][0]
    assert latest["tasks"]["cached"] == 20
    assert latest["tasks"]["failed"] == 0


def test_the_whole_plugin_is_fifteen_lines_of_code() -> None:
    """Without blank lines and docstrings, the one file has no more."""
    (path,) = (EXAMPLES / "adopt-a-cluster" / "src").rglob("*.py")
    text = path.read_text()
    tree = ast.parse(text)
    said = {
        number
        for node in [tree, *ast.walk(tree)]
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node)
        for number in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    assert len([line for number, line in lines if line.strip() and number not in said]) <= 15


def test_its_options_are_read_like_those_of_any_provider(tmp_path: Path, scalable: Run) -> None:
    """A slip in an option is found with its place."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST.replace("n_workers", "n_worker"))
    said = scalable("validate", exit_code=2)
    assert "did you mean 'n_workers'" in said.stdout + said.stderr


def test_examples_use_the_public_interface_only() -> None:
    """Plugins outside of this repository import what is promised to stay, so these examples do too."""
    public = ("hookspecs", "types", "errors", "adopt")
    used: dict[str, set[str]] = {}
    for path in EXAMPLES.glob("*/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == "scalable_core":
                names = [f"scalable_core.{each.name}" for each in node.names]
            core = {name for name in names if name.split(".")[0] in ("scalable", "scalable_core")}
            used.setdefault(path.parts[-2], set()).update(core)
    assert set(used) == {"scalable_adopted", "scalable_budget_guard", "scalable_slurm"}
    private = {n for names in used.values() for n in names if n.split(".")[1] not in public}
    assert private == set()
