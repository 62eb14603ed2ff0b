"""What an account is by itself, where moto knows less than AWS: a way out, quotas, permissions."""

from __future__ import annotations

import base64
from typing import Any

import moto.ecr.responses as ecr
import moto.iam.responses as iam
from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend

#: Quota code to its value; a code that is not here is one that the account has no entry for.
quotas: dict[str, float] = {}
#: What simulations say that nobody in the account may do.
denied: set[str] = set()

_QUOTAS = {
    "L-3032A538": 4000.0,
    "L-36FBB829": 4000.0,
    "L-1216C47A": 4000.0,
    "L-34B43A08": 4000.0,
}


def reset() -> None:
    """Begin with generous quotas, and all permissions."""
    quotas.clear()
    quotas.update(_QUOTAS)
    denied.clear()


def correct() -> None:
    """Put right what moto lacks."""
    reset()
    EC2Backend.create_default_vpc = _with_gateway(EC2Backend.create_default_vpc)
    ServiceQuotasBackend.get_service_quota = _quota
    iam.IamResponse.simulate_principal_policy = _simulate
    ecr.ECRResponse.get_authorization_token = _token


def _with_gateway(create: Any) -> Any:
    def create_default_vpc(self: Any) -> Any:
        vpc = create(self)
        gateway = self.create_internet_gateway()
        self.attach_internet_gateway(gateway.id, vpc.id)
        (table,) = self.describe_route_tables(filters={"vpc-id": [vpc.id]})
        self.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)
        return vpc

    return create_default_vpc


def _quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
    if quota_code not in quotas:
        raise NoSuchResource
    return {
        "ServiceCode": service_code,
        "QuotaCode": quota_code,
        "QuotaName": f"vCPU of {service_code}",
        "Value": quotas[quota_code],
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _token(self: Any) -> ActionResult:
    """Answer with a token that says whose it is, since the registry asks IAM about who has it."""
    user = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
    token = base64.b64encode(f"AWS:{user}".encode()).decode()
    return ActionResult({"authorizationData": [{"authorizationToken": token}]})


def _simulate(self: Any) -> ActionResult:
    resources = self._get_param("ResourceArns", []) or ["*"]
    results = []
    for action in self._get_param("ActionNames", []):
        decision = "implicitDeny" if action in denied else "allowed"
        results.append(
            {
                "EvalActionName": action,
                "EvalResourceName": resources[0],
                "EvalDecision": decision,
                "MatchedStatements": [],
                "MissingContextValues": [],
                "ResourceSpecificResults": [
                    {"EvalResourceName": arn, "EvalResourceDecision": decision} for arn in resources
                ],
            }
        )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})
