"""The certificates of one run: who holds one of them belongs to it, and nobody else gets anywhere.

A certificate authority is made for each run and forgotten at once; it has signed one certificate for the
members and one for the driver. Both end soon after the fleet must have ended. Keys are on the curve P-256, so
that a run's documents are small enough for every secret store.

The library `cryptography` makes them, as it does for Dask's own temporary certificates.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from scalable_core.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Security

#: Seconds before now from which they hold, for clocks that are late, and after the end of the fleet.
SKEW = 3600.0


@frozen(kw_only=True, repr=False)
class Certificates:
    """PEM texts: the authority's certificate, and certificates with their keys. Never printed.

    Attributes:
        ca: What both ends check the other's certificate against.
        member_cert: Of scheduler and workers, good for both ends of a connection.
        member_key: Its key.
        driver_cert: Of whoever drives the fleet, good for the calling end only.
        driver_key: Its key.
    """

    ca: str
    member_cert: str
    member_key: str
    driver_cert: str
    driver_key: str

    def member_document(self) -> dict[str, str]:
        """Return what members read at the rendezvous."""
        return {"ca": self.ca, "cert": self.member_cert, "key": self.member_key}

    def driver_security(self) -> Security:
        """Return what a client of the fleet needs."""
        return _security(self.ca, client=(self.driver_cert, self.driver_key))

    def member_security(self) -> Security:
        """Return what a scheduler or worker in this process needs."""
        pair = (self.member_cert, self.member_key)
        return _security(self.ca, client=pair, scheduler=pair, worker=pair)


def make_certificates(run: str, lifetime: float) -> Certificates:
    """Make the certificates of a run.

    Args:
        run: Its id, which they name.
        lifetime: Seconds for which the fleet may live.

    Raises:
        ClusterError: The library is missing.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise ClusterError(
            "workers elsewhere need certificates, and the library cryptography that makes them is missing",
            cure="pip install 'scalable-core[fleet]'",
        ) from None
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _sign(f"{run} authority", authority_key, None, authority_key, lifetime, ca=True)
    parts = {}
    for who, server in (("member", True), ("driver", False)):
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _sign(f"{run} {who}", key, authority, authority_key, lifetime, server=server)
        parts[f"{who}_cert"], parts[f"{who}_key"] = _pem(cert), _pem_key(key)
    return Certificates(ca=_pem(authority), **parts)


def _sign(
    name: str,
    key: Any,
    issuer: Any,
    issuer_key: Any,
    lifetime: float,
    *,
    ca: bool = False,
    server: bool = False,
) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=SKEW))
        .not_valid_after(now + datetime.timedelta(seconds=lifetime + SKEW))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    )
    if not ca:
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        uses += [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    text: bytes = certificate.public_bytes(Encoding.PEM)
    return text.decode()


def _pem_key(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    text: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return text.decode()


def _security(ca: str, **roles: tuple[str, str]) -> Security:
    from distributed import Security

    pairs = {f"tls_{role}_cert": cert for role, (cert, _) in roles.items()}
    keys = {f"tls_{role}_key": key for role, (_, key) in roles.items()}
    security: Security = Security(require_encryption=True, tls_ca_file=ca, **pairs, **keys)
    return security
