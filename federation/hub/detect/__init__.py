"""Template to binding: which policy claims an object, and the binding that says so."""
