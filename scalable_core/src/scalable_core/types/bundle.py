"""What a driver needs that runs where the code is not: the project's folder, as one file."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class BundleRef:
    """The folder of a project on its way to a driver.

    Attributes:
        place: Folder or URI that this process and the driver both reach; holds the bundle and the run's order.
        key: Of the bundle in there.
        digest: ``sha256:`` and the digest of the bundle in hex.
        size: Its bytes.
        files: How many files it holds.
        command: What the driver has to run, without the Python: ``("-m", "scalable", "drive", PLACE, RUN)``.
    """

    place: str
    key: str
    digest: str
    size: int
    files: int
    command: tuple[str, ...] = ()
