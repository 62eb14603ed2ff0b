"""Reads one file within 300 MB and prints its problems as JSON; test_bad_files.py runs it in a process."""

from __future__ import annotations

import json
import resource
import sys

LIMIT = 300 * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))

from scalable_core.errors import ManifestError  # noqa: E402
from scalable_core.manifest import read_manifest  # noqa: E402

try:
    read_manifest(sys.argv[1], options=lambda name: None, environ={})
except ManifestError as error:
    found = [[p.code, p.line, p.column, str(p), p.severity] for p in error.problems]
    json.dump({"exit": error.exit_code, "problems": found}, sys.stdout)
