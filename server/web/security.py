"""Headers that keep a browser from doing with our pages what we never meant."""

from __future__ import annotations

from flask import Flask, Response, abort, request

from server.web.errors import for_people

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Everything from this server, nothing inline. `data:` is for the icons in Bootstrap's style sheet, `blob:`
for video that the player puts together from segments."""


def init_app(app: Flask) -> None:
    """Put the headers on every response, and keep out what no database takes."""
    app.before_request(_refuse_nul)
    app.after_request(_harden)


def _refuse_nul() -> None:
    """PostgreSQL takes no text with a zero byte, and nobody types one. (The API reads its bodies itself.)"""
    values = [*request.args.values()] + ([*request.form.values()] if for_people() else [])
    if any("\0" in value for value in values):
        abort(400, "a zero byte is no text")


def _harden(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    # CSRF protection over HTTPS looks at the referrer of our own pages; no other site gets one.
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
    if for_people() and not (request.endpoint or "").endswith("static"):
        # Somebody who has signed out must not find the pages by going back. (Pictures that never change
        # say themselves how long they are kept.)
        headers.setdefault("Cache-Control", "no-store")
    return response
