"""The certificates of one cluster: a CA, a serving certificate, client certificates, and the service account key."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = dt.timedelta(days=1)


class Authority:
    """A CA whose files lie in one directory; files that are there already are used."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        key_file, certificate_file = directory / "ca.key", directory / "ca.crt"
        if not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("federation-lab")
            certificate = _builder(name, name, key.public_key(), authority=True).sign(key, hashes.SHA256())
            _write_key(key_file, key)
            certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        self._certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())

    def issue(self, file: str, *, user: str, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> None:
        """Write FILE.crt and FILE.key: a client certificate, and with `hosts` a serving one too."""
        certificate_file = self.directory / f"{file}.crt"
        if certificate_file.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(user, groups), self._certificate.subject, key.public_key(), authority=False)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())  # type: ignore[arg-type]
        _write_key(self.directory / f"{file}.key", key)
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def service_account_key(self) -> None:
        """Write sa.key and sa.pub, which sign and check service account tokens."""
        if (self.directory / "sa.pub").exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(self.directory / "sa.key", key)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.directory / "sa.pub").write_bytes(public)


def _name(common: str, groups: tuple[str, ...] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 3650 * _DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
