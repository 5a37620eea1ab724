from federation.hub.execute.patience import EARLY, FIGHT_LIMIT, FIGHT_WINDOW, Patience

KEY, OTHER = ("shop", "web"), ("shop", "api")


def test_a_copy_that_is_unknown_is_early_for_a_moment_only() -> None:
    patience = Patience()
    assert patience.early(KEY, "m1", now=100)
    assert patience.early(KEY, "m1", now=99.9 + EARLY)
    assert not patience.early(KEY, "m1", now=100 + EARLY)


def test_a_copy_that_was_known_meanwhile_is_early_again() -> None:
    patience = Patience()
    patience.early(KEY, "m1", now=100)
    patience.known(KEY, "m1")
    assert patience.early(KEY, "m1", now=200)


def test_more_overwrites_in_a_window_than_the_limit_are_a_fight() -> None:
    patience = Patience()
    assert [patience.overwrite(KEY, "m1", now=now) for now in range(FIGHT_LIMIT)] == [None] * FIGHT_LIMIT
    assert patience.overwrite(KEY, "m2", now=FIGHT_LIMIT) is None, "each copy is counted by itself"
    assert patience.overwrite(KEY, "m1", now=FIGHT_LIMIT) == FIGHT_WINDOW


def test_overwrites_that_come_slowly_are_no_fight() -> None:
    patience = Patience()
    assert {patience.overwrite(KEY, "m1", now=turn * (FIGHT_WINDOW / FIGHT_LIMIT + 1)) for turn in range(20)} == {None}


def test_nothing_is_kept_of_a_binding_or_a_copy_that_is_gone() -> None:
    patience = Patience()
    for key in (KEY, OTHER):
        for cluster in ("m1", "m2"):
            patience.early(key, cluster, now=0)
            patience.overwrite(key, cluster, now=0)
    patience.forget(KEY)
    patience.forget(OTHER, "m1")
    assert patience._unknown_since == {OTHER: {"m2": 0}}
    assert set(patience._overwrites) == {OTHER}
    patience.forget(OTHER, "m2")
    assert (patience._unknown_since, patience._overwrites) == ({}, {})
