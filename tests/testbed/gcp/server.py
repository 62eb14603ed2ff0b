"""The local Google Cloud: what the services in `services.py` keep, behind their own HTTP, checked as they
check.

Each request is held against Google's own description of its API, so that what the service would not
understand is refused here too. What Google does not have is below ``/testbed/``:

    GET  calls       the requests so far: who, service, method id, path, query, body, status
    GET  state       what there is: pools, machines, jobs, secrets, rules, addresses of instances
    POST settings    how the world is from now on, such as {"quota": 4, "forbid_inbound": true}
    POST kill        {"id": ...}: ends what runs in an instance, at once; Cloud Run starts its container again
    POST assassin    {"pid": 4711, "after": 7}: SIGKILL after the driver's next 7 calls and one without answer;
                     of another driver with {"who": "driver:NAME"}
    POST cut         {}: breaks all tunnels of IAP
    POST clusters    {"projects/p/locations/l/clusters/c": {...}}: what is in GKE
    GET  tokeninfo   ?access_token=...: whose a token is
    POST images      {"repository/image:tag": "sha256:..."}: what is in Artifact Registry
    POST scale       {"pool": ..., "count": 1}: the service ends whom it likes
    POST reset       ends and forgets everything
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import struct
from typing import Any

from aiohttp import WSMsgType, web
from discovery import Wrong, check, document
from instances import Instance
from services import ACCOUNT, NUMBER, PROJECT, ZONES, Refused, Settings, World

_POOL = r"projects/[^/]+/locations/[^/]+/workerPools/[^/]+"


class _Session:
    """One connection through IAP; what has not been acknowledged is kept, to be sent again."""

    def __init__(self, sid: str) -> None:
        self.sid, self.arrived = sid, 0
        self.socket: Any = None
        self.pump: asyncio.Future[None] | None = None
        self.reader: Any = None
        self.writer: Any = None
        self.kept, self.kept_from = bytearray(), 0

    def forget(self, count: int) -> None:
        del self.kept[: max(0, count - self.kept_from)]
        self.kept_from = max(self.kept_from, count)

    async def down(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            again = bytes(self.kept)
            for start in range(0, len(again), 16384):
                piece = again[start : start + 16384]
                await socket.send_bytes(struct.pack(">HI", 4, len(piece)) + piece)
            while data := await self.reader.read(16384):
                self.kept += data
                await socket.send_bytes(struct.pack(">HI", 4, len(data)) + data)
            await socket.close(code=4004)


class Server:
    """Answers for all services."""

    def __init__(self, world: World) -> None:
        self.world, self.url = world, ""
        self.calls: list[dict[str, Any]] = []
        self.images: dict[str, str] = {}
        self.clusters: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, _Session] = {}
        self.sockets: set[Any] = set()
        self.assassins: dict[str, dict[str, int]] = {}
        self.app = web.Application(client_max_size=2**24)
        self.app.router.add_route("*", "/testbed/{word}", self._testbed)
        self.app.router.add_post("/token", self._token)
        self.app.router.add_get("/iap/{verb}", self._tunnel)
        self.app.router.add_route("*", "/{service}/{path:.*}", self._answer)
        self._metadata = web.AppRunner(self._metadata_app())
        world.on_instance = self._serve_metadata

    async def start(self, port: int) -> None:
        """Begin to listen."""
        runner = web.AppRunner(self.app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
        await self._metadata.setup()

    # -- credentials and metadata ------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        """Give a token that has the user in it: `driver`, or `driver:NAME` for NAME@..."""
        claims = str((await request.post())["assertion"]).split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        name = said["iss"].partition("@")[0]
        token = name if name == "driver" else f"driver:{name}"
        return web.json_response(
            {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        )

    def _metadata_app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/computeMetadata/v1/{path:.*}", self._say_metadata)
        app.router.add_get("/{path:$}", self._say_metadata)
        return app

    async def _serve_metadata(self, instance: Instance) -> None:
        await web.TCPSite(self._metadata, instance.address, 8079).start()

    async def _say_metadata(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        assert request.transport is not None
        address = request.transport.get_extra_info("sockname")[0]
        instance = next(each for each in self.world.instances.values() if each.address == address)
        path, headers = request.match_info["path"], {"Metadata-Flavor": "Google"}
        account = instance.metadata["account"]
        if re.fullmatch(r"instance/service-accounts/[^/]+/token", path):
            token = {"access_token": f"account:{account}", "expires_in": 3000}
            return web.json_response(token, headers=headers)
        if re.fullmatch(r"instance/service-accounts/[^/]+/", path):
            said = {"email": account, "aliases": ["default"], "scopes": []}
            return web.json_response(said, headers=headers)
        if not path:
            return web.Response(text="instance/\nproject/\n", headers=headers)
        if path not in instance.metadata:
            return web.Response(status=404)
        return web.Response(text=instance.metadata[path], headers=headers)

    # -- IAP ---------------------------------------------------------------------------------------------

    async def _tunnel(self, request: web.Request) -> web.StreamResponse:
        """Carry a connection as IAP does, refuse what its rules refuse, and take broken ones up again."""
        query, verb = request.query, request.match_info["verb"]
        if not request.headers.get("Authorization"):
            return web.Response(status=401)
        if verb == "reconnect":
            session = self.sessions.get(query["sid"])
            if session is None:
                return web.Response(status=404)
        else:
            session = await self._dial(query)
            if session is None:
                return web.Response(status=403)
        socket = web.WebSocketResponse(protocols=("relay.tunnel.cloudproxy.app",))
        await socket.prepare(request)
        if session.writer is None:
            await socket.close(code=4003, message=b"failed to connect to backend")
            return socket
        self.sockets.add(request.transport)
        session.socket = socket  # from now on nothing counts that comes by another
        if session.pump is not None:
            session.pump.cancel()
            await asyncio.wait([session.pump])
        if verb == "reconnect":
            session.forget(int(query["ack"]))
            await socket.send_bytes(struct.pack(">HQ", 2, session.arrived))
        else:
            await socket.send_bytes(struct.pack(">HI", 1, len(session.sid)) + session.sid.encode())
        session.pump = asyncio.ensure_future(session.down(socket))
        try:
            async for message in socket:
                if message.type is not WSMsgType.BINARY or session.socket is not socket:
                    break
                (tag,) = struct.unpack(">H", message.data[:2])
                if tag == 4:
                    session.writer.write(message.data[6:])
                    session.arrived += len(message.data) - 6
                    await socket.send_bytes(struct.pack(">HQ", 7, session.arrived))
                    await session.writer.drain()
                elif tag == 7:
                    session.forget(struct.unpack(">Q", message.data[2:10])[0])
            if socket.close_code == 1000 and session.socket is socket:
                session.writer.close()
        except (OSError, RuntimeError):
            pass
        finally:
            self.sockets.discard(request.transport)
            if session.socket is socket:
                session.pump.cancel()
        return socket

    async def _dial(self, query: Any) -> _Session | None:
        machine = self.world.machines.get(
            f"projects/{query.get('project')}/zones/{query['zone']}/instances/{query.get('instance')}"
        )
        let_in = machine is not None and any(
            "35.235.240.0/20" in rule["sourceRanges"]
            and set(rule.get("targetTags", [])) & set(machine["tags"]["items"])
            and query["port"] in rule["allowed"][0]["ports"]
            for rule in self.world.rules.values()
        )
        if machine is None or not let_in:
            return None
        session = _Session(f"session-{len(self.sessions)}")
        with contextlib.suppress(OSError):
            address, port = machine["networkInterfaces"][0]["networkIP"], int(query["port"])
            session.reader, session.writer = await asyncio.open_connection(address, port)
        self.sessions[session.sid] = session
        return session

    # -- the APIs ----------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.Response:
        service = request.match_info["service"]
        path = request.raw_path.partition("?")[0].split("/", 2)[2]  # what is quoted stays so
        who = request.headers.get("Authorization", "").removeprefix("Bearer ")
        text = await request.text()
        body = json.loads(text) if text else None
        call = {
            "who": who,
            "service": service,
            "path": path,
            "query": dict(request.query),
            "body": body,
        }
        self.calls.append(call)
        try:
            if not who:
                raise Refused(
                    401, "Request had invalid authentication credentials.", "UNAUTHENTICATED"
                )
            try:
                method = check(service, request.method, path, dict(request.query), body)
            except Wrong as error:
                raise Refused(400, str(error), "INVALID_ARGUMENT") from None
            call["id"] = method.id
            self._allowed(service, method.id, who)
            answer = self._do(service, method.id, path, dict(request.query), body, who)
            status = 200
        except Refused as error:
            status = error.status
            answer = {"error": {"code": status, "message": error.message, "status": error.reason}}
            if error.reason == "SERVICE_DISABLED":
                answer["error"]["details"] = [{"reason": error.reason}]
        call["status"] = status
        if (assassin := self.assassins.get(who)) is not None:
            assassin["after"] -= 1
            if assassin["after"] < 0:
                os.kill(self.assassins.pop(who)["pid"], signal.SIGKILL)
        return web.json_response(answer, status=status)

    def _allowed(self, service: str, method: str, who: str) -> None:
        if service in self.world.settings.disabled:
            said = f"{service}.googleapis.com API has not been used in project {NUMBER} before"
            said += " or it is disabled."
            raise Refused(403, said, "SERVICE_DISABLED")
        for permission in self.world.settings.denied:
            names = permission.split(".")
            if (
                who.startswith("driver")
                and service == names[0]
                and method.endswith(".".join(names[1:]))
            ):
                raise Refused(
                    403, f"Permission '{permission}' denied on resource.", "PERMISSION_DENIED"
                )

    def _do(
        self, service: str, method: str, path: str, query: dict[str, str], body: Any, who: str
    ) -> Any:
        world, url = self.world, self.url
        words = path.split("/")
        match method:
            case "run.projects.locations.workerPools.create":
                parent = path.removeprefix("v2/").removesuffix("/workerPools")
                self._project(words[2])
                return world.create_pool(
                    parent, query["workerPoolId"], body, query.get("validateOnly") == "true"
                )
            case "run.projects.locations.workerPools.list":
                self._project(words[2])
                parent = path.removeprefix("v2/")
                return {"workerPools": [p for n, p in world.pools.items() if n.startswith(parent)]}
            case "run.projects.locations.workerPools.get":
                return world.pool(path.removeprefix("v2/"))
            case "run.projects.locations.workerPools.delete":
                return world.delete_pool(path.removeprefix("v2/"))
            case "run.projects.locations.operations.wait":
                return world.operations[path.removeprefix("v2/").removesuffix(":wait")]
            case "compute.instances.insert":
                return world.create_machine(words[5], body, url)
            case "compute.instances.get":
                found = world.machines.get(path.removeprefix("compute/v1/"))
                if found is None:
                    raise Refused(404, f"The resource '{path}' was not found")
                return found
            case "compute.instances.delete":
                return world.delete_machine(path.removeprefix("compute/v1/"), url)
            case "compute.instances.aggregatedList":
                return self._machines(query)
            case (
                "compute.zoneOperations.get"
                | "compute.zoneOperations.wait"
                | "compute.globalOperations.wait"
            ):
                return world.operations[path.removeprefix("compute/v1/").removesuffix("/wait")]
            case "run.projects.locations.jobs.create":
                self._project(words[2])
                parent = path.removeprefix("v2/").removesuffix("/jobs")
                dry = query.get("validateOnly") == "true"
                return world.create_job(parent, query["jobId"], body, dry)
            case "run.projects.locations.jobs.run":
                return world.run_job(path.removeprefix("v2/").removesuffix(":run"))
            case "run.projects.locations.jobs.list":
                return {"jobs": list(world.jobs.values())}
            case "run.projects.locations.jobs.delete":
                return world.delete_job(path.removeprefix("v2/"))
            case "run.projects.locations.jobs.executions.cancel":
                return world.cancel_execution(path.removeprefix("v2/"))
            case "compute.firewalls.insert":
                return world.create_rule(body, url)
            case "compute.firewalls.delete":
                return world.delete_rule(words[-1], url)
            case "compute.firewalls.list":
                pattern = re.search(r'name eq "(.*)"', query.get("filter", 'name eq ".*"'))
                assert pattern is not None
                return {"items": [r for n, r in world.rules.items() if re.fullmatch(pattern[1], n)]}
            case "compute.subnetworks.get":
                return self._subnetwork(words)
            case "compute.regions.get":
                self._project(words[3])
                if words[5] != "us-central1":
                    raise Refused(
                        404, f"The resource 'projects/{PROJECT}/regions/{words[5]}' was not found"
                    )
                zones = [f"{url}/zones/{words[5]}-{letter}" for letter in ZONES]
                quota = {"metric": "CPUS", "limit": 24.0, "usage": 0.0}
                return {"name": words[5], "zones": zones, "quotas": [quota]}
            case "secretmanager.projects.secrets.create":
                return world.create_secret(query["secretId"], body)
            case "secretmanager.projects.secrets.setIamPolicy":
                (binding,) = body["policy"]["bindings"]
                world.secret(words[-1].partition(":")[0])["readers"] = binding["members"]
                return body["policy"]
            case "secretmanager.projects.secrets.addVersion":
                return world.add_version(words[-1].partition(":")[0], body["payload"]["data"])
            case "secretmanager.projects.secrets.versions.access":
                return world.access(
                    words[4], words[-1].partition(":")[0], who.removeprefix("account:")
                )
            case "secretmanager.projects.secrets.delete":
                world.secret(words[-1])
                del world.secrets[f"projects/{NUMBER}/secrets/{words[-1]}"]
                return {}
            case "secretmanager.projects.secrets.list":
                _, _, rest = query["filter"].partition("labels.")
                name, _, value = rest.partition("=")
                bodies = [each["body"] for each in world.secrets.values()]
                return {
                    "secrets": [
                        each for each in bodies if each.get("labels", {}).get(name) == value
                    ]
                }
            case "cloudresourcemanager.projects.get":
                self._project(words[2])
                return {"name": f"projects/{NUMBER}", "projectId": PROJECT, "state": "ACTIVE"}
            case "cloudresourcemanager.projects.testIamPermissions":
                self._project(words[2].partition(":")[0])
                denied = world.settings.denied
                return {"permissions": [each for each in body["permissions"] if each not in denied]}
            case "iam.projects.serviceAccounts.testIamPermissions":
                denied = world.settings.denied
                return {"permissions": [each for each in body["permissions"] if each not in denied]}
            case "serviceusage.services.list":
                off = {f"{each}.googleapis.com" for each in world.settings.disabled}
                names = ("run", "compute", "secretmanager", "artifactregistry", "logging", "iap")
                on = [
                    f"{each}.googleapis.com"
                    for each in names
                    if f"{each}.googleapis.com" not in off
                ]
                return {"services": [{"config": {"name": each}, "state": "ENABLED"} for each in on]}
            case "artifactregistry.projects.locations.repositories.packages.tags.get":
                tag, package = words[-1], words[8]
                digest = self.images.get(f"{words[6]}/{package}:{tag}")
                if digest is None:
                    raise Refused(404, "Requested entity was not found.", "NOT_FOUND")
                return {
                    "name": path.removeprefix("v1/"),
                    "version": f"{path[3:].partition('/tags')[0]}/versions/{digest}",
                }
            case "container.projects.locations.clusters.get":
                self._project(words[2])
                found = self.clusters.get(path.removeprefix("v1/"))
                if found is None:
                    raise Refused(404, f"Not found: {path[3:]}.", "NOT_FOUND")
                return found
            case "logging.entries.list":
                return {"entries": self._entries(body)}
        raise Refused(501, f"the testbed does not know {method}")

    def _project(self, name: str) -> None:
        if name not in (PROJECT, NUMBER):
            raise Refused(403, f"Permission denied on resource project {name}.", "CONSUMER_INVALID")

    def _machines(self, query: dict[str, str]) -> Any:
        _, _, rest = query["filter"].partition("labels.")
        name, _, value = rest.partition("=")
        found: dict[str, Any] = {}
        for path, machine in self.world.machines.items():
            if machine["labels"].get(name) == value:
                zone = path.split("/")[3]
                found.setdefault(f"zones/{zone}", {"instances": []})["instances"].append(machine)
        return {"items": found}

    def _subnetwork(self, words: list[str]) -> Any:
        self._project(words[3])
        if words[-1] not in ("default", "workers"):
            raise Refused(404, f"The resource 'subnetworks/{words[-1]}' was not found")
        return {
            "name": words[-1],
            "network": f"{self.url}/compute/compute/v1/projects/{PROJECT}/global/networks/default",
            "ipCidrRange": "10.128.0.0/20",
            "privateIpGoogleAccess": not self.world.settings.no_private_access,
        }

    def _entries(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Understand the filters that the product sends, and no others."""
        text = body["filter"]
        pools = re.findall(r'worker_pool_name(=~?)"([^"]*)"', text)
        jobs = re.findall(r'job_name(=~?)"([^"]*)"', text)
        machines = re.findall(r'instance\.name(=~?)"([^"]*)"', text)
        since = re.search(r'timestamp>="([^"]*)"', text)
        payloads = re.findall(r'textPayload:"([^"]*)"', text)

        def fits(relation: str, wanted: str, name: str | None) -> bool:
            return name is not None and (
                bool(re.search(wanted, name)) if relation == "=~" else name == wanted
            )

        found = []
        for entry in self.world.logs:
            pool = entry["resource"]["labels"].get("worker_pool_name")
            machine = entry.get("jsonPayload", {}).get("instance", {}).get("name")
            job = entry["resource"]["labels"].get("job_name")
            shown = (
                any(fits(r, w, pool) for r, w in pools)
                or any(fits(r, w, machine) for r, w in machines)
                or any(fits(r, w, job) for r, w in jobs)
            )
            late = since is None or entry["timestamp"] >= since[1]
            written = entry.get("textPayload", "")
            said = not payloads or any(each in written for each in payloads)
            if shown and late and said:
                found.append(entry)
        if body.get("orderBy", "").endswith("desc"):
            found.reverse()
        return found[: body.get("pageSize", 50)]

    # -- what tests ask ----------------------------------------------------------------------------------

    async def _testbed(self, request: web.Request) -> web.Response:
        word = request.match_info["word"]
        data = await request.json() if request.method == "POST" else None
        world, answer = self.world, None
        if word == "calls":
            answer = self.calls
        elif word == "state":
            answer = {
                "pools": world.pools,
                "machines": world.machines,
                "jobs": world.jobs,
                "secrets": {name: each["body"] for name, each in world.secrets.items()},
                "rules": world.rules,
                "instances": {
                    each.id: {
                        "address": each.address,
                        "alive": each.alive,
                        "member": each.member,
                    }
                    for each in world.instances.values()
                },
                "logs": world.logs,
            }
        elif word == "settings":
            world.settings = Settings(**{**vars(world.settings), **data})
        elif word == "images":
            self.images.update(data)
        elif word == "clusters":
            known = document("container")["schemas"]["Cluster"]["properties"]
            assert all(set(each) <= set(known) for each in data.values())
            self.clusters.update(data)
        elif word == "tokeninfo":
            token = request.query["access_token"]
            if token.startswith("account:"):
                answer = {"email": token.removeprefix("account:")}
            elif token == "driver":
                answer = {"email": f"driver@{PROJECT}.iam.gserviceaccount.com"}
            else:
                raise web.HTTPBadRequest
        elif word == "kill":
            world.instances[data["id"]].kill()
        elif word == "assassin":
            self.assassins[data.pop("who", "driver")] = data
        elif word == "cut":
            for transport in list(self.sockets):
                transport.abort()
        elif word == "scale":
            world.scale_pool(data["pool"], data["count"])
        elif word == "reset":
            await world.close()
            for store in (
                world.pools,
                world.machines,
                world.jobs,
                world.secrets,
                world.rules,
                world.logs,
                world.running,
                world.instances,
                self.calls,
            ):
                store.clear()
            self.clusters.clear()
            world.settings = Settings()
        return web.json_response(answer, dumps=lambda each: json.dumps(each, default=str))


__all__ = ["ACCOUNT", "Server"]
