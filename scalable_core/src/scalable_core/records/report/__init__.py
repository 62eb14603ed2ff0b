"""One run as one document: plain data, and a page that needs nothing but itself."""

from __future__ import annotations

from scalable_core.records.report.document import report_document
from scalable_core.records.report.page import report_page

__all__ = ["report_document", "report_page"]
