"""Commands about model files."""

from __future__ import annotations

from pathlib import Path

import click

from napari_ssl_muscle.cli.shell import A_PATH, DONE, main, say
from napari_ssl_muscle.errors import BadInput


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
                say(model.problem)
        if not listed:
            say("No models were found; make one with ssl-muscle finetune.")
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
