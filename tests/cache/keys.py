"""Print keys of calls of copies of the project, each in a process of its own: ``keys.py FOLDER:CALL ...``.

The processes are forked after the large packages are imported, before anything of the project is.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback

import dask.tokenize  # noqa: F401
import pandas  # noqa: F401

from scalable_core.cache import Uncacheable
from scalable_core.cache.fingerprint import fingerprint


def key(folder: str, call: str) -> str:
    """Return the key of one call of the project in ``folder``."""
    os.chdir(folder)
    sys.path[:0] = [folder, os.path.join(folder, "site-packages")]
    importlib.invalidate_caches()
    function, args = importlib.import_module("flow").CALLS[call]
    try:
        return fingerprint(function, args).key
    except Uncacheable as error:
        return f"uncacheable: {error.part}: {error.reason}"


def main() -> None:
    """Print one line for each argument, in order."""
    sys.dont_write_bytecode = True
    for argument in sys.argv[1:]:
        folder, _, call = argument.rpartition(":")
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        try:
            print(key(folder, call), flush=True)
        except BaseException:
            print("failed: " + traceback.format_exc().replace("\n", " | "), flush=True)
        os._exit(0)


if __name__ == "__main__":
    main()
