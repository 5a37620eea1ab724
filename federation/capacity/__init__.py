"""How many replicas fit a member, from what the hub already knows of it. Pure; no remote call (DESIGN section 7)."""
