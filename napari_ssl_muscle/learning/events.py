"""What work reports while it runs: one stream of typed events.

The shell draws them as a progress bar, the window as bars and curves, a file keeps them as JSON
lines. An error, too, travels as an event (`Failed`), never as an exception through a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Started(_Event):
    """Work began; `device` describes what it runs on ("CPU, 2 threads")."""

    kind: Literal["started"] = "started"
    action: str
    device: str
    total: int | None = None
    """Steps (training) or slices (segmenting) in all; None where it is not known yet."""


class Progress(_Event):
    """`done` of `total`; `seconds_left` is None until it can be estimated.

    `unit` is what is counted: "step" in a training, empty for scans that are read. `loss` is a
    training's mean loss since the last time.
    """

    kind: Literal["progress"] = "progress"
    done: int
    total: int
    unit: str = ""
    text: str = ""
    seconds_left: float | None = None
    loss: float | None = None


class EpochEnd(_Event):
    """One epoch's means: `metrics` holds `train_loss`, `lr`, and what validation gave.

    `arm` says of which training it is, where a job runs several that are compared.
    """

    kind: Literal["epoch"] = "epoch"
    epoch: int
    step: int
    metrics: dict[str, float]
    best: bool = False
    arm: str = ""


class Speed(_Event):
    """How fast a training runs, for estimates of later ones.

    `gflop` is an image's arithmetic in a training step in 10⁹ operations, and `seconds` its time,
    validations and checkpoints included.
    """

    kind: Literal["speed"] = "speed"
    device: str
    gflop: float = Field(gt=0, allow_inf_nan=False)
    seconds: float = Field(gt=0, allow_inf_nan=False)


class Preview(_Event):
    """A file of pictures or arrays was refreshed (pretext reconstructions on probe slices)."""

    kind: Literal["preview"] = "preview"
    step: int
    path: str


class Checkpoint(_Event):
    """A checkpoint was written; `best` says that it is the best so far."""

    kind: Literal["checkpoint"] = "checkpoint"
    step: int
    path: str
    best: bool = False


class Note(_Event):
    """A sentence that the user should read: a warning or a choice that was made for them.

    `detail` marks what only those need who want to know how it works; the window folds it away.
    """

    kind: Literal["note"] = "note"
    text: str
    warning: bool = False
    detail: bool = False


class Finished(_Event):
    """Work ended well; `result` is what the action returns (paths as text, figures as numbers)."""

    kind: Literal["finished"] = "finished"
    result: dict[str, Any] = Field(default_factory=dict)


class Stopped(_Event):
    """The user stopped it; what was kept until then is named in `result`."""

    kind: Literal["stopped"] = "stopped"
    result: dict[str, Any] = Field(default_factory=dict)


class Failed(_Event):
    """It ended in an error. `bad_input` means the request was wrong (exit 2), else 1."""

    kind: Literal["failed"] = "failed"
    sentence: str
    bad_input: bool = False
    details: str = ""
    """The traceback, for the log; empty for bad input."""


Event = Annotated[
    Started
    | Progress
    | EpochEnd
    | Speed
    | Preview
    | Checkpoint
    | Note
    | Finished
    | Stopped
    | Failed,
    Field(discriminator="kind"),
]
"""Any of the events above."""

Emit = Callable[[Event], None]
"""Takes each event as it comes, on the thread that does the work."""

ShouldStop = Callable[[], bool]
"""Called between steps; true once the user wants the work to end."""

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def to_line(event: Event) -> str:
    """Return the event as one line of JSON, without the newline."""
    return event.model_dump_json()


def from_line(line: str) -> Event:
    """Return the event that `to_line` wrote.

    Raises
    ------
    ValueError
        If the line is no event (pydantic's ValidationError is one).
    """
    return _ADAPTER.validate_json(line)


def ignore_event(event: Event) -> None:
    """Take an event and do nothing: for callers who do not listen."""


def never_stop() -> bool:
    """Never ask to stop."""
    return False


def emit_warnings(emit: Emit, texts: Iterable[str]) -> None:
    """Emit sentences as notes that are shown as warnings."""
    for text in texts:
        emit(Note(text=text, warning=True))


def report_steps(emit: Emit, stop: ShouldStop) -> Callable[[int, int, str], None]:
    """Return what to call before each step with how many are done, how many there are, its name.

    It emits `Progress`, and raises `StoppedByUser` once the user wants the work to end.
    """

    def before(done: int, total: int, name: str) -> None:
        if stop():
            raise StoppedByUser
        emit(Progress(done=done, total=total, text=name))

    return before


class StoppedByUser(Exception):  # noqa: N818 - not an error
    """The user asked to end before there was anything to keep."""
