"""From the sections of a resolved document to records, and the rules that types cannot say."""

from __future__ import annotations

import os
import string
from collections.abc import Container, Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

import attrs

from scalable_core.manifest.findings import Findings
from scalable_core.manifest.structure import structure
from scalable_core.manifest.tree import Map, Path, Template, find
from scalable_core.manifest.wanted import Wrong
from scalable_core.types import Component, Project, Task

Record = TypeVar("Record")

#: What stands in a target besides its provider's own options.
CORE_OPTIONS = ("provider", "cluster_type", "overlay")


class Checker:
    """Reads the shared sections of one resolved document.

    Args:
        root: Merged and expanded.
        findings: Takes what is wrong.
        folder: Of the manifest; relative paths start there.
    """

    def __init__(self, root: Map, findings: Findings, folder: FilePath) -> None:
        self.root = root
        self.findings = findings
        self.folder = folder

    def project(self) -> Project | None:
        """Return the project, None when it has errors."""
        if not self.root["project"] and self.findings.told(("project",)):
            return None
        project = self.record(Project, ("project",))
        if project is not None and not project.name.strip():
            self.findings.add_at(
                self.root, ("project", "name"), "E0106", "a project needs a name", cure="write one"
            )
        return project

    def components(self, names: Iterable[str] | None = None) -> dict[str, Component]:
        """Return the components of those names, of all when None; those with errors are left out."""
        components: dict[str, Component] = {}
        for name in self.root["components"] if names is None else names:
            path: Path = ("components", name)
            component = self.record(Component, path)
            if component is None:
                continue
            components[name] = attrs.evolve(component, name=name)
            self._check_env(component.env, (*path, "env"))
            self._check_script(component.preload_script, (*path, "preload_script"))
        return components

    def tasks(
        self, names: Iterable[str] | None = None, *, components: Container[str]
    ) -> dict[str, Task]:
        """Return the tasks of those names, of all when None; those with errors are left out.

        Args:
            names: Of tasks.
            components: Names that a task may give.
        """
        tasks: dict[str, Task] = {}
        for name in self.root["tasks"] if names is None else names:
            path: Path = ("tasks", name)
            task = self.record(Task, path)
            self._check_component((*path, "component"), components)
            if task is not None:
                tasks[name] = attrs.evolve(task, name=name)
                self._check_outputs(task.outputs, (*path, "outputs"))
        return tasks

    def record(self, cls: type[Record], path: Path, node: Any = None) -> Record | None:
        """Return a record of what stands at a path, None when it has errors; those are noted.

        Args:
            cls: An attrs class of options.
            path: In the document.
            node: What to read instead of what stands there.
        """
        record, wrongs = structure(find(self.root, path) if node is None else node, cls)
        for steps, wrong in wrongs:
            self._note(path, steps, wrong)
        return record  # type: ignore[no-any-return]

    def _note(self, base: Path, steps: Path, wrong: Wrong) -> None:
        path = (*base, *steps)
        if isinstance(find(self.root, path), Template):
            return  # its variable is not set; what it would be, nobody knows
        message, cure, known, listed = wrong.message, wrong.cure, wrong.known, "write one of"
        if wrong.code == "E0102":
            listed = "known"
            message = "unknown key"
            if path[0] == "targets":
                message = "unknown option"
                known = known if len(steps) > 1 else (*CORE_OPTIONS, *known)
        if wrong.word:
            cure = self.findings.suggest(wrong.word, known, listed=listed)
        key = wrong.code in ("E0102", "E0103")
        self.findings.add_at(self.root, path, wrong.code, message, key=key, cure=cure)

    def _check_component(self, path: Path, components: Container[str]) -> None:
        name = find(self.root, path)
        if isinstance(name, str) and not isinstance(name, Template) and name not in components:
            defined = list(self.root["components"])
            cure = self.findings.suggest(name, defined, listed="defined")
            cure = cure or "define it under components"
            self.findings.add_at(
                self.root, path, "E0201", f"component {str(name)[:60]!r} is not defined", cure=cure
            )

    def _check_outputs(self, outputs: Iterable[str], path: Path) -> None:
        for number, output in enumerate(outputs):
            message = _wrong_output(output)
            if message is not None and not isinstance(output, Template):
                self.findings.add_at(
                    self.root,
                    (*path, number),
                    "E0211",
                    f"output {output[:60]!r} {message}",
                    cure="write a path from the workers' folder, such as results/{year}.csv",
                )

    def _check_env(self, env: Mapping[str, Any], path: Path) -> None:
        for name in env:
            if not name or "=" in name:
                message = f"{name[:60]!r} cannot be the name of an environment variable"
                self.findings.add_at(
                    self.root, (*path, name), "E0106", message, key=True, cure="leave out the '='"
                )

    def _check_script(self, script: str | None, path: Path) -> None:
        if script is None or isinstance(find(self.root, path), Template):
            return
        if not os.path.isfile(self.folder / script):  # Path.is_file raises on a name too long
            self.findings.add_at(
                self.root,
                path,
                "W0210",
                f"there is no file {script[:60]!r} beside the manifest",
                cure="a worker runs it before any task, so put it there",
                severity="warning",
            )


def _wrong_output(output: str) -> str | None:
    """Return why no file can be stored as this output of a task; None when one can."""
    try:
        list(string.Formatter().parse(output))
    except ValueError as error:
        return f"cannot be read: {error}"
    if not output.strip():
        return "is empty"
    leads_out = os.path.normpath(output).split("/")[0] == ".."
    return "leads out of the folder that the workers run in" if leads_out else None
