"""The spill file: all or nothing, in order, and torn tails end it quietly."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.store import spill


def read(path: Path) -> list[bytes]:
    """What a later process finds."""
    again = spill.Spill(path, sync=False)
    again.load()
    frames, _ = again.take(0, 10_000)
    again.close()
    return frames


@given(frames=st.lists(st.binary(max_size=60), max_size=8), cut=st.integers(0, 400), flip=st.integers(0, 400))
def test_any_torn_or_changed_tail_leaves_a_true_beginning(
    tmp_path_factory: pytest.TempPathFactory, frames: list[bytes], cut: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("spill") / "one.spill"
    one = spill.Spill(path, sync=True)
    one.append(frames)
    whole = bytearray(path.read_bytes())
    assert read(path) == frames if frames else path.stat().st_size == 0
    torn = whole[: max(0, len(whole) - cut)]
    path.write_bytes(torn)
    got = read(path) if torn else []
    assert got == frames[: len(got)]
    if flip < len(whole):
        whole[flip] ^= 0xFF
        path.write_bytes(whole)
        got = read(path)
        assert got == frames[: len(got)]
        assert len(got) < len(frames)


def test_appending_goes_on_where_the_whole_frames_end(tmp_path: Path) -> None:
    path = tmp_path / "one.spill"
    one = spill.Spill(path, sync=False)
    one.append([b"a", b"bb"])
    one.close()
    path.write_bytes(path.read_bytes()[:-1])
    again = spill.Spill(path, sync=False)
    again.load()
    again.append([b"c"])
    again.close()
    assert read(path) == [b"a", b"c"]


def test_an_append_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "one.spill"
    one = spill.Spill(path, sync=False)
    one.append([b"kept"])
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        with pytest.raises(OSError, match="large"):
            one.append([b"x" * 100])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size == size
    one.append([b"next"])
    assert read(path) == [b"kept", b"next"]


def test_an_emptied_file_begins_anew_and_is_removed_at_the_end(tmp_path: Path) -> None:
    one = spill.Spill(tmp_path / "one.spill", sync=True)
    one.append([b"a", b"b"])
    frames, at = one.take(0, 1)
    one.moved(len(frames), at)
    assert one.take(at, 5)[0] == [b"b"]
    one.moved(1, one.take(at, 5)[1])
    one.empty()
    one.append([b"c"])
    assert read(one.path) == [b"c"]
    one.empty()
    one.close()
    assert not one.path.exists()
