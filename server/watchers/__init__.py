"""The loop that works one camera, its claim on it, and what starts and stops it."""
