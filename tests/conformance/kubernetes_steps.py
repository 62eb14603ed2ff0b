"""Counts the requests of a driver to an API server, each a step at which it may be killed."""

from __future__ import annotations


def count_requests(step):
    """See to it that ``step()`` is called before each request, save questions whether it may do something."""
    from scalable_kubernetes.api import Api

    send = Api._send

    def counted(self, *arguments, **more):
        if not any(str(word).endswith("selfsubjectaccessreviews") for word in arguments):
            step()
        return send(self, *arguments, **more)

    Api._send = counted
