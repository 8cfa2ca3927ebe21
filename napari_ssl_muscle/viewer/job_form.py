"""The base of the forms whose work is a job in a child process, with a folder of its own."""

from __future__ import annotations

import datetime
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.jobs.job_file import invalid_as_bad_input
from napari_ssl_muscle.paths import runs_folder
from napari_ssl_muscle.viewer.train.folder_picker import FolderPicker
from napari_ssl_muscle.viewer.viewer_form import WorkForm
from napari_ssl_muscle.viewer.widgets.background import ChildTask
from napari_ssl_muscle.viewer.widgets.form import CommandLine, row, small_button
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields


class JobForm(WorkForm):
    """From scans in folders to a folder of results.

    A subclass makes the parts that are its own, puts all into the form, and calls `_update`.

    Parameters
    ----------
    napari_viewer
        The viewer.
    scans
        Chooses what to work on.
    button
        Text and tooltip of the button that starts.
    unit
        What the panel counts.
    browse
        Tooltip of the button that chooses the folder of results.
    """

    TITLE: ClassVar[str]
    JOB: ClassVar[type[Job]]
    BUSY: ClassVar[str]
    """Why running work cannot be shown: the form shows other work."""

    def __init__(
        self,
        napari_viewer: Any,
        scans: FolderPicker,
        button: tuple[str, str],
        unit: str,
        browse: str,
    ) -> None:
        super().__init__(napari_viewer, self.TITLE, button, unit)
        self.fields = JobFields(self.JOB)
        self.scans = scans
        self._proposed = self.next_run()
        self.out = self.fields.line("out", str(self._proposed))
        self.out_button = small_button("…", browse)
        self.out_row = row(self.out, self.out_button, label="Save in")
        self.command = CommandLine()
        self.out_button.changed.connect(self._choose_out)
        self.changed.connect(self._update)
        self.scans.contents_changed.connect(self._on_contents)

    def job(self) -> Any:
        """Return the job that the form asks for.

        Raises
        ------
        BadInput
            If something is missing or refused.
        """
        with invalid_as_bad_input():
            return self._make_job()

    @abstractmethod
    def _make_job(self) -> Job:
        """Make the job; `job` turns what its class refuses into a sentence."""

    @property
    def folder(self) -> Path:
        """The folder of results that is entered."""
        return Path(self.out.value.strip()).expanduser()

    @property
    def busy(self) -> bool:
        """Whether work is going on."""
        return self.panel.running

    def next_run(self) -> Path:
        """Return a folder for the next results; it is not made."""
        action = self.JOB.model_fields["action"].default
        return runs_folder() / f"{action}-{datetime.datetime.now():%Y-%m-%d-%H%M%S}"

    def attach(self, work: ChildTask) -> None:
        """Show work of an earlier session that still goes on, or has ended since.

        Raises
        ------
        BadInput
            If other work is shown here, or what it began with is gone.
        """
        if self.busy:
            raise BadInput(self.BUSY)
        self._prepare(work.job)
        self.run(work)

    def _prepare(self, job: Any) -> None:
        """Get ready to show work; `BadInput` says why that cannot be."""

    @abstractmethod
    def _choose_out(self) -> None:
        """Ask for the folder of results (the button)."""

    def _on_contents(self) -> None:
        self._update()
        self.fit_width()
