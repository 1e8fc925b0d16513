"""The demo camera's clip: people walking through a drawn hall, so that nobody starts with an empty page.

`choreography` says who is where at which time, and so what must be counted; `cutout` takes the people
out of their pictures; `scene` draws; `clip` encodes.
"""
