"""SpeechX: its sequences, its networks, its training on a tiny corpus, and its answers."""

import pytest
import torch

from baselines.speechx import layout, trainee
from baselines.speechx.layout import Request, condition, kept, refined_so_far, spoken_so_far
from baselines.speechx.network import Autoregressive, Refining
from baselines.speechx.pairs import BatchConfig, Drawer, TokenPairs
from speechbase.codec.loading import load_token_codec
from speechbase.files import UserError, read_jsonl
from speechbase.tokens.lm import LMConfig
from speechbase.tokens.sequences import NO_CODE, collate
from speechbase.training import checkpoint
from speechbase.training.__main__ import train
from tests.speechbase.codec.test_quantiser import QUANTISER
from tests.speechbase.training.conftest import write_corpus
from tests.speechbase.training.test_training import CODEC

LEVELS, CODES = 3, 8
SIZES = {"dim": 32, "ff_dim": 48, "layers": 2, "heads": 2}
MODEL = {
    "seed": 1,
    "network": SIZES,
    "batches": {"size": 4, "sentences": [1, 2], "prompt_seconds": [0.2, 0.4], "valid_items": 4, "speed": [0.9, 1.1]},
    "training": {"steps": 6, "lr": 1e-3, "warmup": 1, "precision": "fp32", "accumulate": 2, "validate_every": 3,
                 "save_minutes": 0.0, "ema": 0.5},
    "degradation": QUANTISER["degradation"] | {"reverb": {"probability": 0.5}},
    "store": "fp32",
}  # fmt: skip


def codes(frames, seed=0):
    return torch.randint(CODES, (frames, LEVELS), generator=torch.Generator().manual_seed(seed))


def shown(sequence):
    """A sequence's parts as words: bytes by letter, signs in brackets, frames by segment and place."""
    frames = torch.cat(sequence.codes)
    for kind, symbol, place, frame in zip(sequence.kinds, sequence.symbols, sequence.places, frames):
        name = layout.KINDS[kind]
        if symbol > 256:
            yield f"<{layout.SIGNS[symbol - 257]}>{place}"
        elif symbol:
            yield chr(symbol - 1)
        else:
            yield f"{name}{place}" + "".join("-" if code == NO_CODE else "o" for code in frame.tolist())


@pytest.mark.parametrize(
    "task, given, expected",
    [
        ("ns", {"text": "Hi!", "source": codes(2)}, "h i <ns>0 source0ooo source1ooo"),
        ("sr", {"source": codes(2)}, "<sr>0 source0ooo source1ooo"),
        ("sr", {"source": codes(1), "sign": "ns"}, "<ns>0 source0ooo"),
        ("tse", {"prompt": codes(1), "source": codes(2)}, "prompt0ooo <tse>0 source0ooo source1ooo"),
        ("tts", {"text": "hi", "prompt": codes(2)}, "h i prompt0ooo prompt1ooo"),
        ("edit", {"text": "hi", "source": codes(4), "span": (1, 3, 5)},
         "h i source0ooo <soe>1 <mask>1 <eoe>6 source6ooo"),
        ("edit_noisy", {"text": "hi", "source": codes(4), "span": (1, 3, 5)},
         "h i source0ooo <soe>1 source1ooo source2ooo <eoe>6 source6ooo"),
    ],
)  # fmt: skip
def test_a_task_is_laid_out_as_in_its_table(task, given, expected):
    assert list(shown(condition(Request(task, **given), LEVELS, LEVELS))) == expected.split()


def test_the_autoregressive_model_may_hear_one_level_and_answers_at_the_source_s_places():
    sequence = condition(Request("ns", source=codes(3)), LEVELS, 1)
    spoken_so_far(sequence, codes(2)[:, 0])
    assert list(shown(sequence))[1:] == [
        "source0o--", "source1o--", "source2o--", "<start>0", "target1o--", "target2o--",
    ]  # fmt: skip


def test_the_refining_model_never_sees_the_level_that_it_makes_or_a_later_one_but_of_what_stays():
    request = Request("edit", text="hi", source=codes(4), span=(1, 3, 2))
    sequence = refined_so_far(condition(request, LEVELS, LEVELS), codes(4), 1, kept(request, 4))
    assert list(shown(sequence))[-4:] == ["target0ooo", "target1o--", "target2o--", "target3ooo"]


def test_a_text_without_letters_is_refused():
    with pytest.raises(UserError, match="no letters or digits"):
        condition(Request("tts", text="...", prompt=codes(2)), LEVELS, LEVELS)


@pytest.fixture(scope="module")
def codewords():
    return torch.randn(LEVELS, CODES, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def speaking(codewords):
    torch.manual_seed(0)
    return Autoregressive(codewords, LMConfig(**SIZES), LEVELS).eval()


@pytest.fixture(scope="module")
def refining(codewords):
    torch.manual_seed(0)
    return Refining(codewords, LMConfig(**SIZES)).eval()


def sequences(outputs):
    """Requests of several lengths with these outputs of level 1."""
    requests = [Request("ns", source=codes(3)), Request("tts", text="one two", prompt=codes(5, 1))]
    return [spoken_so_far(condition(r, LEVELS, LEVELS), output) for r, output in zip(requests, outputs)]


def test_a_later_frame_does_not_move_earlier_logits(speaking):
    before, after = codes(4)[:, 0], codes(4)[:, 0].clone()
    after[2] = (after[2] + 1) % CODES
    a, b = (speaking(collate(sequences([x, x]), left=True), 5) for x in (before, after))
    torch.testing.assert_close(a[:, :3], b[:, :3], atol=1e-6, rtol=0)
    assert (a[:, 3:] - b[:, 3:]).abs().amax((1, 2)).min() > 1e-5


def test_padding_and_neighbours_do_not_move_logits(speaking):
    alone = [speaking(collate([one], left=True), 3) for one in sequences([codes(2)[:, 0]] * 2)]
    together = speaking(collate(sequences([codes(2)[:, 0]] * 2), left=True), 3)
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=0)


def test_the_refining_model_hears_all_frames_and_its_level(refining):
    request = Request("ns", source=codes(3))

    def logits(output, level):
        sequence = refined_so_far(condition(request, LEVELS, LEVELS), output, 1, kept(request, 3))
        return refining(collate([sequence], left=True), torch.tensor([level]), 3)

    first, later = codes(3), codes(3).clone()
    later[2, 0] = (later[2, 0] + 1) % CODES
    assert (logits(first, 1) - logits(later, 1))[0, 0].abs().max() > 1e-6
    assert not torch.equal(logits(first, 1), logits(first, 2))
    later = first.clone()
    later[:, 1:] = (later[:, 1:] + 1) % CODES  # levels that are still to be made
    assert torch.equal(logits(first, 1), logits(later, 1))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a corpus, a token codec, and both models trained a little for all tasks."""
    root = tmp_path_factory.mktemp("speechx")
    data = write_corpus(root / "data")
    for kind, name, config in (
        ("codec", "codec", CODEC),
        ("quantiser", "codec_tokens", QUANTISER | {"store": "fp32"}),
        ("speechx_ar", "speechx_ar", MODEL | {"network": SIZES | {"prompt_layers": 3}}),
        ("speechx_nar", "speechx_nar", MODEL | {"batches": MODEL["batches"] | {"token_noise": 0.2}}),
    ):
        assert train(kind, name, config, data, root, root / "state", None, False)
    return root


def test_curves_tell_loss_and_accuracy_by_task_and_by_level(made):
    for name, more in (("speechx_ar", set()), ("speechx_nar", {"valid_top10_level_2", "valid_top10_level_3"})):
        last = read_jsonl(made / name / "curves.jsonl")[-1]
        assert {f"valid_{task}_loss" for task in layout.TASKS} | {
            "valid_ns_top10",
            "valid_loss",
            "top10",
        } | more <= set(last)


def test_a_resumed_training_ends_as_the_undisturbed_one(made):
    config = MODEL | {"network": SIZES | {"prompt_layers": 3}}
    rounds = 0
    while not train("speechx_ar", "pieces", config, made / "data", made, made / "state", 0.0, False):
        rounds += 1
        assert rounds < 20
    assert rounds >= 4
    whole, pieces = (checkpoint.read_model(made / name)[0] for name in ("speechx_ar", "pieces"))
    assert all(torch.equal(tensor, pieces[name]) for name, tensor in whole.items())


def test_training_goes_on_from_another_model_s_weights(made):
    config = MODEL | {"init": "speechx_nar", "training": MODEL["training"] | {"steps": 1, "lr": 1e-9}}
    assert train("speechx_nar", "further", config, made / "data", made, made / "state", None, False)
    before, after = (checkpoint.read_model(made / name)[0] for name in ("speechx_nar", "further"))
    assert all(torch.allclose(tensor, after[name], atol=1e-6) for name, tensor in before.items())


def test_weights_for_other_codes_are_refused(made, tmp_path):
    other = QUANTISER | {"seed": 5, "store": "fp32"}
    for name in ("codec", "speechx_ar"):
        (tmp_path / name).symlink_to(made / name)
    assert train("quantiser", "codec_tokens", other, made / "data", tmp_path, tmp_path / "state", None, False)
    with pytest.raises(UserError, match="another codec or quantiser than codec_tokens"):
        train(
            "speechx_ar", "x", MODEL | {"init": "speechx_ar"}, made / "data", tmp_path, tmp_path / "state", None, False
        )


@pytest.fixture(scope="module")
def drawer(made):
    codec = load_token_codec(made / "codec_tokens")
    pairs = TokenPairs.load(made / "data", "train", MODEL["degradation"], codec.rate_hz)
    return Drawer(pairs, codec, BatchConfig(size=4, prompt_seconds=(0.2, 0.4), text_dropped=0.5), 0)


@pytest.mark.parametrize("task", layout.TASKS)
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


def test_an_unknown_task_is_named():
    with pytest.raises(UserError, match=r"no task 'nss' .did you mean 'ns'"):
        BatchConfig(tasks={"nss": 1})


@pytest.mark.parametrize("kind", ["speechx_ar", "speechx_nar"])
def test_one_batch_is_learned_by_heart(made, kind, codewords):
    """Whatever is wrong with sequences, labels or masks would keep the loss up."""
    torch.manual_seed(0)
    config = MODEL | {"batches": MODEL["batches"] | {"valid_items": 1, "size": 2, "sentences": [1]}}
    from accelerate import Accelerator

    from speechbase.training.kinds import Context

    learner = trainee.build(config, Context(kind, made / "data", made, None, Accelerator(cpu=True)))
    batch = learner.batch(learner.drawer, "one", task="tts")
    optimiser = torch.optim.Adam(learner.network.parameters(), 1e-2)
    for _ in range(150):
        loss = learner.scores(learner.network, batch)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1
