from pathlib import Path

from napari_ssl_muscle import paths


def test_all_of_it_lies_in_one_folder_at_home(home: Path) -> None:
    folder = home / "ssl-muscle"
    assert paths.user_folder() == folder
    assert paths.drafts_folder() == folder / "drafts"
    assert paths.studies_folder() == folder / "studies"
    assert paths.runs_folder() == folder / "runs"
    assert paths.running_folder() == folder / "running"
    assert paths.speed_file() == folder / "speed.json"
    assert not folder.exists()  # asking makes nothing
