"""What is said of a scan's subject, and how far the segmenting of several scans is."""

from napari_ssl_muscle.evaluation.provenance import known_subjects
from napari_ssl_muscle.learning.events import Event, Progress
from napari_ssl_muscle.learning.pretext.comparison import middle_slices
from napari_ssl_muscle.learning.segment import SegmentProgress


def test_progress_counts_over_all_scans_and_never_goes_back() -> None:
    events: list[Event] = []
    progress = SegmentProgress(events.append, 10)
    progress.begin("a", 4)
    progress.inside(4, 8)  # images of two legs
    progress.end()
    progress.begin("b", 6)
    progress.end()
    told = [(e.done, e.total, e.text) for e in events if isinstance(e, Progress)]
    assert told == [(0, 10, "a"), (2, 10, "a"), (4, 10, "a"), (4, 10, "b"), (10, 10, "b")]


def test_a_subject_is_known_with_and_without_the_prefix_of_bids() -> None:
    assert known_subjects(["sub-01", "02", "sub-3"], ["01", "sub-02"]) == ["02", "sub-01"]
    assert known_subjects(["sub-01"], []) == []


def test_slices_are_the_middles_of_equal_parts() -> None:
    assert middle_slices(12, 3) == [2, 6, 10]
    assert middle_slices(5, 5) == [0, 1, 2, 3, 4]
