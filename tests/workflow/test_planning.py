"""Presets, systems and configuration: what is planned from data, and what is refused with a sentence."""

import copy
import sys
from dataclasses import replace

import pytest
import yaml

from baselines import registry
from metrics.listening import study
from metrics.registry import find as find_metric
from speechbase.files import UserError
from speechbase.items import TASKS, Task
from tests.workflow.conftest import run
from workflow.plan import (
    absences,
    configuration,
    corpus_parts,
    places,
    preset_files,
    references,
    system_entries,
    trainings,
    wanted,
)
from workflow.plan.schema import check_config

SCALES = configuration.scales()
PRESET = {
    "kind": "table", "title": "T", "source": "none", "set": "se",
    "metrics": [{"role": "pesq", "label": "PESQ", "better": "higher", "digits": 2}],
    "rows": [{"system": "noisy", "label": "Noisy"}, {"label": "Other", "paper": {"pesq": 2}}],
}  # fmt: skip


def config_of(scale):
    return configuration.resolve({"scale": scale})


@pytest.mark.parametrize("scale", SCALES)
def test_every_configuration_fits_its_schema_and_serves_every_table(scale):
    config = config_of(scale)
    check_config(config, scale)
    assert config["scale"] == scale
    presets = preset_files.read_presets()
    references.check_references(presets, system_entries.read_systems(presets), config)
    assert config["evaluation"]["guide"] in config["evaluation"]["asr"]


# Maps whose keys are names: any key goes, but not any value.
NAMED = [("evaluation", "metrics"), ("evaluation", "asr"), ("evaluation", "settings"), ("evaluation", "baselines")]
NAMED += [("models",), ("corpus", "testsets")]


def mappings(value, path=()):
    """Every mapping in a configuration, by its path."""
    if isinstance(value, dict):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from mappings(inner, (*path, key))


def test_an_unknown_key_anywhere_is_named():
    config = config_of("smoke")
    for path in mappings(config):
        changed = copy.deepcopy(config)
        inner = changed
        for part in path:
            inner = inner[part]
        inner["unheard_of"] = [] if path in NAMED or path[-1:] == ("style",) else 1
        with pytest.raises(UserError, match="unheard_of"):
            check_config(changed, "it")
            raise AssertionError(f"{path} takes any key")


@pytest.mark.parametrize("path", sorted((places.ROOT / "workflow").rglob("*.yaml")), ids=lambda path: path.name)
def test_no_yaml_key_stands_twice(path):
    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
            assert len(keys) == len(set(keys)), f"{path}: a key stands twice in {keys}"
            return super().construct_mapping(node, deep)

    yaml.load(path.read_text(), Loader)


def test_a_near_miss_gets_a_suggestion():
    config = config_of("nano")
    config["retrian"] = config.pop("retrain")
    with pytest.raises(UserError, match=r"no setting 'retrian'.*did you mean 'retrain'"):
        check_config(config, "it")


@pytest.fixture
def write(tmp_path):
    """Write a preset into a folder of presets; returns the folder that `read_presets` reads."""

    def written(preset, name="mine", room="mine"):
        (tmp_path / room).mkdir(exist_ok=True)
        (tmp_path / room / f"{name}.yaml").write_text(yaml.safe_dump(preset))
        return tmp_path

    return written


def test_presets_are_read_by_file_name_and_claims_are_none_of_them(write):
    folder = write(PRESET)
    (folder / "claims.yaml").write_text("claims: []\n")
    assert list(preset_files.read_presets(folder)) == ["mine"]


def test_a_table_s_name_stands_in_one_folder_only(write):
    write(PRESET)
    with pytest.raises(UserError, match="would make the same table"):
        preset_files.read_presets(write(PRESET, room="theirs"))
    assert preset_files.preset_file("table3") == "workflow/presets/speechop/table3.yaml"
    with pytest.raises(UserError, match="did you mean 'table3'"):
        preset_files.preset_file("tabel3")


def test_tables_come_in_the_paper_s_order_by_their_kind_and_not_by_their_names():
    kinds = {"fig2": "figure", "a10": "table", "a9_more": "words", "a9": "table", "table1": "sweep"}
    presets = {name: PRESET | {"kind": kind} for name, kind in kinds.items()}
    assert list(preset_files.of_kind(presets, *preset_files.PAPER_KINDS)) == ["a9", "a9_more", "a10", "fig2"]
    with pytest.raises(UserError, match="kind frozen, and none has it"):
        preset_files.frozen(presets)


def test_corrupted_transcripts_go_to_the_systems_that_a_table_names(write):
    told = {"transcripts": {"deaf": {"corrupted_percent": 30}}}
    real = {"dull": {"corrupted_percent": 20, "confusions": "se_valid"}}
    systems = {"systems": {name: {"base": "speechop_itc"} for name in ("deaf", "dull")}}
    folder = write(PRESET | {"transcripts": told["transcripts"] | real} | systems)
    found = {"deaf": "corrupted_30", "dull": "confused_se_valid_20"}
    assert preset_files.corrupted(preset_files.read_presets(folder)) == found
    with pytest.raises(UserError, match="transcripts names 'deaf'"):
        preset_files.read_presets(write(PRESET | told))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p: p["rows"].append({"system": "noisy", "label": "Noisy"}), "twice"),
        (lambda p: p["rows"].append({"label": "Neither"}), "needs a system"),
        (lambda p: p["rows"][1]["paper"].update(peqs=1), "did you mean 'pesq'"),
        (lambda p: p.update(colour=1), "colour"),
        (lambda p: p.update(kind="sweep"), "needs the key `sweep`"),
        (lambda p: p.update(kind="tabel"), "kind"),
        (lambda p: p["metrics"][0].update(better="more"), "metrics.0.better is 'more'"),
        (lambda p: p.update(kind="frozen") or p["metrics"][0].update(better="none"), "'pesq': what moved in a frozen"),
        (lambda p: p["rows"][0].update(paper={"pesq": "good"}), "rows.0.paper.pesq"),
    ],
)
def test_a_broken_preset_is_refused(write, change, message):
    preset = copy.deepcopy(PRESET)
    change(preset)
    with pytest.raises(UserError, match=message):
        preset_files.read_presets(write(preset))


KEPT = {"role": "kept", "label": "Kept", "better": "none", "digits": 2, "of_ceiling": "pesq"}
CEILED = PRESET | {
    "metrics": [*PRESET["metrics"], KEPT],
    "rows": [
        {"system": "clean", "label": "Top", "roles": ["pesq"]},
        {"system": "clean", "label": "Other", "set": "other", "ceiling": "noisy"},
        {"system": "noisy", "label": "Noisy", "set": "other", "roles": ["pesq"]},
        {"system": "speechx", "label": "Own", "ceiling": "clean"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p: p["metrics"][1].update(of_ceiling="peqs"), "'kept': `of_ceiling` names 'peqs'.*did you mean 'pesq'"),
        (lambda p: p["metrics"][1].update(of_ceiling="kept"), "`of_ceiling` names 'kept', which is no other column"),
        (lambda p: p["rows"][3].pop("ceiling"), "row 'Own': 'kept' is a quotient: name its `ceiling`"),
        (lambda p: p["rows"][0].update(ceiling="speechx"), "row 'Top': none of its columns divides by its `ceiling`"),
        (lambda p: p["rows"][3].update(ceiling="clear"), "ceiling 'clear' is no other system .*did you mean 'clean'"),
        (lambda p: p["rows"][3].update(ceiling="noisy"), "ceiling 'noisy' is no other system of this table on 'se'"),
        (lambda p: p["rows"][3].update(ceiling="speechx"), "ceiling 'speechx' is no other system"),
        (lambda p: p["rows"][2].update(roles=["kept"], ceiling="clean"), "row 'Noisy' is not measured in 'pesq'"),
        (lambda p: p["rows"][3].update(roles=["kept"]), "row 'Own' is not measured in 'pesq', which is divided"),
    ],
)
def test_a_quotient_needs_a_ceiling_that_the_table_measures(write, change, message):
    assert preset_files.read_presets(write(CEILED))
    preset = copy.deepcopy(CEILED)
    change(preset)
    with pytest.raises(UserError, match=message):
        preset_files.read_presets(write(preset))


def test_a_quotient_is_of_a_mean_and_nothing_measures_it_itself():
    systems = {name: {"method": name} for name in ("clean", "noisy", "speechx")}
    sets = {name: {"task": "enhancement"} for name in ("se", "other")}
    config = {"evaluation": {"metrics": {"pesq": "pesq", "kept": None}}, "corpus": {"testsets": sets}}
    references.check_references({"mine": CEILED}, systems, config)
    for measures, message in (
        ({"pesq": "pesq", "kept": "mcd"}, "'kept' is a quotient, so evaluation.metrics must have null"),
        ({"pesq": "wer_answer", "kept": None}, "'kept' divides 'wer_answer', a rate over the corpus"),
    ):
        config["evaluation"]["metrics"] = measures
        with pytest.raises(UserError, match=message):
            references.check_references({"mine": CEILED}, systems, config)


def test_a_table_with_real_time_factors_reads_the_indexes_of_those_rows():
    column = {"role": "real_time", "label": "RTF", "better": "lower", "digits": 2}
    own = {"system": "speechx", "label": "Own", "set": "tts", "roles": ["real_time"]}
    preset = PRESET | {"metrics": [*PRESET["metrics"], column]}
    preset["rows"] = [{"system": "noisy", "label": "Noisy", "roles": ["pesq"]}, own, PRESET["rows"][1]]
    assert wanted.timed(preset, {}) == [("tts", "speechx")] and wanted.timed(PRESET, {}) == []
    assert wanted.timed(preset, {"set tts": "no such set"}) == []


def test_unknown_systems_and_roles_are_refused():
    systems = {"speechop": {}, "noisy": {"method": "noisy"}, "sgmse": {"method": "sgmse"}}
    config = {"evaluation": {"metrics": {"pesq": "pesq"}}, "corpus": {"testsets": {"se": {}}}}
    noisi = PRESET | {"rows": [{"system": "noisi", "label": "x"}]}
    with pytest.raises(UserError, match="did you mean 'noisy'"):
        references.check_references({"t": noisi}, systems, config)
    with pytest.raises(UserError, match=r"no scale has a test set 'see'.*did you mean 'se'"):
        references.check_references({"t": PRESET | {"set": "see"}}, systems, config)
    config["evaluation"]["metrics"] = {"mcd": "mcd"}
    with pytest.raises(UserError, match=r"evaluation\.metrics says nothing about 'pesq'"):
        references.check_references({"t": PRESET}, systems, config)
    for overrides, message in (
        ({"sgmze": {}}, r"evaluation\.baselines: unknown key 'sgmze' \(did you mean 'sgmse'"),
        ({"sgmse": {"snrr": 1}}, r"evaluation\.baselines\.sgmse: unknown key 'snrr' \(did you mean 'snr'"),
    ):
        config["evaluation"]["baselines"] = overrides
        with pytest.raises(UserError, match=message):
            references.check_references({}, systems, config)


def test_a_metric_that_judges_something_else_than_the_task_s_answers_is_refused(monkeypatch):
    monkeypatch.setitem(TASKS, "hear", Task("hear", gives="text", length="free"))
    judge_of_text = replace(find_metric("pesq"), name="words_right", judges="text")
    find = lambda name: judge_of_text if name == "words_right" else find_metric(name)  # noqa: E731
    monkeypatch.setattr(references, "find_metric", find)
    systems = {"noisy": {"method": "noisy"}}
    sets = {"se": {"task": "enhancement"}, "heard": {"task": "hear"}}
    config = {"evaluation": {"metrics": {"pesq": "pesq", "words": "words_right"}}, "corpus": {"testsets": sets}}
    column = {"role": "words", "label": "Words", "better": "higher", "digits": 1}
    both = PRESET | {"metrics": [*PRESET["metrics"], column]}

    def refused(*rows):
        with pytest.raises(UserError) as error:
            references.check_references({"mine": both | {"rows": list(rows)}}, systems, config)
        return str(error.value)

    row = {"system": "noisy", "label": "Noisy"}
    said = refused(row | {"set": "heard", "roles": ["words", "pesq"]})
    assert all(word in said for word in ("mine.yaml", "'Noisy'", "'heard'", "'pesq' judges audio", "hear is answered"))
    said = refused(row | {"roles": ["pesq"]}, row | {"label": "Other"})
    assert "'Other'" in said and "'words_right' judges text" in said and "enhancement is answered with audio" in said
    fits = [row | {"roles": ["pesq"]}, row | {"set": "heard", "label": "Heard", "roles": ["words"]}]
    references.check_references({"mine": both | {"rows": fits}}, systems, config)
    config["evaluation"]["metrics"]["words"] = None  # nothing measures it at this scale
    references.check_references({"mine": both | {"rows": [row]}}, systems, config)
    for key, value, message in (
        ("metrics", {"pesq": "peqs"}, r"evaluation\.metrics\.pesq: There is no metric 'peqs': did you mean pesq"),
        (
            "testsets",
            {"se": {"task": "enhancment"}},
            r"corpus\.testsets\.se: unknown task .*did you mean 'enhancement'",
        ),
    ):
        wrong = {"evaluation": {"metrics": {"pesq": "pesq"}}, "corpus": {"testsets": sets}}
        wrong["evaluation" if key == "metrics" else "corpus"][key] = value
        with pytest.raises(UserError, match=message):
            references.check_references({"mine": PRESET}, systems, wrong)


def test_planning_loads_no_network_library():
    code = "import sys; from workflow.plan import configuration, preset_files, references, system_entries;"
    code += "presets = preset_files.read_presets();"
    code += "references.check_references(presets, system_entries.read_systems(presets), configuration.resolve({}));"
    code += "print([name for name in ('torch', 'transformers', 'scipy') if name in sys.modules])"
    assert run(places.ROOT, sys.executable, "-c", code).stdout.strip() == "[]"


def test_systems_follow_their_base_and_presets_may_add_some(tmp_path):
    path = tmp_path / "systems.yaml"
    path.write_text("a: {model: m, voice: false}\nb: {base: a, voice: true}\n")
    extra = {"t": {"systems": {"c": {"base": "b", "gamma": 2.0}}}}
    assert system_entries.read_systems(extra, path)["c"] == {"model": "m", "voice": True, "gamma": 2.0}
    with pytest.raises(UserError, match="other settings"):
        system_entries.read_systems(extra | {"u": {"systems": {"c": {"base": "a"}}}}, path)
    path.write_text("a: {base: b}\nb: {base: a}\n")
    with pytest.raises(UserError, match="each other"):
        system_entries.read_systems({}, path)
    path.write_text("a: {base: z}\n")
    with pytest.raises(UserError, match="unknown base 'z'"):
        system_entries.read_systems({}, path)


def test_a_compared_system_is_a_line_and_a_variant_of_it_another(tmp_path):
    path = tmp_path / "systems.yaml"
    path.write_text("a: {method: sgmse, checkpoint: ears}\nb: {base: a, settings: {N: 50}}\nc: {method: sepformer}\n")
    systems = system_entries.read_systems({}, path)
    assert system_entries.which(systems["b"]) == ["sgmse", "--checkpoint", "ears"] and system_entries.which(
        systems["c"]
    ) == ["sepformer"]
    assert system_entries.card_file(systems, "b") == "baselines/sgmse/card.yaml"
    assert (
        system_entries.provenance_of(systems, "b") == "public-checkpoint"
        and system_entries.provenance_of(systems, "c") == "ours"
    )
    config = {"scale": "tiny", "evaluation": {"baselines": {"weights_dir": "w", "b": {"snr": 0.4, "N": 60}}}}
    shared = {"weights_dir": "w", "models_dir": "models/tiny"}
    assert system_entries.compared_settings(config, systems, "b") == shared | {"sgmse": {"snr": 0.4, "N": 50}}
    assert system_entries.compared_settings(config, systems, "a") == shared
    assert absences.absent({"scale": "tiny", "models": {}}, systems, {}).keys() == {"c"}


def test_a_compared_system_may_be_made_of_several_models_and_be_told_the_words(tmp_path):
    path = tmp_path / "systems.yaml"
    path.write_text(
        "a: {method: speechx, settings: {ar: speechx_ar_rand, transcript: asr}}\n"
        "b: {method: sepformer}\nc: {method: clean}\nd: {model: m, transcript: none}\n"
    )
    systems = system_entries.read_systems({}, path)
    assert system_entries.models_of(systems, "a") == ["codec_tokens", "speechx_ar_rand", "speechx_nar"]
    assert [system_entries.models_of(systems, name) for name in "bcd"] == [["sepformer"], [], ["m"]]
    config = {"scale": "tiny", "models": {"codec_tokens": {}, "speechx_nar": {}, "sepformer": {}, "m": {}}}
    assert absences.absent(config, systems, {}) == {
        "a": "not run at the scale tiny: its configuration has no model 'speechx_ar_rand'"
    }
    config = {
        "evaluation": {"guide": "x"},
        "corpus": {"testsets": {"ns": {"task": "enhancement"}, "ed": {"task": "edit"}}},
    }
    told = [wanted.transcripts_for(config, systems, test_set, name, {}) for test_set in ("ns", "ed") for name in "abd"]
    words = "<results>/transcripts/ed/words.jsonl"
    assert told == ["<results>/transcripts/ns/noisy/x.jsonl", [], [], words, [], words]
    wrong = wanted.transcripts_for(config, systems, "ns", "a", {"a": "corrupted_20"})
    assert wrong == "<results>/beyond/transcripts/ns/corrupted_20.jsonl"


def test_transcripts_with_confidences_and_snapped_ones_lie_in_places_of_their_own():
    config = {"evaluation": {"guide": "x"}, "corpus": {"testsets": {"se": {"task": "enhancement"}}}}
    itc = {"model": "m", "transcript": "asr"}
    systems = {"itc": itc, "snapped": itc | {"snap": True}, "sure": itc | {"trust": {"gamma": [[0.5, 1.5]]}}}
    told = {name: wanted.transcripts_for(config, systems, "se", name, {}) for name in systems}
    assert told == {
        "itc": "<results>/transcripts/se/noisy/x.jsonl",
        "snapped": "<results>/beyond/transcripts/se/snapped.jsonl",
        "sure": "<results>/confidences/se/x.jsonl",
    }
    wrong = wanted.transcripts_for(config, systems, "se", "sure", {"sure": "corrupted_20"})
    assert wrong == "<results>/confidences/se/corrupted_20.jsonl"
    assert wanted.heard(config, "se", "corrupted_20") == "<results>/beyond/transcripts/se/corrupted_20.jsonl"
    lost = absences.absent({"scale": "mini", "models": {"m": {}}, "corpus": {"text": {"source": "open"}}}, systems, {})
    assert list(lost) == ["snapped"] and "(open) have no grammar" in lost["snapped"]


def test_a_model_on_request_is_absent_until_it_is_there(tmp_path):
    config = {"scale": "tiny", "models": {"m": {"on_request": True}}}
    systems = {"a": {"model": "m", "transcript": "none"}}
    told = absences.absent(config, systems, {}, here=set())["a"]
    assert told.endswith("trained on request alone (snakemake --cores all models/tiny/m/model.safetensors)")
    weights = tmp_path / "models" / "tiny" / "m" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert absences.absent(config, systems, {}, trainings.models_here("tiny", tmp_path)) == {}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{method: sgmze}", "has no method 'sgmze' (did you mean 'sgmse'?)"),
        ("{method: sgmse, checkpoint: eras}", "has no checkpoint 'eras' (did you mean 'ears'?)"),
        ("{method: sgmse, chekpoint: ears}", "'chekpoint' (did you mean 'checkpoint'?)"),
        ("{method: sgmse, settings: {snrr: 1}}", "unknown key 'snrr' (did you mean 'snr'?)"),
        ("{method: [sgmse]}", "method is ['sgmse']"),
        ("sgmse", "must hold a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_compared_system_is_a_sentence_with_file_and_word(tmp_path, entry, message):
    path = tmp_path / "systems.yaml"
    path.write_text(f"mine: {entry}\n")
    with pytest.raises(UserError) as refused:
        system_entries.read_systems({}, path)
    assert "systems.yaml" in str(refused.value) and "mine" in str(refused.value) and message in str(refused.value)


def test_every_system_is_asked_for_or_says_why_not():
    presets = preset_files.read_presets()
    asked = {row["system"] for preset in presets.values() for row in preset["rows"] if "system" in row}
    asked |= {system["name"] for name in study.SHIPPED for system in study.heard_systems(study.load(name))}
    systems = system_entries.read_systems(presets)
    silent = set(systems) - asked
    assert all(system_entries.card_of(systems, name).unavailable for name in silent), silent


def test_every_method_is_a_system():
    systems = system_entries.read_systems({})
    assert {entry["method"] for entry in system_entries.compared(systems).values()} == set(registry.methods())


def test_the_metrics_of_a_set_are_those_that_its_tables_ask_for():
    other = copy.deepcopy(PRESET)
    other["metrics"].append({"role": "mos", "label": "MOS", "better": "higher", "digits": 2})
    other["metrics"].append({"role": "wer", "label": "WER", "better": "lower", "digits": 1})
    other["rows"].append({"system": "clean", "label": "Clean", "set": "sep", "roles": ["wer"]})
    measures = {"pesq": "pesq", "mos": None, "wer": "wer_whispernorm_x"}
    config = {"evaluation": {"metrics": measures, "asr": {"x": {}, "y": {}}}}
    both = {"a": PRESET, "b": other}
    se = [("se", "", ["pesq"]), ("se", "x", ["wer_whispernorm_x"])]
    assert wanted.scorings(both, config, {"clean": "no such model"}) == se
    assert wanted.scorings(both, config, {})[2:] == [("sep", "x", ["wer_whispernorm_x"])]


def test_a_system_without_its_model_is_absent_with_a_reason():
    config = {"scale": "tiny", "models": {"multitask": {}}}
    absent = absences.absent(config, {"a": {"model": "multitask"}, "b": {"model": "other"}}, {"t": PRESET})
    assert "a" not in absent and "noisy" not in absent
    assert "tiny" in absent["b"] and "'other'" in absent["b"]
    assert "'se'" in absent["set se"]
    assert wanted.cells(PRESET, absent, {"pesq": "pesq"}) == []


@pytest.mark.parametrize(("test_set", "system", "column"), [
    ("edit", "clean", "orig_text"), ("edit", "speechop", "text"), ("se", "clean", "text"),
])  # fmt: skip
def test_the_recording_before_an_edit_is_judged_by_its_own_words(test_set, system, column):
    for scale in ("nano", "paper"):
        config = config_of(scale)
        assert wanted.text_column(config, test_set, system) == column


def test_more_of_a_split_depends_on_how_much_the_split_itself_has():
    corpus = {
        "speech": {"utterances": {"train": 9, "test": 5, "test_more": 7}},
        "testsets": {"a": {"split": "test_more"}},
    }
    counts = {
        name: corpus_parts.corpus_part(corpus, "speech", name)["speech"]["utterances"] for name in ("test", "test_more")
    }
    assert counts == {"test": {"test": 5}, "test_more": {"test": 5, "test_more": 7}}
    assert corpus_parts.corpus_part(corpus, "testset", "a")["speech"]["utterances"] == {}


def test_a_table_without_a_set_and_without_printed_cells_says_nothing_at_a_scale():
    bare = PRESET | {"rows": [{"system": "clean", "label": "Clean"}]}
    printed = PRESET | {"rows": [{"label": "Theirs", "paper": {"pesq": 2.0}}]}
    measures, without = {"pesq": "pesq"}, {"set se": "no such set"}
    assert wanted.has_something(bare, {}, measures) and wanted.has_something(printed, without, measures)
    assert not wanted.has_something(bare, without, measures)


def test_chunks_are_as_long_as_training_crops_at_every_scale():
    systems = system_entries.read_systems(preset_files.read_presets())
    for scale, seconds in (("nano", 3.0), ("paper", 5.0)):
        config = config_of(scale)
        found = system_entries.sampling_settings(config, systems["small_crossattn_paper_chunked"])
        assert found["chunk_seconds"] == seconds and found["seed"] == config["seed"]


def test_training_reads_every_split_of_its_kind_and_real_voices_where_they_are():
    voices = {"real_voices": {"have": None, "variable": "VOICES"}}
    corpus = {"speech": {"utterances": {"train": 1, "train_2": 1, "valid": 1, "test": 1, "test_more": 1}}} | voices
    assert trainings.training_tables(corpus, {}) == ["train", "train_2", "valid"]
    both = ["train", "train_2", "valid", "train_recorded", "valid_recorded"]
    assert trainings.training_tables(corpus, {"VOICES": "/there"}) == both
    corpus["real_voices"]["have"] = "/here"
    assert trainings.training_tables(corpus, {}) == both


def test_a_further_split_depends_on_the_sizes_of_those_before_it():
    sizes = {"train": 5, "train_2": 7, "train_3": 9, "valid": 1}
    corpus = {"speech": {"utterances": sizes}, "testsets": {}}
    assert corpus_parts.corpus_part(corpus, "speech", "train_2")["speech"]["utterances"] == {"train": 5, "train_2": 7}
    assert corpus_parts.corpus_part(corpus, "speech", "train")["speech"]["utterances"] == {"train": 5}


def test_a_recorded_test_set_is_planned_where_its_recordings_are():
    corpus = {
        "real_tests": {"variable": "TESTS"},
        "testsets": {
            "se": {"task": "enhancement", "split": "test"},
            "real_se": {"task": "enhancement", "split": "recorded"},
        },
    }
    config = {"scale": "mini", "models": {}, "corpus": corpus}
    assert corpus_parts.sets_without_recordings(config, {}) == {"real_se": "real_tests"}
    assert corpus_parts.sets_without_recordings(config, {"TESTS": "/there"}) == {}
    presets = {"real": PRESET | {"set": "real_se", "rows": [{"system": "clean", "label": "Clean"}]}}
    assert "recordings are not here (corpus.real_tests)" in absences.absent(config, {}, presets)["set real_se"]


def test_sets_of_debian_s_recordings_are_absent_without_them_and_take_the_noises_of_test():
    config = configuration.resolve({})
    own = {name for name, entry in config["corpus"]["testsets"].items() if entry["split"].startswith("debian_")}
    assert len(own) == 7 and corpus_parts.sets_without_recordings(config, {}) == dict.fromkeys(own, "debian")
    assert corpus_parts.sets_without_recordings(config, {"SPEECHOP_DEBIAN": "/there"}) == {}
    assert {corpus_parts.sounds_of(config, name) for name in own} == {"_test"}
    assert corpus_parts.sounds_of(config, "real") == corpus_parts.sounds_of(config, "lid") == "_test"
    assert "debian" not in corpus_parts.corpus_part(config["corpus"], "testset", "asr_prompts")
    assert "testsets" not in corpus_parts.corpus_part(config["corpus"], "debian")
