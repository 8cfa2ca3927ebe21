"""The shell command `ssl-muscle`: every action of the window, and the window itself.

Results go to stdout, progress to stderr; `--events` gives JSON lines on stdout instead.
Exit codes: 0 done, 2 the request was wrong, 1 it failed, 130 stopped by the user. Heavy imports
wait until a command runs, so that help comes at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click

from napari_ssl_muscle import __version__
from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import job_from, options_of
from napari_ssl_muscle.jobs.display import Display, JsonLines, TextDisplay
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.run import JobFailed
from napari_ssl_muscle.jobs.settings import JOBS, AnyJob, Job, LearningJob
from napari_ssl_muscle.learning.events import Failed, Progress, Stopped
from napari_ssl_muscle.learning.settings import FreezeMode
from napari_ssl_muscle.phantom.settings import Contrast, PhantomSettings
from napari_ssl_muscle.synthesis.settings import TWIN_DICE

DONE, FAILED, WRONG, STOPPED = 0, 1, 2, 130

EPILOG = "Exit codes: 0 done, 2 the request was wrong, 1 it failed, 130 stopped by the user."

COMPLETION = """
Completion with the Tab key, in ~/.bashrc (for zsh in ~/.zshrc, with zsh_source):
  eval "$(_SSL_MUSCLE_COMPLETE=bash_source ssl-muscle)"
"""

A_PATH = click.Path(path_type=Path)


class Shell(click.Group):
    """The group of commands; turns every outcome into an exit code and a sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a person meets them."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their whole descriptions, which click would cut to one line."""
        rows = [
            (name, command.get_short_help_str(limit=1000))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes, and how to complete commands in lines that can be copied."""
        super().format_epilog(ctx, formatter)
        formatter.write(COMPLETION)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line; see `click.Command.main`."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else "ssl-muscle"
            _say(f"{error.format_message()} See {where} --help.")
            code = WRONG
        except (click.ClickException, BadInput) as error:
            _say(error.format_message() if isinstance(error, click.ClickException) else str(error))
            code = WRONG
        except (click.Abort, KeyboardInterrupt):
            code = STOPPED
        except JobFailed as error:
            _say(str(error))
            if error.__cause__ is not None:  # none where the sentence says all
                _say("".join(traceback.format_exception(error.__cause__)))
            code = FAILED
        except BrokenPipeError:  # the reader of our output has gone, as with `| head`
            _discard_output()
            code = FAILED
        except Exception:
            _say(traceback.format_exc())
            code = FAILED
        sys.exit(code if isinstance(code, int) else DONE)


@click.group(
    cls=Shell,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="ssl-muscle")
def main() -> None:
    """Segment leg muscles in MRI: learn from unlabelled scans, fine-tune from few labels."""


@main.command()
@click.argument("paths", nargs=-1, type=A_PATH, metavar="[PATH]...")
@click.option("--demo", is_flag=True, help="Open a phantom scan, ready to be segmented.")
def app(paths: tuple[Path, ...], demo: bool) -> int:
    """Open napari with the workbench, and PATHs in it."""
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path} does not exist; give scans or a folder of them.")
    _check_window()
    from napari_ssl_muscle.viewer.app import open_app

    open_app(paths, demo=demo)
    return DONE


def _check_window() -> None:
    from importlib.util import find_spec

    if not any(find_spec(binding) for binding in ("PyQt6", "PyQt5", "PySide6")):
        raise BadInput(
            "There is no Qt binding, so no window can open; install one with "
            'pip install "napari-ssl-muscle[pyqt6]".'
        )
    display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not display and not os.environ.get("QT_QPA_PLATFORM"):
        raise BadInput(
            "There is no display (DISPLAY is not set), so no window can open; "
            "log in with a desktop, or use a virtual one: xvfb-run ssl-muscle app."
        )


def _phantom_option(name: str, text: str) -> Callable[[Any], Any]:
    """Return the option of a setting of the phantom, with the setting's default."""
    return click.option(
        f"--{name}",
        type=click.Choice(get_args(Contrast)) if name == "contrast" else click.INT,
        default=getattr(PhantomSettings, name),
        show_default=True,
        help=text,
    )


@main.command()
@click.argument("out", type=A_PATH)
@_phantom_option("subjects", "Number of subjects.")
@_phantom_option("sessions", "Monthly sessions of each.")
@_phantom_option("slices", "Slices of each scan.")
@_phantom_option("size", "Pixels along a side of a slice.")
@_phantom_option("seed", "Another seed gives other subjects.")
@_phantom_option("contrast", "Fat bright, or dark as in the water image of a Dixon scan.")
def phantom(out: Path, **settings: Any) -> int:
    """Write a synthetic cohort with labels into the new folder OUT.

    The scans look like thigh MRI; the muscles change from month to month, by true volumes that
    are written down. The layout is BIDS.
    """
    from napari_ssl_muscle.phantom.cohort import write_phantom

    display = TextDisplay(sys.stderr)
    try:
        folder = write_phantom(
            out,
            PhantomSettings(**settings),
            lambda done, total: display.show(Progress(done=done, total=total)),
        )
    finally:
        display.close()
    click.echo(folder)
    return DONE


@main.command()
@click.argument("folder", type=A_PATH)
def inspect(folder: Path) -> int:
    """Say what is in a cohort's FOLDER, and what is wrong with it.

    BIDS, nnU-Net raw, or images with labels beside them.
    """
    from napari_ssl_muscle.jobs.text import format_cohort
    from napari_ssl_muscle.scans.cohort import open_cohort
    from napari_ssl_muscle.scans.inspection import inspect as inspect_cohort

    cohort = open_cohort(folder)
    click.echo(format_cohort(cohort, inspect_cohort(cohort)))
    return DONE


@main.command()
@click.argument("folder", type=A_PATH, metavar="DICOM")
def dicom(folder: Path) -> int:
    """List the series in a folder or a file of DICOM.

    Those marked with * are what ssl-muscle import takes by default. Descriptions are the scanner
    operator's and are shown here only.
    """
    from napari_ssl_muscle.jobs.text import format_export
    from napari_ssl_muscle.scans.formats.dicom.listing import find_series

    display = TextDisplay(sys.stderr)
    try:
        export = find_series(
            folder, lambda done, total: display.show(Progress(done=done, total=total))
        )
    finally:
        display.close()
    click.echo(format_export(export))
    return DONE


@main.command()
@click.argument("maps", nargs=-1, type=A_PATH, required=True, metavar="MAPS...")
@click.option("--table", type=A_PATH, help="Muscle table of the maps. Default: the one beside.")
@click.option(
    "--dice",
    type=click.FloatRange(0, 1),
    default=TWIN_DICE,
    show_default=True,
    help="Mean Dice after alignment from which on two maps are listed.",
)
def twins(maps: tuple[Path, ...], table: Path | None, dice: float) -> int:
    """List the label maps that are likely of one person, whatever they are called.

    MAPS are label maps or folders of them. Nothing is written.
    """
    from napari_ssl_muscle.jobs.actions.synthesise import compared, label_maps, twin_sentences
    from napari_ssl_muscle.synthesis.cohort import open_maps

    opened = open_maps(label_maps(maps), table)
    display = TextDisplay(sys.stderr)
    try:
        found = compared(
            opened,
            dice,
            lambda done, total, name: display.show(Progress(done=done, total=total, text=name)),
        )
    finally:
        display.close()
    for text in twin_sentences(found, [item.name for item in opened]):
        click.echo(text)
    if not found:
        click.echo(f"No two of {len(opened)} label maps have a mean Dice above {dice:g}.")
    return DONE


@main.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--folder", "folders", type=A_PATH, multiple=True, help="Look for models and runs here, too."
)
def models(names: tuple[str, ...], folders: tuple[Path, ...]) -> int:
    """List the shipped models, or show what the cards of MODELs say."""
    from napari_ssl_muscle.jobs.text import format_card
    from napari_ssl_muscle.learning.models.card import find_model, list_models, read_card

    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder; give one with models or runs in it.")
    if names:
        found = [(path, read_card(path)) for path in (find_model(name, folders) for name in names)]
    else:
        listed = list_models(folders)
        found = [(model.path, model.card) for model in listed if model.card is not None]
        for model in listed:
            if model.problem:
                _say(model.problem)
        if not listed:
            _say("No models were found; make one with ssl-muscle finetune.")
    for path, card in found:
        rows = [("File", str(path)), *format_card(card)]
        width = max(len(caption) for caption, _ in rows)
        click.echo(card.name)
        for caption, text in rows:
            click.echo(f"  {caption.ljust(width)}  {text}")
    return DONE


@main.command("import-reference")
@click.argument("checkpoint", type=A_PATH, metavar="FILE.pth")
@click.option("--out", type=A_PATH, required=True, help="The model file to write (.safetensors).")
@click.option("--table", type=A_PATH, help="Muscle table in the order of the classes.")
@click.option("--title", default="", help="A line on what the model is.")
def import_reference(checkpoint: Path, out: Path, table: Path | None, title: str) -> int:
    """Turn a checkpoint of the reference U-Net into a model.

    Only weights are taken from the file, in a process of its own.
    """
    from napari_ssl_muscle.scans.muscles import read_table

    muscles = None if table is None else read_table(table)
    if not checkpoint.is_file():
        raise BadInput(f"{checkpoint} does not exist; give a checkpoint of the reference U-Net.")
    if out.exists():
        raise BadInput(f"{out} exists already; choose another --out.")
    from napari_ssl_muscle.learning.network import reference_import

    reference_import.import_reference(checkpoint, out, table=muscles, title=title)
    click.echo(out)
    return DONE


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
            "steps": given["steps"],
            "split": "none",
            "channels": channels,
            "freeze": given["freeze"],
        },
        pretrain={**usual, "steps": given["pretrain_steps"]},
    )
    display = TextDisplay(sys.stderr)
    with _interrupts() as asked:
        path = run_gain(plan, display.show, asked.is_set)
        if asked.is_set():
            return STOPPED
    click.echo(summary(read_rows(path)))
    click.echo(path)
    return DONE


def _run(job: AnyJob, *, events: bool, stop_file: Path | None = None) -> int:
    """Run a job to its end, showing it; return the exit code."""
    display: Display = JsonLines(sys.stdout) if events else TextDisplay(sys.stderr)
    with _interrupts() as asked:

        def stop() -> bool:
            return asked.is_set() or (stop_file is not None and stop_file.exists())

        try:
            result = run_job(job, display.show, stop)
        finally:
            display.close()
            if isinstance(display, JsonLines) and display.output_closed:
                _discard_output()
    if not events:
        if text := result.get("text"):
            click.echo(text)
        for path in result.get("files", []):
            click.echo(path)
    return STOPPED if isinstance(display.last, Stopped) else DONE


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Set the returned event at the first Ctrl-C; the second one ends the program at once."""
    asked = threading.Event()

    def interrupted(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        _say("Stopping after the step in progress; Ctrl-C again ends it at once.")

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


def _say(text: str) -> None:
    """Print on stderr; a stderr that is gone must not hide the exit code."""
    with contextlib.suppress(OSError):
        click.echo(text.rstrip(), err=True)


def _discard_output() -> None:
    """Keep Python from failing again when it flushes stdout at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
