"""What travels to the workers is decided by the files alone, and is told when it is too much."""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scalable_core.errors import UsageError
from scalable_core.member import bundle as bundles
from scalable_core.member.bundle import build_bundle


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workflow's folder with modules, packages, data and what does not travel."""
    folder = tmp_path / "project"
    for name, text in {
        "workflow.py": "import helper",
        "helper.py": "VERSION = 1",
        "data.csv": "1,2",
        "model/__init__.py": "",
        "model/core.py": "",
        "model/tables/prices.csv": "3,4",
        "scripts/clean.py": "",
        "scripts/notes.txt": "",
        "results/2020/table.csv": "",
        ".git/hooks/hook.py": "",
        ".scalable/runs/old/helper.py": "",
        "env/pyvenv.cfg": "",
        "env/activate.py": "",
        "model/__pycache__/core.cpython-311.pyc": "",
        "node_modules/thing/setup.py": "",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(path: Path) -> list[str]:
    """The files of a bundle that come from the workflow's folder."""
    with zipfile.ZipFile(path) as archive:
        return [n for n in archive.namelist() if n.split("/")[0] not in bundles.CORE]


def test_modules_packages_and_their_data_travel(project: Path, tmp_path: Path) -> None:
    """Hidden folders, environments, caches, results and data outside of packages stay at home."""
    bundle = build_bundle(project / "workflow.py", tmp_path / "out")

    assert names(bundle.path) == [
        "helper.py",
        "model/__init__.py",
        "model/core.py",
        "model/tables/prices.csv",
        "scripts/clean.py",
        "workflow.py",
    ]
    assert bundle.folder == project


def test_the_same_files_give_the_same_bundle(project: Path, tmp_path: Path) -> None:
    """Neither the place, nor times, nor the order in which files were made count."""
    copy = tmp_path / "elsewhere" / "copy"
    for path in sorted(project.rglob("*"), reverse=True):
        if path.is_file():
            target = copy / path.relative_to(project)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            os.utime(target, (1, 1))

    first = build_bundle(project / "workflow.py", tmp_path / "one")
    second = build_bundle(copy / "workflow.py", tmp_path / "two")

    assert first.digest == second.digest == hashlib.sha256(second.path.read_bytes()).hexdigest()
    assert first.path.name == second.path.name == f"code-{first.digest}.zip"


def test_one_changed_byte_gives_another_bundle(project: Path, tmp_path: Path) -> None:
    """The digest is the code's identity."""
    before = build_bundle(project / "workflow.py", tmp_path)
    (project / "helper.py").write_text("VERSION = 2")

    assert build_bundle(project / "workflow.py", tmp_path).digest != before.digest


def test_the_bundle_alone_brings_what_a_worker_needs(project: Path, tmp_path: Path) -> None:
    """With the zip first on the path of a Python that knows no Scalable, its worker side can be imported."""
    bundle = build_bundle(project / "workflow.py", tmp_path)
    code = (
        "import sys; sys.modules['attrs'] = sys.modules['attr'] = sys.modules['cattrs'] = None\n"
        "sys.path[:] = [p for p in sys.path if 'scalable' not in p]\n"
        "import scalable_core.member.timeout, scalable_core.member.recycle, scalable, helper\n"
        "print(scalable_core.member.timeout.__file__)"
    )

    out = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(bundle.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert out.stdout.startswith(str(bundle.path))


def test_a_large_data_file_stays_at_home_with_a_warning(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Large data belong into a mount or a storage."""
    monkeypatch.setattr(bundles, "MAX_DATA", 2)

    bundle = build_bundle(project / "workflow.py", tmp_path)

    assert "model/tables/prices.csv" not in names(bundle.path)
    assert "prices.csv is too large to go to the workers" in caplog.text


def test_too_much_code_is_an_error_that_names_the_largest(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs a workflow in a folder of everything learns what to move."""
    (project / "huge.py").write_text("#" * 2**20)
    monkeypatch.setattr(bundles, "MAX_TOTAL", 2**19)

    with pytest.raises(UsageError, match=r"the largest files are huge\.py \(1\.0 MiB\), "):
        build_bundle(project / "workflow.py", tmp_path)


def test_a_name_that_means_something_else_here_stays_at_home(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On the workers ``queue`` is what it is in the driver."""
    assert queue.__file__
    (project / "queue.py").write_text("")
    (project / "scalable.py").write_text("")

    with caplog.at_level(logging.WARNING):
        bundle = build_bundle(project / "workflow.py", tmp_path)

    assert not {"queue.py", "scalable.py"} & set(names(bundle.path))
    assert "queue in " in caplog.text


def test_links_are_followed_but_not_in_circles(project: Path, tmp_path: Path) -> None:
    """A package that is linked into the folder travels."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "__init__.py").touch()
    (shared / "again").symlink_to(shared)
    (project / "shared").symlink_to(shared)

    found = names(build_bundle(project / "workflow.py", tmp_path / "out").path)

    assert [name for name in found if name.startswith("shared")] == ["shared/__init__.py"]


def test_a_folder_without_any_module_gives_a_bundle_of_scalable_alone(tmp_path: Path) -> None:
    """A notebook has no workflow file."""
    assert names(build_bundle(tmp_path / "nothing.py", tmp_path / "out").path) == []


def test_what_travels_stands_beside_the_workflow_that_is_run(project: Path, tmp_path: Path) -> None:
    """Another one than the manifest's brings its own neighbours."""
    (project / "scalable.yaml").write_text(
        "version: 1\nproject: {name: study}\ntargets: {local: {provider: local, max_workers: 1}}\n"
    )
    other = tmp_path / "other"
    other.mkdir()
    (other / "neighbour.py").write_text("NAME = 'next door'")
    (other / "flow.py").write_text(
        "import neighbour\n"
        "from scalable import ScalableSession\n"
        "with ScalableSession.from_yaml('./scalable.yaml') as client:\n"
        "    print(client.submit(lambda: neighbour.NAME).result(120))\n"
    )

    command = [sys.executable, "-m", "scalable", "run", "--workflow", str(other / "flow.py")]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    assert "next door" in done.stdout, done.stderr
    [made] = (project / ".scalable" / "code").iterdir()
    assert names(made) == ["flow.py", "neighbour.py"]
