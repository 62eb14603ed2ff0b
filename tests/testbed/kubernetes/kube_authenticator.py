"""Tells the testbed's API server whose a bearer token is, as the ones of EKS and GKE are told.

On EKS a token is the address of a signed question to STS, which the authenticator asks. Here it also computes
the signature anew from the secrets it was given, since the STS of the testbed checks none. On GKE a token is
one of Google's, which says of each whose it is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_WANTED = {"Action", "Version"} | {
    f"X-Amz-{each}"
    for each in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
}


class Refused(Exception):
    """A token that is no good."""


class Eks:
    """What the authenticator of an EKS cluster does with a token.

    Args:
        cluster: Its name.
        sts: URL of the only STS that it asks.
        secrets: Secret of each access key.

    Attributes:
        life: Seconds for which a token is good.
    """

    def __init__(self, cluster: str, sts: str, secrets: dict[str, str]) -> None:
        self.cluster, self.sts, self.secrets = cluster, urllib.parse.urlsplit(sts), secrets
        self.life = 900.0

    def __call__(self, token: str) -> str:
        """Return the ARN of who has made it."""
        if not token.startswith("k8s-aws-v1."):
            raise Refused("it is none of EKS's")
        text = token.removeprefix("k8s-aws-v1.")
        url = urllib.parse.urlsplit(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        )
        query = dict(urllib.parse.parse_qsl(url.query, strict_parsing=True))
        if (url.scheme, url.netloc, url.path) != (self.sts.scheme, self.sts.netloc, "/"):
            raise Refused(f"{url.netloc} is not STS")
        if _WANTED - set(query) or set(query) - _WANTED - {"X-Amz-Security-Token"}:
            raise Refused("its address has too much in it, or too little")
        if query["Action"] != "GetCallerIdentity" or int(query["X-Amz-Expires"]) > 900:
            raise Refused("it asks something else")
        if query["X-Amz-SignedHeaders"].split(";") != ["host", "x-k8s-aws-id"]:
            raise Refused("it is bound to no cluster")
        made = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if not -60 < time.time() - made.timestamp() < self.life:
            raise Refused("it is too old")
        if not hmac.compare_digest(self._sign(url.netloc, query), query["X-Amz-Signature"]):
            raise Refused("it was signed by somebody else, or for another cluster")
        said = _get(url.geturl(), {"x-k8s-aws-id": self.cluster})
        return re.search("<Arn>(.*)</Arn>", said)[1]

    def _sign(self, host: str, query: dict[str, str]) -> str:
        key, day, region, service, _ = query["X-Amz-Credential"].split("/")
        quote = urllib.parse.quote
        pairs = sorted((k, v) for k, v in query.items() if k != "X-Amz-Signature")
        line = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in pairs)
        headers = f"host:{host}\nx-k8s-aws-id:{self.cluster}\n"
        request = f"GET\n/\n{line}\n{headers}\nhost;x-k8s-aws-id\n{hashlib.sha256(b'').hexdigest()}"
        scope = f"{day}/{region}/{service}/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
        sign = b"AWS4" + self.secrets.get(key, "").encode()
        for part in (day, region, service, "aws4_request", text):
            sign = hmac.new(sign, part.encode(), "sha256").digest()
        return sign.hex()


class Gke:
    """What the one of a GKE cluster does.

    Args:
        tokens: URL where Google says whose a token is.
    """

    def __init__(self, tokens: str) -> None:
        self.tokens = tokens

    def __call__(self, token: str) -> str:
        """Return the e-mail address of who has it."""
        query = urllib.parse.urlencode({"access_token": token})
        return json.loads(_get(f"{self.tokens}?{query}", {}))["email"]


class Authenticator:
    """Listens for the API server's questions, as a context manager.

    Args:
        whose: Returns the user that a token is of.

    Attributes:
        asked: What was said of each token: the user, or why not.
        refuse: Tokens that are no longer good, whatever they say.
    """

    def __init__(self, whose: Callable[[str], str] | None = None) -> None:
        self.whose = whose
        self.asked: list[str] = []
        self.refuse: set[str] = set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                review = json.loads(self.rfile.read(size))
                body = json.dumps({**review, "status": outer._review(review["spec"]["token"])})
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Authenticator:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _review(self, token: str) -> dict[str, Any]:
        try:
            if token in self.refuse or self.whose is None:
                raise Refused("it was taken back")
            user = self.whose(token)
        except (Refused, ValueError, urllib.error.URLError) as error:
            self.asked.append(str(error))
            return {"authenticated": False, "error": str(error)}
        self.asked.append(user)
        return {"authenticated": True, "user": {"username": user, "uid": user}}


def _get(url: str, headers: dict[str, str]) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.read().decode()
