"""A throw-away CA and the target's certificate; the private key never touches a disk."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from loopdiag.model.scenario import Tls
from loopdiag.model.value import Value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

LIFETIME = timedelta(days=30)
ADDRESSES = ("127.0.0.1", "::1")


class Identity(Value, frozen=True, kw_only=True):
    """Who the target is: its certificate and key, and the CA that alone vouches for it; all PEM."""

    ca: bytes
    certificate: bytes
    key: bytes


def issue(tls: Tls) -> Identity | None:
    """Make a new CA and a certificate for localhost, 127.0.0.1 and ::1 with a key of the asked kind; None for "off".

    trustme makes the CA; its own leaves know no RSA-4096, so that the leaf is made here, for every kind in one way.
    """
    if tls == "off":
        return None
    import trustme  # here: a target without TLS, and the parent, do without it
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    key = ec.generate_private_key(ec.SECP256R1()) if tls == "ecdsa-p256" else rsa.generate_private_key(65537, int(tls.removeprefix("rsa-")))
    ca = trustme.CA()
    ca_pem = ca.cert_pem.bytes()
    return Identity(
        ca=ca_pem,
        certificate=_leaf(ca_pem, ca.private_key_pem.bytes(), key),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _leaf(ca_pem: bytes, ca_key_pem: bytes, key: "rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    ca = x509.load_pem_x509_certificate(ca_pem)
    ca_key = load_pem_private_key(ca_key_pem, None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # trustme's default
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(address)) for address in ADDRESSES)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopdiag's embedded target")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)


@contextmanager
def memory_file(content: bytes) -> Iterator[str]:
    """A path under which `content` can be opened while the context lasts; it lies in memory alone, for this process alone."""
    descriptor = os.memfd_create("loopdiag")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def server_context(identity: Identity, protocol: str) -> ssl.SSLContext:
    """A server's context of the standard library with `protocol` as its only ALPN name, else all as by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with memory_file(identity.certificate) as certificate, memory_file(identity.key) as key:
        context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([protocol])
    return context
