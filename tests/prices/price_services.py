"""The price services of AWS and Google Cloud, as far as a refresh asks them, on a local port.

They answer in the real shape, with what makes the real answers hard to read: prices as text, several offers
of one product, reservations, dedicated hosts, Windows, local zones, free bands, pages. They ignore most of
what they are asked to filter by.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse
from xml.sax.saxutils import escape

#: How many things a page has.
PAGE = 4


class Service:
    """What a server answers, and what it was asked.

    Attributes:
        answer: Makes the answer to a request: status, content type and body.
        asked: All requests so far.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Any], tuple[int, str, str]] = lambda asked: (404, "text/plain", "")
        self.asked: list[Any] = []
        self.url = ""


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """Run a service on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(urlparse(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            target = self.headers.get("X-Amz-Target", "").partition(".")[2]
            self._respond((target, json.loads(body)) if target else ("", parse_qs(body)))

        def _respond(self, asked: Any) -> None:
            service.asked.append((asked, dict(self.headers)))
            status, kind, text = service.answer(asked)
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# -- AWS ------------------------------------------------------------------------------------------------------


class PriceList:
    """AWS Price List and the Spot price history of us-east-1.

    Attributes:
        usd: USD of each usage type; bands as (start, end, USD).
        machines: USD of each EC2 type.
        spot: USD of each type in each zone.
        broken: Changes the pages of an answer, to break it.
        service: The server that it answers through.
    """

    def __init__(self) -> None:
        self.usd: dict[str, Any] = {
            "Fargate-vCPU-Hours:perCPU": 0.0411,
            "Fargate-GB-Hours": 0.0046,
            "Fargate-ARM-vCPU-Hours:perCPU": 0.0329,
            "Fargate-ARM-GB-Hours": 0.0037,
            "Fargate-EphemeralStorage-GB-Hours": 0.000113,
            "AmazonEKS-Hours:perCluster": 0.10,
            "EBS:VolumeUsage.gp3": 0.081,
            "NatGateway-Hours": 0.046,
            "NatGateway-Bytes": 0.046,
            "PublicIPv4:InUseAddress": 0.005,
            "DataProcessing-Bytes": [(0, 5, 0.0), (5, None, 0.51)],
            "TimedStorage-ByteHrs": [(0, 51200, 0.0235), (51200, 512000, 0.0225), (512000, None, 0.0215)],
            "Requests-Tier1": 0.0000051,
            "DataTransfer-Out-Bytes": [(0, 10240, 0.091), (10240, 51200, 0.086), (51200, None, 0.071)],
        }  # fmt: skip
        self.machines = {"m5.large": 0.097, "m5.xlarge": 0.194, "c7g.xlarge": 0.146}
        self.spot = {
            ("m5.xlarge", "us-east-1a"): ("0.070000", "0.999999"),
            ("m5.xlarge", "us-east-1b"): ("0.080000",),
            ("m5.large", "us-east-1a"): ("0.045000",),
            ("c7g.xlarge", "us-east-1a"): ("0.050000",),
        }
        self.broken: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda what, page: page
        self.service = Service()

    #: Which service code has which usage types.
    CODES = {
        "AmazonECS": ("Fargate",),
        "AmazonEKS": ("AmazonEKS",),
        "AmazonEC2": ("EBS", "NatGateway"),
        "AmazonVPC": ("PublicIPv4",),
        "AmazonCloudWatch": ("DataProcessing",),
        "AmazonS3": ("TimedStorage", "Requests"),
        "AWSDataTransfer": ("DataTransfer",),
    }

    def __call__(self, asked: tuple[str, dict[str, Any]]) -> tuple[int, str, str]:
        """Answer one request."""
        action, request = asked
        if action == "GetProducts":
            return self._products(request)
        return self._history(request)

    def _products(self, request: dict[str, Any]) -> tuple[int, str, str]:
        code = request["ServiceCode"]
        filters = {each["Field"]: each["Value"] for each in request["Filters"]}
        machines = filters.get("productFamily") == "Compute Instance"
        found = list(self._machines() if machines else self._usages(code, filters))
        start = int(request.get("NextToken", "at-0").removeprefix("at-"))
        page: dict[str, Any] = {
            "FormatVersion": "aws_v1",
            "PriceList": [json.dumps(product) for product in found[start : start + PAGE]],
        }
        if start + PAGE < len(found):
            page["NextToken"] = f"at-{start + PAGE}"
        page = self.broken("machines" if machines else code, page)
        return 200, "application/x-amz-json-1.1", json.dumps(page)

    def _usages(self, code: str, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
        where = "fromRegionCode" if code == "AWSDataTransfer" else "regionCode"
        for number, (usage, usd) in enumerate(self.usd.items()):
            if not usage.startswith(self.CODES[code]):
                continue
            said = {where: "us-east-1", "locationType": "AWS Region", "usagetype": usage}
            if number % 2:
                said["usagetype"] = f"USE1-{usage}"
            yield product(said, usd)
            # What is like it, and is not it.
            yield product({**said, "usagetype": f"SpotUsage-{usage}"}, 9.0)
            yield product({**said, where: "us-west-2"}, 9.0)
            yield product({**said, "locationType": "AWS Local Zone"}, 9.0)
            if "Fargate" in usage:
                windows = usage.replace("Fargate-", "Fargate-Windows-")
                yield product({**said, "usagetype": windows}, 9.0)
        if code == "AWSDataTransfer":
            yield product({where: "us-east-1", "usagetype": "DataTransfer-xAZ-In-Bytes"}, 0.0)

    def _machines(self) -> Iterator[dict[str, Any]]:
        for name, usd in self.machines.items():
            said = {
                "regionCode": "us-east-1",
                "locationType": "AWS Region",
                "instanceType": name,
                "vcpu": "2" if name.endswith(".large") else "4",
                "memory": "8 GiB" if name.endswith(".large") else "16 GiB",
                "physicalProcessor": "AWS Graviton3 Processor" if "g." in name else "Intel Xeon",
                "operatingSystem": "Linux",
                "tenancy": "Shared",
                "preInstalledSw": "NA",
                "capacitystatus": "Used",
                "marketoption": "OnDemand",
                "operation": "RunInstances",
                "usagetype": f"BoxUsage:{name}",
            }
            family = "Compute Instance"
            yield product({**said, "capacitystatus": "UnusedCapacityReservation"}, usd, family)
            yield product({**said, "capacitystatus": "AllocatedCapacityReservation"}, 0.0, family)
            yield product({**said, "tenancy": "Dedicated"}, usd * 1.06, family)
            yield product({**said, "tenancy": "Host"}, 0.0, family)
            yield product(said, usd, family)
            yield product({**said, "operatingSystem": "Windows"}, usd * 2, family)
            yield product({**said, "preInstalledSw": "SQL Web"}, usd * 1.5, family)
            yield product({**said, "marketoption": "CapacityBlock"}, usd * 3, family)
            yield product({**said, "locationType": "AWS Local Zone"}, usd * 1.2, family)

    def _history(self, request: dict[str, Any]) -> tuple[int, str, str]:
        items, day = [], 1
        for (name, zone), prices in self.spot.items():
            for age, usd in enumerate(prices):  # the newest first
                stamp = f"2026-11-{20 - age:02d}T0{day}:00:00.000Z"
                items.append(
                    f"<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX"
                    f"</productDescription><spotPrice>{usd}</spotPrice><timestamp>{stamp}</timestamp>"
                    f"<availabilityZone>{zone}</availabilityZone></item>"
                )
        start = int(request.get("NextToken", ["0"])[0])
        token = str(start + 2) if start + 2 < len(items) else ""
        text = "".join(items[start : start + 2])
        return 200, "text/xml", (
            '<?xml version="1.0"?><DescribeSpotPriceHistoryResponse'
            ' xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>'
            f"<spotPriceHistorySet>{text}</spotPriceHistorySet><nextToken>{escape(token)}</nextToken>"
            "</DescribeSpotPriceHistoryResponse>"
        )  # fmt: skip


def product(said: dict[str, str], usd: Any, family: str | None = None) -> dict[str, Any]:
    """Return a product as Price List has it, on demand and reserved."""
    bands = usd if isinstance(usd, list) else [(0, None, usd)]
    dimensions = {
        f"SKU.JRTCKXETXF.{number}": {
            "unit": "Hrs",
            "beginRange": str(start),
            "endRange": "Inf" if end is None else str(end),
            "appliesTo": [],
            "pricePerUnit": {"USD": f"{price:.10f}"},
        }
        for number, (start, end, price) in enumerate(bands)
    }
    offer = {
        "offerTermCode": "JRTCKXETXF",
        "effectiveDate": "2026-11-01T00:00:00Z",
        "priceDimensions": dict(reversed(dimensions.items())),
    }
    other = {
        "offerTermCode": "4NA7Y494T4",
        "effectiveDate": "2026-11-02T00:00:00Z",
        "priceDimensions": {"x": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0010000000"}}},
    }
    product: dict[str, Any] = {"sku": "SKU", "attributes": said}
    if family is not None:
        product["productFamily"] = family
    return {
        "product": product,
        "serviceCode": "X",
        "terms": {
            "OnDemand": {"SKU.4NA7Y494T4": other, "SKU.JRTCKXETXF": offer},
            "Reserved": {"SKU.MZU6U2429S": {**other, "offerTermCode": "MZU6U2429S"}},
        },
        "version": "20261120000000",
        "publicationDate": "2026-11-20T00:00:00Z",
    }


# -- Google Cloud ---------------------------------------------------------------------------------------------


class Catalog:
    """The Cloud Billing Catalog of us-central1.

    Attributes:
        skus: By id of the service.
        broken: Changes the pages of an answer, to break it.
        service: The server that it answers through.
    """

    def __init__(self) -> None:
        compute = [
            sku("N2 Instance Core running in Iowa", 0.0320),
            sku("N2 Instance Ram running in Iowa", 0.0043, unit="GiBy.h"),
            sku("Spot Preemptible N2 Instance Core running in Iowa", 0.0080, spot=True),
            sku("Spot Preemptible N2 Instance Ram running in Iowa", 0.0010, spot=True),
            sku("E2 Instance Core running in Iowa", 0.0220),
            sku("E2 Instance Ram running in Iowa", 0.0030),
            sku("Balanced PD Capacity in Iowa", 0.11, unit="GiBy.mo"),
            sku("External IP Charge on a Standard VM", [(0, 0.0), (1, 0.0051)], place="global"),
            # What is like them, and is not them.
            sku("N2 Custom Instance Core running in Iowa", 9.0),
            sku("N2 Sole Tenancy Instance Core running in Iowa", 9.0),
            sku("Commitment v1: N2 Cpu in Iowa for 1 Year", 9.0, kind="Commit1Yr"),
            sku("N2 Instance Core running in Iowa", 9.0, kind="Commit3Yr"),
            sku("Regional Balanced PD Capacity in Iowa", 9.0),
        ]
        run = [
            sku("Worker Pools CPU in us-central1", 0.0000115),
            sku("Worker Pools Memory in us-central1", [(0, 0.0), (728744, 0.0000013)]),
            sku("Jobs CPU in us-central1", 0.000018),
            sku("Services CPU Tier 2  (Request-based billing)", 0.0000336),
        ]
        gke = [
            sku("Autopilot Pod mCPU Requests (us-central1)", 0.000045, display=1000),
            sku("Autopilot Pod Memory Requests (us-central1)", 0.005),
            sku("Autopilot Pod Ephemeral Storage Requests (us-central1)", 0.000055),
            sku("Autopilot Spot Pod mCPU Requests (us-central1)", 0.000014, display=1000, spot=True),
            sku("Autopilot Spot Pod Memory Requests (us-central1)", 0.0015, spot=True),
            sku("Autopilot Balanced Pod mCPU Requests (us-central1)", 9.0),
            sku("Zonal Kubernetes Clusters", 0.10, place="global"),
            sku("Extended Period Kubernetes Clusters", 0.50, place="global"),
        ]  # fmt: skip
        storage = [
            sku("Standard Storage Iowa", [(0, 0.0), (5, 0.021)], unit="GiBy.mo"),
            sku("Standard Storage US Multi-region", 0.026, place="us"),
            sku("Regional Standard Class A Operations", 0.0000051, display=10000, place="global"),
        ]
        self.skus = {
            "6F81-5844-456A": compute,
            "152E-C115-5142": run,
            "CCD8-9BF1-090E": gke,
            "95FF-2EF5-5EA1": storage,
        }
        self.broken: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda what, page: page
        self.service = Service()

    def __call__(self, asked: Any) -> tuple[int, str, str]:
        """Answer one request."""
        service = asked.path.split("/")[3]
        query = parse_qs(asked.query)
        start = int(query.get("pageToken", ["0"])[0])
        found = self.skus[service]
        more = str(start + PAGE) if start + PAGE < len(found) else ""
        page = {"skus": found[start : start + PAGE], "nextPageToken": more}
        return 200, "application/json", json.dumps(self.broken(service, page))


def sku(
    words: str,
    usd: Any,
    *,
    place: str = "us-central1",
    unit: str = "h",
    display: int = 1,
    spot: bool = False,
    kind: str = "",
) -> dict[str, Any]:
    """Return a SKU as the catalog has it: nanos of a dollar, in bands."""
    bands = usd if isinstance(usd, list) else [(0, usd)]
    rates = [{"startUsageAmount": start, "unitPrice": _price(price)} for start, price in bands]
    return {
        "description": words,
        "category": {"usageType": kind or ("Preemptible" if spot else "OnDemand")},
        "serviceRegions": [place],
        "pricingInfo": [
            {
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": display,
                    "tieredRates": rates,
                },
                "currencyConversionRate": 1,
                "effectiveTime": "2026-11-19T10:50:40.206Z",
            }
        ],
    }


def _price(usd: float) -> dict[str, Any]:
    whole, nanos = divmod(round(usd * 1e9), 10**9)
    price: dict[str, Any] = {"currencyCode": "USD", "nanos": nanos}
    return {**price, "units": str(whole)} if whole else price  # nothing whole is left out
