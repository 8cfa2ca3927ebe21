"""Files that belong together, one writer in a folder, and what killed processes leave behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import (
    FolderLock,
    FolderLocked,
    parts,
    require_whole_set,
    together,
    write_text,
    write_together,
)
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, table_beside
from napari_ssl_muscle.scans.volume import open_label_map, save_label_map

NEW = {"a.csv": "new a", "b.csv": "new b", "c.json": "new c"}
OLD = {name: f"old {name}" for name in NEW}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


class Killed(BaseException):
    """Stands for the end of the process: nothing that follows a kill may clean up."""


def killed_after(monkeypatch: pytest.MonkeyPatch, renames: int, folder: Path) -> None:
    """Write the new set and stop dead after so many renames."""
    done = 0
    replace = Path.replace

    def dying(self: Path, target: Path) -> Path:
        nonlocal done
        if done == renames and Path(target).name in NEW:
            raise Killed
        done += Path(target).name in NEW
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(Killed):
            write_together(folder, NEW)


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_after_a_kill_between_renames_a_reader_gets_one_whole_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    write_together(tmp_path, OLD)
    killed_after(monkeypatch, renames, tmp_path)
    require_whole_set(tmp_path / "a.csv")
    assert contents(tmp_path) == NEW


def test_the_next_writer_finishes_what_a_killed_one_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(monkeypatch, 1, tmp_path)
    parts.sweep(tmp_path)  # keeps the parts that are still needed
    write_together(tmp_path, {"d.csv": "d"})
    assert contents(tmp_path) == {**NEW, "d.csv": "d"}


def test_a_mixed_set_that_cannot_be_finished_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_together(tmp_path, OLD)
    killed_after(monkeypatch, 1, tmp_path)
    next(tmp_path.glob(".part-*b.csv")).write_text("half")
    with pytest.raises(BadInput, match=r"a\.csv, b\.csv, c\.json .*different runs"):
        require_whole_set(tmp_path / "a.csv")
    require_whole_set(tmp_path / "another.csv")


@pytest.mark.parametrize("full_at", ["a.csv", "b.csv", "c.json", together.UNFINISHED])
def test_after_a_full_disk_the_old_set_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    write_together(tmp_path, OLD)
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name.endswith(f"-{full_at}"):
            write(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="No space left"):
        write_together(tmp_path, NEW)
    assert contents(tmp_path) == OLD


def test_a_damaged_commit_record_renames_nothing_outside_its_folder(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / ".part-x").write_text("x")
    (inside / together.UNFINISHED).write_text(
        '{"parts": {"../out.csv": {"part": ".part-x", "hash": "2d711642b726"}}}'
    )
    with pytest.raises(BadInput, match="is damaged"):
        write_together(inside, NEW)
    assert not (tmp_path / "out.csv").exists()


# --- label maps and their tables


def labels_of(*names: str) -> tuple[Any, Geometry, MuscleTable]:
    table = MuscleTable(tuple(Muscle(i, name) for i, name in enumerate(names, 1)))
    voxels = np.ones((2, 2, 2), np.uint8)
    return voxels, Geometry((2, 2, 2), np.eye(4)), table


def test_after_a_kill_a_label_map_has_the_table_that_it_was_written_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "leg_dseg.nii.gz"
    save_label_map(file, *labels_of("vastus lateralis", "gracilis"))
    replace = Path.replace

    def dying(self: Path, target: Path) -> Path:
        if Path(target).name == "leg_dseg.label":
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(Killed):
            save_label_map(file, *labels_of("gracilis", "vastus lateralis"))
    open_label_map(file)
    table = table_beside(file)
    assert table is not None
    assert table.names == ("gracilis", "vastus lateralis")


def test_a_table_of_another_models_labels_is_refused_by_name(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "leg.nii.gz", tmp_path / "other" / "leg.nii.gz"
    save_label_map(one, *labels_of("vastus lateralis", "gracilis"))
    save_label_map(other, *labels_of("gracilis", "vastus lateralis"))
    one.with_name("leg.label").write_bytes(other.with_name("leg.label").read_bytes())
    with pytest.raises(BadInput, match=r"leg\.label does not belong to .*leg\.nii\.gz"):
        table_beside(one)


def test_names_that_a_person_edits_in_a_table_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "leg.nii.gz"
    save_label_map(file, *labels_of("vastus lateralis", "gracilis"))
    table = file.with_name("leg.label")
    table.write_text(table.read_text().replace("gracilis", "sartorius"))
    read = table_beside(file)
    assert read is not None
    assert read.names == ("vastus lateralis", "sartorius")


# --- one writer


def test_the_second_one_is_told_who_writes(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    with pytest.raises(FolderLocked, match=f"process {os.getpid()} on "):
        FolderLock(tmp_path)
    first.release()
    FolderLock(tmp_path).release()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is of Linux")
    (tmp_path / ".lock.json").symlink_to(full)
    kept = []
    monkeypatch.setattr("napari_ssl_muscle.files.lock._is_at", lambda *_: True)
    for _ in range(2):
        with pytest.raises(BadInput, match="Cannot write into") as error:
            FolderLock(tmp_path)
        assert not isinstance(error.value, FolderLocked)
        kept.append(error.value)


# --- parts of killed processes


def test_parts_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    script = "import os; print(os.getpid())"
    dead = int(
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    )
    host = parts._HOST
    old = tmp_path / f".part-{host}-{dead}-x-model.safetensors"
    others = [f".part-{host}-{os.getpid()}-x-a", f".part-00000000-{dead}-x-a", ".part-unknown"]
    for path in (old, *(tmp_path / name for name in others)):
        path.touch()
    write_text(tmp_path / "new.txt", "new")
    assert sorted(contents(tmp_path)) == sorted([*others, "new.txt"])


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 251 + ".txt"), "long")
    with pytest.raises(BadInput, match="Cannot write"):
        write_text(tmp_path / ("n" * 256), "too long")
    with pytest.raises(BadInput, match="Cannot write"):
        write_text(tmp_path / "zero\0byte", "no name")
