"""Commands about folders of scans: make, list, inspect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from napari_ssl_muscle.cli.shell import A_PATH, DONE, main, progress_bar
from napari_ssl_muscle.phantom.settings import Contrast, PhantomSettings
from napari_ssl_muscle.synthesis.settings import TWIN_DICE


def _phantom_option(name: str, text: str) -> Callable[[Any], Any]:
    """Return the option of a setting of the phantom, with the setting's default."""
    return click.option(
        f"--{name}",
        type=click.Choice(get_args(Contrast))
        if name == "contrast"
        else type(getattr(PhantomSettings, name)),
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
@_phantom_option(
    "contrast",
    "Fat bright; dark as in the water image of a Dixon scan; or both images of a Dixon scan, with "
    "the true fat of each muscle.",
)
@_phantom_option("infiltration", "Per cent points by which muscles' fat grows a month.")
@_phantom_option("repeats", "Scans of each session; the person lies down again.")
@_phantom_option("coverage", "Millimetres of thigh that a scan spans.")
@_phantom_option("placement", "Deviation in mm of where scans begin along the leg.")
def phantom(out: Path, **settings: Any) -> int:
    """Write a synthetic cohort with labels into the new folder OUT.

    The scans look like thigh MRI; the muscles change from month to month, by true volumes that
    are written down. The layout is BIDS.
    """
    from napari_ssl_muscle.phantom.cohort import write_phantom

    with progress_bar() as show:
        folder = write_phantom(out, PhantomSettings(**settings), show)
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

    with progress_bar() as show:
        export = find_series(folder, show)
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
    with progress_bar() as show:
        found = compared(opened, dice, show)
    for text in twin_sentences(found, [item.name for item in opened]):
        click.echo(text)
    if not found:
        click.echo(f"No two of {len(opened)} label maps have a mean Dice above {dice:g}.")
    return DONE
