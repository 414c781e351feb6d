"""One cache: fingerprints, code version, store and memory maps."""
