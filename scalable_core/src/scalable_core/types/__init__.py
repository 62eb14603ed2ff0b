"""The nouns of Scalable: frozen records that every stage and every plugin shares.

Each record is `attrs.frozen(kw_only=True)`; change one with `attrs.evolve`, never in place. `to_data` and
`from_data` turn any of them into plain JSON data and back.
"""

from __future__ import annotations

from scalable_core.types.artifact import PROGRESS, Artifact, ArtifactRef, TransferProgress
from scalable_core.types.bundle import BundleRef, Environment
from scalable_core.types.cluster import (
    ClusterRecord,
    LogLine,
    Policy,
    ReleaseReport,
    Resource,
)
from scalable_core.types.context import (
    EventSink,
    HookContext,
    LazyCluster,
    NullSink,
    OptionsLookup,
    Settings,
)
from scalable_core.types.convert import from_data, to_data
from scalable_core.types.cost import CostEstimate, CostLine, HourlyRates, PaidWorker
from scalable_core.types.forecast import (
    Forecast,
    GroupForecast,
    History,
    NoHistory,
    PastRun,
    PastTask,
    ServiceProfile,
)
from scalable_core.types.image import ImageRequest, ResolvedImage
from scalable_core.types.manifest import Component, Expect, Manifest, Project, Target, Task
from scalable_core.types.options import Adaptive, FleetOptions, PodOptions, option
from scalable_core.types.plan import PLAN_SCHEMA, Plan, Stores, WorkerGroup
from scalable_core.types.prices import PriceSnapshot
from scalable_core.types.problem import Problem
from scalable_core.types.run import (
    RUN_SCHEMA,
    CacheRow,
    CostRow,
    Event,
    FailureRow,
    Progress,
    ResourceRow,
    RunCost,
    RunRecord,
    TaskCounts,
    TaskRow,
    WorkerRow,
)
from scalable_core.types.secret import Secret, reveal
from scalable_core.types.storage import Storage, StoredObject

__all__ = [
    "PLAN_SCHEMA",
    "PROGRESS",
    "RUN_SCHEMA",
    "Adaptive",
    "Artifact",
    "ArtifactRef",
    "BundleRef",
    "CacheRow",
    "ClusterRecord",
    "Component",
    "CostEstimate",
    "CostLine",
    "CostRow",
    "Environment",
    "Event",
    "EventSink",
    "Expect",
    "FailureRow",
    "FleetOptions",
    "Forecast",
    "GroupForecast",
    "History",
    "HookContext",
    "HourlyRates",
    "ImageRequest",
    "LazyCluster",
    "LogLine",
    "Manifest",
    "NoHistory",
    "NullSink",
    "OptionsLookup",
    "PaidWorker",
    "PastRun",
    "PastTask",
    "Plan",
    "PodOptions",
    "Policy",
    "PriceSnapshot",
    "Problem",
    "Progress",
    "Project",
    "ReleaseReport",
    "ResolvedImage",
    "Resource",
    "ResourceRow",
    "RunCost",
    "RunRecord",
    "Secret",
    "ServiceProfile",
    "Settings",
    "Storage",
    "StoredObject",
    "Stores",
    "Target",
    "Task",
    "TaskCounts",
    "TaskRow",
    "TransferProgress",
    "WorkerGroup",
    "WorkerRow",
    "from_data",
    "option",
    "reveal",
    "to_data",
]
