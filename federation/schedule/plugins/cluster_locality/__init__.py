"""Stay where you are."""
