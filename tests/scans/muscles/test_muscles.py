"""Muscle tables: names, values, colours, and the files of other programs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import (
    Muscle,
    MuscleTable,
    default_table,
    present_values,
    read_table,
    side_of,
    split_side,
    standard_name,
    table_beside,
    table_by_values,
    write_itksnap,
    write_tsv,
)
from napari_ssl_muscle.scans.muscles.names import known_muscles

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
ELEVEN = ("SA", "RF", "VL", "VI", "VM", "AM", "GR", "BL", "ST", "SM", "BB")


def table(*names):
    return MuscleTable(tuple(Muscle(3 * i, name) for i, name in enumerate(names, start=1)))


@pytest.mark.parametrize(
    ("text", "name", "side"),
    [
        ("VL", "vastus lateralis", None),
        ("vastus_lateralis", "vastus lateralis", None),
        ("Vastus  Lateralis", "vastus lateralis", None),
        ("M. vastus lateralis", "vastus lateralis", None),
        ("L_VL", "vastus lateralis left", "left"),
        ("VL (Right)", "vastus lateralis right", "right"),
        ("left vastus lateralis", "vastus lateralis left", "left"),
        ("gastrocnemius_medialis_R", "gastrocnemius medial head right", "right"),
        ("AL", "adductor longus", None),
        ("Fat-Pad 2", "fat pad 2", None),
        ("L", "l", None),
    ],
)
def test_standard_names(text, name, side):
    assert standard_name(text) == name
    assert side_of(text) == side
    assert standard_name(name) == name


def test_no_name_or_abbreviation_means_two_muscles():
    seen = {}
    for muscle in known_muscles():
        for text in (muscle.name, muscle.abbreviation, *muscle.synonyms):
            assert seen.setdefault(text.lower(), muscle.name) == muscle.name
            assert standard_name(text) == muscle.name


def test_default_muscles():
    assert default_table("thigh").names == (
        "vastus lateralis",
        "vastus intermedius",
        "vastus medialis",
        "rectus femoris",
        "sartorius",
        "gracilis",
    )
    assert default_table("calf").names == (
        "gastrocnemius medial head",
        "gastrocnemius lateral head",
        "soleus",
        "tibialis anterior",
        "tibialis posterior",
        "peroneus longus and brevis",
    )
    assert default_table("thigh").values == default_table("calf").values == (1, 2, 3, 4, 5, 6)


class TestTable:
    six = default_table("thigh")

    @pytest.mark.parametrize("text", ["vastus lateralis", "VL", "vl", " Vastus_Lateralis "])
    def test_by_name(self, text):
        assert self.six.by_name(text).value == 1

    def test_an_unknown_name_lists_the_known_ones(self):
        with pytest.raises(BadInput, match=r"no muscle 'soleus'.*vastus lateralis, vastus inter"):
            self.six.by_name("soleus")

    def test_select_keeps_values_and_takes_the_given_order(self):
        chosen = self.six.select(["gracilis", "VM"])
        assert chosen.names == ("gracilis", "vastus medialis")
        assert chosen.values == (6, 3)

    @pytest.mark.parametrize("names", [[], ["VL", "vastus lateralis"]])
    def test_select_none_or_twice(self, names):
        with pytest.raises(BadInput):
            self.six.select(names)

    @pytest.mark.parametrize(
        "muscles",
        [
            [Muscle(0, "a")],
            [Muscle(-1, "a")],
            [Muscle(1, "a"), Muscle(1, "b")],
            [Muscle(1, "a"), Muscle(2, "A")],
            [Muscle(value, f"m{value}") for value in range(1, 257)],
        ],
    )
    def test_impossible_tables(self, muscles):
        with pytest.raises(BadInput, match="muscle table"):
            MuscleTable(tuple(muscles))

    def test_values_of_other_muscles_become_background(self):
        chosen = self.six.select(["gracilis", "VM"])
        values = np.array([[0, 1, 3, 6, 6000, -2]], np.int32)
        np.testing.assert_array_equal(chosen.encode(values), [[0, 0, 2, 1, 0, 0]])
        assert chosen.encode(values).dtype == np.uint8

    @given(
        chosen=st.lists(st.integers(1, 900), min_size=1, max_size=20, unique=True),
        data=st.data(),
    )
    def test_encode_and_decode_are_inverse(self, chosen, data):
        some = MuscleTable(tuple(Muscle(value, f"m{value}") for value in chosen))
        values = data.draw(hnp.arrays(np.int32, (2, 3, 2), elements=st.sampled_from([0, *chosen])))
        np.testing.assert_array_equal(some.decode(some.encode(values)), values)

    def test_rows_survive_json(self):
        eleven = MuscleTable(
            (Muscle(4, "vastus lateralis", "VL"), Muscle(300, "odd one", "", (1, 2, 3)))
        )
        again = MuscleTable.from_rows(json.loads(json.dumps(eleven.to_rows())))
        assert again.names == eleven.names
        assert again.values == eleven.values
        assert again.colours() == eleven.colours()
        assert again.muscles[0].abbreviation == "VL"

    def test_a_broken_row(self):
        with pytest.raises(BadInput, match="a row without"):
            MuscleTable.from_rows([{"value": 1}])

    def test_same_muscles(self):
        assert table("VL", "VM").same_muscles(
            MuscleTable((Muscle(8, "vastus_lateralis"), Muscle(2, "VM")))
        )
        assert not table("VL", "VM").same_muscles(table("VM", "VL"))
        assert not table("VL").same_muscles(table("VL", "VM"))

    def test_values_outside_the_table(self):
        labels = np.array([0, 1, 6, 7, 12])
        assert self.six.unknown_values(labels) == (7, 12)
        with pytest.raises(BadInput) as caught:
            self.six.require_known(labels, "leg.nii.gz")
        assert "leg.nii.gz holds the label values 7, 12" in str(caught.value)
        assert "add these values to the table" in str(caught.value)
        self.six.require_known(np.array([0, 6]), "leg.nii.gz")

    @given(hnp.arrays(np.int32, (3, 4), elements=st.integers(-3, 70000)))
    def test_present_values(self, values):
        assert present_values(values) == tuple(np.unique(values))


class TestColours:
    def test_a_muscle_has_one_colour_whatever_the_table_and_its_sides_differ(self):
        colours = {}
        for one in (default_table("thigh"), table(*ELEVEN), table("L_VL", "R_VL", "l_gracilis")):
            for muscle in one.muscles:
                name = standard_name(muscle.name).removesuffix(" left")
                colour = one.colours()[muscle.value]
                assert colours.setdefault(name, colour) == colour
        left, right = table("L_VL", "R_VL").colours().values()
        assert smallest_difference(left, right) > 20

    def test_a_table_s_own_colours_are_shown_but_not_what_older_versions_wrote(self):
        rows = [("VL", (9, 9, 9)), ("odd", (9, 9, 9)), ("sartorius", (123, 95, 217))]
        one = MuscleTable(tuple(Muscle(v, n, "", c) for v, (n, c) in enumerate(rows, 1)))
        assert one.colours()[1] == one.colours()[2] == (9 / 255, 9 / 255, 9 / 255, 1)
        assert one.colours()[3] == table("SA").colours()[3]

    def test_no_two_muscles_of_the_thigh_look_alike_at_half_opacity(self):
        shown = table(*ELEVEN).colours().values()
        for grey in (0.2, 0.45):
            blended = [tuple(0.5 * np.array(colour[:3]) + 0.5 * grey) for colour in shown]
            for one, other in itertools.combinations(blended, 2):
                assert np.linalg.norm(lab(one, np.eye(3)) - lab(other, np.eye(3))) > 16

    @pytest.mark.parametrize(
        "muscles",
        [ELEVEN, [m.name for m in default_table("calf").muscles] + ["EDL", "FHL", "FDL"]],
        ids=["thigh", "calf"],
    )
    def test_colours_stay_apart_for_the_colour_blind(self, muscles):
        shown = table(*muscles).colours().values()
        for one, other in itertools.combinations(shown, 2):
            assert smallest_difference(one, other) > 15

    @pytest.mark.parametrize(
        "pair",
        [
            "VL VI",
            "VL RF",
            "VI VM",
            "RF VI",
            "RF VM",
            "RF SA",
            "SA VM",
            "SA GR",
            "SA AM",
            "GR AM",
            "GR SM",
            "AM SM",
            "AM VM",
            "AM BB",
            "SM ST",
            "ST BL",
            "BL BB",
            "BB VL",
            "BL VL",
            "AM ST",
            "GM GL",
            "GM SOL",
            "GL SOL",
            "SOL TP",
            "SOL PER",
            "TA TP",
            "TP PER",
            "TA PER",
            "TA EDL",
        ],
    )
    def test_neighbours_are_far_apart(self, pair):
        one, other = table(*pair.split()).colours().values()
        assert smallest_difference(one, other) > 30


# Machado, Oliveira & Fernandes 2009, severity 1: normal, protan, deutan, tritan.
VISION = [
    np.eye(3),
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
]
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]


def lab(colour, vision):
    rgb = np.array(colour[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(vision @ linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def smallest_difference(one, other):
    """Distance in CIELAB for whoever sees the least of it."""
    return min(np.linalg.norm(lab(one, v) - lab(other, v)) for v in map(np.array, VISION))


class TestFiles:
    itksnap = (
        '# IDX\n  0  0 0 0  0 0 0 "Clear Label"\n'
        '  4  10 20 30  1 1 1 "VL"\n  7 1 2 3 0.5 1 0 "My own"\n'
    )

    @pytest.mark.parametrize("suffix", [".label", ".txt"])
    def test_itksnap(self, tmp_path, suffix):
        path = tmp_path / f"a{suffix}"
        path.write_text(self.itksnap, encoding="utf-8")
        assert read_table(path).muscles == (
            Muscle(4, "vastus lateralis", "VL", (10, 20, 30)),
            Muscle(7, "My own", "", (1, 2, 3)),
        )

    def test_bids(self, tmp_path):
        path = tmp_path / "dseg.tsv"
        path.write_text(
            "name\tindex\tabbreviation\tcolor\nBackground\t0\tn/a\tn/a\n"
            "Vastus Lateralis\t2\tVLat\t#0A141E\nodd\t5\tn/a\tn/a\n",
            encoding="utf-8-sig",
        )
        assert read_table(path).muscles == (
            Muscle(2, "vastus lateralis", "VLat", (10, 20, 30)),
            Muscle(5, "odd"),
        )

    @pytest.mark.parametrize(
        "labels",
        [{"background": 0, "VL": 2, "odd": 5}, {"0": "background", "2": "VL", "5": "odd"}],
    )
    def test_nnunet(self, tmp_path, labels):
        path = tmp_path / "dataset.json"
        path.write_text(json.dumps({"labels": labels}), encoding="utf-8")
        assert read_table(path).names == ("vastus lateralis", "odd")
        assert read_table(path).values == (2, 5)

    @pytest.mark.parametrize(("write", "name"), [(write_itksnap, "a.label"), (write_tsv, "a.tsv")])
    def test_what_is_written_is_read_back(self, tmp_path, write, name):
        full = MuscleTable(
            (*default_table("thigh").muscles, Muscle(77, 'an "odd" one', "ODD", (1, 2, 3)))
        )
        write(full, tmp_path / name)
        again = read_table(tmp_path / name)
        assert again.values == full.values
        assert again.names[:-1] == full.names[:-1]
        assert again.colours() == full.colours()
        assert "odd" in again.names[-1]

    def test_two_rows_for_one_standard_name_keep_their_words(self, tmp_path):
        path = tmp_path / "dseg.tsv"
        path.write_text("index\tname\n1\tBF\n2\tbiceps femoris\n", encoding="utf-8")
        assert read_table(path).names == ("BF", "biceps femoris")

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("a.label", "1 2 3 VL\n", ["Line 1 of", "a.label", "the name"]),
            ("a.label", '0 0 0 0 0 0 0 "Clear Label"\n', ["a.label names no muscle"]),
            ("a.label", '1 0 0 0 0 0 0 "x"\n1 0 0 0 0 0 0 "y"\n', ["a.label", "value 1 twice"]),
            ("a.tsv", "value\tname\n1\tVL\n", ["a.tsv", "columns index and name"]),
            ("a.tsv", "index\tname\none\tVL\n", ["Line 2 of", "a.tsv", "whole number"]),
            ("a.tsv", "index\tname\n1\n", ["Line 2 of", "a.tsv", "no name"]),
            ("a.tsv", "", ["a.tsv", "columns index and name"]),
            ("dataset.json", "{", ["dataset.json", '"labels"']),
            ("dataset.json", "{}", ["dataset.json", '"labels"']),
            ("dataset.json", '{"labels": {"both": [1, 2]}}', ["dataset.json", "names no muscle"]),
            ("a.csv", "1,VL", ["a.csv", ".label", "dseg.tsv", "dataset.json"]),
        ],
    )
    def test_bad_files(self, tmp_path, name, text, words):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BadInput) as caught:
            read_table(path)
        for word in words:
            assert word in str(caught.value)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(BadInput, match=r"no\.label cannot be read .* check the path"):
            read_table(tmp_path / "no.label")


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real scans are not here")
def test_the_real_table():
    muscles = read_table(SHARED / "thigh" / "muscles.label")
    assert muscles.values == tuple(range(1, 12))
    assert tuple(muscle.abbreviation for muscle in muscles.muscles) == ELEVEN
    assert muscles.names[7] == "biceps femoris long head"
    assert muscles.names[10] == "biceps femoris short head"


def test_class_255_is_kept_for_unlabelled_pixels() -> None:
    """Class indices are stored in one byte, and learning reads 255 as "nobody has looked here"."""
    rows = tuple(Muscle(value, f"muscle {value}") for value in range(1, 256))
    assert len(MuscleTable(rows[:254]).names) == 254
    with pytest.raises(BadInput, match="at most 254 muscles"):
        MuscleTable(rows)


def numbered(**values):
    return MuscleTable(tuple(Muscle(v, name) for name, v in values.items()))


def test_the_table_beside_a_label_map_is_found(tmp_path):
    labels = tmp_path / "labelsTr" / "case_seg.nii.gz"
    labels.parent.mkdir()
    assert table_beside(labels) is None

    write_itksnap(numbered(gracilis=3), tmp_path / "muscles.label")
    assert table_beside(labels).names == ("gracilis",)
    (labels.parent / "other.nii.gz").touch()
    write_itksnap(numbered(soleus=1), labels.parent / "other.label")
    assert table_beside(labels).names == ("gracilis",)  # not the table of another label map
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "sartorius": 1}}')
    assert table_beside(labels).names == ("sartorius",)
    write_tsv(numbered(gracilis=1, soleus=2), labels.parent / "case_seg.tsv")
    assert table_beside(labels).names == ("gracilis", "soleus")


def test_without_a_table_values_name_themselves():
    found = table_by_values(np.array([0, 4]), np.array([2, 4]))
    assert [(m.value, m.name) for m in found.muscles] == [(2, "label 2"), (4, "label 4")]


def test_sides_in_names():
    assert split_side("L_VL") == ("vastus lateralis", "left")
    assert split_side("gracilis right") == ("gracilis", "right")
    assert split_side("Soleus") == ("soleus", "")


def test_the_table_of_eleven_muscles_has_the_values_of_the_public_maps(tmp_path: Path) -> None:
    table = read_table(Path("thigh-eleven"))
    assert table.values == tuple(range(1, 12))
    short = ["SA", "RF", "VL", "VI", "VM", "AM", "GR", "BL", "ST", "SM", "BB"]
    assert [table.by_name(text).value for text in short] == list(range(1, 12))
    # A job's paths are made absolute, and a file of that name comes first.
    assert read_table(tmp_path / "thigh-eleven") == table
    (tmp_path / "thigh-eleven").mkdir()
    with pytest.raises(BadInput):
        read_table(tmp_path / "thigh-eleven")
