"""Video in and out: sources, parts and segments, the decoder. No database, no Flask."""
