"""`./start`: sets an instance up, then starts, watches over and ends all of its processes.

`arguments` and `guardian` use the standard library alone, because they run without the rest.
"""
