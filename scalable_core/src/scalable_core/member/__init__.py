"""What runs inside a worker: the travelling code, a call's timeout, the start in a container.

Standard library, distributed and `scalable_core.errors` only, so that an image needs no more than Python,
dask, distributed and cloudpickle; `environment` brings these to one that has Python alone. This package comes
to the worker together with the code of the workflow.
"""
