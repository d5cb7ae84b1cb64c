"""SpeechX: its training on a tiny corpus."""

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator

from baselines.speechx import layout, trainee
from baselines.speechx.layout import kept
from baselines.speechx.pairs import Drawer, TokenPairs
from baselines.speechx.pipeline import SpeechX
from baselines.speechx.settings import BatchConfig
from speechbase.codec.loading import load_token_codec
from speechbase.files import UserError, read_jsonl
from speechbase.settings import checked
from speechbase.tokens.sequences import NO_CODE
from speechbase.tokens.trainee import NO_LABEL
from speechbase.training import checkpoint
from speechbase.training.__main__ import train
from speechbase.training.kinds import Context
from tests.baselines.speechx.conftest import CODES, LEVELS, MODEL, SIZES, TASKS, TWO
from tests.speechbase.codec.test_quantiser import QUANTISER
from tests.speechbase.training.conftest import learned_by_heart


def test_curves_tell_loss_and_accuracy_by_task_and_by_level(made):
    for name, more in (("speechx_ar", {"valid_top10_level_1", "valid_top10_level_2"}), ("speechx_nar", set())):
        last = read_jsonl(made / name / "curves.jsonl")[-1]
        assert {f"valid_{task}_loss" for task in TASKS} | {
            "valid_ns_top10",
            "valid_loss",
            "top10",
        } | more <= set(last)


def test_a_resumed_training_ends_as_the_undisturbed_one(made):
    config = MODEL | {"network": TWO | {"prompt_layers": 3}}
    rounds = 0
    while not train("speechx_ar", "pieces", config, made / "data", made, made / "state", 0.0, False):
        rounds += 1
        assert rounds < 20
    assert rounds >= 4
    whole, pieces = (checkpoint.read_model(made / name)[0] for name in ("speechx_ar", "pieces"))
    assert all(torch.equal(tensor, pieces[name]) for name, tensor in whole.items())


def test_training_goes_on_from_another_model_s_weights(made):
    config = MODEL | {"network": TWO, "init": "speechx_nar", "training": MODEL["training"] | {"steps": 1, "lr": 1e-9}}
    assert train("speechx_nar", "further", config, made / "data", made, made / "state", None, False)
    before, after = (checkpoint.read_model(made / name)[0] for name in ("speechx_nar", "further"))
    assert all(torch.allclose(tensor, after[name], atol=1e-6) for name, tensor in before.items())


def test_weights_remember_how_far_apart_a_text_s_bytes_stand(made):
    rows = pd.read_csv(made / "data" / "speech" / "train.csv")
    frames = 40 * rows["seconds"].sum() / rows["text"].str.len().sum()
    model = SpeechX(made)
    assert model.speaking.frames_a_byte == model.refining.frames_a_byte == pytest.approx(frames, abs=1e-3)


def test_weights_for_other_codes_are_refused(made, tmp_path):
    other = QUANTISER | {"seed": 5, "store": "fp32"}
    for name in ("codec", "speechx_ar"):
        (tmp_path / name).symlink_to(made / name)
    assert train("quantiser", "codec_tokens", other, made / "data", tmp_path, tmp_path / "state", None, False)
    with pytest.raises(UserError, match="another codec or quantiser than codec_tokens"):
        train(
            "speechx_ar", "x", MODEL | {"init": "speechx_ar"}, made / "data", tmp_path, tmp_path / "state", None, False
        )


def test_models_that_leave_a_level_unsaid_are_refused(made, tmp_path):
    """One that says a level, beside one that makes those above the second."""
    for name in ("codec_tokens", "speechx_nar"):
        (tmp_path / name).symlink_to(made / name)
    short = MODEL | {"network": SIZES, "training": MODEL["training"] | {"steps": 1}}
    assert train("speechx_ar", "speechx_ar", short, made / "data", tmp_path, tmp_path / "state", None, False)
    with pytest.raises(UserError, match="speechx_nar makes the levels above 2, but speechx_ar says only 1"):
        SpeechX(tmp_path)


@pytest.fixture(scope="module")
def drawer(made):
    codec = load_token_codec(made / "codec_tokens")
    pairs = TokenPairs.load(made / "data", "train", MODEL["degradation"], codec.rate_hz)
    return Drawer(pairs, codec, BatchConfig(size=4, prompt_seconds=(0.2, 0.4), text_dropped=0.5), 0)


@pytest.mark.parametrize("task", TASKS)
def test_an_item_of_each_task_has_its_parts(drawer, task):
    requests, outputs, _ = drawer.draw("x", task=task)
    assert len(requests) == 4
    for request, output in zip(requests, outputs):
        assert output.shape[1] == LEVELS and output.max() < CODES
        if task == "tts":
            assert request.source is None and request.text and len(request.prompt)
            continue
        assert len(request.source) == len(output) and (request.prompt is not None) == (task == "tse")
        stays = kept(request, len(output))
        assert stays.any() == (task in layout.EDITS) and not stays.all()
        if task == "edit":
            assert request.text and torch.equal(request.source, output)
        if task == "edit_noisy":
            assert (request.source == output)[stays].float().mean() > (request.source == output)[~stays].float().mean()


def test_text_is_left_out_at_times_and_draws_are_repeatable(drawer):
    drawn = [drawer.draw("y", number, task="ns")[0] for number in range(8)]
    texts = [request.text for requests in drawn for request in requests]
    assert 5 < sum(text is None for text in texts) < 27
    again = drawer.draw("y", 3, task="ns")[0]
    assert [r.text for r in again] == [r.text for r in drawn[3]]
    assert all(torch.equal(a.source, b.source) for a, b in zip(again, drawn[3]))


def test_output_may_lack_what_was_said_but_not_its_labels_and_lacks_nothing_in_validation(made):
    config = MODEL | {"network": TWO, "batches": MODEL["batches"] | {"size": 8, "unheard": 0.5}}
    learner = trainee.build(config, Context("speechx_ar", made / "data", made, None, Accelerator(cpu=True)))

    def told(batch):
        said = batch.tokens.real & (batch.tokens.kinds == layout.TARGET) & (batch.tokens.symbols == 0)
        assert (batch.labels[..., 0] != NO_LABEL).sum() == said.sum() + len(said)
        rows = [(row[one] != NO_CODE).any(-1) for row, one in zip(batch.tokens.codes, said)]
        assert all(torch.equal(row, row.cummax(0).values) for row in rows), "from a frame on"
        return [row.float().mean().item() for row in rows]

    drawn = np.array([one for number in range(8) for one in told(learner.batch(learner.drawer, number))])
    assert 0.2 < (drawn == 1).mean() < 0.8 and np.ptp(drawn[drawn < 1]) > 0.3
    assert all(one == 1 for batches in learner.held_out.values() for batch in batches for one in told(batch))


def test_an_unknown_task_is_named():
    with pytest.raises(UserError, match=r"batches: .*'nss': input should be 'ns'"):
        checked(BatchConfig, {"tasks": {"nss": 1}}, "batches")


@pytest.mark.parametrize("kind, said", [("speechx_ar", 1), ("speechx_ar", 3), ("speechx_nar", 1)])
def test_one_batch_is_learned_by_heart(made, kind, said):
    torch.manual_seed(0)
    config = MODEL | {"batches": MODEL["batches"] | {"valid_items": 1, "size": 2, "sentences": [1]}}
    config |= {"network": SIZES | {"said_levels": said}}
    learner = trainee.build(config, Context(kind, made / "data", made, None, Accelerator(cpu=True)))
    batch = learner.batch(learner.drawer, "one", task="tts")
    assert learned_by_heart(learner, batch, 150) < 0.1
