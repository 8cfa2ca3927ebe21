"""Two patients open at once, the second elsewhere in space: form, picture and brush are one scan's.

The second one lies 400 mm further up; what is accepted of both comes into one study at the top of
their cohort. Letters that are typed where no keys are shown accept nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from qtpy.QtTest import QTest

from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.layers.scan_layers import info_of
from sessions.walker import Walkthrough, check

_keyboard: Any = QTest


def run(pictures: Path, size: tuple[int, int] | None) -> None:
    """Go through the session; parameters as of `one_scan.run`."""
    cohort = pictures / "cohort"
    write_phantom(cohort, PhantomSettings(subjects=2, sessions=1))
    scans = sorted(cohort.glob("sub-*/**/anat/*T1w.nii.gz"))
    for file in cohort.glob("**/sub-02_*.nii.gz"):
        _move(file)
    person = Walkthrough(pictures, size)
    viewer, correct = person.viewer, person.bench.correct
    person.open_files(scans[0])
    first = person.segment()
    person.picture("first-patient")
    person.open_files(scans[1])
    check(_seen(viewer) == {"sub-02"}, "only the second patient is seen")
    person.picture("second-patient")
    second = person.segment()
    person.show(correct)
    check("sub-02" in correct.title.value, "the form names the second patient")
    before = first.data.copy()
    person.key("N")
    second.mode, second.brush_size = "paint", 8
    person.mend(second)
    person.key("A")
    check("✓" in correct.status.value, "a slice of the second patient is accepted")
    check((first.data == before).all(), "nothing is drawn on the first one")
    person.picture("second-accepted")

    person.click_layer(first)
    check(_seen(viewer) == {"sub-01"}, "only the first patient is seen")
    check("sub-01" in correct.title.value, "the form names the first patient")
    check(correct.current is not None, "one of its slices is shown")
    person.picture("first-again")
    person.key("N")
    person.click_row(correct.table, correct.current or 0)
    person.key("A")  # the keys are alive after a click into the list
    check("✓" in correct.status.value, "a slice of the first patient is accepted")
    now = correct.corrections
    assert now is not None
    person.until(lambda: not now.saving, "the study")
    study = Study.read(cohort / "derivatives" / "ssl-muscle")
    check(len(study.scans) == 2, "both are in one study")
    person.picture("first-accepted")

    person.show(person.bench.pretrain)
    states = dict(now.states())
    for letter in "aen":
        _keyboard.keyClick(person.bench.pretrain.native, letter)
    person.rest()
    check(now.states() == states, "letters beside a field accept nothing")
    person.picture("pretrain")
    viewer.close()


def _move(file: Path) -> None:
    image: Any = nib.load(file)
    affine = image.affine.copy()
    affine[:3, 3] += (0, 90, 400)
    data = np.asarray(image.dataobj)
    moved: Any = nib.Nifti1Image(data, affine)  # type: ignore[no-untyped-call]
    moved.header.set_xyzt_units("mm")
    nib.save(moved, file)


def _seen(viewer: Any) -> set[str]:
    """Return the patients of whose scans something is visible."""
    infos = [info_of(layer) for layer in viewer.layers if layer.visible]
    names = {info.scan.name for info in infos if info is not None}
    print(f"       seen: {', '.join(sorted(names))}")
    return {subject_and_session(name)[0] for name in names}
