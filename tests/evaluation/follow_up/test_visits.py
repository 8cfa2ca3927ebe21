"""The order of a subject's sessions: from the user's table, else from their names."""

from pathlib import Path

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.follow_up.visits import order_visits
from napari_ssl_muscle.scans.layouts import Case


def cases(*sessions: str | None, subject: str = "sub-01") -> list[Case]:
    return [
        Case(f"{subject}_{session}_{number}", subject, session, {}, None)
        for number, session in enumerate(sessions)
    ]


def write_table(folder: Path, column: str, own: list[Case], values: list[str]) -> None:
    lines = [f"scan\tsubject\tsession\t{column}"]
    for case, value in zip(own, values, strict=True):
        lines.append(f"{case.name}\t{case.subject}\t{case.session}\t{value}")
    (folder / "subjects.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_numbers_in_session_names_are_the_order(tmp_path: Path) -> None:
    visits = order_visits(cases("ses-10", "ses-2", "ses-1"), tmp_path)
    assert [visit.session for visit in visits] == ["ses-1", "ses-2", "ses-10"]
    assert [visit.number for visit in visits] == [1, 2, 3]
    assert {visit.month for visit in visits} == {None}


def test_dates_of_the_users_table_become_months(tmp_path: Path) -> None:
    own = cases("ses-post", "ses-pre")
    write_table(tmp_path, "date", own, ["2024-07-01", "2024-01-01"])
    first, last = order_visits(own, tmp_path)
    assert (first.session, first.month) == ("ses-pre", 0.0)
    assert last.month == pytest.approx(6.0, abs=0.05)


def test_scans_of_the_same_order_are_repeats_of_one_visit(tmp_path: Path) -> None:
    own = cases("ses-01", "ses-01b", "ses-02")
    write_table(tmp_path, "order", own, ["1", "1", "2"])
    assert [visit.number for visit in order_visits(own, tmp_path)] == [1, 1, 2]


@pytest.mark.parametrize("sessions", [("ses-pre", "ses-post"), ("ses-01", "ses-01b")])
def test_sessions_without_an_order_are_refused(tmp_path: Path, sessions: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match="have no order") as refused:
        order_visits(cases(*sessions), tmp_path)
    assert str(tmp_path / "subjects.tsv") in str(refused.value)


def test_two_scans_that_claim_one_session_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="both claim ses-1 of sub-01"):
        order_visits(cases("ses-1", "ses-1"), tmp_path)
