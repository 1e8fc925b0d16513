"""Reading playlists, and what comes next in them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SourceError
from server.media.hls_follow import Follower
from server.media.hls_playlist import Piece, Playlist, Segment, Variant, best_of, parse

URL = "http://camera.test/a/live.m3u8?token=x"
TAGS = [
    "#EXTM3U",
    "#EXTINF:",
    "#EXT-X-BYTERANGE:",
    "#EXT-X-TARGETDURATION:",
    "#EXT-X-MEDIA-SEQUENCE:",
    "#EXT-X-PROGRAM-DATE-TIME:",
    "#EXT-X-KEY:",
    "#EXT-X-MAP:",
    "#EXT-X-STREAM-INF:",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-GAP",
    "#EXT-X-ENDLIST",
    "",
]


def read(text: str) -> Playlist:
    found = parse(text.encode(), URL, "camera.test")
    assert isinstance(found, Playlist)
    return found


def test_a_media_playlist() -> None:
    found = read(
        "\ufeff#EXTM3U\r\n#EXT-X-VERSION:4\r\n#EXT-X-TARGETDURATION:6.0\r\n#EXT-X-MEDIA-SEQUENCE:17\r\n"
        '#EXT-X-DATERANGE:ID="nonsense,DURATION=x\r\n#EXT-X-PART:DURATION=0.3,URI="p.ts"\r\n'
        '#EXT-X-MAP:URI="init.mp4"\r\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-03-04T05:06:07,250+01:00\r\n"
        "#EXTINF:5.96,title, with a comma\r\n# a remark\r\n\r\nx.m4s\r\n"
        "#EXTINF:4\r\n#EXT-X-BYTERANGE:100@20\r\n/y.m4s\r\n"
        "#EXTINF:4,\r\n#EXT-X-BYTERANGE:50\r\n/y.m4s\r\n"
        '#EXT-X-DISCONTINUITY\r\n#EXT-X-GAP\r\n#EXT-X-KEY:METHOD=AES-128,URI="k,1"\r\n'
        "#EXTINF:4,\r\nhttps://other.test/z\r\n#EXT-X-KEY:METHOD=NONE\r\n"
        '#EXT-X-MAP:URI="all",BYTERANGE="7@9"\r\n#EXTINF:4,\r\nall\r\n#EXT-X-ENDLIST\r\n'
    )
    assert (found.target_s, found.first, found.end, found.ended) == (6.0, 17, 22, True)
    init = Piece("http://camera.test/a/init.mp4")
    date = round(datetime(2026, 3, 4, 4, 6, 7, 250_000, timezone.utc).timestamp() * 1e6)
    first, second, third, fourth, fifth = found.segments
    assert first == Segment(17, Piece("http://camera.test/a/x.m4s"), 5.96, init, date_us=date)
    assert second.media == Piece("http://camera.test/y.m4s", (20, 100))
    assert third.media == Piece("http://camera.test/y.m4s", (120, 50))
    assert (second.date_us, third.date_us) == (date + 5_960_000, date + 9_960_000)
    assert fourth.media.url == "https://other.test/z"
    assert (fourth.discontinuity, fourth.gap, fourth.encryption, fourth.date_us) == (
        True,
        True,
        "AES-128",
        None,
    )
    assert (fifth.discontinuity, fifth.gap, fifth.encryption) == (False, False, "")
    assert fifth.init == Piece("http://camera.test/a/all", (9, 7))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-04T05:06:07Z", (5, 6, 7, 0)),
        ("2026-03-04 05:06:07", (5, 6, 7, 0)),
        ("2026-03-04T05:06:07.5z", (5, 6, 7, 500_000)),
        ("2026-03-04T05:06:07.123456789Z", (5, 6, 7, 123_456)),
        ("2026-03-04T00:06:07-0500", (5, 6, 7, 0)),
        ("2026-03-04T10:36:07+05:30", (5, 6, 7, 0)),
        ("2026-03-04T06:06:07+01", (5, 6, 7, 0)),
        ("2026-02-31T05:06:07Z", None),
        ("yesterday", None),
    ],
)
def test_dates(text: str, expected: tuple[int, int, int, int] | None) -> None:
    found = read(f"#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:{text}\n#EXTINF:1,\na\n").segments[0].date_us
    if expected is None:
        assert found is None
    else:
        assert found == round(datetime(2026, 3, 4, *expected, tzinfo=timezone.utc).timestamp() * 1e6)


@pytest.mark.parametrize(
    "line",
    [
        "#EXTINF:nan,",
        "#EXTINF:inf,",
        "#EXTINF:x,",
        "#EXT-X-MEDIA-SEQUENCE:" + "9" * 5000,
        "#EXT-X-TARGETDURATION:",
        "#EXT-X-BYTERANGE:-5@0",
        '#EXT-X-MAP:URI="a",BYTERANGE="x"',
    ],
)
def test_nonsense_is_refused_in_words(line: str) -> None:
    with pytest.raises(SourceError, match=r"camera\.test: its playlist cannot be read"):
        read(f"#EXTM3U\n#EXTINF:1,\n{line}\na\n")


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(TAGS), st.text(max_size=30)),
            st.tuples(
                st.sampled_from(TAGS), st.from_regex(r'[A-Z-]{0,12}=?"?[0-9@x.:/-]{0,25}"?', fullmatch=True)
            ),
        ),
        max_size=12,
    )
)
def test_whatever_comes_is_read_or_refused(lines: list[tuple[str, str]]) -> None:
    content = "\n".join(tag + rest for tag, rest in lines).encode("utf-8", "surrogatepass")
    try:
        found = parse(content, URL, "camera.test")
    except SourceError:
        return
    if isinstance(found, Playlist):
        assert 0.5 <= found.target_s <= 60
        assert [one.sequence for one in found.segments] == list(range(found.first, found.end))


@pytest.mark.parametrize(
    ("heights", "chosen"),
    [([480, 720, 1080], 1080), ([1440, 2160], 1440), ([720, 2160], 720), ([0], 0), ([0, 360], 360)],
)
def test_the_variant_with_most_lines_up_to_1080(heights: list[int], chosen: int) -> None:
    variants = tuple(Variant(str(height), 1000, height * 16 // 9, height) for height in heights)
    assert best_of(variants, "x").height == chosen


def test_of_two_alike_the_one_with_more_bits() -> None:
    sound = Variant("sound", 9_000_000, codecs="mp4a.40.2")
    variants = (Variant("few", 10, 2, 2), Variant("many", 20, 2, 2, "hvc1.1"), sound)
    assert best_of(variants, "x").url == "many"
    with pytest.raises(SourceError, match="no video"):
        best_of((sound,), "x")


def playlist(first: int, count: int, name: str = "s", *, ended: bool = False) -> Playlist:
    made = (
        Segment(number, Piece(f"http://x/{name}{number}?{first}"), 2.0)
        for number in range(first, first + count)
    )
    return Playlist(2.0, first, tuple(made), ended)


def numbers(taken: tuple[tuple[Segment, ...], bool]) -> tuple[list[int], bool]:
    return [one.sequence for one in taken[0]], taken[1]


def test_a_stream_is_followed() -> None:
    follower = Follower()
    assert numbers(follower.take(Playlist(2.0, 0, ()))) == ([], False)
    assert numbers(follower.take(playlist(10, 6))) == ([13, 14, 15], False)
    assert numbers(follower.take(playlist(10, 6))) == ([], False)
    assert numbers(follower.take(playlist(12, 6))) == ([16, 17], False)
    assert numbers(follower.take(playlist(20, 3))) == ([20, 21, 22], True)


def test_a_recording_is_taken_from_its_beginning() -> None:
    assert numbers(Follower().take(playlist(0, 9, ended=True)))[0] == list(range(9))


def test_old_copies_are_passed_over_and_new_counts_are_not() -> None:
    follower = Follower()
    follower.take(playlist(10, 6))
    assert numbers(follower.take(playlist(8, 6))) == ([], False)
    assert numbers(follower.take(playlist(8, 6))) == ([], False)
    assert numbers(follower.take(playlist(11, 6))) == ([16], False)
    # The same names, but it goes on counting below what was known: the server was restarted.
    assert numbers(follower.take(playlist(9, 3))) == ([], False)
    assert numbers(follower.take(playlist(10, 3))) == ([10, 11, 12], True)
    # Other names.
    assert numbers(follower.take(playlist(0, 2, "t"))) == ([0, 1], True)
    assert numbers(follower.take(playlist(1, 2, "t"))) == ([2], False)


def test_a_restart_that_has_already_overtaken_what_was_known() -> None:
    follower = Follower()
    follower.take(playlist(3, 4))
    assert numbers(follower.take(playlist(0, 9, "t"))) == ([6, 7, 8], True)
