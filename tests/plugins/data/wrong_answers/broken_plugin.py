"""Answers what the test wants."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1

ANSWER = None


@hookimpl
def target_options():
    return ANSWER


@hookimpl
def check_target(target):
    return ANSWER


@hookimpl
def resolve_image(request):
    return ANSWER


@hookimpl
def estimate_cost(plan):
    return ANSWER


@hookimpl
def provision_cluster(plan):
    return ANSWER


@hookimpl
def preflight(plan):
    return ANSWER


@hookimpl
def release_cluster(record):
    return ANSWER
