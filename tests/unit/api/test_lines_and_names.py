"""Machine-written lines, marks, names and quantities: small formats that outlive a version."""

from fractions import Fraction

import pytest

from federation.api.lines import LINE_LIMIT, Mark, parse_line, parse_mark, print_line, print_mark
from federation.api.naming import binding_name, short_hash
from federation.api.quantity import format_quantity, nanos, parse_quantity


def test_a_line_reads_back_as_it_was_written() -> None:
    fields = {"health": "Healthy", "error": 'he said "no" = \\never\\\nagain', "empty": ""}
    assert parse_line(print_line(fields)) == fields


def test_a_line_that_is_too_long_is_cut_inside_a_value_and_says_so() -> None:
    text = print_line({"reason": "Invalid", "error": "é" * 2000})
    assert len(text.encode()) <= LINE_LIMIT
    fields = parse_line(text)
    assert fields["cut"] == "true"
    assert fields["reason"] == "Invalid"
    assert set(fields["error"]) == {"é"}


def test_what_is_not_a_pair_is_skipped() -> None:
    assert parse_line("nonsense a=1 =x b=2") == {"a": "1", "b": "2"}


def test_a_mark_reads_back_and_anything_else_is_no_mark() -> None:
    mark = Mark(hub="h", binding="ns/b", template_uid="u", epoch=7, hash="x")
    assert parse_mark(print_mark(mark)) == mark
    assert parse_mark("hub=h binding=ns/b template=u epoch=seven hash=x") is None
    assert parse_mark("") is None


def test_equal_names_of_equal_kinds_in_two_groups_get_two_bindings() -> None:
    assert binding_name("apps", "Deployment", "shop", "web") != binding_name("other.io", "Deployment", "shop", "web")


@pytest.mark.parametrize("name", ["web", "x" * 253, "system:Weird/Name", "---"])
def test_a_binding_name_is_a_dns_name(name: str) -> None:
    made = binding_name("g", "Kind", "ns", name)
    assert len(made) <= 253
    assert all(char.isalnum() or char in "-." for char in made)
    assert made[0].isalnum()


def test_a_short_hash_fits_a_label() -> None:
    assert len(short_hash("anything")) == 16


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", Fraction(1, 10)),
        ("1.5", Fraction(3, 2)),
        ("2Gi", Fraction(2**31)),
        ("1e3", Fraction(1000)),
        ("2G", Fraction(2 * 10**9)),
        ("0", Fraction(0)),
    ],
)
def test_quantities_are_exact_and_read_back(text: str, value: Fraction) -> None:
    assert parse_quantity(text) == value
    assert parse_quantity(format_quantity(value)) == value


@pytest.mark.parametrize("text", ["", "abc", "1Q", "--1", "."])
def test_what_kubernetes_refuses_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1n", 1), ("0.1n", 1), ("100m", 10**8), ("2Gi", 2 * 2**30 * 10**9), ("0", 0)]
)
def test_billionths_round_up_as_kubernetes_does(text: str, value: int) -> None:
    assert nanos(text) == value
