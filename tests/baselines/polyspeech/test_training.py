"""PolySpeech: its training on a tiny corpus."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from accelerate import Accelerator

from baselines.polyspeech import layout
from baselines.polyspeech import trainee as language
from baselines.polyspeech.hubert import Semantic
from baselines.polyspeech.pipeline import PolySpeech
from baselines.polyspeech.settings import BatchConfig
from speechbase.files import UserError, read_jsonl
from speechbase.settings import checked
from speechbase.tokens.sequences import NO_CODE
from speechbase.tokens.trainee import NO_LABEL
from speechbase.training import checkpoint
from speechbase.training.__main__ import train
from speechbase.training.kinds import Context, builder
from tests.baselines.polyspeech.conftest import LABELS, MODELS, SHARED
from tests.speechbase.training.conftest import learned_by_heart


def test_every_task_is_validated_and_weights_know_what_they_belong_to(made):
    curves = read_jsonl(made / "polyspeech" / "curves.jsonl")[-1]
    assert {f"valid_{task}_{name}" for task in layout.TASKS for name in ("loss", "top1")} <= set(curves)
    _, config = checkpoint.read_model(made / "polyspeech")
    assert config["labels"] == LABELS and config["stretch"] > 1 and config["hears"] == "semantic"
    assert config["semantic"]["model"] == "hubert_2" and config["tokens"]["model"] == "sset"
    assert "valid_perplexity" in read_jsonl(made / "sset" / "curves.jsonl")[-1]
    assert "valid_other_voice" in read_jsonl(made / "polyspeech_decoder" / "curves.jsonl")[-1]


@pytest.mark.parametrize("name", ["sset", "polyspeech_decoder", "polyspeech"])
def test_training_goes_on_from_another_model_s_weights(made, name):
    kind, config = MODELS[name]
    config = SHARED | config | {"init": name, "training": SHARED["training"] | {"steps": 1, "lr": 1e-9}}
    assert train(kind, f"{name}_on", config, made / "data", made, made / "state", None, False)
    before, after = (checkpoint.read_model(made / folder)[0] for folder in (name, f"{name}_on"))
    still = [tensor for tensor in before if tensor not in ("counts", "sums", "codewords")]  # those follow the batches
    assert still and all(torch.allclose(before[tensor], after[tensor], atol=1e-6) for tensor in still)


def test_a_semantic_encoder_begins_from_nothing(made):
    kind, config = MODELS["hubert_1"]
    with pytest.raises(UserError, match="starts from random weights"):
        train(kind, "again", SHARED | config | {"init": "hubert_1"}, made / "data", made, made / "state", None, False)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_in_half_precision_is_finite(made, name):
    kind, config = MODELS[name]
    context = Context(kind, made / "data", made, None, Accelerator(cpu=True))
    learner = builder(kind)(SHARED | config, context)
    with torch.autocast("cpu", torch.bfloat16):
        for micro in range(4):  # of several tasks, where there are some
            loss = learner.losses(learner.network, 0, micro)["loss"]
            loss.backward()
            assert loss.isfinite()


@pytest.fixture
def learner(made):
    """A trainee whose batches hide what some items said, and have CTC for all that has a text."""
    config = SHARED | MODELS["polyspeech"][1] | {"losses": {"ctc": 0.3, "ctc_spoken": 0.3}}
    how = config["batches"] | {
        "valid_items": 1,
        "noisy": 0.0,
        "naming": 2,
        "unheard": 0.5,
        "size": 2,
        "pace": (0.5, 2.0),
    }
    context = Context("polyspeech", made / "data", made, None, Accelerator(cpu=True))
    return language.build(config | {"batches": config["batches"] | how}, context)


def test_speech_may_lack_what_it_has_said_but_not_its_labels_and_lacks_nothing_in_validation(learner):
    batch = learner.batch(learner.ahead.draw.args[0], "one", task="tts")
    said = batch.tokens.real & (batch.tokens.kinds == layout.TARGET) & (batch.tokens.symbols == 0)
    told = batch.tokens.codes[said][:, 0] != NO_CODE
    assert 0 < told.float().mean() < 1 and (batch.labels[..., 0] != NO_LABEL).sum() == len(told) + len(batch.labels)
    (held,) = learner.held_out["tts"]
    said = held.tokens.real & (held.tokens.kinds == layout.TARGET) & (held.tokens.symbols == 0)
    assert said.any() and (held.tokens.codes[said] != NO_CODE).all()


def test_text_is_spread_over_other_lengths_than_its_speech_s_but_not_in_validation(learner):
    def off(batch):
        text = batch.tokens.real & (batch.tokens.kinds == layout.TEXT)
        reach = torch.where(text, batch.tokens.places, 0).amax(1)
        said = (batch.tokens.real & (batch.tokens.kinds == layout.TARGET)).sum(1)
        return (reach / said - 1).abs()

    drawn = torch.cat([off(learner.batch(learner.ahead.draw.args[0], n, task="tts")) for n in range(6)])
    (held,) = learner.held_out["tts"]
    assert drawn.max() > 0.3 and off(held).max() < 0.15


@pytest.mark.parametrize("task", ["asr", "tts"])
def test_ctc_stands_where_speech_is_heard_or_said_next(learner, task):
    batch = learner.batch(learner.ahead.draw.args[0], "one", task=task)
    texts = set(learner.ahead.draw.args[0].spoken.speech.rows["text"])
    for row, ((first, last), letters) in enumerate(zip(batch.speech, batch.letters)):
        assert bytes(letters.tolist()).decode() in texts
        if task == "asr":
            assert batch.heard[row, first:last].any(-1).all() and batch.heard[row].any(-1).sum() == last - first
        else:
            labels = batch.labels[row, first:, 0]
            assert (labels[: last - first] < learner.network.end).all() and labels[-1] == learner.network.end


@pytest.mark.parametrize("task", layout.TASKS)
def test_one_batch_of_each_task_is_learned_by_heart(learner, task):
    torch.manual_seed(0)
    batch = learner.batch(learner.ahead.draw.args[0], "one", task=task)
    assert batch.task == task and len(batch.labels) == (4 if task in layout.NAMING else 2)
    assert learned_by_heart(learner, batch, 120) < 0.1


def test_tasks_are_drawn_by_volume_or_alike(made):
    config = SHARED | MODELS["polyspeech"][1]
    context = Context("polyspeech", made / "data", made, None, Accelerator(cpu=True))
    for draw, expected in (("volume", {6.0}), ("uniform", {1.0})):
        learner = language.build(config | {"batches": config["batches"] | {"draw": draw}}, context)
        assert set(learner.ahead.draw.args[0].weights.values()) == expected
    for wrong in ({"tasks": {"arr": 1}}, {"draw": "often"}):
        with pytest.raises(UserError, match="batches: "):
            checked(BatchConfig, wrong, "batches")


def test_labels_that_only_validation_has_or_that_no_table_says_are_refused():
    def table(**columns):
        return SimpleNamespace(rows=pd.DataFrame(columns), folder="data/tiny/speech")

    both = table(language=["en", "it"], sex=["f", "m"])
    assert language._labels(both, table(language=["it"], sex=["f"])) == LABELS
    with pytest.raises(UserError, match="has the language 'pl', which training speech lacks"):
        language._labels(both, table(language=["pl"], sex=["f"]))
    with pytest.raises(UserError, match="says no language; build its tables again"):
        language._labels(table(sex=["f"]), both)


def test_weights_that_do_not_belong_together_are_refused(made, tmp_path):
    for name in ("data", "codec", "hubert_1", "hubert_2", "polyspeech_decoder", "polyspeech"):
        (tmp_path / name).symlink_to(made / name)
    other = SHARED | MODELS["sset"][1] | {"seed": 2}
    assert train("sset", "sset", other, made / "data", tmp_path, tmp_path / "state", None, False)
    with pytest.raises(UserError, match="trained with other weights than those of sset"):
        PolySpeech(tmp_path)
    with pytest.raises(UserError, match="no semantic encoder"):
        Semantic(made / "codec")
