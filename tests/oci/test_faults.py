"""What a registry should never do, done by a small server: each is one sentence, and nothing leaks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalable_core.errors import ImageError
from scalable_core.oci import Credentials, resolve
from scalable_core.oci.transport import MAX_BYTES, Transport
from scalable_core.types import ImageRequest, ResolvedImage

ADA = Credentials(username="ada", password="s3cret")
CHALLENGE = {"WWW-Authenticate": 'Basic realm="test"'}


def ask(address: str, *, timeout: float = 60, **options) -> ResolvedImage:
    request = ImageRequest(reference=f"{address}/acme/model:1")
    return resolve(request, timeout=timeout, **options)


def refuse(address: str, *, timeout: float = 60, **options) -> ImageError:
    with pytest.raises(ImageError) as caught:
        ask(address, timeout=timeout, **options)
    return caught.value


@pytest.fixture
def well_behaved(make_image):
    """The answers of a registry that has acme/model:1 and does nothing wrong."""
    image = make_image()
    bodies = {f"/v2/acme/model/blobs/{blob.digest}": blob.body for blob in image.blobs}

    def answer(request):
        if "/manifests/" in request.path:
            return 200, {"Content-Type": image.manifest.media_type}, image.manifest.body
        return 200, {}, bodies[request.path]

    return answer


def first(answer, then):
    """Answer the first request so, and the others as ``then`` does."""
    left = [answer]
    return lambda request: left.pop() if left else then(request)


# -- busy and broken ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize(
    "headers", [{}, {"Retry-After": "0"}, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}]
)
def test_busy_registry_is_asked_again(serve, well_behaved, status, headers):
    """After 408, 429 and 5xx comes another try, at the time that the registry wishes."""
    server = serve(first((status, headers, b""), well_behaved))
    assert ask(server.address).platforms == ("linux/amd64",)
    assert [request.path.split("/")[4] for request in server.requests] == [
        "manifests",
        "manifests",
        "blobs",
    ]


def test_registry_that_is_busy_for_longer_is_not_waited_for(serve):
    """When it wants to be asked again only after the timeout, that is said at once."""
    server = serve(lambda _: (429, {"Retry-After": "3600"}, b""))
    error = refuse(server.address)
    assert "cannot answer now: HTTP 429" in str(error)
    assert error.cure == "Try again in 3600 s."
    assert len(server.requests) == 1


def test_registry_that_stays_busy_is_given_up(serve):
    """There are only so many tries."""
    server = serve(lambda _: (503, {"Retry-After": "0"}, b""))
    assert "HTTP 503" in str(refuse(server.address))
    assert 1 < len(server.requests) < 10


def test_other_statuses_are_not_tried_again(serve):
    """What will not be better next time is told the first time."""
    server = serve(lambda _: (418, {}, b""))
    assert "answered HTTP 418" in str(refuse(server.address))
    assert len(server.requests) == 1


def test_body_that_breaks_off_is_asked_for_again(serve, well_behaved):
    """A short body is noticed by its length and fetched again."""
    server = serve(first((200, {"Content-Length": "5000"}, b"{"), well_behaved))
    assert ask(server.address).platforms == ("linux/amd64",)


def test_body_that_always_breaks_off_is_told(serve, monkeypatch):
    """When it breaks off each time, that is the error."""
    monkeypatch.setattr("scalable_core.oci.transport._ATTEMPTS", 2)
    server = serve(lambda _: (200, {"Content-Length": "5000"}, b"{"))
    assert "it broke off" in str(refuse(server.address))


def test_registry_that_hangs_is_left_at_the_timeout(serve):
    """A server that takes the request and says nothing is left when the time is up."""
    server = serve(lambda _: (server.released.wait(60), {}, b""))
    error = refuse(server.address, timeout=0.5)
    assert f"{server.address} did not answer within 0.5 s" in str(error)


def test_body_that_trickles_is_left_at_the_timeout():
    """The time is for everything: a byte now and then does not prolong it."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def trickle():
            with listener.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                with contextlib.suppress(OSError):
                    while not stop.wait(0.02):
                        peer.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            with pytest.raises(ImageError, match=r"did not answer within 0\.5 s"):
                Transport(timeout=0.5, plain=True).fetch(f"http://{address}/")
        finally:
            stop.set()
            thread.join()


def test_nobody_at_home_is_unreachable():
    """A port that nobody listens on is told with what to check."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = refuse(f"127.0.0.1:{bound.getsockname()[1]}")
    assert "cannot be reached" in str(error)
    assert "proxy" in error.cure


@pytest.mark.parametrize("hello", [b"", b"SSH-2.0-test\r\n", b"\x00" * 100])
def test_what_speaks_no_http_is_unreachable(hello, monkeypatch):
    """A server of quite another kind is an error like any other, not a traceback."""
    monkeypatch.setattr("scalable_core.oci.transport._ATTEMPTS", 2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def greet():
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                with peer, contextlib.suppress(OSError):
                    peer.sendall(hello)
                    peer.recv(65536)

        thread = threading.Thread(target=greet)
        thread.start()
        try:
            assert "cannot be reached" in str(refuse(address))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


# -- untrue ------------------------------------------------------------------------------------------------


def test_announced_digest_must_be_that_of_the_body(serve, well_behaved):
    """A header that names another digest than the body has is not passed over."""
    wrong = f"sha256:{'0' * 64}"

    def answer(request):
        status, headers, body = well_behaved(request)
        return status, headers | {"Docker-Content-Digest": wrong}, body

    error = refuse(serve(answer).address)
    assert "sent something else than it should" in str(error)
    assert wrong in str(error)


def test_asked_digest_must_be_that_of_the_body(serve, well_behaved):
    """What was asked for by digest is checked, whatever the registry says."""
    wanted = f"sha256:{'0' * 64}"
    server = serve(well_behaved)
    request = ImageRequest(reference=f"{server.address}/acme/model@{wanted}")
    with pytest.raises(ImageError, match="something else") as caught:
        resolve(request)
    assert wanted in str(caught.value)


def test_configuration_is_checked_by_its_digest(serve, well_behaved):
    """The platform is not believed when the configuration is not the one the manifest names."""

    def answer(request):
        status, headers, body = well_behaved(request)
        return (
            status,
            headers,
            body.replace(b"amd64", b"arm64") if "/blobs/" in request.path else body,
        )

    assert "something else" in str(refuse(serve(answer).address))


def test_answer_without_end_is_not_kept(serve):
    """More than a manifest can have is refused while it comes."""
    server = serve(lambda _: (200, {}, b" " * (MAX_BYTES + 1)))
    assert f"more than {MAX_BYTES} bytes" in str(refuse(server.address))


def test_two_kinds_at_once_are_refused(serve, well_behaved):
    """A body that says manifest under a header that says index could be read as either."""

    def answer(request):
        status, _, body = well_behaved(request)
        return status, {"Content-Type": "application/vnd.oci.image.index.v1+json"}, body

    assert "is not a container image" in str(refuse(serve(answer).address))


@pytest.mark.parametrize("status", [200, 404])
def test_web_page_is_no_registry(serve, status):
    """A web server that answers with pages is told from a registry without the image."""
    server = serve(
        lambda _: (404 if status == 404 else 200, {"Content-Type": "text/html"}, b"<html>")
    )
    error = refuse(server.address)
    assert f"{server.address} does not answer as a container registry does" in str(error)
    assert error.cure == "Check its name and port."


def test_what_a_registry_sends_cannot_steer_the_terminal(serve):
    """Control characters from outside never reach a message."""

    def answer(request):
        if "/tags/" in request.path:
            return 200, {}, json.dumps({"tags": ["1\x1b[2J", "2.0", 3, None]}).encode()
        return 404, {"Docker-Content-Digest": "\x1b[2J"}, b'{"errors": [{"code": "\\u001b[2J"}]}'

    error = refuse(serve(answer).address)
    assert "\x1b" not in str(error)
    assert error.cure == "It has for example: 2.0"


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(f"sha256:{'0' * 64}"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "manifests",
                    "config",
                    "layers",
                    "digest",
                    "size",
                    "platform",
                    "os",
                    "architecture",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
)


@pytest.mark.parametrize("kind", ["index", "manifest"])
def test_no_manifest_makes_a_traceback(serve, kind):
    """Whatever JSON comes as a manifest, the answer is an image or an ImageError."""
    body = b""
    server = serve(
        lambda _: (200, {"Content-Type": f"application/vnd.oci.image.{kind}.v1+json"}, body)
    )

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TREES)
    def check(tree):
        nonlocal body
        body = json.dumps(tree).encode()
        try:
            ask(server.address)
        except ImageError:
            pass

    check()


# -- redirects ---------------------------------------------------------------------------------------------


def test_redirect_is_followed(serve, well_behaved):
    """Registries keep blobs elsewhere; what comes from there is checked by digest like the rest."""
    store = serve(lambda request: well_behaved(request), host="127.0.0.2")

    def answer(request):
        if "/blobs/" in request.path:
            return 307, {"Location": f"http://{store.address}{request.path}"}, b""
        return well_behaved(request)

    assert ask(serve(answer).address).platforms == ("linux/amd64",)
    assert len(store.requests) == 1


def test_credentials_are_not_sent_to_another_host(serve, well_behaved):
    """On a redirect to another origin the Authorization header stays behind; to the same it is kept."""
    store = serve(lambda request: well_behaved(request), host="127.0.0.2")

    def answer(request):
        if "Authorization" not in request.headers:
            return 401, CHALLENGE, b""
        if "/blobs/" in request.path:
            return 307, {"Location": f"http://{store.address}{request.path}"}, b""
        if "moved" not in request.path:
            return 308, {"Location": f"{request.path}?moved"}, b""
        return well_behaved(request)

    server = serve(answer)
    assert ask(server.address, credentials=ADA).size
    assert all("Authorization" in request.headers for request in server.requests[1:])
    assert [request for request in store.requests if "Authorization" in request.headers] == []
    assert len(store.requests) == 1


def test_credentials_are_not_sent_to_another_port(serve, well_behaved):
    """The same host at another port is another server."""
    store = serve(lambda request: well_behaved(request))

    def answer(request):
        if "Authorization" not in request.headers:
            return 401, CHALLENGE, b""
        return 307, {"Location": f"http://{store.address}{request.path}"}, b""

    assert ask(serve(answer).address, credentials=ADA).size
    assert all("Authorization" not in request.headers for request in store.requests)


@pytest.mark.parametrize(
    "location",
    [
        "http://192.0.2.1/blob",
        "http://example.invalid/blob",
        "http://127.0.0.1@example.invalid/blob",
        "ftp://127.0.0.1/blob",
        "file:///etc/hostname",
        "data:text/plain,hello",
    ],
)
def test_redirect_out_of_https_is_not_followed(serve, location):
    """Plain http is for this machine only, and other schemes are for nobody."""
    server = serve(lambda _: (307, {"Location": location}, b""))
    assert "is not asked: its address must start with https" in str(refuse(server.address))


@pytest.mark.parametrize(
    "location", ["https://[::1", "https://127.0.0.1:x/", "http:///", "//", "\x1b[2J"]
)
def test_redirect_to_nowhere_is_told(serve, location):
    """An address that cannot be read is an error without its control characters."""
    error = refuse(serve(lambda _: (307, {"Location": location}, b"")).address)
    assert "\x1b" not in str(error)


def test_redirect_in_a_circle_ends(serve):
    """A server that sends one round and round is left."""
    server = serve(lambda request: (302, {"Location": request.path}, b""))
    assert "redirects in a circle" in str(refuse(server.address))


# -- tokens ------------------------------------------------------------------------------------------------


def demand_token(realm: str, then):
    """Send readers to the token server at ``realm``, and let those in who come back with a token."""

    def answer(request):
        if "Authorization" in request.headers:
            return then(request)
        return (
            401,
            {"WWW-Authenticate": f'Negotiate, Bearer realm="{realm}",service="a \\"b\\""'},
            b"",
        )

    return answer


def test_token_goes_to_the_registry_and_credentials_to_the_token_server(serve, well_behaved):
    """Each gets what is meant for it, and only that; the scope is to pull this repository."""
    tokens = serve(lambda _: (200, {}, b'{"access_token": "let-me-in"}'))
    server = serve(demand_token(f"http://{tokens.address}/token", well_behaved))
    assert ask(server.address, credentials=ADA).size
    assert tokens.requests[0].headers["Authorization"] == ADA.basic
    assert tokens.requests[0].path == (
        "/token?service=a+%22b%22&scope=repository%3Aacme%2Fmodel%3Apull"
    )
    assert {request.headers.get("Authorization") for request in server.requests} == {
        None,
        "Bearer let-me-in",
    }


def test_token_server_that_redirects_gets_no_credentials_elsewhere(serve, well_behaved):
    """The user's password stays with the server that was named."""
    thief = serve(lambda _: (200, {}, b'{"token": "x"}'), host="127.0.0.2")
    tokens = serve(lambda _: (307, {"Location": f"http://{thief.address}/"}, b""))
    server = serve(demand_token(f"http://{tokens.address}/token", well_behaved))
    ask(server.address, credentials=ADA)
    assert [request.headers.get("Authorization") for request in thief.requests] == [None]


def test_identity_token_is_not_sent_on(serve, well_behaved):
    """A POST that carries a secret follows no redirect at all."""
    thief = serve(lambda _: (200, {}, b'{"token": "x"}'))
    tokens = serve(lambda _: (307, {"Location": f"http://{thief.address}/"}, b""))
    server = serve(demand_token(f"http://{tokens.address}/token", well_behaved))
    error = refuse(server.address, credentials=Credentials(identity_token="secret"))
    assert "gave no token: HTTP 307" in str(error)
    assert thief.requests == []


def test_token_server_in_the_open_gets_nothing(serve, well_behaved):
    """A token server over plain http on another machine is not asked."""
    server = serve(demand_token("http://example.invalid/token", well_behaved))
    assert "must start with https" in str(refuse(server.address, credentials=ADA))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"{}", b'{"token": 7}', b'{"token": ""}', b'{"token": "a b"}',
     b'{"token": "a\\r\\nX-Evil: 1"}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_token_is_not_sent(serve, well_behaved, body):
    """Nonsense from a token server does not become a header."""
    tokens = serve(lambda _: (200, {}, body))
    server = serve(demand_token(f"http://{tokens.address}/token", well_behaved))
    assert "gave no token" in str(refuse(server.address))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "challenge", [{}, {"WWW-Authenticate": ""}, {"WWW-Authenticate": "Negotiate"}]
)
def test_challenge_that_cannot_be_answered_is_a_denial(serve, challenge):
    """Without a scheme that is known the cure is still the login."""
    error = refuse(serve(lambda _: (401, challenge, b"")).address, credentials=ADA)
    assert "does not let acme/model be read" in str(error)


# -- https, http and proxies -------------------------------------------------------------------------------


@pytest.fixture
def proxy(serve, monkeypatch):
    """A proxy for everything that lets nothing out; its requests say what would have left."""
    server = serve(lambda _: (403, {}, b""))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{server.address}")
    return server


def test_docker_hub_is_asked_over_tls_and_only_there(proxy):
    """A name without a registry means Docker Hub, by https; the way out is the proxy's."""
    request = ImageRequest(reference="python:3.12")
    with pytest.raises(ImageError, match=r"registry-1\.docker\.io cannot be reached"):
        resolve(request)
    assert [(seen.method, seen.path) for seen in proxy.requests] == [
        ("CONNECT", "registry-1.docker.io:443")
    ]


def test_registry_elsewhere_is_never_asked_by_plain_http(serve, monkeypatch):
    """When there is no TLS behind a registry on another machine, it stays unasked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
        plain = serve(lambda _: (200, {}, b"{}"))
        monkeypatch.setenv("http_proxy", f"http://{plain.address}")
        seen = []

        def tunnel():
            with listener.accept()[0] as peer:
                seen.append(peer.recv(65536))
                peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                seen.append(peer.recv(65536))
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=tunnel)
        thread.start()
        error = refuse("registry.invalid:5000")
        thread.join()
    assert "no TLS connection with registry.invalid:5000" in str(error)
    assert seen[0].startswith(b"CONNECT registry.invalid:5000")
    assert seen[1].startswith(b"\x16\x03")  # a TLS handshake, and no request after it
    assert plain.requests == []


def test_this_machine_is_asked_past_the_proxy(serve, well_behaved, proxy):
    """A proxy cannot know this machine's own registry."""
    assert ask(serve(well_behaved).address).size
    assert proxy.requests == []


@pytest.mark.parametrize("plain", [True, False])
def test_plain_http_needs_leave(serve, plain):
    """Without leave even this machine is not asked by plain http."""
    server = serve(lambda _: (200, {}, b"hello"))
    transport = Transport(timeout=60, plain=plain)
    if plain:
        assert transport.fetch(f"http://{server.address}/").body == b"hello"
    else:
        with pytest.raises(ImageError, match="must start with https"):
            transport.fetch(f"http://{server.address}/")
        assert server.requests == []


def test_image_of_no_layers_is_its_configuration(serve):
    """The size is what is downloaded, down to an image without layers."""
    config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    manifest = {"config": {"digest": digest, "size": len(config)}, "layers": []}
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json; charset=utf-8"}
    server = serve(
        lambda request: (
            (200, {}, config)
            if "/blobs/" in request.path
            else (200, kind, json.dumps(manifest).encode())
        )
    )
    assert ask(server.address).size == len(config)
