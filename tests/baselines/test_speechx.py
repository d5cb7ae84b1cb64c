"""SpeechX: its sequences, its networks, its training on a tiny corpus, and its answers."""

import contextlib
import io
import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from accelerate import Accelerator
from typer.testing import CliRunner

from baselines import registry
from baselines.speechx import layout, trainee
from baselines.speechx.__main__ import app, main
from baselines.speechx.generate import Job, generate, speak
from baselines.speechx.layout import Request, condition, kept, refined_so_far, spoken_so_far
from baselines.speechx.network import Autoregressive, Refining, build_network
from baselines.speechx.pairs import Drawer, TokenPairs
from baselines.speechx.pipeline import SpeechX
from baselines.speechx.settings import BatchConfig, NetworkConfig, Task
from speechbase import audio, editing
from speechbase.codec.loading import load_token_codec
from speechbase.files import UserError, read_jsonl
from speechbase.settings import checked
from speechbase.systems.runner import run_manifest
from speechbase.tokens.depth import ResidualHead
from speechbase.tokens.generation import Length, one_position
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.sequences import NO_CODE, collate
from speechbase.tokens.settings import LMConfig
from speechbase.training import checkpoint
from speechbase.training.__main__ import train
from speechbase.training.kinds import Context
from tests.speechbase.codec.test_quantiser import QUANTISER
from tests.speechbase.training.conftest import write_corpus
from tests.speechbase.training.test_training import CODEC

LEVELS, CODES = 3, 8
TASKS = get_args(Task)
SIZES = {"dim": 32, "ff_dim": 48, "layers": 2, "heads": 2}
TWO = SIZES | {"said_levels": 2}
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
    """A sequence's parts as words: bytes by letter, signs in brackets, frames by segment, each with its place."""
    frames = torch.cat(sequence.codes)
    for kind, symbol, place, frame in zip(sequence.kinds, sequence.symbols, sequence.places, frames):
        name = layout.KINDS[kind]
        if symbol > 256:
            yield f"<{layout.SIGNS[symbol - 257]}>{place}"
        elif symbol:
            yield f"{chr(symbol - 1)}{place}"
        else:
            yield f"{name}{place}" + "".join("-" if code == NO_CODE else "o" for code in frame.tolist())


@pytest.mark.parametrize(
    "task, given, expected",
    [
        ("ns", {"text": "Hi!", "source": codes(2)}, "h0 i1 <ns>0 source0ooo source1ooo"),
        ("sr", {"source": codes(2)}, "<sr>0 source0ooo source1ooo"),
        ("sr", {"source": codes(1), "sign": "ns"}, "<ns>0 source0ooo"),
        ("tse", {"prompt": codes(1), "source": codes(2)}, "prompt0ooo <tse>0 source0ooo source1ooo"),
        ("tts", {"text": "hi", "prompt": codes(2)}, "h0 i3 prompt0ooo prompt1ooo"),
        ("edit", {"text": "hi", "source": codes(4), "span": (1, 3, 5)},
         "h0 i4 source0ooo <soe>1 <mask>1 <eoe>6 source6ooo"),
        ("edit_noisy", {"text": "hi", "source": codes(4), "span": (1, 3, 5)},
         "h0 i4 source0ooo <soe>1 source1ooo source2ooo <eoe>6 source6ooo"),
    ],
)  # fmt: skip
def test_a_task_is_laid_out_as_in_its_table(task, given, expected):
    assert list(shown(condition(Request(task, **given), LEVELS, LEVELS, 3.0))) == expected.split()


def test_the_autoregressive_model_may_hear_one_level_and_answers_at_the_source_s_places():
    sequence = condition(Request("ns", source=codes(3)), LEVELS, 1, 3.0)
    spoken_so_far(sequence, codes(2)[:, :1])
    assert list(shown(sequence))[1:] == [
        "source0o--", "source1o--", "source2o--", "<start>0", "target1o--", "target2o--",
    ]  # fmt: skip


def test_the_refining_model_never_sees_the_level_that_it_makes_or_a_later_one_but_of_what_stays():
    request = Request("edit", text="hi", source=codes(4), span=(1, 3, 2))
    sequence = refined_so_far(condition(request, LEVELS, LEVELS, 3.0), codes(4), 1, kept(request, 4))
    assert list(shown(sequence))[-4:] == ["target0ooo", "target1o--", "target2o--", "target3ooo"]


def test_a_text_without_letters_is_refused():
    with pytest.raises(UserError, match="no letters or digits"):
        condition(Request("tts", text="...", prompt=codes(2)), LEVELS, LEVELS, 3.0)


@pytest.fixture(scope="module")
def codewords():
    return torch.randn(LEVELS, CODES, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[1, 2])
def speaking(codewords, request):
    """One that says a level, and one that says two."""
    torch.manual_seed(0)
    return Autoregressive(codewords, LMConfig(**SIZES), LEVELS, request.param).eval()


@pytest.fixture(scope="module")
def refining(codewords):
    torch.manual_seed(0)
    return Refining(codewords, LMConfig(**SIZES)).eval()


def sequences(outputs):
    """Requests of several lengths with these outputs of the levels that are said."""
    requests = [Request("ns", source=codes(3)), Request("tts", text="one two", prompt=codes(5, 1))]
    return [spoken_so_far(condition(r, LEVELS, LEVELS, 3.0), output) for r, output in zip(requests, outputs)]


def foretold(network, sequences, frames):
    """Logits of all levels side by side [b, t, s * (k + 1)], where the same frames [t, s] follow in each row."""
    logits, _ = network(collate(sequences, left=True), frames[None].expand(len(sequences), -1, -1))
    return logits.nan_to_num(neginf=0).flatten(2)


def test_a_later_frame_does_not_move_earlier_logits(speaking):
    before, after = codes(4)[:, : speaking.said], codes(4)[:, : speaking.said].clone()
    after[2] = (after[2] + 1) % CODES
    end = codes(1, 3)[:, : speaking.said]
    a, b = (foretold(speaking, sequences([x, x]), torch.cat([before, end])) for x in (before, after))
    torch.testing.assert_close(a[:, :3], b[:, :3], atol=1e-6, rtol=0)
    assert (a[:, 3:] - b[:, 3:]).abs().amax((1, 2)).min() > 1e-5


def test_padding_and_neighbours_do_not_move_logits(speaking):
    said = codes(2)[:, : speaking.said]
    frames = torch.cat([said, said[:1]])
    alone = [foretold(speaking, [one], frames) for one in sequences([said] * 2)]
    together = foretold(speaking, sequences([said] * 2), frames)
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=0)


def test_a_further_level_knows_the_levels_below_it_and_none_above(codewords):
    torch.manual_seed(0)
    network, hidden = Autoregressive(codewords, LMConfig(**SIZES), LEVELS, LEVELS).eval(), torch.randn(1, 4, 32)
    said = codes(4)[None]
    for level in range(1, LEVELS):
        logits = network.further(hidden, said[..., :level])
        for below in range(level):
            other = said.clone()
            other[..., below] = (other[..., below] + 1) % CODES
            assert (network.further(hidden, other[..., :level]) - logits).abs().amax(-1).min() > 1e-5
        assert logits.shape == (1, 4, CODES)


@pytest.mark.parametrize("kind, said", [("speechx_ar", LEVELS + 1), ("speechx_nar", LEVELS)])
def test_more_levels_than_there_are_is_a_sentence(codewords, kind, said):
    sizes = checked(NetworkConfig, SIZES | {"said_levels": said}, "network")
    with pytest.raises(UserError, match=f"said_levels of {kind}: at most {said - 1} of the codec's 3, not {said}"):
        build_network(kind, codewords, sizes)


def test_a_residual_code_is_what_the_guess_leaves_after_the_levels_below(codewords):
    """A right guess says every level's own code; where nothing lies below, the guess alone counts."""
    head, said = ResidualHead(codewords, codewords.shape[-1]).eval(), codes(6)[None]
    latents = codewords[torch.arange(LEVELS), said].sum(-2)  # [1, 6, c]
    with torch.no_grad():
        head.guess.weight.copy_(torch.eye(codewords.shape[-1]) / head.scale[0])
        head.guess.bias.zero_()
        head.gain.fill_(1.0)
        for level in range(1, LEVELS):
            logits, known = head(latents, said, torch.tensor([level]))
            left = latents - codewords[torch.arange(level), said[..., :level]].sum(-2)
            assert torch.equal(logits.argmax(-1), torch.cdist(left, codewords[level][None]).argmin(-1))
            torch.testing.assert_close(known, latents, atol=1e-5, rtol=0)
            assert float(head.error(known[0], said[0])) < 1e-8
        unheard, _ = head(latents, torch.full_like(said, NO_CODE), torch.tensor([1]))
        assert torch.equal(unheard.argmax(-1), torch.cdist(latents, codewords[1][None]).argmin(-1))
        assert float(head.error(torch.zeros_like(latents[0]), said[0])) > 0.1


def test_the_refining_model_hears_all_frames_and_its_level(refining):
    request = Request("ns", source=codes(3))

    def logits(output, level):
        sequence = refined_so_far(condition(request, LEVELS, LEVELS, 3.0), output, 1, kept(request, 3))
        return refining(collate([sequence], left=True), torch.tensor([level]), 3)[0]

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
        ("speechx_ar", "speechx_ar", MODEL | {"network": TWO | {"prompt_layers": 3}}),
        ("speechx_nar", "speechx_nar", MODEL | {"batches": MODEL["batches"] | {"token_noise": 0.2}, "network": TWO}),
    ):
        assert train(kind, name, config, data, root, root / "state", None, False)
    return root


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


def test_an_unknown_task_is_named():
    with pytest.raises(UserError, match=r"batches: .*'nss': input should be 'ns'"):
        checked(BatchConfig, {"tasks": {"nss": 1}}, "batches")


@pytest.mark.parametrize("kind, said", [("speechx_ar", 1), ("speechx_ar", 3), ("speechx_nar", 1)])
def test_one_batch_is_learned_by_heart(made, kind, said):
    """Whatever is wrong with sequences, labels or masks would keep the loss up."""
    torch.manual_seed(0)
    config = MODEL | {"batches": MODEL["batches"] | {"valid_items": 1, "size": 2, "sentences": [1]}}
    config |= {"network": SIZES | {"said_levels": said}}
    learner = trainee.build(config, Context(kind, made / "data", made, None, Accelerator(cpu=True)))
    batch = learner.batch(learner.drawer, "one", task="tts")
    optimiser = torch.optim.Adam(learner.network.parameters(), 1e-2)
    for _ in range(150):
        loss = learner.scores(learner.network, batch)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1


# -- generation ----------------------------------------------------------------------------------


def jobs():
    """One of each kind: as long as its source, drawn to its end, and an edit."""
    free, cool = Drawing(top_p=0.9, repeats=0.3), Drawing(temperature=0.7, top_k=4)
    return [
        Job(Request("ns", source=codes(5)), Length(5), cool, 1),
        Job(Request("tts", text="one two", prompt=codes(4, 1)), Length(least=3, most=9), free, 2),
        Job(Request("edit", text="three", source=codes(7, 2), span=(2, 4, 3)), Length(3, "edit"), free, 3),
    ]


def test_a_cache_gives_the_logits_of_the_whole_sequence(speaking):
    (drawn, reason), *_ = speak(speaking, jobs()[:1], LEVELS)
    assert len(drawn) == 5 and reason == "source"
    sequence = spoken_so_far(condition(jobs()[0].request, LEVELS, LEVELS, 3.0), drawn)
    whole = speaking(collate([sequence], left=True), torch.cat([drawn, drawn[:1]])[None])[0][0, :, 0]  # [6, k + 1]
    cache, hidden = speaking.lm.new_cache(), []
    tokens = collate([spoken_so_far(condition(jobs()[0].request, LEVELS, LEVELS, 3.0), drawn[:0])], left=True)
    hidden.append(speaking.lm(speaking.embed(tokens), tokens.places, tokens.visible(), cache)[:, -1:])
    for number, code in enumerate(drawn, 1):
        step = one_position(layout.TARGET, torch.tensor([[number]]), LEVELS, code[None])
        tokens.real = torch.cat([tokens.real, step.real], 1)
        hidden.append(speaking.lm(speaking.embed(step), step.places, tokens.real[:, None, None], cache))
    torch.testing.assert_close(speaking.logits(torch.cat(hidden, 1))[0], whole, atol=1e-4, rtol=0)


def test_an_item_s_output_depends_on_its_seed_and_not_on_its_batch(speaking, refining):
    together = generate(speaking, refining, jobs(), LEVELS)
    alone = [generate(speaking, refining, [job], LEVELS)[0] for job in jobs()]
    assert all(torch.equal(a.codes, b.codes) and a.reason == b.reason for a, b in zip(together, alone))
    other = generate(speaking, refining, [replace(jobs()[0], seed=9)], LEVELS)[0]
    assert not torch.equal(other.codes, together[0].codes)


def test_outputs_end_where_they_must(speaking, refining):
    aligned, spoken, edited = generate(speaking, refining, jobs(), LEVELS)
    assert len(aligned.codes) == 5 and aligned.reason == "source"
    assert 3 <= spoken.drawn <= 9 and (spoken.reason == "end" or spoken.drawn == 9)
    assert edited.reason == "edit" and edited.drawn == 3
    source = jobs()[2].request.source
    assert torch.equal(edited.codes, torch.cat([source[:2], edited.codes[2:5], source[4:]]))
    assert all(output.codes.min() >= 0 and output.codes.max() < CODES for output in (aligned, spoken, edited))


def test_an_end_that_never_comes_is_said(speaking, refining):
    job = replace(jobs()[1], length=Length(least=7, most=6))
    assert generate(speaking, refining, [job], LEVELS)[0].reason == "limit"


def test_more_than_the_window_is_a_sentence_before_any_work(codewords):
    network = Autoregressive(codewords, LMConfig(**SIZES, window=20), LEVELS)
    with pytest.raises(UserError, match=r"11 positions .* and 11 frames to say are more than the model's window of 20"):
        speak(network, [Job(Request("ns", source=codes(9)), Length(11), Drawing(), 0)], LEVELS)
    whole = speak(network, [Job(Request("ns", source=codes(9)), Length(10), Drawing(), 0)], LEVELS)
    assert len(whole[0][0]) == 10


def test_speech_to_an_end_of_its_own_stops_where_the_window_does_whatever_stands_beside_it(codewords):
    """A row is padded by its neighbour, which must not make its window smaller."""
    torch.manual_seed(0)
    network = Autoregressive(codewords, LMConfig(**SIZES, window=20), LEVELS)
    free = Job(Request("tts", text="a", prompt=codes(3)), Length(least=99, most=99), Drawing(), 0)
    with pytest.raises(UserError, match=r"5 positions .* and 99 frames"):
        speak(network, [free], LEVELS)
    free = replace(free, length=Length(least=15, most=99))
    beside = Job(Request("ns", source=codes(9)), Length(2), Drawing(), 0)
    alone, together = speak(network, [free], LEVELS), speak(network, [free, beside], LEVELS)
    assert len(alone[0][0]) <= 16 and torch.equal(alone[0][0], together[0][0])


def test_a_seed_below_zero_is_a_sentence(speaking):
    with pytest.raises(UserError, match="whole number from 0 on, not -1"):
        speak(speaking, [replace(jobs()[0], seed=-1)], LEVELS)


@pytest.fixture(scope="module")
def spoken_test_set(tmp_path_factory):
    """A row of each task, on tones."""
    root = tmp_path_factory.mktemp("set")
    wave = (0.1 * np.sin(np.arange(12_345) / 20) * np.sin(np.arange(12_345) / 3000) ** 2).astype(np.float32)
    for name in ("source", "reference", "prompt"):
        audio.write(root / f"{name}.wav", wave, 16_000)
    audio.write(root / "silent.wav", 0 * wave, 16_000)
    both = {
        "rate_hz": 16_000,
        "source": "source.wav",
        "reference": "reference.wav",
        "prompt": "prompt.wav",
        "seconds": 0.77,
    }
    edit = {"orig_text": "one two three", "orig_span": "1", "new_span": "1", "edit_type": "substitution"}
    rows = [
        {"id": task, "task": task, "text": "one two", **both}
        for task in ("enhancement", "noise_isolation", "separation")
    ]
    rows += [{"id": "tts", "task": "tts", "text": "one two", **both}]
    rows += [{"id": "edit", "task": "edit", "text": "one four three", **both, **edit}]
    rows += [{"id": "noisy", "task": "edit", "text": "one four three", **both, **edit, "snr_db": 10}]
    rows += [{"id": "silent", "task": "enhancement", "text": "one", **both, "source": "silent.wav"}]
    rows += [{"id": "wordless", "task": "enhancement", "text": "...", **both}]
    pd.DataFrame(rows).to_csv(root / "set.csv", index=False)
    return root / "set.csv"


def system(made, **settings):
    speechx = registry.create("speechx", {"models_dir": str(made), "transcript": "gold", **settings})
    words = [{"word": word, "start": 0.2 * n, "end": 0.2 * n + 0.15} for n, word in enumerate(["one", "two", "three"])]
    speechx.transcripts = {
        name: {"id": name, "status": "ok", "words": words, "text": "one"} for name in ("edit", "noisy")
    }
    return speechx


def test_every_task_is_answered_or_its_row_says_why_not(made, spoken_test_set, tmp_path):
    index = run_manifest(system(made), spoken_test_set, tmp_path / "out").set_index("id")
    assert index.loc["silent", "status"] == "failed" and "silent" in index.loc["silent", "detail"]
    assert index.loc["wordless", "status"] == "failed" and "no letters" in index.loc["wordless", "detail"]
    assert set(index["status"].drop(["silent", "wordless", "tts"])) == {"ok"}, list(index["detail"])
    assert index.loc["tts", "status"] in ("ok", "no_end") and "ended by" in index.loc["tts", "detail"]
    for name in ("enhancement", "noise_isolation", "separation"):
        assert len(audio.read(tmp_path / "out" / f"{name}.wav")[0]) == 12_345
    original, edited = (
        audio.read(path)[0] for path in (spoken_test_set.parent / "source.wav", tmp_path / "out/edit.wav")
    )
    assert np.allclose(original[:400], edited[:400], atol=1e-4) and np.allclose(
        original[-800:], edited[-800:], atol=1e-4
    )


def test_other_batches_give_the_same_audio_and_other_ways_of_editing_other(made, spoken_test_set, tmp_path):
    first = run_manifest(system(made), spoken_test_set, tmp_path / "a").set_index("id")
    again = run_manifest(system(made, batch=1), spoken_test_set, tmp_path / "b").set_index("id")
    assert list(first["sha256"]) == list(again["sha256"])
    for how in ("paste", "denoised"):
        other = run_manifest(system(made, editing=how), spoken_test_set, tmp_path / how).set_index("id")
        assert (
            other.loc["edit", "status"] in ("ok", "no_end")
            and other.loc["edit", "sha256"] != first.loc["edit", "sha256"]
        )


def test_a_setting_that_does_not_exist_is_a_sentence(made):
    for settings, message in (
        ({"transcript": "golden"}, "transcript is 'golden' .did you mean 'gold'"),
        ({"speech": {"top_q": 1}}, "no setting 'top_q' .did you mean 'top_p'"),
        ({"editing": "cut"}, "editing is 'cut'"),
    ):
        with pytest.raises(UserError, match=message):
            system(made, **settings)
    assert "holds no trained model" in system(made, ar="speechx_none").skip()


def test_the_call_and_the_command_do_the_same(made, spoken_test_set, tmp_path):
    source = spoken_test_set.parent / "source.wav"
    called = SpeechX(made).enhance(audio.read(source)[0], "one two")
    assert called.reason == "source" and len(called.wave) == 12_345
    done = CliRunner().invoke(
        app, ["enhance", str(source), "--out", str(tmp_path / "a.wav"), "--text", "one two", "--models", str(made)]
    )
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], called.wave, atol=1e-4)


def test_an_edit_outside_of_the_recording_is_a_sentence(made):
    with pytest.raises(UserError, match=r"from 0\.5 to 3 s lies outside of the recording of 1\.00 s"):
        SpeechX(made).edit(np.ones(16_000, np.float32) / 2, editing.Edit(0.5, 3.0, 1.0), "one")


@pytest.mark.parametrize("start, stop", [(0.3, 0.6), (0.31, 0.61), (0.499, 0.611), (0.0, 0.77)])
def test_an_edit_as_long_as_what_it_replaces_moves_nothing_behind_it(made, spoken_test_set, start, stop):
    wave = audio.read(spoken_test_set.parent / "source.wav")[0]
    result = SpeechX(made).edit(wave, editing.Edit(start, stop, stop - start), "one two three")
    assert abs(len(result.wave) - len(wave)) <= 1 and result.reason == "edit"
    behind = round((stop + 0.05) * 16_000)
    if behind < len(wave):
        np.testing.assert_allclose(result.wave[behind - len(wave) :], wave[behind:], atol=1e-6)


def test_python_is_told_what_the_command_is(made):
    speechx, wave = SpeechX(made), np.sin(np.arange(16_000) / 20).astype(np.float32)
    for heard in ((wave * 30_000).astype(np.int16), torch.from_numpy(wave), np.stack([wave, wave])):
        with pytest.raises(UserError, match="The source must be mono audio, finite float32"):
            speechx.enhance(heard)
    with pytest.raises(UserError, match="Latin letters only"):
        speechx.speak("\u043f\u0440\u0438", wave)


def test_a_model_in_another_one_s_place_is_named(made):
    for named, message in (
        (
            {"speaking": "speechx_nar"},
            "speechx_nar holds a model of the kind 'speechx_nar', where speechx_ar is needed",
        ),
        ({"refining": "speechx_ar"}, "of the kind 'speechx_ar', where speechx_nar is needed"),
        ({"codec": "codec"}, "no codec with a quantiser .kind 'codec'"),
    ):
        with pytest.raises(UserError, match=message):
            SpeechX(made, **named)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    noise = np.random.default_rng(0).standard_normal((11 * 60 * 8000, 1)).astype(np.float32) * 0.1
    for name, wave in (("long", noise), ("prompt", noise[:80_800]), ("two", np.repeat(noise[:8000], 2, 1))):
        soundfile.write(root / f"{name}.wav", wave, 8000)
    soundfile.write(root / "a.wav", noise[:8000], 8000)
    return root


REFUSED = [
    ("enhance long.wav", "The source lasts 660.0 s; at most 51.0 s"),
    ("background long.wav", "The source lasts 660.0 s"),
    ("extract a.wav --prompt prompt.wav", "The prompt lasts 10.1 s; at most 10 s"),
    ("speak ten --prompt long.wav", "The prompt lasts 660.0 s; at most 10 s"),
    ("edit long.wav --text ten --start 0.1 --stop 0.5", "The recording lasts 660.0 s"),
    ("edit a.wav --text ten --start 0.1 --stop 0.5 --seconds 3600", "0 to 30 s"),
    ("edit a.wav --text ten --start 0.1 --stop 0.5 --seconds nan", "0 to 30 s"),
    ("edit a.wav --text ten --start nan --stop 0.5", "outside of the recording"),
    ("edit a.wav --text ten --start 0.5 --stop 0.1", "ends before it begins"),
    ("edit a.wav --text ten --start 0.5 --stop 0.5", "takes nothing out and puts nothing in"),
    ("edit a.wav --text ?! --start 0.1 --stop 0.5", "no letters"),
    ("speak ?! --prompt a.wav", "no letters"),
    ("speak \u4f60\u597d --prompt a.wav", "Latin"),
    ("enhance a.wav --text ?!", "no letters"),
    ("enhance none.wav", "does not exist"),
    ("enhance a.wav --seed -1", "--seed"),
    ("enhance two.wav", "--channel 0"),
    ("enhance two.wav --channel 2", "no channel 2"),
]


@pytest.mark.parametrize("words, said", REFUSED)
def test_what_cannot_be_answered_is_a_sentence(made, inputs, monkeypatch, tmp_path, words, said):
    monkeypatch.chdir(inputs)
    monkeypatch.setattr(sys, "argv", ["x", *words.split(), "--out", str(tmp_path / "x.wav"), "--models", str(made)])
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and said in " ".join(printed.getvalue().split()) and not list(tmp_path.iterdir())


def test_a_result_does_not_take_the_place_of_its_input(made, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    before = (inputs / "prompt.wav").read_bytes()
    done = CliRunner().invoke(app, ["extract", "a.wav", "--prompt", "prompt.wav", "--out", "./prompt.wav"])
    assert isinstance(done.exception, UserError) and "place of an input" in str(done.exception)
    assert (inputs / "prompt.wav").read_bytes() == before


def test_a_text_is_read_as_it_was_in_training_and_a_channel_is_chosen(made, inputs, tmp_path):
    for number, text in enumerate(("seven boxes", "Seven: boxes!")):
        words = ["enhance", inputs / "two.wav", "--channel", 1, "--text", text, "--models", made]
        done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / f"{number}.wav")])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "0.wav").read_bytes() == (tmp_path / "1.wav").read_bytes()


def test_the_token_codec_s_round_trip_is_a_system(made, spoken_test_set, tmp_path):
    for levels in (1, 3):
        trip = registry.create("token_round_trip", {"models_dir": str(made), "levels": levels})
        index = run_manifest(trip, spoken_test_set, tmp_path / str(levels))
        assert set(index["status"]) == {"ok"}, list(index["detail"])
