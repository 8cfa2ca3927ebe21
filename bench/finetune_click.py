"""From "Fine-tune" on three corrected slices to the new model's labels on the screen."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from figures import Figure, print_figures
from models import benchmark_model
from window import LONGEST, open_scan_window, press, run_until, settle

SLICES = (4, 8, 12)


def main(build: Path) -> None:
    model, name = benchmark_model(build)
    shutil.rmtree(build / "bench" / "muscle-study", ignore_errors=True)
    viewer, bench = open_scan_window(build)
    segment, correct, tune = bench.segment, bench.correct, bench.finetune
    segment.model.add(Path(model))
    settle(1.0)
    press(segment.segment_button)
    run_until(lambda: not segment.panel.running)
    bench.show_form(correct)
    for z in SLICES:
        correct.go_to(z)
        correct.accept()
    now = correct.corrections
    assert now is not None
    run_until(lambda: not now.saving)
    press(correct.finetune_button)
    run_until(lambda: bool(tune.start_button.native.isEnabled()))

    decision = tune.decision
    # With too few held-out slices both models label the scan by themselves, side by side.
    shown, frozen = run_until(
        lambda: not tune.panel.running and bool(decision.side.shown),
        lambda: press(tune.start_button),
    )
    press(decision.new_button)
    again, _ = run_until(
        lambda: not segment.panel.running and "✓" in str(segment.panel.status.value),
        lambda: press(decision.again_button),
    )
    minutes = f"{tune.minutes.value:g} min, as proposed"
    viewer.close()
    what = f'"Fine-tune" on {len(SLICES)} corrected slices ({name}, {minutes})'
    print_figures(
        [
            Figure(f"{what} to both predictions side by side", shown, "s", "< 60"),
            Figure('"Segment again" with the new model', again, "s"),
            Figure(f"{LONGEST} meanwhile", frozen, "s"),
        ]
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1]).absolute()
    # Not the user's own home: a study and runs are made there.
    os.environ["HOME"] = str(folder / "bench" / "home")
    main(folder)
