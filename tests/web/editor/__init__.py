"""The editor of zones, lines and masks in a real browser."""
