"""One command for each kind of job, and what runs a job from its file."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.cli.shell import A_PATH, DONE, STOPPED, discard_output, main, say
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import job_from, options_of, setting_options
from napari_ssl_muscle.jobs.display import Display, JsonLines, TextDisplay
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.settings import JOBS, AnyJob, FinetuneJob, LearningJob
from napari_ssl_muscle.learning.events import Failed, Stopped
from napari_ssl_muscle.learning.settings import FreezeMode

_OF_FINETUNINGS = ("warmup", "balance")
"""Settings that `gain` takes for its fine-tunings."""


@main.command()
@click.argument("cohort", type=A_PATH, metavar="COHORT")
@click.option("--out", type=A_PATH, required=True, help="Folder of results and runs.")
@click.option(
    "--scans",
    type=A_PATH,
    multiple=True,
    help="Folders whose scans pretraining learns from. Default: COHORT.",
)
@click.option(
    "--labelled", type=click.IntRange(1), multiple=True, help="Labelled subjects to train on."
)
@click.option(
    "--test", multiple=True, help="Subjects that test. Default: all that do not train, in turn."
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--preset", default="recommended", show_default=True)
@click.option("--channel", help="Image channel to fine-tune on, where there are several.")
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True)
@click.option("--pretrain-steps", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--freeze", type=click.Choice(get_args(FreezeMode)), default="none")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
def gain(cohort: Path, out: Path, **given: Any) -> int:
    """Measure what pretraining gains: the same fine-tunings from scratch and pretrained.

    Test subjects' scans never take part in a pretraining. Results are saved as they come in
    OUT/gain.csv; the same command goes on where it was stopped.
    """
    from napari_ssl_muscle.experiments.arms import read_rows
    from napari_ssl_muscle.experiments.pretraining_gain import GainPlan, run_gain, summary

    usual = {"preset": given["preset"], "threads": given["threads"]}
    settings = {name: given[name] for name in _OF_FINETUNINGS}
    # Said now, and in the option's name: before any training.
    job_from(FinetuneJob, {"cohort": cohort, "out": out, **usual, **settings})
    channels = None if given["channel"] is None else [given["channel"]]
    plan = GainPlan(
        cohort=cohort,
        scans=given["scans"] or (cohort,),
        out=out,
        labelled=given["labelled"] or (1,),
        test=given["test"],
        seeds=given["seeds"],
        finetune={
            **usual,
            **settings,
            "steps": given["steps"],
            "split": "none",
            "channels": channels,
            "freeze": given["freeze"],
        },
        pretrain={**usual, "steps": given["pretrain_steps"]},
    )
    display = TextDisplay(sys.stderr)
    with interrupts() as asked:
        path = run_gain(plan, display.show, asked.is_set)
        if asked.is_set():
            return STOPPED
    click.echo(summary(read_rows(path)))
    click.echo(path)
    return DONE


gain.params += setting_options(FinetuneJob, _OF_FINETUNINGS)


def _run(job: AnyJob, *, events: bool, stop_file: Path | None = None) -> int:
    """Run a job to its end, showing it; return the exit code."""
    display: Display = JsonLines(sys.stdout) if events else TextDisplay(sys.stderr)
    with interrupts() as asked:

        def stop() -> bool:
            return asked.is_set() or (stop_file is not None and stop_file.exists())

        try:
            result = run_job(job, display.show, stop)
        finally:
            display.close()
            if isinstance(display, JsonLines) and display.output_closed:
                discard_output()
    if not events:
        if text := result.get("text"):
            click.echo(text)
        for path in result.get("files", []):
            click.echo(path)
    return STOPPED if isinstance(display.last, Stopped) else DONE


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Set the returned event at the first Ctrl-C; the second one ends the program at once."""
    asked = threading.Event()

    def interrupted(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        say("Stopping after the step in progress; Ctrl-C again ends it at once.")

    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _refusals(events: bool) -> Iterator[None]:
    """Print a request that is refused before its job runs as an event, too."""
    try:
        yield
    except BadInput as error:
        if events:
            JsonLines(sys.stdout).show(Failed(sentence=str(error), bad_input=True))
        raise


EVENTS = click.Option(["--events"], is_flag=True, help="Print events as JSON lines on stdout.")


def _command(kind: type[Job]) -> click.Command:
    """Return the command of a job: its fields are its options."""

    def run(events: bool, **given: Any) -> int:
        with _refusals(events):
            job = job_from(kind, given)
        return _run(job, events=events)

    return click.Command(
        kind.model_fields["action"].default,
        callback=run,
        params=[*options_of(kind), EVENTS],
        help=kind.__doc__,
    )


for _kind in JOBS:
    main.add_command(_command(_kind))


@main.command("run")
@click.argument("job_file", type=A_PATH, metavar="JOB.json")
@click.option("--out", type=A_PATH, help="Write here instead of where the job says.")
@click.option("--resume", is_flag=True, help="Continue the stopped run of this job.")
@click.option("--events", is_flag=True, help="Print events as JSON lines on stdout.")
@click.option("--stop-file", type=A_PATH, hidden=True)
def run_command(
    job_file: Path, out: Path | None, resume: bool, events: bool, stop_file: Path | None
) -> int:
    """Run a job from its file, as every run's folder holds one."""
    with _refusals(events):
        job = read_job(job_file)
        if out is not None:
            job = job.model_copy(update={"out": out})
        if resume:
            if not isinstance(job, LearningJob):
                raise BadInput(f"{job_file} is no training; only trainings can be continued.")
            job = job.model_copy(update={"resume": True})
    return _run(job, events=events, stop_file=stop_file)
