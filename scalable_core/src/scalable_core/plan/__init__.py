"""The plan stage: from a manifest to what a run will create. Pure; nothing is asked of any service."""

from __future__ import annotations

from scalable_core.plan.build import build_plan
from scalable_core.plan.document import plan_document, read_plan, restore_plan, write_plan

__all__ = ["build_plan", "plan_document", "read_plan", "restore_plan", "write_plan"]
