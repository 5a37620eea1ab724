"""What a change would do, before anybody makes it: the controllers themselves, on a copy of the hub in this process.

Boundary: `snapshot` reads the hub, or a file; `manifests` reads what would be applied; `world` runs the controllers of `hub/` on
sandboxes and applies the change there; `changes` and `outcome` compare before and after, and are pure. Nothing here writes to a
real API server. As the very code that acts is what is rehearsed, a plan is what applying does (I23).
"""
