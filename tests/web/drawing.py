"""What hands do on the editor's picture, for browser tests."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np

Place = tuple[float, float]


def jpeg(width: int = 640, height: int = 360) -> bytes:
    """A picture with something in it."""
    rows = np.linspace(40, 200, height, dtype=np.uint8)[:, None, None]
    picture = np.broadcast_to(rows, (height, width, 3)).copy()
    picture[:, width // 2 :, 0] = 120
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


class Easel:
    """The editor on a page. Places are fractions of the picture."""

    def __init__(self, page: Any, *, touch: bool = False) -> None:
        self.page = page
        self.touch = touch
        self.svg = page.locator(".shape-svg").first
        self.svg.wait_for()

    def _pixels(self, place: Place) -> Place:
        self.svg.scroll_into_view_if_needed()
        box = self.svg.bounding_box()
        return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]

    def tap(self, *places: Place) -> None:
        """Click or tap, one place after the other."""
        for place in places:
            x, y = self._pixels(place)
            if self.touch:
                self.page.touchscreen.tap(x, y)
            else:
                self.page.mouse.click(x, y)

    def drag(self, start: Place, end: Place) -> None:
        """Press, move in some steps, let go."""
        ways = [
            (start[0] + (end[0] - start[0]) * i / 5, start[1] + (end[1] - start[1]) * i / 5) for i in range(6)
        ]
        pixels = [self._pixels(place) for place in ways]
        if self.touch:
            self._drag_finger(pixels)
            return
        self.page.mouse.move(*pixels[0])
        self.page.mouse.down()
        for x, y in pixels[1:]:
            self.page.mouse.move(x, y)
        self.page.mouse.up()

    def _drag_finger(self, pixels: list[Place]) -> None:
        devtools = self.page.context.new_cdp_session(self.page)
        for number, (x, y) in enumerate(pixels):
            kind = "touchMove" if number else "touchStart"
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        devtools.detach()

    def button(self, name: str) -> Any:
        """A button of the editor."""
        return self.page.get_by_role("button", name=name, exact=True)

    def draw_zone(self, *corners: Place) -> None:
        """Draw a zone and close it at its first corner."""
        self.button("Draw a zone").click()
        self.tap(*corners, corners[0])

    def draw_line(self, start: Place, end: Place) -> None:
        """Draw a line by dragging."""
        self.button("Draw a line").click()
        self.drag(start, end)

    def typed(self, field: str = "zones") -> str:
        """What the text says."""
        return str(self.page.locator(f"#{field}").input_value())

    def shapes(self, field: str = "zones") -> list[Any]:
        """What the text means."""
        text = self.typed(field)
        return list(json.loads(text)) if text else []

    def names(self) -> list[str]:
        """What the list calls the shapes."""
        return [
            one.input_value() or one.get_attribute("placeholder")
            for one in self.page.locator(".shape-list input").all()
        ]

    def wrongs(self) -> list[str]:
        """What the list says is wrong."""
        return [
            str(one.inner_text()) for one in self.page.locator(".shape-list .invalid-feedback:visible").all()
        ]

    def open_text(self) -> None:
        """Unfold the text fields."""
        self.page.get_by_text("As text", exact=True).click()


def near(shape: list[Any], expected: list[Place], tolerance: float = 0.02) -> bool:
    """Whether the points of a shape lie where they are expected."""
    return len(shape) == len(expected) and bool(np.allclose(shape, expected, atol=tolerance))
