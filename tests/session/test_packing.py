"""What of an environment travels to workers whose image has Python alone, and in which form."""

from __future__ import annotations

import importlib.metadata
import json
import py_compile
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from scalable_core.errors import ClusterError, UsageError
from scalable_core.manifest import read_manifest
from scalable_core.plan import build_plan
from scalable_core.session import packing
from scalable_core.session.environment import closure, imported_modules, pack_up, with_packages
from scalable_core.session.packing import pack_environment
from scalable_core.types import Project

VERSION = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def install(tmp_path):
    """Lays out an installed distribution: install("thing", {"thing.py": ""}, tag="py3-none-any")."""
    site = tmp_path / "site-packages"

    def install(name, files, *, tag="py3-none-any", installer="pip", origin=None):
        files = dict(files)
        info = f"{name}-1.0.dist-info"
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nTag: {tag}\n"
        files[f"{info}/INSTALLER"] = installer
        if origin:
            files[f"{info}/direct_url.json"] = json.dumps(origin)
        files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files)
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
        (found,) = importlib.metadata.distributions(path=[str(site)], name=name)
        return found

    return install


@pytest.fixture
def pack(tmp_path):
    """Packs distributions: pack(dist, image_platform="linux/arm64")."""

    def pack(*dists, image_platform="linux/amd64"):
        return pack_environment(dists, image_platform=image_platform, store=tmp_path / "store")

    return pack


def names(environment):
    with zipfile.ZipFile(environment.path) as archive:
        return set(archive.namelist())


def test_what_is_required_travels_too():
    """But Scalable itself, which comes with the code, and what an extra asks for unless it is asked for."""
    found = closure([Requirement("scalable-core")])

    assert {"dask", "distributed", "cloudpickle", "tornado", "attrs"} <= set(found)
    assert "scalable-core" not in found
    assert "cryptography" not in found
    assert "cryptography" in closure([Requirement("scalable-core[fleet]")])


def test_imports_are_told_from_the_text(tmp_path):
    """Wherever in a module they are; nothing is run."""
    (tmp_path / "workflow.py").write_text("import helper, xarray.core\nraise SystemExit\n")
    (tmp_path / "helper.py").write_text(
        "def f():\n    from dask import dataframe\n    from . import x\n"
    )

    found = imported_modules(tmp_path / "workflow.py")

    assert {"helper", "xarray.core", "dask.dataframe"} <= found
    assert "" not in found


def test_modules_of_editable_projects_are_known_by_their_place(tmp_path, monkeypatch, install):
    """Whatever its metadata says; a module of no distribution is a warning."""
    project = tmp_path / "project"
    (project / "src" / "mine").mkdir(parents=True)
    (project / "src" / "mine" / "__init__.py").touch()
    (tmp_path / "loose.py").touch()
    origin = {"url": project.as_uri(), "dir_info": {"editable": True}}
    dist = install("mineproject", {"mine.pth": ""}, origin=origin)
    for path in (str(dist.locate_file("")), str(project / "src"), str(tmp_path)):
        monkeypatch.syspath_prepend(path)
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "workflow.py").write_text("import mine, loose, json\n")

    luggage = pack_up(SimpleNamespace(workflow=folder / "workflow.py", project=Project(name="x")))

    assert luggage.distributions["mineproject"].version == "1.0"
    (problem,) = luggage.problems
    assert problem.message.startswith(
        "the workflow imports loose, which is of no installed package"
    )


def test_a_component_without_an_image_gets_python_and_the_packages(tmp_path):
    """The plan says which, and the manifest can name more."""
    (tmp_path / "workflow.py").write_text("import yaml\n")
    text = "version: 1\nproject: {{name: study, packages: [{more}]}}\ntargets: {{there: {{provider: there}}}}\n"
    path = tmp_path / "scalable.yaml"

    from attrs import frozen

    @frozen(kw_only=True)
    class Options:
        image: str | None = None
        base_image: str = "python:{python}-slim"

    def plan_of(more):
        path.write_text(text.format(more=more))
        manifest = read_manifest(path, target="there", options=lambda name: Options)
        return with_packages(build_plan(manifest))

    plan = plan_of("pytest")

    assert plan.groups[0].image == f"python:{VERSION}-slim"
    assert plan.groups[0].environment
    packages = {text.split()[0] for text in plan.packages}
    assert {"dask", "pyyaml", "pytest", "pluggy"} <= packages
    with pytest.raises(
        UsageError, match=r"project\.packages names 'no-such-thing', which is not inst"
    ):
        plan_of("no-such-thing")


def test_a_pure_package_travels_as_it_is_installed(install, pack):
    """To any platform, with its programs, and with bytecode that Python takes as it is."""
    dist = install(
        "thing", {"thing/__init__.py": "A = 1\n", "../bin/thing": "#!/x/python\nrun()\n"}
    )
    source = Path(str(dist.locate_file("thing/__init__.py")))
    py_compile.compile(str(source))

    made = pack(dist, image_platform="linux/arm64")

    assert (made.machine, made.glibc, made.python) == (None, None, VERSION)
    tag = f"cpython-{VERSION.replace('.', '')}"
    assert {"thing/__init__.py", f"thing/__pycache__/__init__.{tag}.pyc", "bin/thing"} <= names(
        made
    )
    assert (made.folder / "bin" / "thing").read_text().startswith("#!/usr/bin/env python3\n")
    bytecode = (made.folder / "thing" / "__pycache__" / f"__init__.{tag}.pyc").read_bytes()
    assert (
        bytecode[4:8] == b"\x01\0\0\0"
    )  # not compared with the source, whose time does not travel


def test_what_has_the_same_content_is_made_once(install, pack, monkeypatch):
    """And anew when a package is another."""
    first = pack(install("thing", {"thing.py": "A = 1\n"}))
    with monkeypatch.context() as patch:
        patch.setattr(packing, "_make", lambda *args, **options: pytest.fail("made again"))
        assert pack(install("thing", {"thing.py": "A = 1\n"})).digest == first.digest

    assert pack(install("thing", {"thing.py": "A = 1\n", "more.py": ""})).digest != first.digest


def test_wheels_for_many_linuxes_say_what_they_need(install, pack):
    """The newest C library that any of them wants."""
    made = pack(
        install("one", {"one.so": ""}, tag=f"cp{VERSION}-cp-manylinux_2_28_x86_64"),
        install("two", {"two.so": ""}, tag=f"cp{VERSION}-cp-manylinux2014_x86_64"),
    )

    assert (made.machine, made.glibc) == ("x86_64", "2.28")


@pytest.mark.parametrize("installer", ["pip", "conda"])
def test_what_was_built_here_goes_only_where_it_runs(install, pack, installer, monkeypatch):
    """Another platform is refused before anything is made; so is what needs another manager's libraries."""
    monkeypatch.setattr(packing, "_own_libc", lambda: "glibc 2.31")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    files = {"solver.bin": ""}
    dist = install("solver", files, tag="cp311-cp311-linux_x86_64", installer=installer)

    if installer == "pip":
        assert pack(dist).glibc == "2.31"
    for there in ["linux/arm64"] + ["linux/amd64"] * (installer == "conda"):
        with pytest.raises(
            ClusterError, match=r"solver 1\.0 cannot be brought .* built for linux_x86_64"
        ):
            pack(dist, image_platform=there)


def test_what_is_from_a_path_is_not_looked_for_in_an_index(install, pack, monkeypatch):
    """Another package may have its name there."""
    monkeypatch.setattr(
        packing, "_install", lambda *args, **options: pytest.fail("asked the index")
    )
    origin = {"url": "file:///home/me/solver", "dir_info": {}}
    dist = install("solver", {"solver.so": ""}, tag="cp311-cp311-macosx_11_0_arm64", origin=origin)

    with pytest.raises(
        ClusterError, match=r"they run on linux_x86_64 .* is not from a package index"
    ):
        pack(dist)


def test_another_platform_gets_its_own_wheel(install, pack, tmp_path, monkeypatch):
    """Of the version that is installed here."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    number = VERSION.replace(".", "")
    tag = f"cp{number}-cp{number}-manylinux_2_17_aarch64"
    write_wheel(wheels / f"solver-1.0-{tag}.whl", "solver", {"solver.so": "for arm"}, tag)
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    dist = install("solver", {"solver.so": "for here"}, tag="cp-cp-manylinux_2_28_x86_64")

    made = pack(dist, image_platform="linux/arm64")

    assert (made.folder / "solver.so").read_text() == "for arm"
    assert (made.machine, made.glibc) == ("aarch64", "2.17")


def test_a_local_project_is_built(install, pack, tmp_path):
    """As it is now, and again once it has changed."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'mine'\nversion = '1.0'\n"
    )
    (project / "backend.py").write_text(
        "import zipfile\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    name = 'mine-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(f'{folder}/{name}', 'w') as wheel:\n"
        "        info = 'mine-1.0.dist-info'\n"
        "        wheel.write('mine.py')\n"
        "        wheel.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n')\n"
        "        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n'\n"
        "            'Generator: x\\nRoot-Is-Purelib: true\\n')\n"
        "        wheel.writestr(f'{info}/RECORD', ''.join(f'{n},,\\n' for n in wheel.namelist()))\n"
        "    return name\n"
    )
    (project / "mine.py").write_text("A = 1\n")
    origin = {"url": project.as_uri(), "dir_info": {"editable": True}}
    dist = install("mine", {"__editable__.mine.pth": str(project)}, origin=origin)

    assert (pack(dist).folder / "mine.py").read_text() == "A = 1\n"
    (project / "mine.py").write_text("A = 22\n")
    made = pack(dist)
    assert (made.folder / "mine.py").read_text() == "A = 22\n"
    assert "__editable__.mine.pth" not in names(made)


def write_wheel(path, name, files, tag):
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(file, text)
