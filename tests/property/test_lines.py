"""Lines for all texts: they read back, and stay within their limit."""

from hypothesis import given
from hypothesis import strategies as st

from federation.api.lines import LINE_LIMIT, parse_line, print_line

KEYS = st.from_regex(r"[a-z][a-zA-Z.]{0,8}", fullmatch=True).filter(lambda key: key != "cut")
TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)


@given(st.dictionaries(KEYS, TEXT, max_size=6))
def test_what_fits_reads_back(fields: dict[str, str]) -> None:
    text = print_line(fields)
    if "cut" not in parse_line(text):
        assert parse_line(text) == fields


@given(st.dictionaries(KEYS, st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=400), max_size=6))
def test_a_line_never_exceeds_its_limit_and_keeps_whole_prefixes(fields: dict[str, str]) -> None:
    text = print_line(fields)
    assert len(text.encode()) <= LINE_LIMIT
    found = parse_line(text)
    found.pop("cut", None)
    assert all(fields[key].startswith(value) for key, value in found.items())
