"""Study files: the shipped ones, merging, and what is refused."""

import math

import pytest

from metrics.listening import study
from metrics.listening.contrasts import judge, judge_printed
from speechbase.files import UserError


def test_shipped_studies_have_the_papers_sizes():
    sizes = {name: study.load(name) for name in study.SHIPPED}
    facts = {name: (s["workers"], s["utterances"], s["samples"], study.rated_samples(s)) for name, s in sizes.items()}
    assert facts["tts"] == (288, 80, 30, 26)
    assert facts["editing"] == (151, 100, 30, 26)
    assert facts["enhancement"] == (236, 96, 30, 26)
    assert [len(sizes[name]["scales"]) for name in study.SHIPPED] == [4, 4, 1, 1]
    assert [len(sizes[name]["systems"]) for name in ("tts", "editing", "enhancement")] == [7, 4, 6]
    assert all(len(s["hidden_tests"]) == 2 for s in sizes.values())


def test_printed_values_are_complete_and_the_totals_of_table_4_are_means_of_its_columns():
    for name in ("tts", "editing", "enhancement"):
        settings = study.load(name)
        for system in settings["systems"]:
            assert all(study.paper_value(system, settings["sets"][0], scale) for scale in settings["scales"])
    for system in study.load("separation")["systems"]:
        if "paper" in system:
            cells = [
                system["paper"][name]["quality"][0] for name in ("sep_clean", "sep_noisy", "sep_whamr", "sep_wsj0")
            ]
            assert sum(cells) / 4 == pytest.approx(system["paper"]["total"]["quality"][0], abs=0.021)


def test_an_unknown_key_is_named_with_the_nearest_right_one():
    with pytest.raises(UserError, match=r"unknown key 'worker'.*did you mean 'workers'"):
        study.load("tts", {"worker": 3})
    with pytest.raises(UserError, match="does not have: nobody"):
        study.load("tts", {"only": ["clean", "nobody"]})
    with pytest.raises(UserError, match="larger than the number of hidden tests"):
        study.load("tts", {"samples": 4})


@pytest.mark.parametrize("text", ["[1, 2]", "study: [", ""])
def test_a_broken_study_file_is_an_error_with_its_name(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"mine\.yaml"):
        study.load(path)


def test_systems_merge_by_name_and_paper_rows_stay():
    settings = study.load("tts", {"only": ["clean", "speechop"], "systems": [{"name": "speechop", "label": "Mine"}]})
    assert {s["name"]: s["label"] for s in settings["systems"]}["speechop"] == "Mine"
    assert [s["name"] for s in study.heard_systems(settings)] == ["clean", "speechop"]
    assert "ditto_tts" in [s["name"] for s in settings["systems"]]


def test_a_scale_without_the_test_sets_has_no_study():
    changes = study.at_scale("separation", ["speechop", "sepformer"], ["sep_clean", "tts"], {"workers": 9})
    assert changes == {"only": ["speechop", "sepformer", "mixture", "clean"], "sets": ["sep_clean"], "workers": 9}
    assert study.audio_needed(study.load("separation", changes)) == [
        ("sep_clean", "speechop"),
        ("sep_clean", "sepformer"),
    ]
    assert study.at_scale("tts", ["speechop"], ["sep_clean"]) is None


def claim(name: str, contrast_id: str) -> list:
    settings = study.load(name)
    systems = {system["name"]: system for system in settings["systems"]}
    one = next(contrast for contrast in settings["contrasts"] if contrast["id"] == contrast_id)
    found = {}
    for set_name in settings["sets"]:
        for scale in one.get("scales", settings["scales"]):
            printed = [study.paper_value(systems[one[side]], set_name, scale) for side in "ab"]
            found[set_name, scale] = judge_printed(one["kind"], *printed, one.get("margin", 0.0))
    return found


def test_the_papers_numbers_do_not_support_all_of_its_sentences():
    """The verdicts that follow from the printed means and standard errors."""
    tts = {scale: v.verdict for (_, scale), v in claim("tts", "C07").items()}
    assert tts == dict.fromkeys(["quality", "voice_similarity", "style_similarity"], "supported") | {
        "naturalness": "inconclusive"
    }
    assert judge("greater", 0.13, 0.07).p == pytest.approx(0.063, abs=5e-4)  # the printed difference row
    assert claim("enhancement", "C15")["se", "quality"].verdict == "supported"
    narrow = claim("enhancement", "C15-narrow")["se", "quality"]
    assert (narrow.verdict, round(narrow.p, 3)) == ("inconclusive", 0.056)
    none = {s: v for (s, _), v in claim("separation", "C16-none-sepformer").items()}
    assert none["sep_whamr"].verdict == "inconclusive" and none["sep_whamr"].difference == pytest.approx(-0.17)
    best = {s: v.verdict for (s, _), v in claim("separation", "C16-none-best").items()}
    assert best == {
        "sep_clean": "inconclusive",
        "sep_noisy": "supported",
        "sep_whamr": "supported",
        "sep_wsj0": "inconclusive",
    }
    gold = {v.verdict for key in ("C16-gold-sepformer", "C16-gold-best") for v in claim("separation", key).values()}
    assert gold == {"supported"}
    editing = claim("editing", "T2-baseline")
    assert {v.verdict for v in editing.values()} == {"inconclusive"}
    clone = claim("tts", "T1-clone-above-truth")["tts", "voice_similarity"]
    assert clone.verdict == "supported" and clone.difference / clone.se == pytest.approx(5.3, abs=0.05)


def test_a_verdict_can_be_opposite_and_a_missing_error_decides_nothing():
    assert judge("greater", -0.3, 0.05).verdict == "opposite"
    assert judge("equivalent", 0.5, 0.05, margin=0.2).verdict == "opposite"
    assert judge("not_worse", -0.05, 0.05, margin=0.2).verdict == "supported"
    assert judge("not_worse", -0.5, 0.05, margin=0.2).verdict == "opposite"
    assert judge("greater", 0.3, math.nan).verdict == "inconclusive"
    assert judge("greater", 0.2, 0.09, df=5).verdict == "inconclusive"
    assert judge("greater", 0.2, 0.09).verdict == "supported"


def test_the_command_line_refuses_before_any_work(tmp_path, capsys, monkeypatch):
    from metrics.listening import __main__ as command

    (tmp_path / "file").touch()
    given = ["prepare", "--study", "tts", "--testsets", str(tmp_path), "--audio", str(tmp_path)]
    for arguments, said in (
        (["--out", str(tmp_path / "file")], "is a file where a folder is needed"),
        (["--out", str(tmp_path / "new"), "--config", "[" * 100_000], "--config is not valid JSON"),
        (["--out", str(tmp_path / "new"), "--config", "[]"], "must be a JSON object"),
    ):
        monkeypatch.setattr("sys.argv", ["listening", *given, *arguments])
        with pytest.raises(SystemExit) as stop:
            command.main()
        assert stop.value.code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
