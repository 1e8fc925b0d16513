"""What a camera's numbers are called, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from server.services.live import Numbers
from server.web.admin.glances import number

_CODECS = {"h264": "H.264", "hevc": "H.265", "mjpeg": "MJPEG", "mpeg4": "MPEG-4", "av1": "AV1", "vp9": "VP9"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """A number: its key, what it is called, its unit, and a sentence."""

    key: str
    label: str
    unit: str
    help: str


MEANINGS = (
    Meaning("frames_in", "Arriving", "pictures a second", "What the camera sends."),
    Meaning(
        "analysed",
        "Analysed",
        "pictures a second",
        "How many of them are looked at; the setting Analysed frames a second decides.",
    ),
    Meaning(
        "skipped",
        "Skipped",
        "pictures a second",
        "Left out because analysis was behind. Anything but 0 means that this server has too much to do.",
    ),
    Meaning(
        "delay_s",
        "Delay",
        "seconds",
        "From the moment a picture arrives until it has been analysed.",
    ),
    Meaning("cpu", "CPU share", "% of one core", "What this camera costs."),
    Meaning("kbps", "Bitrate", "kbit a second", "What the camera's video takes of the network."),
    Meaning("codec", "Codec", "", "How the camera packs its video. H.264 and H.265 take the least network."),
    Meaning("size", "Picture", "pixels", "Width and height as the camera sends them."),
)


def codec_name(codec: str) -> str:
    """A codec as people write it."""
    return _CODECS.get(codec, codec.upper())


def size(width: int, height: int) -> str:
    """`1920 × 1080 pixels`."""
    return f"{width} × {height} pixels"


def bitrate(kbps: float) -> str:
    """`850 kbit a second`, `4.2 Mbit a second`."""
    return f"{kbps / 1000:.1f} Mbit a second" if kbps >= 1000 else f"{kbps:.0f} kbit a second"


def values(numbers: Numbers | None) -> dict[str, str]:
    """Every number as it is shown, by key; dashes where nothing is known."""
    if numbers is None:
        return {meaning.key: "–" for meaning in MEANINGS}
    return {
        "frames_in": number(numbers.frames_in, 1),
        "analysed": number(numbers.analysed, 1),
        "skipped": number(numbers.skipped, 1),
        "delay_s": number(numbers.delay_s, 2),
        "cpu": number(numbers.cpu * 100),
        "kbps": number(numbers.kbps),
        "codec": codec_name(numbers.codec),
        "size": f"{numbers.width} × {numbers.height}",
    }
