"""Pure values and geometry. Nothing here does I/O or knows of a database, a network or Flask."""
