"""Ways to damage a stream. Each takes its bytes, dice and the clips there are, and gives other bytes."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import av

from tests.lies import TS_PACKET, boxes, in_box, jpeg_sized, mp4_resized, resized, retabled, retimed

FRAMES = 36
_SIZES = ((16000, 16000), (65520, 16), (16384, 8192), (8192, 8192), (16, 16), (3840, 2160), (80, 64))
_YEAR = 365 * 86_400 * 90_000


@dataclass(frozen=True, slots=True)
class Clips:
    """What the streams are made of: (codec, container) to bytes, and HLS: (init, segments) by container."""

    whole: dict[tuple[str, str], bytes]
    segments: dict[str, tuple[bytes, list[bytes]]]


Change = Callable[[bytes, random.Random, Clips], bytes]


# Damage that any bytes can take.


def _cut(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    return data[: dice.randrange(len(data))]


def _cut_head(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    return data[dice.randrange(len(data)) :]


def flip(data: bytes, dice: random.Random, clips: Clips, *, most: int) -> bytes:
    damaged = bytearray(data)
    for _ in range(dice.randint(1, most)):
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def _flip_head(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """Where containers keep what they say of themselves: at the beginning and at the end."""
    edge = min(1000, len(data))
    head, tail = data[:edge], data[edge:]
    if dice.random() < 0.5:
        return flip(head, dice, clips, most=40) + tail
    return data[:-edge] + flip(data[-edge:], dice, clips, most=40)


def _rearranged(data: bytes, dice: random.Random, clips: Clips, *, how: str) -> bytes:
    """Pieces dropped, doubled or shuffled: packets of MPEG-TS, or any that are as large."""
    size = TS_PACKET if data[:1] == b"\x47" else dice.randint(20, 900)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    share = dice.choice((0.01, 0.1, 0.4))
    if how == "dropped":
        pieces = [piece for piece in pieces if dice.random() > share]
    elif how == "doubled":
        pieces = [piece for piece in pieces for _ in range(2 if dice.random() < share else 1)]
    else:
        window = dice.choice((3, 20, len(pieces)))
        for at in range(0, len(pieces), window):
            part = pieces[at : at + window]
            dice.shuffle(part)
            pieces[at : at + window] = part
    return b"".join(pieces)


def _blank(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    at = dice.randrange(len(data))
    length = dice.choice((4, 188, 3000))
    return data[:at] + dice.choice((b"\x00", b"\xff", b"\x47"))[:1] * length + data[at + length :]


def _then_noise(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    return data[: dice.randrange(len(data))] + dice.randbytes(dice.choice((100, 20_000, 400_000)))


def _then_another(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """Another stream goes on in the middle of this one."""
    return data[: dice.randrange(len(data))] + dice.choice(list(clips.whole.values()))


# What MPEG-TS can lie about.


def _times(data: bytes, dice: random.Random, clips: Clips, *, how: str) -> bytes:
    at, jump = dice.randrange(1, FRAMES), dice.choice((_YEAR, 40 * _YEAR, 15 * 90_000, 26 * 3600 * 90_000))
    changes: dict[str, Callable[[int, int], int]] = {
        "jumps ahead": lambda n, t: t + jump * (n >= at),
        "jumps back": lambda n, t: t - jump * (n >= at),
        "wraps": lambda n, t: t + (1 << 33) - 90_000,
        "stands still": lambda n, t: t if n < at else 7200,
        "runs backwards": lambda n, t: (1 << 32) - t,
        "at random": lambda n, t: dice.randrange(1 << 33),
        "now and then far off": lambda n, t: t + (dice.choice((-jump, jump)) if dice.random() < 0.1 else 0),
        "runs a thousand times too fast": lambda n, t: t * 1000,
    }
    return retimed(data, changes[how])


_TIMES = (
    "jumps ahead",
    "jumps back",
    "wraps",
    "stands still",
    "runs backwards",
    "at random",
    "now and then far off",
    "runs a thousand times too fast",
)


def _tables(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """Tables that name another codec, other packets, or themselves, from somewhere on."""
    what = dice.randrange(4)

    def change(table: bytearray) -> None:
        if what == 0 and table[0] == 2 and len(table) > 12:
            table[12] = dice.choice((0x01, 0x02, 0x10, 0x1B, 0x24, 0x0F, 0x42, 0xEA, 0x06))
        elif what == 1 and len(table) > 14:
            table[13:15] = dice.choice((b"\xe0\x00", b"\xf0\x00", b"\xff\xff", b"\xe1\x01"))
        elif what == 2:
            table[dice.randrange(3, len(table))] = dice.randrange(256)
        else:
            table[-dice.randrange(1, 6)] ^= dice.randrange(1, 256)

    return retabled(data, change, dice.choice((0, len(data) // 2)))


def _other_codec(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """H.264 and H.265 by turns in one stream, as its tables say."""
    streams = [clips.whole["h264", "ts"], clips.whole["hevc", "ts"]]
    return b"".join(streams[n % 2] for n in range(dice.randint(2, 5)))


def _sized(data: bytes, dice: random.Random, clips: Clips, *, whole: bool) -> bytes:
    """Parameter sets that claim another size: all of them, or those of some packets."""
    width, height = dice.choice(_SIZES)
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format="mpegts") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        codec = stream.codec_context.name
        for packet in source.demux(stream):
            if not packet.size:
                continue
            lies = whole or (packet.is_keyframe and dice.random() < 0.5)
            other = av.Packet(resized(codec, bytes(packet), width, height) if lies else bytes(packet))
            other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
            other.is_keyframe, other.stream = packet.is_keyframe, copy
            sink.mux(other)
    return out.getvalue()


# What MP4, JPEG and playlists can lie about.


def _boxes(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """Boxes that claim to be shorter or longer than they are, or to be others."""
    damaged = bytearray(data)
    there = list(boxes(data))
    for _ in range(dice.randint(1, 3)):
        name, begin, end = dice.choice(there)
        sizes = (
            0,
            1,
            7,
            8,
            end - begin - 1,
            end - begin + 1,
            0x7FFFFFFF,
            0xFFFFFFFF,
            dice.randrange(1 << 32),
        )
        damaged[begin : begin + 4] = dice.choice(sizes).to_bytes(4, "big")
        if dice.random() < 0.3:
            damaged[begin + 4 : begin + 8] = dice.choice((b"moov", b"mdat", b"uuid", b"meta", b"cmov", name))
    return bytes(damaged)


def _numbers(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """Numbers inside boxes: counts, sizes, times and time scales."""
    places = [
        (b"mvhd", 20), (b"mdhd", 20), (b"mdhd", 24), (b"tkhd", 84), (b"avc1", 32), (b"hev1", 32),
        (b"stts", 12), (b"stts", 16), (b"stts", 20), (b"ctts", 12), (b"ctts", 20), (b"stsc", 12),
        (b"stsz", 12), (b"stsz", 16), (b"stsz", 24), (b"stco", 12), (b"stco", 16), (b"elst", 16),
        (b"elst", 20), (b"tfdt", 12), (b"tfdt", 16), (b"trun", 12), (b"trun", 16), (b"trun", 24),
        (b"tfhd", 12), (b"trex", 12), (b"avcC", 8), (b"avcC", 12), (b"hvcC", 12), (b"hvcC", 31),
        (b"stss", 12), (b"stsd", 12), (b"tkhd", 20),
    ]  # fmt: skip
    there = {name for name, _, _ in boxes(data)}
    values = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\0\0\0\1")
    for name, offset in dice.sample([place for place in places if place[0] in there], dice.randint(1, 3)):
        data = in_box(data, name, offset, dice.choice((*values, dice.randbytes(4))))
    return data


def _mp4_sized(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """A container that claims another size than the codec does."""
    width, height = dice.choice(_SIZES)
    size = min(width, 65535).to_bytes(2, "big") + min(height, 65535).to_bytes(2, "big")
    for name in (b"avc1", b"hev1"):
        data = in_box(data, name, 32, size)
    return data


def _header_sized(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    """As above, but with the sizes in the codec's own header, where the decoder reads them."""
    return mp4_resized(data, *dice.choice(_SIZES))


def _jpeg_sized(data: bytes, dice: random.Random, clips: Clips) -> bytes:
    width, height = dice.choice((*_SIZES, (65500, 65500), (0, 0)))
    if dice.random() < 0.5:
        return jpeg_sized(data, width, height)
    middle = len(data) // 2
    return data[:middle] + jpeg_sized(data[middle:], width, height)


_ABSURD = (
    "-1", "0", "1e308", "nan", "inf", "-inf", "99999999999999999999", str(1 << 63), "0.0000001", "x", "",
    "9" * 5000,
)  # fmt: skip


def playlist(text: str, dice: random.Random) -> str:
    """Absurd numbers, lines that are missing, doubled or strange, addresses that lead elsewhere."""
    lines = text.splitlines()
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(lines))
        what = dice.randrange(8)
        if what <= 2:
            tag, _, value = lines[at].partition(":")
            lines[at] = f"{tag}:{dice.choice(_ABSURD)}" if value else lines[at]
        elif what == 3:
            lines.pop(at)
            lines = lines or ["#EXTM3U"]
        elif what == 4:
            lines[at : at + 1] *= dice.choice((2, 50))
        elif what == 5:
            lines.insert(at, dice.choice(_STRANGE))
        elif what == 6:
            lines[at] = dice.choice(_ADDRESSES)
        else:
            lines.insert(at, dice.randbytes(60).decode("latin-1"))
    return "\n".join(lines)


_STRANGE = (
    "#EXT-X-BYTERANGE:-5@3", "#EXT-X-BYTERANGE:10@99999999", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"",
    "#EXT-X-MAP:URI=\"nowhere\"", "#EXT-X-MAP:URI=\"live0\",BYTERANGE=\"99999999999@0\"",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z", "#EXT-X-PROGRAM-DATE-TIME:0001-01-01T00:00:00+23:59",
    "#EXT-X-PROGRAM-DATE-TIME:2024-02-31T25:61:61Z", "#EXT-X-GAP", "#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8",
    "#EXT-X-ENDLIST", "#EXT-X-MEDIA-SEQUENCE:9223372036854775807", "#EXT-X-TARGETDURATION:0", "#" * 100_000,
)  # fmt: skip
_ADDRESSES = (
    "file:///etc/passwd", "http://[::1", "http://169.254.169.254/latest", "data:video/mp2t;base64,AAAA",
    "../../../../x", "live.m3u8", "//", "http://127.0.0.1:1/x", "concat:live0|live1", "http://\x00/",
    "live0#x", "h" * 70_000,
)  # fmt: skip


ANY: dict[str, Change] = {
    "cut": _cut,
    "without its beginning": _cut_head,
    "a few flipped bits": partial(flip, most=8),
    "many flipped bits": partial(flip, most=600),
    "flipped bits in the head": _flip_head,
    "dropped packets": partial(_rearranged, how="dropped"),
    "doubled packets": partial(_rearranged, how="doubled"),
    "shuffled packets": partial(_rearranged, how="shuffled"),
    "blanked": _blank,
    "noise after a good start": _then_noise,
    "another stream after a good start": _then_another,
}
TS: dict[str, Change] = {
    **{f"time {how}": partial(_times, how=how) for how in _TIMES},
    "lying tables": _tables,
    "codecs by turns": _other_codec,
    "lying size": partial(_sized, whole=True),
    "lying size now and then": partial(_sized, whole=False),
}
_MP4: dict[str, Change] = {
    "lying boxes": _boxes,
    "lying numbers": _numbers,
    "lying size in the container": _mp4_sized,
    "lying size": _header_sized,
}
OF_CONTAINER: dict[str, dict[str, Change]] = {
    "ts": TS,
    "mp4": _MP4,
    "fmp4": _MP4,
    "mjpeg": {"lying size": _jpeg_sized},
    "flv": {},
    "mkv": {},
}
