"""Seeing: detectors, the tracker, and the weights they need. No database, no Flask."""
