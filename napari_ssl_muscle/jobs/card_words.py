"""A model's card read aloud, for the shell and the window."""

from __future__ import annotations

from napari_ssl_muscle.learning.models.card import ModelCard, TrainingData


def card_in_words(card: ModelCard) -> list[tuple[str, str]]:
    """Return what a person should know of a model, as (caption, text)."""
    rows: list[tuple[str, str]] = []
    if card.title:
        rows.append(("Title", card.title))
    if card.task == "inpainting":
        rows.append(("Knows", "no muscles yet: pretrained on unlabelled scans, to fine-tune from"))
    else:
        names = [str(row["name"]) for row in card.muscles]
        rows.append(("Muscles", ", ".join(_with_dice(name, card) for name in names)))
    if "mean" in card.dice:
        leaking = " (LEAKING: split by slice, too good to be true)" if card.leaking else ""
        rows.append(("Dice", f"{card.dice['mean']:.2f} on average{leaking}"))
    if card.dice_note:
        rows.append(("Measured on", card.dice_note))
    if card.transductive:
        rows.append(("Transductive", "images of test subjects took part in the pretraining"))
    rows.append(("Channels", ", ".join(card.channels)))
    if card.contrast and card.contrast != rows[-1][1]:
        rows.append(("Contrast", card.contrast))
    if card.spacing is not None:
        z, y, x = card.spacing
        rows.append(("Voxels", f"{x:.3g} × {y:.3g} × {z:.3g} mm in training"))
    rows.append(("Network", f"U-Net of width {card.network.width}, depth {card.network.depth}"))
    if card.training_data:
        rows.append(("Learned from", "; ".join(_source(data) for data in card.training_data)))
    rows += [("Note", note) for note in card.notes]
    return rows


def _with_dice(name: str, card: ModelCard) -> str:
    return f"{name} {card.dice[name]:.2f}" if name in card.dice else name


def _source(data: TrainingData) -> str:
    counts = [
        f"{count} {word}{'s' if count != 1 else ''}"
        for count, word in ((data.subjects, "subject"), (data.slices, "slice"))
        if count
    ]
    known = [f"labels: {data.labels}"] if data.labels else []
    known += [data.licence] if data.licence else []
    text = f"{data.name}: {', '.join(counts)}" if counts else data.name
    return f"{text} ({'; '.join(known)})" if known else text
