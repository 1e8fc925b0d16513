"""Video that says of itself what is not so: sizes, times, boxes and tables."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator

TS_PACKET = 188
_START = b"\x00\x00\x01"
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"dinf")
_WRAP = 1 << 33


def resized(codec: str, stream: bytes, width: int, height: int) -> bytes:
    """Annex B video whose parameter sets claim another size. codec: "h264" or "hevc"."""
    kinds = re.split(b"(\x00\x00\x01)", stream)
    for index in range(2, len(kinds), 2):
        nal = kinds[index]
        if nal and (nal[0] & 0x1F == 7 if codec == "h264" else nal[0] >> 1 & 0x3F == 33):
            kinds[index] = _resized_set(codec, nal, width, height)
    return b"".join(kinds)


def _resized_set(codec: str, nal: bytes, width: int, height: int) -> bytes:
    bits = _Bits(nal.replace(b"\x00\x00\x03", b"\x00\x00"))
    if codec == "h264":
        _go_to_h264_size(bits)
        size = width // 16 - 1, height // 16 - 1
    else:
        _go_to_h265_size(bits)
        size = width, height
    begin = bits.at
    bits.ue()
    bits.ue()
    changed = bits.text[:begin] + _ue(max(0, size[0])) + _ue(max(0, size[1])) + bits.text[bits.at :]
    changed += "0" * (-len(changed) % 8)
    raw = int(changed, 2).to_bytes(len(changed) // 8, "big")
    return re.sub(b"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", raw)


def _go_to_h264_size(bits: _Bits) -> None:
    bits.skip(8)
    profile = bits.take(8)
    bits.skip(16)
    bits.ue()
    if profile >= 100:
        if bits.ue() == 3:
            bits.skip(1)
        bits.ue()
        bits.ue()
        bits.skip(2)
    bits.ue()
    if bits.ue() == 0:
        bits.ue()
    bits.ue()
    bits.skip(1)


def _go_to_h265_size(bits: _Bits) -> None:
    bits.skip(16 + 8 + 96)
    bits.ue()
    if bits.ue() == 3:
        bits.skip(1)


class _Bits:
    """Reads bits and Exp-Golomb numbers."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def take(self, count: int) -> int:
        self.at += count
        return int(self.text[self.at - count : self.at], 2)

    def skip(self, count: int) -> None:
        self.at += count

    def ue(self) -> int:
        zeros = self.text.index("1", self.at) - self.at
        self.at += zeros
        return self.take(zeros + 1) - 1


def _ue(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def retimed(stream: bytes, change: Callable[[int, int], int]) -> bytes:
    """MPEG-TS with other times. change: gets the number of the picture and a time in ticks, gives another."""
    data = bytearray(stream)
    for number, at in enumerate(_units(stream)):
        flags, field = data[at + 7] >> 6, at + 9
        for _ in range({2: 1, 3: 2}.get(flags, 0)):
            raw = data[field : field + 5]
            ticks = (raw[0] >> 1 & 7) << 30 | raw[1] << 22 | (raw[2] >> 1) << 15 | raw[3] << 7 | raw[4] >> 1
            ticks = change(number, ticks) % _WRAP
            data[field : field + 5] = bytes(
                (
                    raw[0] & 0xF1 | ticks >> 29 & 0x0E,
                    ticks >> 22 & 0xFF,
                    ticks >> 14 & 0xFE | 1,
                    ticks >> 7 & 0xFF,
                    ticks << 1 & 0xFE | 1,
                )
            )
            field += 5
    return bytes(data)


def _units(stream: bytes) -> Iterator[int]:
    """Where the heads of pictures are in an MPEG-TS."""
    for packet in range(0, len(stream) - TS_PACKET + 1, TS_PACKET):
        if not stream[packet + 1] & 0x40:
            continue
        at = packet + 4 + (stream[packet + 4] + 1 if stream[packet + 3] & 0x20 else 0)
        if at + 19 < packet + TS_PACKET and stream[at : at + 3] == _START and stream[at + 3] & 0xF0 == 0xE0:
            yield at


def retabled(stream: bytes, change: Callable[[bytearray], None], begin: int = 0) -> bytes:
    """MPEG-TS whose tables (PAT, PMT) are changed, checksums right. begin: the first byte that may differ.

    change: gets a table from its id up to its checksum.
    """
    data = bytearray(stream)
    for packet in range(begin - begin % TS_PACKET, len(data) - TS_PACKET + 1, TS_PACKET):
        if not data[packet + 1] & 0x40 or data[packet + 3] & 0x20:
            continue
        at = packet + 5 + data[packet + 4]
        if at + 8 > packet + TS_PACKET or data[at] not in (0, 2):
            continue
        end = at + 3 + ((data[at + 1] & 0x0F) << 8 | data[at + 2])
        if end > packet + TS_PACKET or data[packet + 4 : packet + 8][:3] == _START:
            continue
        table = data[at : end - 4]
        change(table)
        data[at:end] = table + _crc(bytes(table)).to_bytes(4, "big")
    return bytes(data)


def _crc(table: bytes) -> int:
    """CRC-32 as MPEG has it: the usual one, bits in the other order and not inverted at the end."""
    mirror = bytes.maketrans(bytes(range(256)), bytes(int(f"{n:08b}"[::-1], 2) for n in range(256)))
    found = binascii.crc32(table.translate(mirror)) ^ 0xFFFFFFFF
    return int(f"{found:032b}"[::-1], 2)


def boxes(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte, byte after the last) of the boxes of an MP4 and of those inside them."""
    end = len(data) if end is None else end
    while begin + 8 <= end:
        size, name = int.from_bytes(data[begin : begin + 4], "big"), data[begin + 4 : begin + 8]
        if size < 8 or begin + size > end:
            return
        yield name, begin, begin + size
        if name in _PARENTS:
            yield from boxes(data, begin + 8, begin + size)
        elif name == b"stsd":
            yield from boxes(data, begin + 16, begin + size)
        elif name in (b"avc1", b"hvc1", b"hev1"):
            yield from boxes(data, begin + 86, begin + size)
        begin += size


def in_box(data: bytes, name: bytes, offset: int, value: bytes) -> bytes:
    """An MP4 in which every box of that name holds `value`, `offset` bytes after its beginning."""
    changed = bytearray(data)
    for found, begin, end in boxes(data):
        if found == name and begin + offset + len(value) <= end:
            changed[begin + offset : begin + offset + len(value)] = value
    return bytes(changed)


def mp4_resized(data: bytes, width: int, height: int) -> bytes:
    """An MP4 whose codec header claims another size. Its moov comes last, or names no places in the file."""
    name, (begin, end) = next((name, span) for name, *span in boxes(data) if name in (b"avcC", b"hvcC"))
    if name == b"avcC":
        codec, at = "h264", begin + 14
    else:
        codec, at = "hevc", begin + 34
        while data[at - 3] & 0x3F != 33:
            at += 5 + int.from_bytes(data[at : at + 2], "big")
    length = int.from_bytes(data[at : at + 2], "big")
    sps = _resized_set(codec, data[at + 2 : at + 2 + length], width, height)
    changed = bytearray(data[:at] + len(sps).to_bytes(2, "big") + sps + data[at + 2 + length :])
    for _, first, after in boxes(data):
        if first <= begin and after >= end:
            changed[first : first + 4] = (after - first + len(sps) - length).to_bytes(4, "big")
    return bytes(changed)


def jpeg_sized(stream: bytes, width: int, height: int) -> bytes:
    """JPEGs that claim another size."""
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return re.sub(b"(\xff\xc0..\x08)....", lambda m: m.group(1) + size, stream, flags=re.DOTALL)
