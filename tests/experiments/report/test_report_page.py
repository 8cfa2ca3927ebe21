import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_up_study import MUSCLES, Study, make_plan

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.report import write_report
from napari_ssl_muscle.experiments.report.figures import INK, draw
from napari_ssl_muscle.experiments.report.results import read_results
from napari_ssl_muscle.experiments.report.sections import without_home
from napari_ssl_muscle.experiments.report.strips import (
    OPACITY,
    coloured,
    downstream_strip,
    grey,
    pretext_strip,
)

WHOLE = ["0", "1", "2", "3", "4", "final", "labelled", "6"]

EMPTY = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """What a browser would see: texts, attributes, and that every element is closed."""

    def __init__(self, path):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in EMPTY:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def values(self, name):
        return [value for _, found, value in self.attributes if found == name]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    Study(make_plan(WHOLE, (0,)), pictures=True).add_all().write(out)
    write_report(out)
    return out


@pytest.fixture(scope="module")
def page(study):
    return Page(study / "report.html")


def test_the_page_asks_for_nothing_from_elsewhere(page):
    links = [*page.values("src"), *page.values("href"), *page.values("xlink:href")]
    assert links
    assert [link[:30] for link in links if not link.startswith(("#", "data:"))] == []
    styles = " ".join([*page.values("style"), *page.texts])
    assert re.findall(r"@import|url\((?!#)", styles) == []


def test_every_link_inside_the_page_leads_somewhere(page):
    ids = page.values("id")
    targets = [v[1:] for v in [*page.values("href"), *page.values("xlink:href")] if v[0] == "#"]
    targets += re.findall(r"url\(#([^)]+)\)", " ".join(v for _, _, v in page.attributes))
    assert set(targets) <= set(ids)
    assert len(set(ids)) == len(ids)


def test_the_page_has_every_table_and_figure(page, study):
    text = page.text
    for heading in (
        "Validation and test",
        "Does pretraining help?",
        "Few labelled subjects",
        "Variants of Dice",
        "Dice per muscle",
        "Experiment 0: Name of 0",
        "Experiment 3: Name of 3",
        "Experiment 6: Name of 6",
        "Learning curves",
        "Label: ground truth",
        "Output: predicted",
        "one class for each muscle",
        "LEAKING",
    ):
        assert heading in text
    figures = [
        value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")
    ]
    assert len(figures) == 14
    assert len([1 for tag, name, _ in page.attributes if (tag, name) == ("img", "alt")]) == 39


def test_tables_are_files_and_are_in_the_page_too(page, study):
    names = [v for tag, name, v in page.attributes if (tag, name) == ("a", "download")]
    assert sorted(names) == sorted(path.name for path in (study / "tables").iterdir())
    uris = [v for v in page.values("href") if v.startswith("data:text/csv")]
    for name, uri in zip(names, uris, strict=True):
        content = base64.b64decode(uri.partition("base64,")[2]).decode()
        assert content == (study / "tables" / name).read_text(encoding="utf-8")


def test_a_demonstration_says_so_and_the_published_preset_does_not(page, tmp_path):
    assert "Demonstration, too short to conclude" in page.text
    write_report(Study(make_plan(["0"], (0,), preset="poster")).add_all().write(tmp_path))
    assert "too short" not in Page(tmp_path / "report.html").text


def test_names_that_look_like_html_are_shown_as_they_are(page):
    assert MUSCLES[1] == "rectus <femoris>"
    assert "rectus <femoris>" in page.text


def test_no_home_folder_is_named(study):
    written = (study / "report.html").read_text(encoding="utf-8")
    assert str(Path.home()) not in written
    assert "jane" not in written
    assert "ssl-muscle experiments ~/scans/thighs --out ~/out" in written


def test_home_folders_of_other_systems_are_found():
    assert without_home("a /Users/jo/x 'C:\\Users\\jo b\\x' /data/x") == ("a ~/x '~ b\\x' /data/x")


@pytest.mark.parametrize("keys", [[], ["0"], ["final"], ["labelled"]])
def test_experiments_that_are_missing_say_so(keys, tmp_path):
    write_report(Study(make_plan(keys, (0,))).add_all().write(tmp_path))
    text = Page(tmp_path / "report.html").text
    assert "Not part of this study." in text


def test_a_study_without_a_finished_trial_has_a_report(tmp_path):
    write_report(Study(make_plan(WHOLE, (0,))).write(tmp_path))
    text = Page(tmp_path / "report.html").text
    assert "No trial is finished yet." in text
    assert "Nothing can be compared yet" in text


def test_the_same_study_gives_the_same_page(tmp_path):
    path = write_report(Study(make_plan(["2", "3"], (0,))).add_all().write(tmp_path))
    before = path.read_bytes()
    assert write_report(tmp_path).read_bytes() == before


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"plan\.json is missing"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_strips_show_one_seed_of_each_start(study):
    results = read_results(study)
    titles = [row.title for row in downstream_strip(results).rows]
    assert titles[:4] == [
        "Baseline, ann: 3D Dice 0.500",
        "Baseline, ben: 3D Dice 0.545",
        "Baseline, cem: 3D Dice 0.583",
        "10 %, K 16, ann: 3D Dice 0.600",
    ]
    assert downstream_strip(results).rows[0].aspect == pytest.approx(32 * 1 / (24 * 2))
    assert [row.title for row in pretext_strip(results).rows] == [
        "10 %, K 16",
        "10 %, K 16",
        "50 %, K 16",
        "50 %, K 16",
    ]


def test_muscles_are_mixed_into_the_picture_and_the_background_stays():
    background = grey(np.array([[0.0, 1.0], [2.0, 1.0]]), 0, 2)
    assert background[:, :, 0].tolist() == [[0, 128], [255, 128]]
    shown = coloured(background, np.array([[0, 1], [2, 0]]), {"a": (200, 0, 0), "b": (0, 100, 0)})
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown[1, 1].tolist() == [128, 128, 128]
    red = [round((1 - OPACITY) * 128 + OPACITY * c) for c in (200, 0, 0)]
    assert shown[0, 1].tolist() == red


def test_a_figure_takes_the_ink_of_the_page():
    svg = draw("name", 'Title with "quotes"', lambda axes: axes.plot([1, 2], [3, 4]))
    assert INK not in svg
    assert "currentColor" in svg
    assert 'aria-label="Title with &#34;quotes&#34;"' in svg
