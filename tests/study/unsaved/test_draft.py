from pathlib import Path

import pytest

from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.study.lock import FolderLocked
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.unsaved.draft import Draft

pytestmark = pytest.mark.usefixtures("home")


def test_one_window_at_a_time() -> None:
    mine, theirs = Draft("leg"), Draft("leg")
    mine.lock()
    mine.lock()  # has it already
    with pytest.raises(FolderLocked):
        theirs.lock()
    assert (mine.is_locked, theirs.is_locked) == (True, False)
    mine.release()
    theirs.lock()
    theirs.release()


def test_states_come_back_and_damaged_ones_are_none() -> None:
    draft = Draft("leg")
    assert draft.read_states() == {}
    draft.write_states({3: "accepted", 1: "touched"})
    assert Draft("leg").read_states() == {1: "touched", 3: "accepted"}
    (draft.folder / "states.json").write_text("{", encoding="utf-8")
    assert draft.read_states() == {}
    draft.forget_states()
    draft.forget_states()


def test_the_study_is_found_again_while_it_is_there(tmp_path: Path) -> None:
    draft = Draft("leg")
    assert draft.study_folder() is None
    draft.remember_study(tmp_path / "study")
    assert draft.study_folder() is None
    Study.create(tmp_path / "study", default_table("thigh")).close()
    assert Draft("leg").study_folder() == tmp_path / "study"
