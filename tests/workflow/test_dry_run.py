"""The plan: every scale and table plans jobs, bad configuration stops with a sentence, the rule files are clean."""

import os
import re
import sys

import pytest

from tests.workflow.conftest import run, snakemake
from tests.workflow.test_planning import SCALES
from workflow.plan import places, preset_files

RULES = sorted((places.ROOT / "workflow" / "rules").glob("*.smk"))


def planned(done):
    """Jobs by rule of a dry run."""
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, stats = done.stdout.partition("Job stats:")
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)\s*$", stats, re.MULTILINE)}


@pytest.mark.parametrize("scale", SCALES)
def test_the_default_target_plans_the_whole_road(project, scale):
    jobs = planned(snakemake(project, "-n", "--cores", 2, "--config", f"scale={scale}", "retrain=True"))
    assert jobs["total"] > 10
    corpora = {"recorded_speech", "recorded_test_set"} if scale == "paper" else {"speech_table", "test_set"}
    assert corpora | {
        "trained_model",
        "speechop_audio",
        "baseline_audio",
        "score_se",
        "table",
    } <= set(jobs)


def test_models_of_sweeps_on_request_are_trained_only_when_asked_for(project):
    plan = ("-n", "--cores", 2, "--config", "retrain=True", "--")
    assert "models/nano/e7_small/" not in snakemake(project, *plan, "all").stdout
    assert "models/nano/e7_small/" in snakemake(project, *plan, "results/beyond/e7.png").stdout


def test_matched_runs_and_fair_models_are_trained_only_when_asked_for(project):
    plan = ("-n", "--cores", 2, "--")
    assert not re.search("models/nano/(few_|[a-z0-9_]*_1of|[a-z]+_fair)", snakemake(project, *plan, "all").stdout)
    jobs = planned(snakemake(project, *plan, "results/fig2_matched.png"))
    assert jobs["trained_model"] == 2 * 4 * 4 * 3 + 1 and jobs["matched_runs"] == 1  # and small_tts, that does not ship


def test_real_confusions_and_confidences_are_planned_from_validation_speech(project):
    jobs = planned(snakemake(project, "-n", "--cores", 2, "--", "results/beyond/e3.csv", "results/beyond/trust.csv"))
    assert (jobs["confusions"], jobs["confused_transcripts"], jobs["confidences"]) == (1, 5, 6)


def test_of_other_papers_systems_what_does_not_ship_is_trained_only_when_asked_for(project):
    """SpeechX and PolySpeech ship and are trained anew from their start; their ablations take hours more."""
    plan = ("-n", "--cores", 2, "--config", "retrain=True", "--")
    usual = snakemake(project, *plan, "all", "neighbours").stdout
    for model in (
        *("codec_tokens", "speechx_ar_tts", "speechx_nar_tts", "speechx_ar", "speechx_nar"),
        *("hubert_1", "hubert_2", "sset", "polyspeech_decoder", "polyspeech"),
    ):
        assert f"models/nano/{model}/" in usual
    for model in ("speechx_ar_rand", "speechx_ar_ns", "polyspeech_lid", "polyspeech_acoustic", "kmeans"):
        assert f"models/nano/{model}/" not in usual
        assert f"models/nano/{model}/" in snakemake(project, *plan, f"models/nano/{model}/model.safetensors").stdout


def test_tables_of_systems_that_ship_stand_in_the_claims_and_those_of_what_does_not_wait(project):
    usual = snakemake(project, "-n", "--cores", 2, "--", "results/claims.csv").stdout
    assert {"results/neighbours.csv", "results/speechx_text.csv", "results/polyspeech_table1.csv"} <= set(
        re.findall(r"results/[a-z0-9_]+.csv", usual)
    )
    assert "results/audio/asr/polyspeech/" in usual and "results/audio/asr/polyspeech_asr/" not in usual


def test_the_training_of_every_model_that_ships_is_drawn_and_nothing_is_trained_for_it(project):
    plan = ("-n", "--cores", 2)
    jobs = snakemake(project, *plan, "--", "results/training.png")
    assert "trained_model" not in planned(jobs)
    drawn = set(re.findall(r"models/nano/(\w+)/curves.jsonl", jobs.stdout))
    shipped = {path.parent.name for path in (places.ROOT / "speechbase/pretrained/nano").glob("*/curves.jsonl")}
    assert {"speechx_ar", "speechx_nar", "codec_tokens", "hubert_2", "sset", "polyspeech"} <= drawn
    assert drawn == {name for name in shipped if not name.startswith(("fig2_", "small_"))}
    anew = snakemake(project, *plan, "--config", "retrain=True", "--", "results/training.png").stdout
    assert "models/nano/multitask/curves.jsonl" in anew and "models/nano/speechx_ar/" not in anew


def test_speechx_is_planned_at_the_paper_s_scale_on_published_tokens(project):
    models = [f"models/paper/speechx_{part}/model.safetensors" for part in ("ar", "nar")]
    done = snakemake(project, "-n", "--cores", 2, "--configfile", "config/paper.yaml", "--", *models)
    assert planned(done)["trained_model"] == 5  # the codec is none of them
    assert "models/paper/codec/" not in done.stdout and "shards/tts/.written" in done.stdout


def test_polyspeech_is_planned_at_the_paper_s_scale_with_speech_of_eight_languages(project):
    models = [f"models/paper/polyspeech{part}/model.safetensors" for part in ("", "_decoder")]
    done = snakemake(project, "-n", "--cores", 2, "--configfile", "config/paper.yaml", "--", *models)
    jobs = planned(done)
    assert jobs["trained_model"] == 6  # the codec, two encoders, the tokens, and these
    assert jobs["recorded_part"] == 26 and "corpora/archives/mls_polish/mls_polish.tar.gz" in done.stdout
    assert {f"data/paper/shards/{name}/.written/0.done" for name in ("tts", "valid", "languages_train")} <= set(
        re.findall(r"[a-z0-9_/.]+\.done", done.stdout)
    )


def test_recorded_speech_of_debian_is_planned_where_it_is_and_absent_where_not(project):
    plan = ("-n", "--cores", 2, "--config")
    without, there = (f'corpus={{"debian": {{"have": {have}}}}}' for have in ("null", '"."'))
    table = ("--", "results/polyspeech_recorded.csv")
    assert planned(snakemake(project, *plan, without, *table)) == {"table": 1, "total": 1}
    jobs = planned(snakemake(project, *plan, there, *table))
    assert (jobs["debian_speech"], jobs["test_set"]) == (3, 7)


@pytest.mark.parametrize("scale", SCALES)
def test_every_table_can_be_planned(project, scale):
    folder = places.results_folder(scale)
    tables = [f"{folder}/{name}.csv" for name in preset_files.read_presets()]
    jobs = planned(snakemake(project, "-n", "--cores", 2, "--config", f"scale={scale}", "--", *tables))
    assert jobs["table"] == len(tables)


def test_a_scale_s_configuration_file_can_be_given_by_name(project):
    done = snakemake(project, "-n", "--cores", 2, "--configfile", "config/smoke.yaml", "--", "results/smoke/table3.csv")
    assert planned(done)["total"] > 10


@pytest.mark.parametrize(
    "options, message",
    [
        (["--config", "retrian=true"], "has no setting 'retrian' (did you mean 'retrain'?)"),
        (["--config", "retrain=perhaps"], "retrain is 'perhaps': input should be a valid boolean, True or False"),
        (["--config", 'corpus={"speech": {"utterances": {"train": -1}}}'], "speech.utterances.train is -1"),
        (["--config", "scale=nanno"], "no nanno.yaml in config/ for the scale 'nanno' (did you mean 'nano'?)"),
    ],
)
def test_a_wrong_configuration_stops_with_a_sentence(project, options, message):
    done = snakemake(project, "-n", "--cores", 1, *options)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_the_rules_are_clean(project):
    assert snakemake(project, "--lint").returncode == 0
    done = run(places.ROOT, sys.executable, "-m", "snakefmt", "--check", "Snakefile", *RULES)
    assert done.returncode == 0, done.stderr


def test_every_rule_has_a_log_and_the_one_environment():
    for path in RULES:
        text = path.read_text()
        actions = len(re.findall(r"^\s*(?:shell|script|run):", text, re.MULTILINE))
        assert text.count('"../../environment.yml"') == actions, path
        assert len(re.findall(r"^\s*log:", text, re.MULTILINE)) >= actions, path


def test_the_command_can_be_given_from_another_folder(project, tmp_path_factory):
    plan = ("-n", "--cores", 2, "--config", "scale=smoke", "--", "results/smoke/report.html")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    there = planned(snakemake(elsewhere, "-s", project / "Snakefile", *plan))
    assert there == planned(snakemake(project, *plan)) and not list(elsewhere.iterdir())
    done = snakemake(elsewhere, "-s", project / "Snakefile", "--directory", elsewhere, *plan)
    assert done.returncode and "is no checkout of this project" in done.stdout + done.stderr


def test_shipped_models_of_an_older_clone_are_kept_in_a_newer_one(project):
    target = "models/nano/codec/model.safetensors"
    assert snakemake(project, "--cores", 1, "--", target).returncode == 0
    for path in (project / target).parent.iterdir():
        os.utime(path, (1, 1))  # older than the weights of the clone
    done = snakemake(project, "-n", "--cores", 1, "--", target)
    assert "Nothing to be done" in done.stdout + done.stderr, done.stdout + done.stderr


def test_a_checkout_in_which_nothing_can_be_written_is_said(project):
    (project / ".snakemake").write_text("in the way of the folder")
    done = snakemake(project, "--cores", 1, "-n", "--config", "scale=smoke", "--", "results/smoke/table3.csv")
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "in a copy of this checkout that is yours" in said and "Traceback" not in said
