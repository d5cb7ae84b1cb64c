"""Claims end to end: cells are checked on reading, known differences are found, the paper's own errors are used."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from speechbase.files import UserError, read_jsonl, sha256, write_json, write_jsonl
from tests.workflow.claims.synthetic_run import MEASURES, write_manifest, write_run, write_scores
from workflow.claims import judge as claims
from workflow.claims.comparisons import Comparison
from workflow.claims.evidence import Ours, printed
from workflow.plan import absences, configuration, places, preset_files
from workflow.plan.configuration import run_of
from workflow.record.curves import _reached as reached
from workflow.record.curves import matched_table
from workflow.tables import build as tables
from workflow.tables import listened


@pytest.fixture(scope="module")
def presets():
    return preset_files.read_presets()


def read_changed(presets, tmp_path, **change):
    stated = {"id": "C09", "table": "table3", "claim": "x", "compare": [{"of": "speechop_itc", "against": "speechop"}]}
    comparison = {"role": "wer", "expect": "lower"} | change.pop("compare", {})
    stated["compare"][0] |= comparison
    path = tmp_path / "claims.yaml"
    judges = {"second_judge": {"table": "second_judge", "of": {"wer": "wer_second"}}} if change.pop("second", 0) else {}
    path.write_text(yaml.safe_dump({"claims": [stated | change]} | judges))
    return claims.read_claims(presets, path)


def test_every_claim_of_the_paper_is_stated(presets):
    found = claims.read_claims(presets)
    ids = [claim.id for claim in found if claim.id[-1].isdigit()]
    assert [name for name in ids if name[0] == "C"] == [f"C{i:02d}" for i in range(1, 26)]
    assert [name for name in ids if name[0] == "X"] == [f"X{i:02d}" for i in range(1, 16)]
    assert [name for name in ids if name[0] == "P"] == [f"P{i:02d}" for i in range(1, 9)]
    assert [name for name in ids if name[0] == "N"] == [f"N{i:02d}" for i in range(1, 6)]
    assert sum(len(claim.comparisons) for claim in found) > 80
    words = [x for claim in found for x in claim.comparisons if x.role.startswith("wer")]
    assert len(words) > 15 and all(x.second for x in words)  # no claim about words by one judge
    own = [x for claim in found if claim.id[0] == "C" for x in claim.comparisons if x in words and not x.paper_only]
    assert len(own) > 12 and all(x.larger for x in own)
    margins = {(x.bound, x.percent) for c in found if c.id in ("C11", "C22") for x in c.comparisons if x.bound}
    assert margins == {(3.0, True)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "tabel3"}, "unknown table 'tabel3' .did you mean 'table3'"),
        ({"compare": {"of": "speechop_ict"}}, "no row 'speechop_ict' .did you mean 'speechop_itc'"),
        ({"compare": {"against": "HiFi-GAN2"}}, "no row 'HiFi-GAN2' .did you mean 'HiFi-GAN-2'"),
        ({"compare": {"role": "wre"}}, "no column 'wre' .did you mean 'wer'"),
        ({"compare": {"expect": "lowr"}}, "expect is 'lowr': input should be 'lower'"),
        ({"compare": {"expect": "within"}}, "`within` needs margin"),
        ({"compare": {"margin": 0.1}}, "`lower` takes no margin"),
        ({"compare": {"expect": "above", "value": 1}}, "about one cell"),
        ({"compare": {"expect": "within", "margin": 0.1, "margin_percent": 3}}, "`within` takes one margin"),
        ({"compare": {"needs": "fase"}}, "needs is 'fase': input should be 'phase'"),
        ({"compare": {"over": "noise"}}, "no row 'noise' .did you mean 'noisy'"),
        ({"compare": {"ceiling": "noise"}}, "`ceiling` belongs to `above`"),
        ({"beside": "C99"}, "no claim 'C99'"),
        ({"compare": {"since": ["speechop", "nosy"]}}, "no row 'nosy' .did you mean 'noisy'"),
        ({"floor": "nosy"}, "no row 'nosy' .did you mean 'noisy'"),
        ({"compare": {"of": "codec_round_trip"}, "second": True}, "no table has wer_second of codec_round_trip on se"),
        ({"compare": {"rolle": "wer"}}, "no setting '.*rolle' .did you mean 'role'"),
        ({"compare": {"larger": "table3_word"}}, "unknown table 'table3_word' .did you mean 'table3_words'"),
        ({"compare": {"role": "pesq", "larger": "table3_words"}}, "table3_words has no column 'pesq'"),
    ],
)
def test_a_wrong_cell_stops_with_the_nearest_right_name(presets, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        read_changed(presets, tmp_path, **change)


def test_a_system_on_several_sets_must_be_named_with_its_set(presets, tmp_path):
    change = {"table": "table4", "compare": {"of": "speechop", "against": "mixture@sep_clean", "role": "mos"}}
    with pytest.raises(UserError, match="write system@set"):
        read_changed(presets, tmp_path, **change)
    change["compare"]["of"] = "speechop@sep_noisy"
    assert read_changed(presets, tmp_path, **change)[0].comparisons[0].of == "speechop@sep_noisy"


@pytest.fixture(scope="module")
def paper(presets):
    nothing = Ours(presets, MEASURES, *[places.ROOT / "no such folder"] * 3)
    rows, details = claims.report(claims.read_claims(presets), presets, nothing)
    return {row["id"]: row for row in rows}, pd.DataFrame(details)


def test_the_paper_s_own_errors_contradict_three_of_its_sentences(paper):
    rows, details = paper
    assert rows["C07"]["paper_verdict"] == "inconclusive"
    assert "MOS-N" in rows["C07"]["paper_sentence"]
    assert rows["C15"]["paper_verdict"] == "supported"
    assert rows["C16"]["paper_verdict"] == "inconclusive"
    assert rows["C16g"]["paper_verdict"] == "supported"
    whamr = details[(details["id"] == "C16") & (details["against"] == "SepFormer (Chen 2024a), WHAMR!")].iloc[0]
    assert whamr["difference"] == pytest.approx(-0.17)
    assert whamr["low"] < 0 < whamr["high"]
    naturalness = details.query("id == 'C07' and role == 'mos_n' and source == 'paper'").iloc[0]
    assert naturalness["low"] == pytest.approx(0.13 - 1.96 * 0.0707, abs=1e-3)


def test_claims_printed_without_errors_only_hold_or_fail_as_printed(paper):
    rows, _ = paper
    for name in (
        "C05",
        "C06",
        "C09",
        "C10",
        "C11",
        "C12",
        "C13",
        "C14",
        "C17",
        "C18",
        "C19",
        "C20",
        "C21",
        "C22",
        "C24",
        "X12",
    ):
        assert rows[name]["paper_verdict"] == "holds as printed", name
    assert rows["C25"]["paper_verdict"] == "not printed"
    # Of SpeechX's tables single values are known: no comparison but X12's has both of its sides printed.
    # Of PolySpeech's, P03's have, and P08 is about one cell.
    assert rows["P03"]["paper_verdict"] == rows["P08"]["paper_verdict"] == "holds as printed"
    open_ones = {name: row for name, row in rows.items() if name[0] in "XNP" and name not in ("X12", "P03", "P08")}
    others = {name: row["paper_verdict"] for name, row in open_ones.items()}
    assert set(others.values()) == {"not printed"}, others


def test_without_a_run_every_claim_says_why(paper):
    rows, _ = paper
    assert {row["verdict"] for row in rows.values()} == {"not run"}
    assert all(row["sentence"].startswith("Not run: ") and len(row["sentence"]) > 12 for row in rows.values())


def test_equivalence_to_hifi_gan_2_is_borderline_at_a_tenth(presets):
    comparison = Comparison("table3", "mos", "speechop_itc", "HiFi-GAN-2", "within", 0.1)
    estimate = printed(comparison, presets).estimate
    assert max(estimate.p_below(0.1), estimate.p_above(-0.1)) == pytest.approx(0.056, abs=1e-3)


SHIFTS = {
    ("speechop_itc", "wer"): -1.0,
    ("speechop_gold", "wer"): -1.5,
    ("speechop_gold_avg", "wer"): 1.0,
    ("speechop_gold", "spbs"): 0.3,
    ("speechop_itc", "spbs"): 0.3,
}


@pytest.fixture(scope="module")
def run(presets, tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    write_run(root, presets, SHIFTS, failed={("speechop", "sim_prompt"): 30})
    settings = {"metrics": MEASURES, "absent": {}, "bootstrap_draws": 2000, "min_scored": 0.99, "seed": 1}
    settings["lacks"] = absences.lacks(configuration.resolve({"scale": "nano"}))
    out = root / "results" / "claims.csv"
    places = {"--results": root / "results", "--data": root / "data", "--models": root / "models", "--out": out}
    claims.main([str(part) for pair in places.items() for part in pair] + ["--settings", json.dumps(settings)])
    return root, pd.read_csv(out).set_index("id")


def test_known_differences_get_their_verdicts(run):
    _, rows = run
    expected = {"C09": "supported", "C13": "supported", "C11": "supported", "C19": "opposite", "C18": "supported"}
    expected |= {"C17": "not testable here", "C23": "opposite"}
    for name, verdict in expected.items():
        assert rows.loc[name, "verdict"] == verdict, rows.loc[name, "sentence"]
    assert rows.loc["C12", "verdict"] in ("inconclusive", "opposite")
    assert rows.loc["C05", "verdict"] == "not run"
    assert "30 of 60" in rows.loc["C05", "sentence"]
    assert "mostly: silent estimate" in rows.loc["C05", "sentence"]
    assert "keeps no phase" in rows.loc["C17", "sentence"]
    assert "the second judge, which guided nothing" in rows.loc["C09", "sentence"]
    assert rows.loc["C03", "verdict"] == "inconclusive"  # SI-SDRi cannot be tested, whatever the rest says


def test_c14_says_whom_it_was_compared_with_and_c21_what_stands_beside_it(run):
    _, rows = run
    said = rows.loc["C14", "sentence"]
    assert "Compared here with DeepFilterNet 3, Predictive enhancer, same data, augmentation and budget alone" in said
    assert "not with StoRM, Miipher, SGMSE+, HiFi-GAN-2, which nobody here runs" in said
    assert f"Beside it, C21m: {rows.loc['C21m', 'verdict']}." in rows.loc["C21", "sentence"]


def test_systems_that_do_worse_than_the_floor_are_named(presets, tmp_path):
    for test_set in ("se", "se_words"):
        ids = write_manifest(tmp_path, test_set, 90)
        for system, shift in (("noisy", 0), ("deepfilternet3", 3.0), ("predictive_fair", -1.0), ("speechop_itc", -1.5)):
            for role in ("wer", "wer_second"):
                write_scores(tmp_path, test_set, system, MEASURES[role], ids, shift)
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path, draws=500)
    found = [claim for claim in claims.read_claims(presets) if claim.id == "C14"]
    (row,), _ = claims.report(found, presets, ours)
    assert row["verdict"] == "supported"
    assert "DeepFilterNet 3: worse than Noisy source audio" in row["sentence"]
    assert "Predictive enhancer, same data, augmentation and budget: worse" not in row["sentence"]


def test_a_claim_about_words_needs_both_judges(presets, tmp_path):
    claim = [claim for claim in claims.read_claims(presets) if claim.id == "C09"]
    folders = [tmp_path / "results", tmp_path / "data", tmp_path]
    ids = write_manifest(tmp_path, "se_words", 90)
    for system, shifts in (("speechop", (0, 0)), ("speechop_itc", (-1.0, 1.0))):
        for role, shift in zip(("wer", "wer_second"), shifts):
            write_scores(tmp_path, "se_words", system, MEASURES[role], ids, shift)

    def judged():
        return claims.report(claim, presets, Ours(presets, MEASURES, *folders, draws=500))[0][0]

    assert judged()["verdict"] == "inconclusive" and "the judges do not agree" in judged()["sentence"]
    write_scores(tmp_path, "se_words", "speechop_itc", MEASURES["wer_second"], ids, -1.0)
    assert judged()["verdict"] == "supported"
    (tmp_path / "results/scores/se_words/speechop_itc" / f"{MEASURES['wer_second']}.jsonl").unlink()
    assert judged()["verdict"] == "inconclusive" and "the second judge did not hear them" in judged()["sentence"]


def test_a_margin_in_per_cent_is_of_the_base(presets, tmp_path):
    ids = write_manifest(tmp_path, "se", 200)
    write_scores(tmp_path, "se", "speechop", "mcd", ids, noise=0.0)
    write_scores(tmp_path, "se", "speechop_itc", "mcd", ids, shift=0.05, noise=0.01)
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path, draws=500)
    for percent, holds in ((3, True), (2, False)):
        result = ours(Comparison("table3", "mcd", "speechop_itc", "speechop", "within", percent, percent=True))
        assert result.comparison.bound == pytest.approx(result.cells[1] * percent / 100)
        assert (claims.stance(result) == "supported") == holds


def test_the_page_and_the_tables_agree(run):
    root, rows = run
    page = (root / "results" / "claims.md").read_text()
    for name, row in rows.iterrows():
        assert f"| {name} | {row['table']} | **{row['verdict']}** |" in page
        assert row["sentence"] in page
    details = pd.read_csv(root / "results" / "claims_comparisons.csv")
    ours = details[(details["source"] == "ours") & details["difference"].notna() & details["low"].notna()]
    assert len(ours) > 20
    assert ((ours["low"] <= ours["difference"]) & (ours["difference"] <= ours["high"])).all()


def test_wer_is_a_corpus_rate_and_not_a_mean_of_utterances(presets, tmp_path):
    ids = write_manifest(tmp_path, "se", 4)
    counts = {"speechop_itc": ([1, 0, 0, 0], [2, 50, 50, 50]), "speechop": ([1, 5, 5, 5], [2, 50, 50, 50])}
    for system, (wrong, words) in counts.items():
        rows = [
            {"id": name, "metric": "wer_whispernorm_whisper_base", "value": 1.0, "status": "ok", "version": "1"}
            | {"detail": {"substitutions": w, "deletions": 0, "insertions": 0, "reference_words": n}}
            for name, w, n in zip(ids, wrong, words)
        ]
        write_jsonl(tmp_path / "results" / "scores" / "se" / system / "wer_whispernorm_whisper_base.jsonl", rows)
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path, draws=100)
    result = ours(Comparison("table3", "wer", "speechop_itc", "speechop", "lower"))
    assert result.cells == pytest.approx((100 / 152, 1600 / 152))
    assert result.estimate.point == pytest.approx(-1500 / 152)


def test_a_larger_set_decides_where_the_scale_has_it(presets, tmp_path):
    metric, (comparison,) = MEASURES["wer"], next(c for c in claims.read_claims(presets) if c.id == "C09").comparisons
    assert comparison.larger == "table3_words"
    comparison = replace(comparison, second=None)
    for test_set, shift, count in (("se", 2.0, 40), ("se_words", -1.0, 90)):
        ids = write_manifest(tmp_path, test_set, count)
        write_scores(tmp_path, test_set, "speechop", metric, ids)
        write_scores(tmp_path, test_set, "speechop_itc", metric, ids, shift)
    folders = [tmp_path / "results", tmp_path / "data", tmp_path]
    result = Ours(presets, MEASURES, *folders, draws=100)(comparison)
    assert result.estimate.point < 0
    assert result.estimate.units == "90 utterances of 6 speakers, Word errors on more utterances"
    result = Ours(presets, MEASURES, *folders, {"set se_words": "not at this scale"}, draws=100)(comparison)
    assert result.estimate.point > 0 and result.estimate.units == "40 utterances of 6 speakers"


def test_gains_are_compared_from_the_rows_where_they_begin(presets, tmp_path):
    shifts = {("speechop_gold", "pesq"): 0.4, ("speechop_itc", "pesq"): 0.1}
    write_run(tmp_path, presets, shifts)
    gain = {"of": "speechop_gold", "against": "speechop_itc", "since": ["speechop", "noisy"], "role": "pesq"}
    (claim,) = read_changed(presets, tmp_path, compare=gain | {"expect": "higher"})
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path / "models", draws=500)
    (row,), (detail,) = claims.report([claim], presets, ours)
    assert row["verdict"] == "supported" and "since" in row["sentence"]
    assert detail["value_of"] == pytest.approx(0.4, abs=0.05) and detail["value_against"] == pytest.approx(
        0.1, abs=0.05
    )
    assert row["paper_verdict"] == "not printed"


def test_shares_of_two_ceilings_are_compared_utterance_by_utterance(presets, tmp_path):
    ids, metric = write_manifest(tmp_path, "ns", 90), MEASURES["pesq"]
    comparison = Comparison("neighbours", "pesq_of_ceiling", "speechop_gold@ns", "speechx_gold@ns", "higher")
    values = {"speechop_gold": 2.0, "codec_round_trip": 4.0, "speechx_gold": 1.8, "token_round_trip": 2.0}
    for system, value in values.items():
        write_scores(tmp_path, "ns", system, metric, ids, shift=value, noise=0.01)
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path, draws=500)
    own = {name: {row["id"]: row["value"] for row in read_jsonl(score_file(tmp_path, name, metric))} for name in values}
    shares = [[own[a][i] / own[b][i] for i in ids] for a, b in (list(values)[:2], list(values)[2:])]
    result = ours(comparison)
    assert result.cells == pytest.approx([np.mean(share) for share in shares])
    assert result.estimate.point == pytest.approx(np.mean(shares[0]) - np.mean(shares[1])) and result.estimate.point < 0
    assert claims.stance(result) == "opposite", "more PESQ, and less of what its codec leaves"
    assert ours(replace(comparison, role="pesq")).estimate.point > 0
    assert ours(replace(comparison, against="noisy@ns")).reason == "Noise suppression: input has no ceiling"
    score_file(tmp_path, "token_round_trip", metric).unlink()
    assert ours(comparison).reason == "token_round_trip has no pesq scores on ns"


def score_file(root, system, metric):
    return root / "results" / "scores" / "ns" / system / f"{metric}.jsonl"


def test_only_utterances_scored_in_both_systems_are_compared(presets, tmp_path):
    ids = write_manifest(tmp_path, "se", 200)
    write_scores(tmp_path, "se", "speechop_itc", "pesq", ids, failed=1)
    write_scores(tmp_path, "se", "speechop", "pesq", ids)
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path, draws=100)
    result = ours(Comparison("table3", "pesq", "speechop_itc", "speechop", "higher"))
    assert result.estimate.units == "199 utterances of 6 speakers"


def test_a_threshold_that_clean_speech_does_not_reach_is_not_testable(presets, tmp_path):
    metric, ids = MEASURES["sim_prompt"], write_manifest(tmp_path, "tts")
    comparison = Comparison("polyspeech_table1", "sim_prompt", "polyspeech@tts", None, "above", 0.9, ceiling="clean")
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path, draws=200)

    def write(system, values):
        rows = [{"id": id, "metric": metric, "value": v, "status": "ok", "detail": {}} for id, v in zip(ids, values)]
        write_jsonl(tmp_path / "results/scores/tts" / system / f"{metric}.jsonl", rows)

    write("polyspeech", [0.7] * 60)
    by_speaker = [0.99, 0.99, 0.99, 0.85, 0.85, 0.85] * 10  # a mean above the threshold, but not surely
    for clean, untestable in (([0.8] * 60, True), ([0.95] * 60, False), (by_speaker, True)):
        write("clean", clean)
        result = ours(comparison)
        assert result.untestable == untestable and (result.estimate is None) == untestable
        if untestable:
            assert f"clean itself has {sum(clean) / 60:.3g} (95 % interval " in result.reason
            assert "where more than 0.9 is asked for" in result.reason


def test_a_threshold_whose_ceiling_is_not_known_is_not_judged(presets, tmp_path):
    metric, ids = MEASURES["sim_prompt"], write_manifest(tmp_path, "tts")
    rows = [{"id": name, "metric": metric, "value": 0.7, "status": "ok", "detail": {}} for name in ids]
    write_jsonl(tmp_path / "results/scores/tts/polyspeech" / f"{metric}.jsonl", rows)
    ours = Ours(presets, MEASURES, tmp_path / "results", tmp_path / "data", tmp_path, draws=200)
    comparison = Comparison("polyspeech_table1", "sim_prompt", "polyspeech@tts", None, "above", 0.9, ceiling="clean")
    for lost, why in ((None, "clean has no "), (40, "clean has 20 of 60 ")):
        if lost:
            write_scores(tmp_path, "tts", "clean", metric, ids, failed=lost)
        result = ours(comparison)
        assert claims.stance(result) == "not run" and f"its ceiling clean is not known, since {why}" in result.reason
    assert ours(replace(comparison, ceiling=None)).estimate is not None


def curves(folder, name, losses):
    rows = [{"step": 100 * (i + 1), "valid_s2s": loss} for i, loss in enumerate(losses)]
    write_jsonl(folder / name / "curves.jsonl", rows)


def test_training_curves_give_steps_and_final_losses(presets, tmp_path):
    ours = Ours(presets, {}, tmp_path, tmp_path, tmp_path)
    curves(tmp_path, "fig2_enh_rand", [0.9, 0.6, 0.5, 0.4])
    curves(tmp_path, "fig2_enh_tts", [0.4, 0.3, 0.2, 0.2])
    steps = ours(Comparison("fig2", "steps", "fig2_enh_tts", "fig2_enh_rand", "fraction", 0.25))
    assert (steps.estimate.point, steps.cells) == (0.25, (100, 400))
    loss = ours(Comparison("fig2", "val_mse", "fig2_enh_tts", "fig2_enh_rand", "lower"))
    assert loss.estimate.point == pytest.approx(-0.2)
    whole = presets["fig2"]
    preset = whole | {"metrics": [column for column in whole["metrics"] if column["role"] == "val_mse"]}
    settings = {"metrics": MEASURES, "absent": {}, "models": str(tmp_path)}
    table = tables.build(preset, tmp_path, tmp_path, settings).set_index("system")
    assert table["value"]["fig2_enh_tts"] == 0.2 and table["paper"]["fig2_enh_tts"] == 0.276
    assert np.isnan(table["value"]["fig2_sep_tts"]) and table["provenance"]["fig2_sep_tts"] == "paper"
    curves(tmp_path, "fig2_enh_tts", [0.9, 0.8])
    assert ours(Comparison("fig2", "steps", "fig2_enh_tts", "fig2_enh_rand", "fraction", 0.25)).estimate.point == np.inf


def test_fewer_steps_are_read_off_matched_runs_of_several_seeds(presets, tmp_path):
    """The share is where a line through the runs' final losses meets the other start's whole run."""
    for seed, shift in ((0, 0.0), (1, 0.01), (2, -0.01)):
        curves(tmp_path, run_of("few_enh_rand", 1, seed), [0.9, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4])
        for part, loss in ((1, 0.2), (2, 0.3 + shift), (4, 0.5 + shift), (8, 0.6)):
            curves(tmp_path, run_of("few_enh_tts", part, seed), [0.9] * (8 // part - 1) + [loss])
    ours = Ours(presets, {}, tmp_path, tmp_path, tmp_path)
    steps = ours(Comparison("fig2", "steps", "few_enh_tts", "few_enh_rand", "fraction", 0.25))
    assert steps.estimate.values == pytest.approx((2**-1.5, 2**-1.45, 2**-1.55))
    low, high = steps.estimate.interval(0.95)
    assert low < steps.estimate.point < high and "3 training seeds" in steps.estimate.units
    loss = ours(Comparison("fig2", "val_mse", "few_enh_tts", "few_enh_rand", "lower"))
    assert loss.estimate.values == pytest.approx((-0.2,) * 3)
    dropped = ours(Comparison("fig2", "val_mse_dropped", "few_enh_tts", "few_enh_rand", "lower"))
    assert dropped.estimate is None and "before its validation had valid s2s unconditional" in dropped.reason
    table = matched_table(tmp_path, {"few_enh_tts": "TTS"})
    assert len(table) == 12 and set(table["part"]) == {1, 2, 4, 8}


@pytest.mark.parametrize(("losses", "place"), [([0.3, 0.2], 0.0), ([0.9, 0.8], 1.0), ([0.6, 0.2], 0.5)])
def test_a_share_outside_of_the_runs_is_that_of_the_nearest(losses, place):
    assert reached(np.array([0.0, 1.0]), np.array(losses), 0.4) == pytest.approx(place)


def test_listening_claims_come_from_an_imported_study_and_never_from_a_simulated_one(presets, tmp_path):
    folder = tmp_path / "listening" / "tts"
    folder.mkdir(parents=True)
    cells = [("speechop", 3.9), ("tts_baseline", 3.6)]
    head = "system,scale,set,mos,se,low,high,n_ratings,n_raters,filtered\n"
    rows = "".join(f"{name},naturalness,tts,{mos},0.05,3,4,500,50,True\n" for name, mos in cells)
    (folder / "mos.csv").write_text(head + rows)
    contrast = "speechop,tts_baseline,tts,naturalness,0.3,0.07,True\n"
    (folder / "contrasts.csv").write_text("a,b,set,scale,difference,se,filtered\n" + contrast)
    ours = Ours(presets, MEASURES, tmp_path, tmp_path, tmp_path)
    comparison = Comparison("table1", "mos_n", "speechop", "tts_baseline", "higher")
    for source in ("simulated", "prolific"):
        write_json(folder / "mos.json", {"source": source, "mos_sha256": sha256(folder / "mos.csv")})
        result = ours(comparison)
        assert (result.estimate is None) == (source == "simulated")
    assert result.cells == (3.9, 3.6)
    assert result.estimate.interval(0.95)[0] == pytest.approx(0.3 - 1.96 * 0.07, abs=1e-3)
    assert "does not compare" in ours(Comparison("table1", "mos_n", "tts_baseline", "speechop", "lower")).reason
    assert "no ratings of both" in ours(Comparison("table1", "mos_q", "speechop", "tts_baseline", "higher")).reason
    row = next(row for row in presets["table1"]["rows"] if row.get("system") == "speechop")
    found = listened.cell(presets["table1"], row, "mos_n", tmp_path)
    assert (found["value"], found["low"], found["high"], found["n_scored"]) == (3.9, 3, 4, 500)
    unheard = listened.cell(presets["table1"], row, "mos_q", tmp_path)
    assert unheard == {"status": "not run: nobody rated it in the listening study tts"}
