"""Texts that many places print."""

from federation.api.words import first, listed, shares_text


def test_the_first_of_many_are_followed_by_how_many_more_there_are() -> None:
    assert first(["a", "b", "c"], 2) == ["a", "b", "and 1 more"]
    assert first(["a", "b"], 2) == ["a", "b"]
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert listed(["a", "b"], 2) == "a, b"


def test_shares_are_by_name_and_none_are_a_word() -> None:
    assert shares_text({"m2": 1, "m1": 0}) == "m1=0, m2=1"
    assert shares_text({}) == "nowhere"
    assert shares_text({}, nowhere="no cluster") == "no cluster"
