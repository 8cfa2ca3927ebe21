"""Corrections survive the end of the process that made them, however it ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.study.unsaved import journal_writer
from napari_ssl_muscle.study.unsaved.journal import Journal
from napari_ssl_muscle.study.unsaved.journal_format import MAGIC, read_records

SHAPE = (3, 5, 7)


def zeros() -> np.ndarray:
    return np.zeros(SHAPE, np.uint8)


def paint(journal: Journal, labels: np.ndarray, where: np.ndarray, value: int) -> int:
    """Paint as a brush does: change the labels and record it."""
    indices = np.nonzero(where)
    old = labels[indices]
    labels[indices] = value
    return journal.record("leg", indices, old, value)


def boxes(count: int, seed: int = 0) -> list[tuple[np.ndarray, int]]:
    random = np.random.default_rng(seed)
    return [(random.random(SHAPE) < 0.2, int(random.integers(0, 5))) for _ in range(count)]


def test_what_was_painted_comes_back_on_the_saved_labels(tmp_path: Path) -> None:
    labels = zeros()
    labels[0] = 4
    saved = labels.copy()
    with Journal(tmp_path) as journal:
        for where, value in boxes(20):
            paint(journal, labels, where, value)
    with Journal(tmp_path) as again:
        np.testing.assert_array_equal(again.replay("leg", saved), labels)
        # Labels that hold all of it already are not harmed.
        np.testing.assert_array_equal(again.replay("leg", labels), labels)
    assert (saved[1:] == 0).all()  # the given labels are not touched


def test_a_whole_prediction_and_its_undo(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    prediction = random.integers(0, 7, SHAPE).astype(np.uint8)
    changed = np.nonzero(prediction)
    with Journal(tmp_path) as journal:
        journal.record("leg", changed, 0, prediction[changed])
        np.testing.assert_array_equal(journal.replay("leg", zeros()), prediction)
        journal.record("leg", changed, prediction[changed], np.zeros(len(changed[0]), np.uint8))
        np.testing.assert_array_equal(journal.replay("leg", zeros()), zeros())


def test_what_is_pending_is_counted_in_different_voxels(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        assert journal.pending("leg") is None
        labels = zeros()
        first, second = zeros().astype(bool), zeros().astype(bool)
        first[0, :2, :3], second[0, 1:3, :3] = True, True
        paint(journal, labels, first, 1)
        number = paint(journal, labels, second, 2)
        assert paint(journal, labels, second, 2) == number  # nothing changed
        pending = journal.pending("leg")
        assert pending is not None
        assert (pending.voxels, pending.changes) == (9, 2)
        assert pending.since <= pending.until
        assert journal.cases() == ["leg"]


def test_cases_keep_apart_and_may_have_any_name(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for number, case in enumerate(("sub/1: a*", "Bein ü"), start=1):
            journal.record(case, (np.array([number]),), 0, 9)
    with Journal(tmp_path) as again:
        assert sorted(again.cases()) == ["Bein ü", "sub/1: a*"]
        assert again.replay("Bein ü", np.zeros(4, np.uint8)).tolist() == [0, 0, 9, 0]


def test_saved_changes_are_forgotten_and_later_ones_are_not(tmp_path: Path) -> None:
    labels = zeros()
    with Journal(tmp_path) as journal:
        strokes = boxes(6)
        for where, value in strokes[:3]:
            paint(journal, labels, where, value)
        mark, saved = journal.mark("leg"), labels.copy()
        for where, value in strokes[3:]:
            paint(journal, labels, where, value)
        journal.compact("leg", mark)
        pending = journal.pending("leg")
        assert pending is not None
        assert pending.changes == 3
        number = paint(journal, labels, ~strokes[0][0], 6)
        assert number > mark
        np.testing.assert_array_equal(journal.replay("leg", saved), labels)
        journal.compact("leg")
        assert journal.pending("leg") is None
        assert paint(journal, labels, strokes[0][0], 5) > number
        np.testing.assert_array_equal(journal.replay("leg", labels), labels)
    assert not list(tmp_path.glob(".part-*"))


def test_a_record_cut_short_anywhere_is_dropped_and_hides_nothing(tmp_path: Path) -> None:
    states = [zeros()]
    ends = [0]
    path = tmp_path / "leg.journal"
    with Journal(tmp_path) as journal:
        for where, value in boxes(3):
            states.append(states[-1].copy())
            paint(journal, states[-1], where, value)
            assert journal.flush()
            ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        survived = sum(length >= end for end in ends[1:])
        if length % 7 == 0:  # all lengths would take long
            with Journal(tmp_path) as again:
                np.testing.assert_array_equal(again.replay("leg", zeros()), states[survived])
                # What comes after the tear must not be lost behind it.
                again.record("leg", (np.array([2]), np.array([4]), np.array([6])), 0, 99)
            with Journal(tmp_path) as third:
                assert third.replay("leg", zeros())[2, 4, 6] == 99
        assert len(list(read_records(path))) >= survived


def test_a_flipped_bit_ends_the_reading(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for number in range(3):
            journal.record("leg", (np.array([number]),), 0, 1)
    path = tmp_path / "leg.journal"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert Journal(tmp_path).replay("leg", np.zeros(3, np.uint8)).tolist() == [1, 1, 0]


CHILD = """
import sys
import numpy as np
from napari_ssl_muscle.study.unsaved.journal import Journal

journal = Journal(sys.argv[1])
columns = np.arange(5000)
for row in range(1, 1_000_000):
    journal.record("leg", (np.full(5000, row % 2000), columns), 0, np.arange(5000) % 7 + row)
    if row % 3 == 0:
        assert journal.flush()
        print(row, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        lines = [child.stdout.readline() for _ in range(20)]
    finally:
        child.kill()
        child.wait()
    acknowledged = int((lines + child.stdout.read().splitlines())[-1])
    child.stdout.close()
    assert acknowledged >= 60
    with Journal(tmp_path) as journal:
        found = journal.replay("leg", np.zeros((2000, 5000), np.int32))
    written = np.flatnonzero(found.any(axis=1))
    assert written.tolist() == list(range(1, len(written) + 1))  # no hole
    assert len(written) >= acknowledged
    expected = np.arange(5000) % 7 + written[:, None]  # and no row is half a row
    np.testing.assert_array_equal(found[written], expected)


def test_recording_does_not_wait_for_the_disk_and_memory_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    append = Journal._append

    def slow(self: Journal, case: str, data: bytes) -> None:
        free.wait()
        append(self, case, data)

    monkeypatch.setattr(Journal, "_append", slow)
    journal = Journal(tmp_path, capacity=10 * 8000)
    line = (np.arange(1000),)
    for value in range(1, 11):  # returns although nothing is written
        journal.record("leg", line, 0, np.full(1000, value) + np.arange(1000) % 2)
    entered = threading.Event()

    def more() -> None:
        entered.set()
        journal.record("leg", line, 0, 77)

    over = threading.Thread(target=more)
    over.start()
    entered.wait()
    assert journal._bytes == 10 * 8000
    free.set()
    over.join()
    assert journal.close()
    assert (Journal(tmp_path).replay("leg", np.zeros(1000, np.uint8)) == 77).all()


def test_a_full_disk_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    full = True
    append = Journal._append

    def refuse(self: Journal, case: str, data: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, case, data)

    monkeypatch.setattr(Journal, "_append", refuse)
    journal = Journal(tmp_path, on_problem=told.append, sync_every=0.0)
    journal.record("leg", (np.array([1]),), 0, 3)
    assert not journal.flush()
    assert journal.problem is not None
    assert "free some space" in journal.problem
    full = False
    assert journal.close()
    assert len(told) == 1
    assert Journal(tmp_path).replay("leg", np.zeros(2, np.uint8)).tolist() == [0, 3]


def test_half_a_record_on_a_full_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = journal_writer.FileIO
    failures = iter([True])

    class Small(real):  # type: ignore[misc,valid-type]
        def write(self, data: bytes) -> int:
            if next(failures, False):
                return int(super().write(data[: len(data) // 2]))
            return int(super().write(data))

    with Journal(tmp_path) as journal:
        journal.record("leg", (np.array([0]),), 0, 1)
        journal.flush()
    monkeypatch.setattr(journal_writer, "FileIO", Small)
    journal = Journal(tmp_path, sync_every=0.0)
    journal.record("leg", (np.array([1]),), 0, 2)
    journal.flush()  # comes back once the first try has failed
    journal.record("leg", (np.array([2]),), 0, 3)
    assert journal.close()
    assert Journal(tmp_path).replay("leg", np.zeros(3, np.uint8)).tolist() == [1, 2, 3]


def test_corrections_of_another_scan_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.record("leg", (np.array([2]), np.array([4]), np.array([6])), 0, 300)
        for labels in (np.zeros((3, 5, 6), int), np.zeros((3, 5), int), zeros()):
            with pytest.raises(BadInput, match="another scan"):
                journal.replay("leg", labels)
        assert journal.replay("leg", zeros().astype(np.uint16))[2, 4, 6] == 300


@pytest.mark.parametrize("there", [False, True])
def test_changes_move_to_the_end_of_another_journal(tmp_path: Path, there: bool) -> None:
    labels = zeros()
    with Journal(tmp_path / "study") as study, Journal(tmp_path / "draft") as draft:
        if there:
            paint(study, labels, boxes(1)[0][0], 9)
        for where, value in boxes(4):
            paint(draft, labels, where, value)
        study.take_over("leg", draft, "leg")
        assert draft.pending("leg") is None
        number = paint(study, labels, ~boxes(1)[0][0], 7)
        assert number == 4 + there + 1
        np.testing.assert_array_equal(study.replay("leg", zeros()), labels)
        study.take_over("leg", draft, "leg")  # nothing left to take
        np.testing.assert_array_equal(study.replay("leg", zeros()), labels)


def test_a_stroke_is_small_on_disk_and_written_off_the_caller_s_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    append = Journal._append

    def spy(self: Journal, case: str, data: bytes) -> None:
        threads.append(threading.current_thread())
        append(self, case, data)

    monkeypatch.setattr(Journal, "_append", spy)
    y, x = np.nonzero(np.hypot(*np.indices((60, 60)) - 30) < 20)
    with Journal(tmp_path) as journal:
        journal.record("leg", (np.full(y.size, 7), y + 200, x + 300), None, 4)
        assert y.size > 1200
        record = journal._waiting[0][1] if journal._waiting else None
        assert record is None or record.nbytes <= 4 * (3 * y.size + 1)
    assert (tmp_path / "leg.journal").stat().st_size < 1500
    assert threads
    assert threading.current_thread() not in threads


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "leg.journal"
    path.write_bytes(b"somebody else's letters, not ours" + MAGIC)
    with Journal(tmp_path) as journal, pytest.raises(BadInput, match="no journal"):
        journal.record("leg", (np.array([2]),), 0, 1)
    assert path.read_bytes().startswith(b"somebody")


def test_what_a_damaged_record_hides_is_set_aside(tmp_path: Path) -> None:
    for value in (1, 2, 3):
        with Journal(tmp_path) as journal:
            journal.record("leg", tuple(np.array([value]) for _ in range(3)), None, value)
        if value == 1:
            path = journal.path_of("leg")
            first = path.stat().st_size
    content = bytearray(path.read_bytes())
    content[first + 20] ^= 255  # in the second record
    path.write_bytes(content)
    said: list[str] = []
    with Journal(tmp_path, on_problem=said.append) as journal:
        journal.record("leg", tuple(np.array([4]) for _ in range(3)), None, 4)
    assert [int(record.values[0]) for record in read_records(path)] == [1, 4]
    (copy,) = tmp_path.glob("*.damaged-*")
    assert copy.read_bytes() == bytes(content[first:])
    assert copy.name in said[0]
