"""The outermost shape of a manifest: version, sections and names, before anything in them is looked at."""

from __future__ import annotations

import re
from typing import Any

from scalable_core.manifest.findings import Findings
from scalable_core.manifest.merge import SECTIONS
from scalable_core.manifest.tree import TOP, Map, Path

VERSION = 1

_NAMED = ("targets", "components", "tasks")
_TOP_KEYS = ("version", *SECTIONS, "overlays")
#: What a target, component, task or overlay may be called.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
_NAME = re.compile(NAME_PATTERN[:-1] + r"\Z")


def check_outline(raw: Map, findings: Findings) -> Map:
    """Return the document with every section a mapping; what does not fit is noted and left out.

    Args:
        raw: The document as read.
        findings: Takes what is wrong.
    """
    outline = _Outline(raw, findings)
    root = raw.copy()
    for key in raw:
        if key not in _TOP_KEYS:
            cure = findings.suggest(key, _TOP_KEYS)
            findings.add_at(raw, (key,), "E0102", "unknown key", key=True, cure=cure)
            root.drop(key)
    outline.check_version()
    for section in SECTIONS:
        root.put(section, outline.section((section,), raw.get(section)), raw.marks.get(section))
    overlays = outline.mapping(("overlays",), raw.get("overlays"))
    root.put("overlays", outline.overlays(overlays), raw.marks.get("overlays"))
    if "project" not in raw:
        cure = "write for example project: {name: my-study}"
        findings.add("E0103", "'project' is missing", path=("project",), at=TOP, cure=cure)
    return root


class _Outline:
    def __init__(self, raw: Map, findings: Findings) -> None:
        self._raw = raw
        self._findings = findings

    def check_version(self) -> None:
        cure = f"write `version: {VERSION}` as the first line"
        version = self._raw.get("version")
        if "version" not in self._raw:
            self._findings.add("E0105", "'version' is missing", at=(1, 1), cure=cure)
        elif type(version) is not int or version != VERSION:
            message = f"this Scalable reads version {VERSION} of the manifest"
            self._findings.add_at(self._raw, ("version",), "E0105", message, cure=cure)

    def mapping(self, path: Path, value: Any) -> Map:
        """Return a mapping that stands at a path; nothing written there is an empty one."""
        if isinstance(value, Map):
            return value
        if value is not None:
            self._findings.add_at(
                self._raw,
                path,
                "E0101",
                "wanted a mapping",
                cure="write `name: value` lines under it",
            )
        return Map()

    def section(self, path: Path, value: Any) -> Map:
        """Return a section, its names checked."""
        section = self.mapping(path, value)
        if path[-1] in _NAMED:
            for name in section:
                self._check_name((*path, name), name)
        return section

    def overlays(self, overlays: Map) -> Map:
        """Return the overlays, each with the sections it has."""
        checked = overlays.copy()
        for name, value in overlays.items():
            path: Path = ("overlays", name)
            self._check_name(path, name)
            overlay = self.mapping(path, value).copy()
            for key, section in list(overlay.items()):
                if key not in SECTIONS:
                    cure = self._findings.suggest(key, SECTIONS)
                    self._findings.add_at(
                        self._raw, (*path, key), "E0102", "unknown key", key=True, cure=cure
                    )
                    overlay.drop(key)
                else:
                    overlay[key] = self.section((*path, key), section)
            self._check_targets(path, overlay.get("targets") or Map())
            checked[name] = overlay
        return checked

    def _check_targets(self, path: Path, targets: Map) -> None:
        for name, target in targets.items():
            if isinstance(target, Map) and "overlay" in target:
                at = (*path, "targets", name, "overlay")
                self._findings.add_at(
                    self._raw,
                    at,
                    "E0209",
                    "an overlay cannot bring in another overlay",
                    key=True,
                    cure="name both in the target itself: overlay: [one, other]",
                )

    def _check_name(self, path: Path, name: str) -> None:
        if not _NAME.match(name):
            self._findings.add_at(
                self._raw,
                path,
                "E0106",
                f"{name[:60]!r} cannot be a name",
                key=True,
                cure="use letters, digits, '.', '_' and '-', and begin with a letter or digit",
            )
