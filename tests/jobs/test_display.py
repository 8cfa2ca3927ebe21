import io

from napari_ssl_muscle.jobs.display import JsonLines, TextDisplay
from napari_ssl_muscle.jobs.text import format_duration, format_event
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Failed,
    Note,
    Progress,
    Started,
    from_line,
)

STARTED = Started(action="fine-tuning", device="CPU, 2 threads")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_there_are_plain_lines() -> None:
    stream = io.StringIO()
    display = TextDisplay(stream)
    for event in (
        STARTED,
        Progress(done=1, total=4),
        EpochEnd(epoch=1, step=20, metrics={"train_loss": 0.12345, "dice": 0.5}, best=True),
        Note(text="Pixels are coarse.", warning=True),
        Progress(done=4, total=4),
    ):
        display.show(event)
    display.close()
    assert stream.getvalue().splitlines() == [
        "fine-tuning on CPU, 2 threads",
        "epoch 1, step 20: loss 0.1235, validation Dice 0.5 (best)",
        "Warning: Pixels are coarse.",
        "4 of 4 (100 %)",
    ]


def test_a_request_that_is_refused_shows_nothing_before_its_sentence() -> None:
    for stream in (io.StringIO(), Terminal()):
        display = TextDisplay(stream)
        display.show(STARTED)
        display.show(Failed(sentence="No.", bad_input=True))
        display.close()
        assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_that_is_drawn_over_and_taken_away() -> None:
    stream = Terminal()
    display = TextDisplay(stream)
    display.show(Progress(done=1, total=4, seconds_left=200))
    assert "[######" in stream.getvalue()
    assert "1 of 4 (25 %), about 3 min left" in stream.getvalue()
    assert "\n" not in stream.getvalue()
    display.close()
    last = stream.getvalue().split("\r")
    assert last[-1] == ""
    assert last[-2].strip() == ""


def test_json_lines_give_every_event_back() -> None:
    stream = io.StringIO()
    display = JsonLines(stream)
    for event in (STARTED, Progress(done=1, total=2)):
        display.show(event)
    assert [from_line(line) for line in stream.getvalue().splitlines()] == [
        STARTED,
        Progress(done=1, total=2),
    ]


def test_a_flood_of_progress_is_thinned_and_the_latest_is_never_lost() -> None:
    stream = io.StringIO()
    display = JsonLines(stream)
    for done in range(1, 1000):
        display.show(Progress(done=done, total=2000))
    end = EpochEnd(epoch=1, step=999, metrics={})
    display.show(end)
    display.show(Progress(done=2000, total=2000))
    events = [from_line(line) for line in stream.getvalue().splitlines()]
    assert events[0] == Progress(done=1, total=2000)
    assert events[-3:] == [
        Progress(done=999, total=2000),
        end,
        Progress(done=2000, total=2000),
    ]
    assert len(events) < 900


def test_work_goes_on_when_nobody_reads_its_events_any_more() -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    display = JsonLines(Gone())
    display.show(STARTED)
    display.show(Progress(done=1, total=2))
    assert display.output_closed
    assert display.last == Progress(done=1, total=2)


def test_times_are_said_as_people_say_them() -> None:
    assert [format_duration(s) for s in (40, 200, 7800)] == ["40 s", "3 min", "2 h 10 min"]


def test_what_only_programs_need_has_no_words() -> None:
    from napari_ssl_muscle.learning.events import Checkpoint, Preview

    assert format_event(Checkpoint(step=1, path="p")) is None
    assert format_event(Preview(step=1, path="p")) is None
