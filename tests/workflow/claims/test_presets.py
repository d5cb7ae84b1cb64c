"""The paper's printed values: counts, sums, and the paper's own totals and differences."""

import pytest

from workflow.plan import preset_files

# rows of the paper, printed numbers (a standard error is one more), and their sum: taken from the paper's text itself
PRINTED = {
    "table1": (8, 80, 138.38),
    "table2": (4, 36, 133.3),
    "table3": (10, 48, 142.509),
    "table4": (40, 80, 131.56),
    "table5": (4, 16, 67.478),
    "table6": (5, 20, 52.198),
    "table10": (4, 16, 167.741),
    "fig2": (4, 20, 82.96),
}


@pytest.fixture(scope="module")
def presets():
    return preset_files.read_presets()


def numbers(preset):
    for row in preset["rows"]:
        for value in row.get("paper", {}).values():
            yield from value if isinstance(value, list) else [value]


def printed(preset, label, role):
    value = next(row for row in preset["rows"] if row["label"].startswith(label))["paper"][role]
    return value[0] if isinstance(value, list) else value


@pytest.mark.parametrize("name", PRINTED)
def test_every_printed_cell_is_there(presets, name):
    rows, count, total = PRINTED[name]
    values = list(numbers(presets[name]))
    assert sum("paper" in row for row in presets[name]["rows"]) == rows
    assert len(values) == count
    assert sum(values) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "columns"), [("table1", 6), ("table2", 5), ("table5", 4), ("table6", 4), ("table10", 4)]
)
def test_no_paper_row_has_a_gap(presets, name, columns):
    assert {len(row["paper"]) for row in presets[name]["rows"] if "paper" in row} == {columns}


@pytest.mark.parametrize(
    ("table", "minuend", "subtrahend", "difference", "slips"),
    [
        ("table1", "SpeechOp", "TTS baseline", "Difference", {"mos_q": 0.01, "mos_ss": -0.01}),
        ("table6", "SpeechOp (TC-CFG)", "SpeechOp (TC-Avg)", "Difference", {"mcd": -0.01}),
    ],
)
def test_the_printed_differences_are_those_of_their_rows_but_for_known_slips(
    presets, table, minuend, subtrahend, difference, slips
):
    preset = presets[table]
    row = next(row for row in preset["rows"] if row["label"].startswith(difference))
    for role in row["paper"]:
        expected = printed(preset, minuend, role) - printed(preset, subtrahend, role)
        assert printed(preset, difference, role) - expected == pytest.approx(slips.get(role, 0), abs=1e-9), role


def test_table_3_agrees_with_the_differences_that_it_prints_in_brackets(presets):
    rows = {row.get("system"): row.get("paper") for row in presets["table3"]["rows"]}
    brackets = {
        ("speechop_itc", "speechop"): {"pesq": 0.05, "mcd": 0.02, "spbs": 0.020, "wer": -5.2},
        ("speechop_itc_voice", "speechop_itc"): {"pesq": 0.07, "mcd": -0.16, "spbs": -0.002, "wer": -0.5},
    }
    for (after, before), differences in brackets.items():
        for role, difference in differences.items():
            assert rows[after][role] - rows[before][role] == pytest.approx(difference, abs=1e-9)


def test_table_4_totals_are_the_means_of_its_sets(presets):
    values = {row["label"]: row["paper"]["mos"][0] for row in presets["table4"]["rows"] if "paper" in row}
    systems = {label.rsplit(", ", 1)[0] for label in values}
    assert len(systems) == 8
    for system in systems:
        sets = [values[f"{system}, {name}"] for name in ("LibriMix clean", "LibriMix noisy", "WHAMR!", "WSJ0-2mix")]
        assert values[f"{system}, total"] == pytest.approx(sum(sets) / 4, abs=0.021), system


def test_rows_that_tables_share_carry_the_same_values(presets):
    shared = [("table3", "noisy"), ("table3", "speechop"), ("table3", "speechop_gold")]
    for table, system in shared:
        first = next(row["paper"] for row in presets[table]["rows"] if row.get("system") == system)
        second = next(row["paper"] for row in presets["table6"]["rows"] if row.get("system") == system)
        assert {role: first[role] for role in second} == second
