"""The local AWS: moto's server, corrected, with an agent that runs members, a recorder and faults on demand.

What AWS does not have is below ``/testbed/``:

    GET  calls                the calls so far: service, action, parameters, status, access key, time
    POST forget               drops them
    POST capacity             {"FARGATE_SPOT": 3}: so many tasks at one time; an empty object for no limits
    POST quotas               {"L-3032A538": 6}: all quotas that there are, by code
    POST denied               ["ecs:RunTask", ...]: what simulations say that nobody may do
    POST permits              {"AKIA...": policy}: all that users may do, and members what their roles allow
    GET  used/<key>           what of a user's policy has allowed something: statement, action, resource
    POST pull                 {"key": ..., "action": "BatchGetImage", "region": ..., "repository": ...}: what
                              the registry of ECR asks for whoever has a token; answers what is not allowed
    POST interrupt            {"tasks": [arn, ...], "code": "SpotInterruption"}: what Spot does to them
    POST notice               {"instances": [id, ...]}: what Spot tells machines beforehand
    POST kill                 {"tasks": [arn, ...]}: what too little memory does to them
    POST rates                true: calls that come faster than AWS takes them are refused, from now on
    GET  rates                how many were
    POST faults               [{"service": "ecs", "action": "RunTask", "code": "ThrottlingException",
                              "status": 400, "share": 0.1, "seconds": 0, "times": null, "key": null}, ...]
    POST assassin             {"key": "AKIA...", "after": 7, "pid": 4711}: SIGKILL once that user's 7th call has
                              been carried out, before it is answered; with "at": "ecs:RunTask" only
                              such calls count, and with "on": "/ledger/" those that have it in what they say
    POST eks                  {"name": ..., "endpoint": ..., "ca": ...}: what answers for a cluster of EKS
    GET  victims              user to the call after which its driver was killed, and its number among its like
    GET  unanswered/KEY       how many calls of a user are still being carried out
    GET  clock                seconds that tasks take to begin and to end
    POST clock                {"provision": 0, "pull": 0, "teardown": 0}: others from now on
    GET  processes            ids of the members that are processes
    GET  metadata/<task>      what a container of a task asks about itself
    GET  credentials/<task>   those of a task's role
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import threading
import time
import urllib.parse
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")

from aws.agent import Agent, Clock
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.serving import WSGIRequestHandler, make_server

from aws import account, ecs, machines, permits, rates, registry
from scalable_core.testing import Hive

#: Bodies of S3 are data; so much of them is noted.
_NOTED = 20000


@dataclass
class Call:
    """One call as the server saw it."""

    time: float
    key: str
    service: str
    action: str
    parameters: str
    status: int = 0


class LocalAws:
    """The server with its agent, as a context manager.

    Args:
        folder: For logs of members.
        port: To listen on; any that is free when 0.
        clock: How long the service takes.
        hive: Members are many in one process, instead of a process each.
        apart: As of `Agent`.
    """

    def __init__(
        self, folder: Path, port: int, clock: Clock, *, hive: bool, apart: bool = False
    ) -> None:
        self.calls: list[Call] = []
        self.faults: list[dict[str, Any]] = []
        self.assassins: list[dict[str, Any]] = []
        self.policies: dict[str, list[dict[str, Any]]] = {}
        self.used: defaultdict[str, set[permits.Use]] = defaultdict(set)
        self.victims: dict[str, tuple[str, int]] = {}
        self.throttle: rates.Throttle | None = None
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._turns: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        ecs.correct()
        account.correct()
        machines.correct()
        self._server = make_server(
            "127.0.0.1", port, self._answer, threaded=True, request_handler=_Handler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._hive = Hive(folder / "hive.log") if hive else None
        self.agent = Agent(folder, self.url, clock, self._hive, apart=apart)
        self.machines = machines.Machines(folder, self.url)

    def serve(self) -> None:
        """Serve until `close`."""
        self.agent.start()
        self.machines.start()
        self._server.serve_forever()

    def close(self) -> None:
        """End all members."""
        self.agent.close()
        self.machines.close()
        if self._hive is not None:
            self._hive.close()

    # -- answers -----------------------------------------------------------------------------------------

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/testbed/imds/"):
            token = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN")
            asked = path.removeprefix("/testbed/imds/")
            text = self.machines.imds(asked, environ["REQUEST_METHOD"], token)
            data = (text or "").encode()
            status = "404 Not Found" if text is None else "200 OK"
            start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
            return [data]
        if path.startswith("/testbed/"):
            return self._control(path.removeprefix("/testbed/"), environ, start)
        if path.startswith("/v2/"):
            return registry.answer(path, start)
        if path.startswith("/moto-api"):
            return self._app(environ, start)
        _sign(environ)
        call = _note(environ)
        with self._lock:
            self.calls.append(call)
            fault = self._fault(call)
        refused = self._refused(call, environ) if self.policies else None
        if refused is not None:
            call.status = 403
            code = {"ec2": "UnauthorizedOperation", "iam": "AccessDenied", "s3": "AccessDenied"}
            code = code.get(call.service, "AccessDeniedException")
            return _refuse(call, code, start, f"{call.key} {refused}")
        if self.throttle is not None and self.throttle.refuses(call.action, call.parameters):
            call.status = 400
            return _refuse(call, "ThrottlingException", start)
        if fault is not None:
            time.sleep(fault.get("seconds") or 0)
            if fault.get("code"):
                call.status = fault.get("status") or 400
                self._strike(call)
                return _refuse(call, fault["code"], start)
        status: list[str] = []

        def begin(line: str, headers: Any, info: Any = None) -> Any:
            status.append(line)
            return start(line, headers, info)

        # What moto keeps of a service is not made for several threads; bodies of S3 may take their time.
        with contextlib.nullcontext() if call.service == "s3" else self._turns[call.service]:
            answer = list(self._app(environ, begin))
        call.status = int(status[0].split()[0])
        self._strike(call)
        return answer

    def _fault(self, call: Call) -> dict[str, Any] | None:
        for fault in self.faults:
            fits = all(
                fault.get(name) in (None, getattr(call, name))
                for name in ("service", "action", "key")
            )
            if fits and fault.get("times") != 0 and random.random() < fault.get("share", 1.0):
                if fault.get("times"):
                    fault["times"] -= 1
                return fault
        return None

    def _refused(self, call: Call, environ: dict[str, Any]) -> str | None:
        """Return what is not allowed, if this one's policy is known."""
        scope = environ["HTTP_AUTHORIZATION"].partition("Credential=")[2].split("/")
        kept = environ["wsgi.input"]
        body = kept.getvalue().decode("utf-8", "replace") if isinstance(kept, io.BytesIO) else ""
        question = permits.Question(
            call.service, call.action, scope[2], body, environ["PATH_INFO"], environ["QUERY_STRING"]
        )
        return self._lacks(call.key, question)

    def _lacks(self, key: str, question: permits.Question) -> str | None:
        held = self.policies.get(key)
        if held is None and key.startswith("ASIA"):
            held = permits.statements_of_member(key)
        return None if held is None else permits.missing(question, held, self.used[key])

    def _strike(self, call: Call) -> None:
        """Kill a driver whose time has come."""
        with self._lock:
            for assassin in self.assassins:
                name = f"{call.service}:{call.action}"
                fits = assassin["key"] == call.key and assassin.get("at") in (None, name)
                if fits and assassin.get("on", "") in call.parameters:
                    assassin["after"] -= 1
                    if assassin["after"] == 0:
                        alike = (call.key, call.service, call.action)
                        done = [(c.key, c.service, c.action) for c in self.calls if c.status]
                        self.victims[call.key] = (name, done.count(alike))
                        os.kill(assassin["pid"], signal.SIGKILL)

    def _control(self, path: str, environ: dict[str, Any], start: Any) -> Any:
        word, _, rest = path.partition("/")
        if environ["REQUEST_METHOD"] == "POST":
            size = int(environ.get("CONTENT_LENGTH") or 0)
            data = json.loads(environ["wsgi.input"].read(size) or b"null")
            answer = getattr(self, f"_post_{word}")(data, *([rest] if rest else []))
        else:
            answer = getattr(self, f"_get_{word}")(rest)
        text = json.dumps(answer).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]

    def _get_calls(self, _: str) -> Any:
        return [asdict(call) for call in self.calls]

    def _get_victims(self, _: str) -> Any:
        return self.victims

    def _get_unanswered(self, key: str) -> Any:
        return sum(call.key == key and not call.status for call in self.calls)

    def _get_clock(self, _: str) -> Any:
        return asdict(self.agent.clock)

    def _get_processes(self, _: str) -> Any:
        return [*self.agent.process_ids(), *self.machines.process_ids()]

    def _get_metadata(self, task: str) -> Any:
        (found,) = (each for each in ecs.all_tasks() if each.id == task)
        address = ecs.interface(found)["privateIPv4Address"]
        return {
            "Name": "member",
            "Labels": {"com.amazonaws.ecs.task-arn": found.task_arn},
            "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [address]}],
        }

    def _get_credentials(self, task: str) -> Any:
        return {
            "RoleArn": "",
            "AccessKeyId": f"ASIA{task[:16].upper().replace('-', '')}",
            "SecretAccessKey": "member",
            "Token": "member",
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)),
        }

    def _post_forget(self, _: Any) -> None:
        self.calls.clear()
        account.reset()

    def _post_eks(self, order: dict[str, str]) -> None:
        from moto.eks.models import eks_backends

        for backend in eks_backends["123456789012"].values():
            for cluster in backend.clusters.values():
                if cluster.name == order["name"]:
                    cluster.endpoint = order["endpoint"]
                    cluster.certificate_authority = {"data": order["ca"]}

    def _post_capacity(self, limits: dict[str, int]) -> None:
        ecs.capacity.clear()
        ecs.capacity.update(limits)

    def _post_quotas(self, quotas: dict[str, float]) -> None:
        account.quotas.clear()
        account.quotas.update(quotas)

    def _post_denied(self, actions: list[str]) -> None:
        account.denied.clear()
        account.denied.update(actions)

    def _post_permits(self, policies: dict[str, dict[str, Any]]) -> None:
        self.policies = {key: policy["Statement"] for key, policy in policies.items()}

    def _get_used(self, key: str) -> Any:
        return sorted(self.used[key])

    def _post_pull(self, order: dict[str, str]) -> str | None:
        body = json.dumps({"repositoryName": order["repository"]})
        question = permits.Question("ecr", order["action"], order["region"], body)
        return self._lacks(order["key"], question)

    def _post_clock(self, seconds: dict[str, float]) -> None:
        self.agent.clock = Clock(**seconds)

    def _get_rates(self, _: str) -> Any:
        return self.throttle.refused if self.throttle else 0

    def _post_rates(self, kept: bool) -> None:
        self.throttle = rates.Throttle() if kept else None

    def _post_faults(self, faults: list[dict[str, Any]]) -> None:
        self.faults = faults

    def _post_assassin(self, order: dict[str, Any]) -> None:
        self.assassins.append(order)

    def _post_interrupt(self, order: dict[str, Any]) -> None:
        for task in ecs.all_tasks():
            if task.task_arn in order["tasks"]:
                code = order.get("code", "SpotInterruption")
                ecs.ask_to_stop(task, "Your Spot Task was interrupted.", code)

    def _post_shutdown(self, _: None, own: str) -> None:
        self.machines.end(own)

    def _post_notice(self, order: dict[str, Any]) -> None:
        for own in order["instances"]:
            self.machines.interrupt(own)

    def _post_kill(self, order: dict[str, Any]) -> None:
        for task in ecs.all_tasks():
            if task.task_arn in order["tasks"]:
                self.agent.kill(task)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *words: Any) -> None:
        pass


def _sign(environ: dict[str, Any]) -> None:
    """Let moto know whose a question to STS is that is signed in its address."""
    asked = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
    scope = asked.get("X-Amz-Credential", [""])[0]
    if "/sts/" in scope and "HTTP_AUTHORIZATION" not in environ:
        environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={scope}, Signature=x"


def _note(environ: dict[str, Any]) -> Call:
    """Return a request as a call, and leave its body to be read again."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    said = environ.get("HTTP_AUTHORIZATION", "")
    scope = said.partition("Credential=")[2].partition(",")[0].split("/")
    key, service = (scope[0], scope[3]) if len(scope) == 5 else ("", "")
    body = b""
    if service != "s3" and service:
        body = environ["wsgi.input"].read(size)
        environ["wsgi.input"] = io.BytesIO(body)
    text = body.decode("utf-8", "replace")[:_NOTED]
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    action = target.rpartition(".")[2]
    if service == "s3":
        action, text = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    elif not action:
        fields = urllib.parse.parse_qs(text)
        action = fields.get("Action", [environ["REQUEST_METHOD"]])[0]
    return Call(time.time(), key, service, action, text)


def _refuse(call: Call, code: str, start: Any, said: str = "as told") -> Any:
    if call.service in ("ec2", "iam", "sts"):
        error = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>"
        outer = "<Response><Errors>{}</Errors></Response>"
        if call.service != "ec2":
            outer = "<ErrorResponse>{}</ErrorResponse>"
        kind, text = "text/xml", outer.format(error)
    elif call.service == "s3":
        kind = "application/xml"
        text = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>"
    else:
        kind = "application/x-amz-json-1.1"
        text = json.dumps({"__type": code, "message": said})
    data = text.encode()
    start(f"{call.status} Refused", [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]
