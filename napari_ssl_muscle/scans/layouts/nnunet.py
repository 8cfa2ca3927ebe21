"""nnU-Net's raw layout: `imagesTr`, `imagesTs`, `labelsTr`, `dataset.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_ssl_muscle.scans.layouts.case import Case, Found
from napari_ssl_muscle.scans.name_parts import names_a_subject, subject_and_session
from napari_ssl_muscle.scans.naming import (
    BIDS_TABLE,
    NNUNET_IMAGES,
    NNUNET_TABLE,
    files_in,
    split_channel,
    stem_of,
)


def read_nnunet(folder: Path) -> Found:
    """Find the cases of a raw folder; without a `dataset.json` channels have their numbers."""
    found = Found("nnunet")
    names, notes = _channel_names(folder / NNUNET_TABLE)
    found.notes += notes
    for part in ("Tr", "Ts"):
        images: dict[str, dict[str, Path]] = {}
        for path in files_in(folder / f"images{part}"):
            case, number = split_channel(stem_of(path))
            number = number or "0000"
            images.setdefault(case, {})[names.get(number, number)] = path
        labels = {stem_of(path): path for path in files_in(folder / f"labels{part}")}
        known = {case.name for case in found.cases}
        for name, files in images.items():
            if name in known:
                found.notes.append(f"{name} is in imagesTr and imagesTs; the second is left out.")
                continue
            subject, session = subject_and_session(name)
            told = names_a_subject(name)
            found.cases.append(
                Case(name, subject, session, files, labels.get(name), subject_known=told)
            )
        found.notes += [
            f"{path} has no image in images{part}."
            for name, path in labels.items()
            if name not in images
        ]
    own = folder / NNUNET_TABLE
    endings = (".label", BIDS_TABLE)
    found.tables = (
        [own]
        if own.is_file()
        else files_in(folder, endings) + files_in(folder / "labelsTr", endings)
    )
    return found


def nnunet_labels_of(scan: Path) -> list[Path] | None:
    """Find the label maps of a scan in an image folder; None if it does not lie in one."""
    folder = scan.parent
    if folder.name not in NNUNET_IMAGES:
        return None
    case = split_channel(stem_of(scan))[0]
    beside = folder.parent / folder.name.replace("images", "labels")
    return [path for path in files_in(beside) if stem_of(path) == case]


def _channel_names(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read nnU-Net's names of channels by four-digit number (`modality` in its first version)."""
    if not path.is_file():
        return {}, []
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = content.get("channel_names", content.get("modality", {}))
        names = {f"{int(number):04d}": str(name) for number, name in entries.items()}
    except (OSError, ValueError, AttributeError) as error:
        return {}, [f"{path} cannot be read ({error}); channels are called by their numbers."]
    if len(set(names.values())) < len(names):
        return {}, []  # nnU-Net allows the same name twice; numbers tell them apart
    return names, []
