"""What AWS refuses, in a sentence with a cure: who may not do what, and which permission is missing."""

from __future__ import annotations

from attrs import frozen

from scalable_aws import client as aws

_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AllAccessDisabled",
    "AccountProblem",
    "403",
    "Forbidden",
}
_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "TokenRefreshRequired",
}
_UNKNOWN = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidToken",
    "AuthFailure",
}
_LOGIN = "run 'aws configure' or 'aws sso login', or set AWS_PROFILE to a profile that works"


@frozen(kw_only=True)
class Refusal:
    """Why a call failed.

    Attributes:
        reason: The end of a sentence that says what was to be done.
        cure: What mends it.
    """

    reason: str
    cure: str


def refusal(error: BaseException, *, permission: str, resource: str) -> Refusal:
    """Return why AWS, or the way to it, refuses a call.

    Args:
        error: What the call raised.
        permission: What the call needs, such as ``s3:PutObject``.
        resource: On what, as a policy writes it, such as ``arn:aws:s3:::bucket/key``.
    """
    code = aws.code_of(error)
    said = " ".join(str(error.response["Error"].get("Message", "")).split()) if code else ""  # type: ignore[attr-defined]
    if code in _EXPIRED:
        return Refusal(reason="the AWS credentials have expired", cure=_LOGIN)
    if code in _UNKNOWN:
        return Refusal(reason=f"AWS does not know these credentials ({code})", cure=_LOGIN)
    if code == "RequestTimeTooSkewed":
        return Refusal(
            reason="the clock of this machine is wrong, and AWS refuses its signatures",
            cure="set the clock, for example with 'timedatectl set-ntp true'",
        )
    if code in _DENIED or aws.status_of(error) == 403:
        return Refusal(
            reason=f"AWS denies {permission} ({code}: {said})",
            cure=f"allow {permission} on {resource}, or use other credentials (AWS_PROFILE)",
        )
    if code and aws.passes(error):
        return Refusal(
            reason=f"AWS still answers {code} after {aws.PATIENCE.attempts} attempts",
            cure="try again later; nothing was left half done",
        )
    if code == "PermanentRedirect":
        return Refusal(reason="it is in another region", cure="set AWS_REGION to its region")
    if code:
        return Refusal(
            reason=f"AWS refuses {permission} ({code}: {said})", cure="change what it names"
        )
    return _no_answer(error)


def _no_answer(error: BaseException) -> Refusal:
    """Say why there was no answer at all."""
    name, said = type(error).__name__, " ".join(str(error).split())
    if name == "NoCredentialsError":
        return Refusal(reason="there are no AWS credentials", cure=_LOGIN)
    if "SSO" in name or "Token" in name or "Credential" in name or "Profile" in name:
        return Refusal(reason=f"the AWS credentials cannot be used: {said}", cure=_LOGIN)
    if name == "NoRegionError":
        return Refusal(
            reason="no AWS region is set", cure="set AWS_REGION, for example to us-east-1"
        )
    where = getattr(error, "kwargs", {}).get("endpoint_url", "")
    cause = error if isinstance(error, OSError) or not error.__context__ else error.__context__
    said = getattr(cause, "strerror", None) or " ".join(str(cause).split()) or "it took too long"
    at = f" at {'/'.join(where.split('/')[:3])}" if where else ""
    return Refusal(
        reason=f"AWS cannot be reached{at}: {said}",
        cure="look at the network, at AWS_ENDPOINT_URL and at HTTPS_PROXY",
    )
