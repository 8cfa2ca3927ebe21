"""The shell command as a process: exit codes, streams, Ctrl-C, and what it does not import."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from napari_ssl_muscle import cli
from napari_ssl_muscle.jobs.run import JobFailed
from napari_ssl_muscle.learning.events import Failed, Started, from_line
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings

PROGRAM = [sys.executable, "-m", "napari_ssl_muscle"]


def shell(*words: object, **more: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    return subprocess.run(
        [*PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        timeout=300,
        check=False,
        **more,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "phantom"
    return write_phantom(folder, PhantomSettings(subjects=1, sessions=1, slices=6, size=48))


def test_help_lists_every_command() -> None:
    result = shell("--help")
    assert result.returncode == 0
    for name in (
        *("app", "phantom", "inspect", "twins", "models", "import-reference", "run"),
        *("finetune", "compare-freezing", "experiments", "segment"),
        *("evaluate", "measure", "synthesise"),
    ):
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("words", [["--help"], ["segment", "--help"], ["models"]])
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom napari_ssl_muscle.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'napari', 'qtpy', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr


def test_a_wrong_request_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    result = shell("measure", tmp_path / "no.nii.gz", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{tmp_path / 'no.nii.gz'} does not exist; check the path."
    ]
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_is_one_line_and_exit_2() -> None:
    result = shell("measure", "a", "--out", "b", "--colour", "red")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--colour" in result.stderr
    assert "measure --help" in result.stderr


def test_events_are_json_lines_alone(cohort: Path, tmp_path: Path) -> None:
    result = shell("measure", cohort / "derivatives", "--out", tmp_path / "m", "--events")
    assert result.returncode == 0
    events = [from_line(line) for line in result.stdout.splitlines()]
    assert isinstance(events[0], Started)
    assert events[-1].kind == "finished"
    assert result.stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        ("measure", "none.nii", "--out", "o"),
        ("finetune", "none", "--out", "o", "--lr=-1"),
        ("run", "none.json"),
    ],
)
def test_a_wrong_request_is_an_event_as_well(words: tuple[str, ...], tmp_path: Path) -> None:
    result = shell(*words, "--events", cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stdout.splitlines()
    event = from_line(line)
    assert isinstance(event, Failed)
    assert event.bad_input
    assert result.stderr.strip() == event.sentence


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT can be sent to one process there")
def test_ctrl_c_stops_cleanly_and_keeps_what_was_learned(cohort: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["finetune", str(cohort), "--out", str(run), "--steps", "100000", "--preset", "quick"]
    words += ["--width", "4", "--depth", "1", "--threads", "1", "--events"]
    child = subprocess.Popen(
        [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if from_line(line).kind == "progress" and json.loads(line)["total"] == 100000:
            break
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert from_line(out.splitlines()[-1]).kind == "stopped"
    assert "Stopping after the step in progress" in err
    assert (run / "checkpoint.safetensors").is_file()
    assert (run / "model.safetensors").is_file()
    log = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert from_line(log[-1]).kind == "stopped"


@pytest.mark.skipif(os.name == "nt", reason="pipes end differently there")
def test_a_training_goes_on_when_its_parent_is_gone(cohort: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["finetune", str(cohort), "--out", str(run), "--steps", "30", "--preset", "quick"]
    words += ["--width", "4", "--depth", "1", "--threads", "1", "--events"]
    child = subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    child.stderr.close()
    assert child.wait(timeout=120) == 0
    log = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert from_line(log[-1]).kind == "finished"


def test_the_second_ctrl_c_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with cli.jobs.interrupts() as asked:
        assert not asked.is_set()
        signal.raise_signal(signal.SIGINT)
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_unexpected_error_is_exit_1_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*args: object) -> None:
        raise JobFailed("It failed unexpectedly: x.") from KeyError("x")

    monkeypatch.setattr(cli.jobs, "run_job", broken)
    result = CliRunner().invoke(cli.main, ["measure", "a", "--out", "b"])
    assert result.exit_code == 1
    assert result.stderr.startswith("It failed unexpectedly: x.\n")
    assert "KeyError" in result.stderr


def test_without_a_qt_binding_the_window_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(cli.main, ["app"])
    assert result.exit_code == 2
    assert "pip install" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_without_a_display_the_window_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(cli.main, ["app"])
    assert result.exit_code == 2
    assert "no display" in result.stderr


def test_inspect_says_what_is_there(cohort: Path) -> None:
    result = CliRunner().invoke(cli.main, ["inspect", str(cohort)])
    assert result.exit_code == 0, result.output
    assert "1 subject, 1 case, 1 labelled; channels: T1w" in result.stdout
    assert "48 × 48 × 6" in result.stdout
    assert "No problems were found." in result.stdout


def test_inspect_names_what_is_wrong(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "leg.nii.gz").write_bytes(b"no image")
    result = CliRunner().invoke(cli.main, ["inspect", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "leg.nii.gz" in result.stdout.partition("Problems and notes:")[2]


def test_phantom_writes_a_cohort_that_can_be_opened(tmp_path: Path) -> None:
    words = ["phantom", str(tmp_path / "p"), "--subjects", "2", "--sessions", "1", "--slices", "4"]
    made = CliRunner().invoke(cli.main, [*words, "--size", "32", "--contrast", "water"])
    assert made.exit_code == 0, made.output
    assert made.stdout.strip() == str(tmp_path / "p")
    shown = CliRunner().invoke(cli.main, ["inspect", str(tmp_path / "p")])
    assert "2 subjects, 2 cases, 2 labelled" in shown.stdout


def test_phantom_has_the_defaults_of_its_settings() -> None:
    options = {each.name: each.default for each in cli.cohorts.phantom.params if each.name != "out"}
    settings = PhantomSettings()
    assert options == {name: getattr(settings, name) for name in options}
    assert len(options) == 10


def test_models_reads_a_runs_card_aloud_and_names_broken_files(
    cohort: Path, tmp_path: Path
) -> None:
    words = ["finetune", str(cohort), "--out", str(tmp_path / "legs"), "--preset", "quick"]
    words += ["--width", "4", "--depth", "1", "--threads", "1", "--steps", "1"]
    assert CliRunner().invoke(cli.main, words).exit_code == 0
    (tmp_path / "broken.safetensors").write_bytes(b"?")
    listed = CliRunner().invoke(cli.main, ["models", "--folder", str(tmp_path)])
    assert listed.exit_code == 0
    assert "broken.safetensors" in listed.stderr
    for shown in (listed, CliRunner().invoke(cli.main, ["models", str(tmp_path / "legs")])):
        assert "vastus lateralis" in shown.stdout
        assert "U-Net of width 4, depth 1" in shown.stdout
        assert str(tmp_path / "legs" / "model.safetensors") in shown.stdout


def test_a_reference_checkpoint_becomes_a_model(tmp_path: Path) -> None:
    import torch

    from napari_ssl_muscle.learning.models.card import read_card
    from napari_ssl_muscle.learning.network.reference_import import key_map
    from napari_ssl_muscle.learning.network.unet import UNet

    net = UNet(1, 3, width=8, depth=4)
    names = {ours: theirs for theirs, ours in key_map(4, "transposed").items()}
    state = {names[name]: value for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "theirs.pth")
    out = tmp_path / "ours.safetensors"
    words = ["import-reference", str(tmp_path / "theirs.pth"), "--out", str(out)]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    assert read_card(out).network.width == 8
    again = CliRunner().invoke(cli.main, words)
    assert again.exit_code == 2
    assert str(out) in again.stderr
