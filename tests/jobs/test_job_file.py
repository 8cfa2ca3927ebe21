import json
from pathlib import Path

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.job_file import read_job, write_job
from napari_ssl_muscle.jobs.recipe import recipe_of
from napari_ssl_muscle.jobs.settings import EvaluateJob, PretrainJob, SegmentJob


def test_a_job_on_disk_means_the_same_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.safetensors").touch()
    job = SegmentJob(
        scans=[Path("a.nii"), Path("b.nii")], model="mine.safetensors", out=Path("out")
    )
    write_job(tmp_path / "job.json", job)
    read = read_job(tmp_path / "job.json")
    assert isinstance(read, SegmentJob)
    assert read.scans == [tmp_path / "a.nii", tmp_path / "b.nii"]
    assert read.out == tmp_path / "out"
    assert read.model == str(tmp_path / "mine.safetensors")


def test_a_shipped_models_name_stays_a_name(tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", SegmentJob(scans=[Path("a")], model="thigh", out=Path("o")))
    read = read_job(tmp_path / "job.json")
    assert isinstance(read, SegmentJob)
    assert read.model == "thigh"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("{", "Invalid JSON"),
        ('{"action": "dance"}', "dance"),
        ('{"action": "evaluate", "predictions": "p", "references": "r"}', "out: Field required"),
        ('{"action": "measure", "labels": ["a"], "out": "o", "colour": 1}', "colour: Extra"),
    ],
)
def test_what_is_no_job_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "job.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read_job(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_job_json_is_plain_json(tmp_path: Path) -> None:
    write_job(
        tmp_path / "job.json",
        EvaluateJob(predictions=Path("p"), references=Path("r"), out=Path("o")),
    )
    assert json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))["action"] == "evaluate"


def test_the_settings_that_are_used_are_written_and_do_no_harm(tmp_path: Path) -> None:
    job = PretrainJob(cohorts=[tmp_path], out=tmp_path, steps=7)
    path = tmp_path / "job.json"
    write_job(path, job, recipe_of(job))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["recipe"]["training"]["steps"] == content["steps"] == 7
    assert content["recipe"]["network"]["width"] == recipe_of(job).network.width
    assert "width" not in content
    assert read_job(path) == job
