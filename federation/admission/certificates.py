"""Certificates of our own: an authority that only our webhook configuration trusts, and the certificate that we serve with.

They live in one Secret, so that all replicas serve alike. Both are renewed once two thirds of their life are over. An
authority is followed by the next one without a failed request: first the next one is trusted too, then (once that is
published, and API servers had time to see it) it signs. What is trusted leaves the bundle when it has ended.

No I/O and no clock: `now` is an argument.
"""

import base64
import binascii
import datetime as dt
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BUNDLE, AUTHORITY_KEY = "ca.crt", "ca.key"
"""What to trust, the authority that signs first; and its key."""
NEXT, NEXT_KEY = "next.crt", "next.key"
"""The authority that signs from the end of a rotation on."""
SERVING, SERVING_KEY = "tls.crt", "tls.key"

_SKEW: Final = dt.timedelta(hours=1)
"""A certificate is valid this long before it is made, for API servers whose clocks are behind."""
_RENEW: Final = 1 / 3
"""Part of its life that a certificate has left when it is renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long things last."""

    authority: dt.timedelta = dt.timedelta(days=730)
    serving: dt.timedelta = dt.timedelta(days=90)
    settle: dt.timedelta = dt.timedelta(minutes=5)
    """A new authority is trusted for at least this long before it signs: API servers watch their configuration."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as text."""
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The key as text."""
        form, style = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(form, style, serialization.NoEncryption())


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All that the Secret holds."""

    authority: Pair
    serving: Pair
    trusted: tuple[x509.Certificate, ...]
    """The authority first, then the next one, and those before it until they end."""
    next: Pair | None = None

    @property
    def bundle(self) -> bytes:
        """What API servers are told to trust."""
        return b"".join(map(pem_of, self.trusted))


def pem_of(certificate: x509.Certificate) -> bytes:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def keep(
    material: Material | None,
    *,
    host: str,
    now: dt.datetime,
    published: bytes = b"",
    lifetimes: Lifetimes | None = None,
) -> Material:
    """What to have now: the same as before where nothing is due.

    `host`: the name or address that API servers call. `published`: the bundle that they are told to trust at this moment.
    """
    lifetimes = lifetimes or Lifetimes()
    if material is None or material.authority.certificate.not_valid_after_utc <= now:
        authority = _authority(now, lifetimes)
        serving = _serving(authority, host, now, lifetimes)
        return Material(authority=authority, serving=serving, trusted=(authority.certificate,))
    if material.next is None and _due(material.authority.certificate, now):
        material = replace(material, next=_authority(now, lifetimes))
    if material.next is not None and _may_sign(material.next, now, published, lifetimes):
        material = replace(material, authority=material.next, next=None)
    signing = material.authority.certificate
    first = [signing, *([material.next.certificate] if material.next else [])]
    trusted = [*first, *(one for one in material.trusted if one not in first and one.not_valid_after_utc > now)]
    material = replace(material, trusted=tuple(trusted))
    served = material.serving.certificate
    if _due(served, now) or served.issuer != signing.subject or _names(served) != _host(host):
        material = replace(material, serving=_serving(material.authority, host, now, lifetimes))
    return material


def read(data: Mapping[str, str]) -> Material | None:
    """The material of a Secret's data (base64). None where anything is missing or does not fit: then all is made anew."""
    try:
        pem = {key: base64.b64decode(text, validate=True) for key, text in data.items()}
        trusted = tuple(x509.load_pem_x509_certificates(pem[BUNDLE]))
        following = _pair(pem[NEXT], pem[NEXT_KEY]) if pem.get(NEXT) else None
        authority = _pair(pem_of(trusted[0]), pem[AUTHORITY_KEY])
        return Material(
            authority=authority, serving=_pair(pem[SERVING], pem[SERVING_KEY]), trusted=trusted, next=following
        )
    except (KeyError, ValueError, TypeError, binascii.Error):
        return None


def data_of(material: Material) -> dict[str, str | None]:
    """The Secret's data; None removes a key by merge patch."""
    following = material.next
    pem = {
        BUNDLE: material.bundle, AUTHORITY_KEY: material.authority.key_pem,
        SERVING: material.serving.certificate_pem, SERVING_KEY: material.serving.key_pem,
        NEXT: following.certificate_pem if following else None, NEXT_KEY: following.key_pem if following else None,
    }  # fmt: skip
    return {key: base64.b64encode(value).decode() if value else None for key, value in pem.items()}


def _may_sign(following: Pair, now: dt.datetime, published: bytes, lifetimes: Lifetimes) -> bool:
    made = following.certificate.not_valid_before_utc + _SKEW
    return following.certificate_pem in published and now >= made + lifetimes.settle


def _due(certificate: x509.Certificate, now: dt.datetime) -> bool:
    start, end = certificate.not_valid_before_utc + _SKEW, certificate.not_valid_after_utc
    return end - now <= (end - start) * _RENEW


def _pair(certificate: bytes, key: bytes) -> Pair:
    """Raises ValueError for what is no pair."""
    loaded, private = x509.load_pem_x509_certificate(certificate), serialization.load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != loaded.public_key():
        raise ValueError("not a pair")
    return Pair(loaded, private)


def _authority(now: dt.datetime, lifetimes: Lifetimes) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A name of its own: of two authorities in one bundle, clients look for the issuer by name.
    name = _name(f"federation-admission-{serial:x}"[:64])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key, serial, now, now + lifetimes.authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def _serving(authority: Pair, host: str, now: dt.datetime, lifetimes: Lifetimes) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    end = min(now + lifetimes.serving, issuer.not_valid_after_utc)
    certificate = (
        _builder(_name("federation-admission"), issuer.subject, key, x509.random_serial_number(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    now: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(serial).not_valid_before(now - _SKEW).not_valid_after(end)
    )  # fmt: skip


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _names(certificate: x509.Certificate) -> x509.GeneralName | None:
    """The one name that our serving certificates have; None for any other."""
    try:
        found = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return None
    return found[0] if len(found) == 1 else None
