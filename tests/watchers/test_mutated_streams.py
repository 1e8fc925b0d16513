"""500 damaged streams: no watcher dies of them, nothing stays behind, and no neighbour misses a part.

Each seed is one stream (tests/mutations.py). A single one is shown again, and some or many, by

    MUTATED_SEEDS=117 python -m pytest tests/watchers/test_mutated_streams.py
    MUTATED_SEEDS=0-4999 python -m pytest tests/watchers/test_mutated_streams.py
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from tests.databases import Databases
from tests.mutations import INTACT, Clips, case, make_clips
from tests.walks import SECONDS, make_walk
from tests.watchers.beside import HANGS_S, NEIGHBOUR_SPEED, PATIENCE_S, Ending, Report, show
from tests.watchers.harness import START_US, add_camera, events, watch

COUNT = 500
"""Besides the intact ones."""
BATCHES = 2
AT_ONCE = 2
"""Processes side by side: each keeps a core busy."""
MOST_PEAK = 300 << 20
"""Bytes that a stream may take for a moment: ten pictures of the largest size that these claim and get."""
MOST_GROWTH = 16 << 20
"""Bytes that a process may have grown by after a batch."""
LATE_S = 3.0
"""Events may be told this much later than they happen, seconds of the neighbour's time."""

Seen = list[tuple[Any, ...]]


@dataclass(slots=True)
class Batch:
    """What a process told of its streams."""

    seeds: Sequence[int]
    reports: list[Report] = field(default_factory=list)
    ending: Ending | None = None
    wrong: list[str] = field(default_factory=list)


def _seeds() -> list[int]:
    asked = os.environ.get("MUTATED_SEEDS", f"0-{INTACT + COUNT - 1}")
    spans = [span.partition("-") for span in asked.split(",")]
    return [seed for first, _, last in spans for seed in range(int(first), int(last or first) + 1)]


def _run(
    address: str,
    directory: Path,
    clips: Clips,
    seeds: Sequence[int],
    walk: Path,
    target: Callable[..., None] = show,
) -> Batch:
    """Show the streams in a process of their own; its end, whatever it is, is no end of this one."""
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=target, args=(address, directory, clips, seeds, walk, sender), daemon=True)
    child.start()
    sender.close()
    batch, shown = Batch(seeds), -1
    try:
        while batch.ending is None:
            if not receiver.poll(4 * HANGS_S):
                batch.wrong.append(f"seed {shown}: the process hangs")
                break
            told = receiver.recv()
            if isinstance(told, Report):
                batch.reports.append(told)
            elif isinstance(told, Ending):
                batch.ending = told
            else:
                shown = told
        child.join(HANGS_S)
    except EOFError:
        child.join(HANGS_S)
        batch.wrong.append(f"seed {shown}: the process ended with exit code {child.exitcode}")
    if child.is_alive():
        child.kill()
        child.join()
    return batch


def _wrong_with(report: Report) -> list[str]:
    found = list(report.wrong)
    if report.peak > MOST_PEAK:
        found.append(f"takes {report.peak >> 20} MB")
    if report.seed < INTACT and (report.observed < 1 or report.commits < 4):
        found.append(f"is intact and was not watched: {report.reason}")
    return [f"seed {report.seed} ({report.name}): {text}" for text in found]


def _wrong_with_end(ending: Ending, one_round: Seen) -> list[str]:
    """What a process kept of its streams, and what its neighbour missed."""
    wrong = list(ending.wrong)
    for what, (before, after) in (("threads", ending.threads), ("files", ending.files)):
        if after > before:
            wrong.append(f"{after} {what}, and {before} at the beginning")
    if ending.memory[-1] - ending.memory[0] > MOST_GROWTH:
        wrong.append(f"memory grows: {[size >> 20 for size in ending.memory]} MB")
    near = ending.neighbour
    if near["error"] or near["errors"] or not near["ended"]:
        wrong.append(f"the neighbour failed {near['errors']} times; {near['error']}")
    observed = near["spans"]
    if sorted(str(name) for name, *_ in observed) != ["None", "exit", "line", "room"]:
        return [*wrong, f"the neighbour's observation is broken: {observed}"]
    begin = min(span[1] for span in observed)
    until = min(span[2] for span in observed)
    if near["passed"] - until > PATIENCE_S * NEIGHBOUR_SPEED:
        wrong.append(f"the neighbour is {near['passed'] - until:.0f} s behind")
    length = until - begin - LATE_S
    rounds = range(int(length // SECONDS) + 1)
    expected = sorted(
        (name, round(at + number * SECONDS, 3), *rest) for number in rounds for name, at, *rest in one_round
    )
    seen = sorted((name, round(at - begin, 3), *rest) for name, at, *rest in near["events"])
    if [e for e in seen if e[1] < length] != [e for e in expected if e[1] < length]:
        wrong.append(f"the neighbour's events are {seen}, not {expected}")
    return wrong


def _one_round(address: str, directory: Path, walk: Path) -> Seen:
    """The walk's events, seconds since its beginning."""
    engine = create_engine(address)
    camera_id = add_camera(engine, walk)
    watch(engine, camera_id, directory / "segments")
    found = events(engine, camera_id)
    engine.dispose()
    return [
        (name, at.timestamp() - START_US / 1e6, direction, passes, count, zone)  # type: ignore[attr-defined]
        for name, at, _, direction, passes, count, _, zone, _ in found
    ]


@pytest.mark.timeout(600)
def test_no_watcher_dies_of_a_damaged_stream_and_no_neighbour_misses_a_part(
    tmp_path: Path, databases: Databases
) -> None:
    clips = make_clips(tmp_path)
    walk = make_walk(tmp_path / "walk.mp4", keyframe_every=20)
    seeds = _seeds()
    count = min(BATCHES, len(seeds))
    places = []
    for number in range(count + 1):
        directory = tmp_path / str(number)
        directory.mkdir()
        places.append((databases.sqlite(directory), directory))
    one_round = _one_round(*places.pop(), walk)
    assert len(one_round) >= 6
    with ThreadPoolExecutor(AT_ONCE) as pool:
        batches = list(
            pool.map(
                lambda n: _run(*places[n], clips, seeds[n::count], walk),
                range(count),
            )
        )
    wrong = []
    for batch in batches:
        wrong += batch.wrong
        wrong += [text for report in batch.reports for text in _wrong_with(report)]
        if batch.ending is not None:
            wrong += _wrong_with_end(batch.ending, one_round)
    assert not wrong, "\n".join(wrong)
    assert sorted(report.seed for batch in batches for report in batch.reports) == sorted(seeds)


def _crash(*given: Any) -> None:
    """What `show` would do if libav did."""
    given[-1].send(41)
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_process_that_crashes_is_told_of_with_its_seed(tmp_path: Path) -> None:
    batch = _run("", tmp_path, Clips({}, {}), [41], tmp_path, target=_crash)
    assert batch.wrong == [f"seed 41: the process ended with exit code {-signal.SIGSEGV}"]


def test_a_seed_gives_the_same_stream_again(tmp_path: Path) -> None:
    clips = make_clips(tmp_path)
    assert all(case(seed, clips) == case(seed, clips) for seed in range(60, 70))
    assert len({case(seed, clips).files for seed in range(60, 70)}) == 10
