"""Decision to member objects: render, apply, delete, and report what the members hold."""
