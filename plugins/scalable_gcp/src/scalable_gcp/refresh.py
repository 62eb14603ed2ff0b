"""Today's prices from the Cloud Billing Catalog, kept for this user when they can be believed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from scalable_core.errors import ProviderError
from scalable_core.types import HookContext
from scalable_core.types.refresh import Batch, Row, take
from scalable_core.types.snapshot import read_snapshot
from scalable_gcp.catalog import (
    CATALOGS,
    COMPUTE,
    Catalog,
    CatalogError,
    Sku,
    catalog_rows,
    lost_families,
    machine_parts,
    machine_rows,
)
from scalable_gcp.prices import DATA, price_book

_ROOT = "https://cloudbilling.googleapis.com"

#: Where the catalog is, as gcloud is told; and a key, for those who have no other credentials.
_ROOT_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING"
_KEY_VARIABLE = "GOOGLE_API_KEY"

_SOURCE = ("billing_catalog", "Cloud Billing Catalog, as fetched")

#: Seconds to wait for a page, and between two attempts.
_TIMEOUT = 60.0
_PAUSES = (1.0, 4.0)


def refresh_prices(context: HookContext) -> tuple[str, ...]:
    """Fetch today's prices of all regions that have any, and take those that can be believed.

    The catalog is open to every project: with ``GOOGLE_API_KEY`` no other credentials are needed.

    Returns:
        One sentence for each region and service that keeps the old ones, and why.

    Raises:
        ProviderError: There are no credentials, or they are no good.
    """
    today = datetime.now(UTC).date().isoformat()
    headers = _credentials()
    batches: list[Batch] = []
    for catalog in CATALOGS:
        try:
            skus = _skus(catalog, headers, context.deadline)
            batches += _batches(catalog, skus, today)
        except (CatalogError, OSError, ValueError, KeyError, TypeError) as error:
            what = f"prices of {catalog.name}"
            batches.append(Batch(region="every region", what=what, fault=_short(error)))
    return take("gcp", DATA, batches, today=today, source=_SOURCE)


def _batches(catalog: Catalog, skus: Sequence[Sku], today: str) -> Iterator[Batch]:
    regions = read_snapshot("gcp", DATA).regions
    rows = catalog_rows(catalog, skus, regions, as_of=today, source=_SOURCE[0])
    parts = machine_parts(skus) if catalog is COMPUTE else {}
    for region in sorted({"global", *regions, *rows}):
        book = price_book(region)
        expected = catalog.keys(everywhere=region == "global")
        machines: tuple[Row, ...] | None = None
        fault = None
        if catalog is COMPUTE and book.machines():
            old = book.machines()
            here = parts.get(region, {})
            machines = tuple(machine_rows(old, here, as_of=today))
            lost = lost_families(old, here)
            if not here:
                fault = "there are no prices of cores and memory"
            elif lost:
                what = f"prices of {', '.join(sorted(lost))} machines"
                yield Batch(region=region, what=what, fault="their cores or memory have none")
        if rows.get(region) or machines or any(book.has(*key) for key in expected):
            yield Batch(
                region=region,
                what=f"prices of {catalog.name}",
                rows=tuple(rows.get(region, ())),
                machines=machines,
                expected=expected,
                fault=fault,
            )


def _skus(catalog: Catalog, headers: dict[str, str], deadline: float | None) -> list[Sku]:
    """Return all SKUs of a service, from all of its pages.

    Raises:
        CatalogError: A page has none, or names itself as the next.
        OSError: A page did not come.
    """
    found: list[Sku] = []
    seen: set[str] = set()
    token = ""
    while True:
        page = _page(catalog, token, headers, deadline)
        if "skus" not in page:
            raise CatalogError("a page of the answer has no skus")
        found += page["skus"]
        token = page.get("nextPageToken") or ""
        if not token:
            return found
        if token in seen:
            raise CatalogError("the pages of the answer have no end")
        seen.add(token)


def _page(
    catalog: Catalog, token: str, headers: dict[str, str], deadline: float | None
) -> dict[str, Any]:
    root = os.environ.get(_ROOT_VARIABLE, _ROOT).rstrip("/")
    asked = {"currencyCode": "USD", "pageSize": "5000"} | ({"pageToken": token} if token else {})
    request = Request(f"{root}/v1/services/{catalog.id}/skus?{urlencode(asked)}", headers=headers)
    for pause in (*_PAUSES, None):
        if deadline is not None and time.monotonic() > deadline:
            raise CatalogError("it has not answered in time")
        try:
            with urlopen(request, timeout=_TIMEOUT) as answer:
                page: dict[str, Any] = json.load(answer)
                return page
        except HTTPError as error:
            if error.code in (400, 401, 403):
                raise ProviderError(
                    f"prices cannot be refreshed: the Cloud Billing Catalog says {_said(error)}",
                    cure="enable cloudbilling.googleapis.com in the project of the credentials,"
                    f" or set {_KEY_VARIABLE} to a key that may use it",
                ) from error
            if pause is None or error.code not in (408, 429, 500, 502, 503, 504):
                raise
        except OSError:
            if pause is None:
                raise
        time.sleep(pause)
    raise AssertionError("unreachable")


def _said(error: HTTPError) -> str:
    try:
        message = json.load(error)["error"]["message"]
    except (ValueError, KeyError, TypeError, OSError):
        message = error.reason
    return f"{error.code} {str(message).strip().rstrip('.')}"


def _credentials() -> dict[str, str]:
    key = os.environ.get(_KEY_VARIABLE)
    if key:
        return {"X-Goog-Api-Key": key}
    from scalable_gcp.client import CredentialsError, Token

    try:
        return {"Authorization": f"Bearer {asyncio.run(Token().get())}"}
    except CredentialsError as error:
        raise ProviderError(
            f"prices cannot be refreshed: {error.message}",
            cure=f"{error.cure}; or set {_KEY_VARIABLE}",
        ) from error


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error or type(error).__name__)
