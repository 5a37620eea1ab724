"""Every kind as a pydantic model; the one source of `crds/*.yaml`, and the words that all parts share."""
