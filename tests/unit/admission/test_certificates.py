"""Certificates: made, renewed in time, followed by an authority that is trusted before it signs."""

import base64
import datetime as dt
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from federation.admission.certificates import (
    AUTHORITY_KEY,
    BUNDLE,
    NEXT,
    SERVING_KEY,
    Lifetimes,
    Material,
    data_of,
    keep,
    read,
)

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
HOST = "hub.test"


def made(at: dt.datetime = NOW) -> Material:
    return keep(None, host=HOST, now=at)


def verified(material: Material, *, by: bytes | None = None, at: dt.datetime = NOW) -> bool:
    """Whether whoever trusts `by` takes what is served at that moment."""
    served = material.serving.certificate
    for authority in x509.load_pem_x509_certificates(material.bundle if by is None else by):
        if authority.subject == served.issuer and authority.not_valid_before_utc <= at <= authority.not_valid_after_utc:
            key = authority.public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            assert served.signature_hash_algorithm is not None
            key.verify(served.signature, served.tbs_certificate_bytes, ec.ECDSA(served.signature_hash_algorithm))
            return served.not_valid_before_utc <= at <= served.not_valid_after_utc
    return False


def stored(material: Material) -> dict[str, str]:
    return {key: value for key, value in data_of(material).items() if value}


def test_what_is_made_first_is_an_authority_and_a_certificate_that_it_signed() -> None:
    material = made()
    assert verified(material)
    name = material.serving.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert name.get_values_for_type(x509.DNSName) == [HOST]
    assert material.serving.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_an_address_is_named_as_an_address() -> None:
    found = keep(None, host="127.0.0.1", now=NOW).serving.certificate
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_nothing_is_made_anew_while_nothing_is_due() -> None:
    material = made()
    assert keep(material, host=HOST, now=NOW + 30 * DAY, published=material.bundle) == material


def test_a_secret_holds_all_of_it_and_no_more() -> None:
    material = made()
    again = read(stored(material))
    assert again is not None
    assert data_of(again) == data_of(material)
    assert keep(again, host=HOST, now=NOW + DAY) == again


def test_the_serving_certificate_is_renewed_by_the_same_authority_once_two_thirds_of_its_life_are_over() -> None:
    material = made()
    later = keep(material, host=HOST, now=NOW + 61 * DAY, published=material.bundle)
    assert later.bundle == material.bundle
    assert later.serving.certificate.serial_number != material.serving.certificate.serial_number
    assert verified(later, at=NOW + 100 * DAY)


def test_another_name_is_another_certificate() -> None:
    material = made()
    assert keep(material, host="127.0.0.1", now=NOW + DAY).serving != material.serving


def test_an_authority_is_followed_without_a_moment_in_which_a_client_refuses() -> None:
    """Clients trust what was published at the look before; each look is a minute after the last one."""
    lifetimes = Lifetimes()
    material, published, now = made(), b"", NOW
    authorities = set()
    while now < NOW + lifetimes.authority * 2:
        trusted, before = published, material
        material = keep(material, host=HOST, now=now, published=published, lifetimes=lifetimes)
        published = material.bundle
        if trusted:
            assert verified(material, by=trusted, at=now), now
        assert verified(material, by=published, at=now)
        assert verified(before, by=published, at=now), "a replica that has not read the new one yet"
        assert len(material.trusted) <= 3
        authorities.add(material.authority.certificate.serial_number)
        now += dt.timedelta(minutes=1) if material.next else DAY
    assert len(authorities) >= 3


@pytest.mark.parametrize("why", ["not published", "published a moment ago"])
def test_a_new_authority_does_not_sign_before_api_servers_know_it(why: str) -> None:
    material = made()
    due = NOW + 500 * DAY
    following = keep(material, host=HOST, now=due, published=material.bundle)
    assert following.next is not None
    published, at = (material.bundle, due + DAY) if why == "not published" else (following.bundle, due)
    later = keep(following, host=HOST, now=at, published=published)
    assert later.authority == material.authority
    assert verified(later, by=material.bundle, at=at)


def test_after_everything_has_ended_all_is_made_anew() -> None:
    later = NOW + 4000 * DAY
    material = keep(made(), host=HOST, now=later)
    assert verified(material, at=later)
    assert len(material.trusted) == 1


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


BROKEN: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "nothing": lambda _: {},
    "no key": lambda data: {key: value for key, value in data.items() if key != SERVING_KEY},
    "a key of somebody else": lambda data: {**data, AUTHORITY_KEY: stored(made())[AUTHORITY_KEY]},
    "no base64": lambda data: {**data, BUNDLE: "%"},
    "no certificate": lambda data: {**data, BUNDLE: base64_of("hello")},
    "a next one without its key": lambda data: {**data, NEXT: data[BUNDLE]},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_secret_that_does_not_fit_together_counts_as_empty(name: str) -> None:
    assert read(BROKEN[name](stored(made()))) is None
