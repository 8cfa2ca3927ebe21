"""The group of commands: exit codes, sentences on stderr, help, and a bar of progress."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import click

from napari_ssl_muscle import __version__
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.display import TextDisplay
from napari_ssl_muscle.jobs.run import JobFailed
from napari_ssl_muscle.learning.events import Progress

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
            say(f"{error.format_message()} See {where} --help.")
            code = WRONG
        except (click.ClickException, BadInput) as error:
            say(error.format_message() if isinstance(error, click.ClickException) else str(error))
            code = WRONG
        except (click.Abort, KeyboardInterrupt):
            code = STOPPED
        except JobFailed as error:
            say(str(error))
            if error.__cause__ is not None:  # none where the sentence says all
                say("".join(traceback.format_exception(error.__cause__)))
            code = FAILED
        except BrokenPipeError:  # the reader of our output has gone, as with `| head`
            discard_output()
            code = FAILED
        except Exception:
            say(traceback.format_exc())
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


class ShowProgress(Protocol):
    """Shows that so many of so many are done, and a text."""

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Show it."""


@contextlib.contextmanager
def progress_bar() -> Iterator[ShowProgress]:
    """Show progress on stderr as long as the context lasts."""
    display = TextDisplay(sys.stderr)

    def show(done: int, total: int, text: str = "", /) -> None:
        display.show(Progress(done=done, total=total, text=text))

    try:
        yield show
    finally:
        display.close()


def say(text: str) -> None:
    """Print on stderr; a stderr that is gone must not hide the exit code."""
    with contextlib.suppress(OSError):
        click.echo(text.rstrip(), err=True)


def discard_output() -> None:
    """Keep Python from failing again when it flushes stdout at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
