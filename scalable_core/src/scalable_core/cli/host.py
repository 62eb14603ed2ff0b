"""The plugins of this process, as the command line uses them."""

from __future__ import annotations

import logging
import sys

from scalable_core.plugins import PluginHost
from scalable_core.types import Settings


def make_host(*, quiet: bool, verbose: int, offline: bool) -> PluginHost:
    """Return the plugins, told how much to say and whether sockets are allowed.

    Args:
        quiet: Only errors are logged.
        verbose: How often ``-v`` was given.
        offline: No socket may be opened.
    """
    verbosity = -1 if quiet else min(verbose, 2)
    _set_up_logging(verbosity)
    return PluginHost(settings=Settings(verbosity=verbosity, offline=offline))


def package_of(host: PluginHost, provider: str) -> str:
    """Return dist and version that a provider comes from, such as ``scalable-local 0.1.0``."""
    for status in host.statuses(load=False):
        if (status.kind, status.name) == ("provider", provider):
            return f"{status.dist} {status.version}"
    return ""


def quiet_dask() -> None:
    """Keep out of the way what Dask logs although the workflow, or the user, knows it already.

    That is each call that fails (they are counted, and the workflow gets the error), and each result that
    a workflow waited for when it was interrupted.
    """
    logging.getLogger("distributed.worker").addFilter(_is_no_failed_call)
    logging.getLogger("asyncio").addFilter(_is_not_given_up)


def _is_no_failed_call(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Compute Failed")


def _is_not_given_up(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__name__ != "AllExit"


def _set_up_logging(verbosity: int) -> None:
    """Let Scalable's own loggers speak on stderr, as loudly as was asked."""
    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger = logging.getLogger("scalable")
    logger.handlers = [handler]
    logger.setLevel(levels.get(verbosity, logging.DEBUG))
