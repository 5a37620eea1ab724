"""Filter, score, divide: the decision and its explanation. Pure: a snapshot in, a decision out (DESIGN section 7)."""
