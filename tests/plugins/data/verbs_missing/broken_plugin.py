"""Lacks a verb, and has another without its mark."""

from scalable_core.hookspecs import hookimpl

SCALABLE_PLUGIN_API = 1


def provision_cluster(plan):
    return None
