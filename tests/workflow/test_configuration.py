"""Layers of the configuration: base, a scale's differences, the user's; models laid over others; the table of
voices."""

from collections import Counter

import pytest
import yaml

from baselines.polyspeech.drawing import items_of, weights_of
from baselines.polyspeech.settings import BatchConfig
from speechbase.files import UserError
from speechbase.settings import checked
from speechbase.training.settings import runs_of
from workflow.plan import configuration, schema, system_entries, trainings

BASE = {
    "seed": 0,
    "evaluation": {"metrics": {"wer": "wer_a", "mos": None}, "asr": {"a": {}}},
    "models": {
        "tts": {"kind": "tts", "training": {"lr": 1, "runs": [{"steps": 5}]}},
        "small": {"base": "tts", "init": "tts", "training": {"runs": None}},
    },
    "corpus": {"seed": 1, "voices": "few", "testsets": {"se": {"size": 9, "pause_s": [0, 1]}}},
}
VOICES = "cast\tid\tshare\tstyle\nfew\ta\t2\t\nfew\tb\t6.1\tx:1.0 y:0.5\nother\tc\t1\t\n"


@pytest.fixture
def folder(tmp_path):
    def write(name, value):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(value))

    write("base", BASE)
    write(
        "tiny",
        {
            "scale": "tiny",
            "models": {"small": {"training": {"steps": 3}}},
            "corpus": {"testsets": {"se": {"pause_s": None}}},
        },
    )
    (tmp_path / "voices.tsv").write_text(VOICES)
    return tmp_path


def test_a_scale_holds_its_differences_and_a_user_s_lie_over_them(folder):
    found = configuration.resolve({"scale": "tiny", "seed": 7, "corpus": {"testsets": {"se": {"size": 1}}}}, folder)
    assert found["seed"] == 7 and found["corpus"]["testsets"] == {"se": {"size": 1}}
    assert found["evaluation"]["metrics"] == {"wer": "wer_a", "mos": None}, "a null there is a value"


def test_a_scale_has_the_models_that_it_names_each_laid_over_its_base(folder):
    found = configuration.resolve({"scale": "tiny"}, folder)
    assert found["models"] == {"small": {"kind": "tts", "init": "tts", "training": {"lr": 1, "steps": 3}}}


def test_voices_keep_their_order_and_how_numbers_are_written(folder):
    voices = configuration.resolve({"scale": "tiny"}, folder)["corpus"]["voices"]
    assert voices == [{"id": "a", "share": 2}, {"id": "b", "share": 6.1, "style": {"x": 1.0, "y": 0.5}}]
    assert isinstance(voices[0]["share"], int) and isinstance(voices[1]["style"]["x"], float)


def test_recorded_corpora_leave_the_packaged_speech_behind(folder):
    corpus = configuration.resolve({"scale": "tiny", "corpus": {"recorded": {"folder": "x"}}}, folder)["corpus"]
    assert corpus == {"seed": 1, "recorded": {"folder": "x"}}


def test_what_is_resolved_resolves_to_itself():
    for scale in configuration.scales():
        found = configuration.resolve({"scale": scale})
        assert configuration.resolve(found) == found


@pytest.mark.parametrize(
    "over, message",
    [
        ({"scale": "tiney"}, "no tiney.yaml in config/ .*did you mean 'tiny'"),
        ({"models": {"mine": {"base": "smal"}}}, "unknown base 'smal'.*did you mean 'small'"),
        ({"models": {"tts": {"base": "small"}}}, "take each other as base"),
        ({"models": {"tts": 5}}, "models.tts must hold keys"),
        ({"models": {"mine": [1]}}, "models.mine must hold keys"),
        ({"evaluation": "all"}, "evaluation must hold keys"),
        ({"corpus": {"voices": "few2"}}, "no cast 'few2'.*did you mean 'few'"),
    ],
)
def test_a_wrong_layer_stops_with_a_sentence(folder, over, message):
    with pytest.raises(UserError, match=message):
        configuration.resolve({"scale": "tiny"} | over, folder)


def test_numbers_in_objects_of_the_command_line_are_numbers():
    read = {"scale": "nano", "seed": 3, "corpus": {"speech": {"utterances": {"train": "1500"}}}}  # Snakemake's reading
    arguments = ["scale=nano", "seed=3", 'corpus={"speech": {"utterances": {"train": 1500}}}']
    found = configuration.resolve(configuration.said(read, arguments))
    assert found["corpus"]["speech"]["utterances"]["train"] == 1500 and found["seed"] == 3
    schema.check_config(found, "it")
    for last in ("corpus={text: {source: null}}", "corpus={text: null}"):
        assert "source" not in configuration.resolve(configuration.said(read, [*arguments, last]))["corpus"].get(
            "text", {}
        )
    with pytest.raises(UserError, match="--config corpus is not valid YAML"):
        configuration.said(read, ["corpus={speech: [}"])


@pytest.mark.parametrize("text", ["", "cast\tid\tshare\nfew\ta\tmany\n"])
def test_a_broken_table_of_voices_stops_with_a_sentence(folder, text):
    (folder / "voices.tsv").write_text(text)
    with pytest.raises(UserError, match=r"voices\.tsv"):
        configuration.resolve({"scale": "tiny"}, folder)


def test_a_study_adds_runs_of_a_model_with_their_own_length_and_seed():
    models = {
        "m": {"kind": "s2s", "study": {"seeds": [1], "parts": [4]}, "training": {"steps": 1500, "warmup": 50, "lr": 1}}
    }
    found = configuration.with_studies(models)
    runs = ["m_1of1_seed0", "m_1of1_seed1", "m_1of4_seed0", "m_1of4_seed1"]
    assert list(found) == ["m", *runs] and found["m"] == models["m"]
    run = found["m_1of4_seed1"]
    assert (run["training"], run["seed"], run["on_request"]) == ({"steps": 375, "warmup": 12, "lr": 1}, 1, True)
    assert "seed" not in found["m_1of4_seed0"] and not run["study"]


def test_a_run_with_a_seed_of_its_own_is_judged_on_the_same_items():
    config = configuration.resolve({"scale": "nano"})
    told = trainings.training_config(config, "fig2_enh_tts_1of8_seed2")
    assert (told["seed"], told["valid_seed"]) == (2, config["seed"]) and told["training"]["steps"] == 188
    assert not {"study", "on_request", "after"} & set(told)
    assert "valid_seed" not in trainings.training_config(config, "fig2_enh_tts")
    assert len(trainings.runs_of(config, ["fig2_enh_tts", "nowhere"])) == 12


def items_by_task(model: dict, spoken: int, named: int) -> Counter:
    """How many items of each task a model of PolySpeech's is trained on, through all its runs."""
    found: Counter = Counter()
    for run in runs_of({"seed": 0} | model):
        how, training = checked(BatchConfig, run["batches"], "batches"), run["training"]
        weights = weights_of(how, spoken, named)
        for task, weight in weights.items():
            batches = training["steps"] * training["accumulate"] * weight / sum(weights.values())
            found[task] += batches * items_of(how, task)
    return found


@pytest.mark.parametrize("task", ["asr", "tts", "lid", "gid"])
def test_a_model_of_one_task_has_as_many_items_of_it_as_the_model_of_all(task):
    """As many as those that shipped had: their first run heard 3,968 utterances of English, and five languages in 100
    each (docs/training_log.md). Whoever gives `polyspeech` a further run gives these more steps."""
    models = configuration.resolve({"scale": "nano"})["models"]
    heard = {"spoken": 3_968, "named": 500}
    wanted = items_by_task(models["polyspeech"], **heard)[task]
    alone = items_by_task(models[f"polyspeech_{task}"], **heard)
    steps = models[f"polyspeech_{task}"]["training"]["steps"]
    assert alone.keys() == {task}
    assert alone[task] == pytest.approx(wanted, rel=0.03), f"give it {steps * wanted / alone[task]:.0f} steps"


def test_portable_figures_are_a_setting():
    plain, portable = (configuration.resolve({"scale": "nano"} | over) for over in ({}, {"portable": True}))
    assert {entry.get("compute_type") for entry in plain["evaluation"]["asr"].values()} == {None}
    assert {entry["compute_type"] for entry in portable["evaluation"]["asr"].values()} == {"float32"}
    system = {"model": "multitask", "transcript": "none"}
    assert system_entries.sampling_settings(portable, system)["precision"] == "fp32"
    assert "precision" not in system_entries.sampling_settings(plain, system)
    assert system_entries.sampling_settings(portable, system | {"precision": "bf16"})["precision"] == "bf16"
    moonshine = configuration.resolve({"scale": "mini", "portable": True})["evaluation"]["asr"]["moonshine_tiny_en"]
    assert "compute_type" not in moonshine
