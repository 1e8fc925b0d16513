"""Headers that keep a browser from doing with our pages what we never meant."""

from __future__ import annotations

from flask import Flask, Response, request

from server.web.errors import for_people

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Everything from this server, nothing inline. `data:` is for the icons in Bootstrap's style sheet."""


def init_app(app: Flask) -> None:
    """Put the headers on every response."""
    app.after_request(_harden)


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
        # Somebody who has signed out must not find the pages by going back.
        headers["Cache-Control"] = "no-store"
    return response
