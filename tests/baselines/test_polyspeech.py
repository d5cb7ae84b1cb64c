"""PolySpeech: its encoder, tokens, decoder and language model on a tiny corpus, and its answers."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from typer.testing import CliRunner

from baselines import registry
from baselines.polyspeech import layout, probe
from baselines.polyspeech import trainee as language
from baselines.polyspeech.__main__ import app
from baselines.polyspeech.generate import spoken
from baselines.polyspeech.hubert import Hubert, Semantic
from baselines.polyspeech.hubert_trainee import build as build_hubert
from baselines.polyspeech.layout import Request, given, heard_in, with_text
from baselines.polyspeech.network import PolySpeechLM
from baselines.polyspeech.pipeline import PolySpeech
from baselines.polyspeech.settings import BatchConfig, SsetConfig
from baselines.polyspeech.sset import Sset
from speechbase import audio
from speechbase.files import UserError, read_jsonl
from speechbase.settings import checked
from speechbase.systems.runner import run_manifest
from speechbase.tokens.generation import Length, Run
from speechbase.tokens.lm import LMConfig
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.sequences import collate
from speechbase.training import checkpoint
from speechbase.training.__main__ import train
from speechbase.training.kinds import Context, builder
from tests.speechbase.training.conftest import write_corpus
from tests.speechbase.training.test_training import CODEC

SIZES = {"dim": 32, "ff_dim": 48, "layers": 2, "heads": 2}
SHARED = {
    "seed": 1,
    "training": {"steps": 2, "lr": 1e-3, "warmup": 1, "precision": "fp32", "accumulate": 1, "validate_every": 2,
                 "save_minutes": 0.0, "ema": 0.5},
    "degradation": {"noise": {"probability": 1, "snr_db": [0, 10]}},
    "store": "fp32",
}  # fmt: skip
CROPS = {"size": 2, "seconds": 0.8, "prompt_seconds": 0.4, "valid_items": 2}
CLUSTERS = {"clusters": 6, "frames": 120, "iterations": 3}
LABELS = {"lid": ["en", "it"], "gid": ["f", "m"]}
MODELS = {
    "hubert_1": ("hubert", {"network": SIZES, "batches": {**CROPS, "noisy": 0.5}, "targets": CLUSTERS}),
    "hubert_2": ("hubert", {"network": SIZES, "batches": CROPS, "targets": CLUSTERS | {"of": "hubert_1"}}),
    "sset": ("sset", {"network": {"dim": 16, "kernel": 3, "layers": 1, "codes": 8, "levels": 2}, "batches": CROPS,
                      "fit": {"frames": 120, "iterations": 3}, "semantic": "hubert_2"}),
    "polyspeech_decoder": ("polyspeech_decoder", {"network": SIZES, "batches": CROPS, "semantic": "hubert_2",
                                                  "tokens": "sset"}),
    "polyspeech": ("polyspeech", {"network": SIZES, "semantic": "hubert_2", "tokens": "sset", "losses": {"ctc": 0.3},
                                  "batches": {"size": 2, "valid_items": 2, "speed": [0.9, 1.1],
                                              "tasks": dict.fromkeys(layout.TASKS, 1.0)}}),
    "polyspeech_lid": ("polyspeech", {"network": SIZES, "semantic": "hubert_2", "tokens": "sset", "hears": "latents",
                                      "batches": {"size": 2, "valid_items": 2, "tasks": {"lid": 1.0}}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a tiny corpus and all models of it, each trained for two steps."""
    root = tmp_path_factory.mktemp("polyspeech")
    write_corpus(root / "data")
    assert train("codec", "codec", CODEC, root / "data", root, root / "state", None, False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "STEPS", 3)
        for name, (kind, config) in MODELS.items():
            assert train(kind, name, SHARED | config, root / "data", root, root / "state", None, False), name
    return root


# -- the parts -------------------------------------------------------------------------------------


def test_a_masked_frame_is_not_seen_and_padding_does_not_matter():
    torch.manual_seed(0)
    network = Hubert(4, LMConfig(**SIZES), 5).eval()
    latents, mask = torch.randn(1, 6, 4), torch.zeros(1, 6, dtype=torch.bool)
    mask[0, 2] = True
    other = latents.clone()
    other[0, 2] += 1
    torch.testing.assert_close(network(latents, mask), network(other, mask))
    nothing = torch.zeros_like(mask)
    assert not torch.allclose(network(latents, nothing), network(other, nothing))
    padded = torch.cat([latents, torch.randn(1, 3, 4)], 1)
    real = torch.arange(9)[None] < 6
    for alone, beside in zip(network.layers(latents), network.layers(padded, real)):
        torch.testing.assert_close(alone, beside[:, :6], atol=1e-5, rtol=0)


def test_about_the_asked_share_is_masked_in_spans(made):
    config = SHARED | MODELS["hubert_1"][1]
    config = config | {"batches": CROPS | {"size": 8, "seconds": 4.0, "mask": 0.45, "span": 10}}
    learner = build_hubert(config, Context("hubert", made / "data", made, None, Accelerator(cpu=True)))
    crop = learner.train.draw(learner.how, learner.codec.hop, 0, "x")
    _, labels, mask = learner._batch(crop, "x")
    assert labels.shape == mask.shape and 0.3 < mask.float().mean() < 0.6
    starts = mask[:, 1:-10] & ~mask[:, :-11]
    assert all(mask[row, place + 1 : place + 11].all() for row, place in starts.nonzero().tolist())


def test_the_layer_is_the_one_whose_probe_errs_least(made):
    _, config = checkpoint.read_model(made / "hubert_2")
    assert set(config["probe_cer"]) == {"1", "2"}
    assert config["probe_cer"][str(config["layer"])] == min(config["probe_cer"].values())
    semantic = Semantic(made / "hubert_2")
    embedded = semantic(torch.randn(1, 9, 16))
    assert embedded.shape == (1, 9, 32)


def test_a_probe_reads_what_stands_in_its_features():
    """One-hot characters are read without an error, random ones are not."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdef"), 6)) for _ in range(40)]
    clear = [torch.stack([torch.eye(len(probe.ALPHABET))[probe.ALPHABET.index(c) if n else 0]
                          for c in text for n in (1, 0)]) for text in texts]  # fmt: skip
    noise = [torch.randn(12, len(probe.ALPHABET)) for _ in texts]
    assert probe.character_errors((clear[:30], texts[:30]), (clear[30:], texts[30:]), 0) < 5
    assert probe.character_errors((noise[:30], texts[:30]), (noise[30:], texts[30:]), 0) > 50
    assert probe.greedy([0, 1, 1, 0, 1, 2]) == "aab"


@pytest.mark.parametrize("levels, codes", [(1, 8), (2, 8)])
def test_tokens_learn_to_say_what_they_hear_and_dead_codes_come_back(levels, codes):
    torch.manual_seed(0)
    network = Sset(6, SsetConfig(dim=16, kernel=3, layers=1, codes=codes, levels=levels))
    centres = 3 * torch.randn(8, 6)
    data = centres[torch.randint(8, (4, 40))] + 0.05 * torch.randn(4, 40, 6)
    network.begin(torch.randn(levels, codes, 16) * 50)  # far from everything: nearly all are dead
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(300):
        made, inner, tokens = network(data)
        loss = (made - data).square().mean() + 0.25 * (inner - network.summed(tokens)).square().mean()
        network.follow(inner)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert len(network.encode(data).flatten(0, 1).unique(dim=0)) >= 6
    assert (network.decode(network.encode(data)) - data).square().mean() < 0.3 * data.var()


def test_k_means_is_the_same_without_an_encoder():
    network = Sset(6, SsetConfig(dim=16, kernel=3, layers=1, codes=8, encoder=False))
    network.begin(torch.randn(1, 8, 6))
    assert torch.equal(network.encode(network.codewords), torch.arange(8)[None, :, None])
    assert network.decode(torch.arange(8)[None, :, None]).shape == (1, 8, 6)


def test_a_further_level_says_what_the_first_leaves():
    torch.manual_seed(0)
    network = Sset(6, SsetConfig(dim=16, kernel=3, layers=1, codes=8, levels=2, encoder=False))
    network.begin(torch.stack([10 * torch.randn(8, 6), torch.randn(8, 6)]))
    said = torch.stack([torch.arange(8), torch.arange(8).flip(0)], -1)[None]  # [1, 8, 2]
    tokens, wanted = network.nearest(network.summed(said))
    assert torch.equal(tokens, said)
    torch.testing.assert_close(wanted[0, :, 1], network.codewords[1][said[0, :, 1]], atol=1e-5, rtol=0)


# -- sequences -------------------------------------------------------------------------------------


def test_a_task_is_laid_out_as_in_its_table():
    heard = torch.ones(3, 4)
    asr = with_text(given(Request("asr", heard), 2.5, 1), [105, 106, 107], 2.5)
    sign = [layout.sign(name) for name in ("asr", "start", "tts")]
    assert asr.symbols == [sign[0], 0, 0, 0, sign[1], 105, 106, 107]
    assert asr.places == [0, 1, 2, 3, 0, 1, 3, 6] and asr.causal == [False] * 4 + [True] * 4
    tts = given(Request("tts", text="Hi"), 2.5, 1)
    assert tts.symbols == [sign[2], 1 + ord("h"), 1 + ord("i"), sign[1]] and tts.places == [0, 1, 3, 0]
    both = [asr, given(Request("lid", heard[:1]), 2.5, 1)]
    there = heard_in(both, [Request("asr", heard), Request("lid", heard[:1])], 4)
    assert there.shape == (2, 8, 4) and there[0, 1:4].all() and there[1, 6].all() and there.sum() == 16


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PolySpeechLM(torch.randn(2, 8, 16), LMConfig(**SIZES), 4, {"lid": 2, "gid": 2}).eval()


def test_a_later_byte_does_not_move_earlier_logits_and_neighbours_none(network):
    requests = [Request("asr", torch.randn(5, 4)), Request("asr", torch.randn(9, 4))]
    said = [[100, 101, 102], [100, 120, 121]]
    sequences = [with_text(given(request, 2.0, 2), text, 2.0) for request, text in zip(requests, said)]

    def logits(rows):
        chosen, asked = [sequences[row] for row in rows], [requests[row] for row in rows]
        return network("asr", collate(chosen, left=True), heard_in(chosen, asked, 4), torch.zeros(len(rows), 4))[0]

    alone = torch.cat([logits([row]) for row in (0, 1)])
    torch.testing.assert_close(alone, logits([0, 1]), atol=1e-5, rtol=0)
    other = with_text(given(requests[0], 2.0, 2), [100, 101, 110], 2.0)
    moved = network("asr", collate([other], left=True), heard_in([other], requests[:1], 4), torch.zeros(1, 4))[0]
    torch.testing.assert_close(moved[0, :3], alone[0, :3], atol=1e-6, rtol=0)
    assert (moved[0, 3] - alone[0, 3]).abs().max() > 1e-5


@pytest.mark.parametrize("task", ["asr", "tts"])
def test_a_cache_gives_what_the_whole_sequence_gives_and_batches_do_not_matter(network, task):
    requests = (
        [Request("asr", torch.randn(n, 4, generator=torch.Generator().manual_seed(n))) for n in (5, 9)]
        if task == "asr"
        else [Request("tts", text=text) for text in ("one", "two three")]
    )
    runs = [Run(Length(least=6, most=6), Drawing(top_p=0.9), seed) for seed in (1, 2)]
    together = spoken(network, requests, runs, 2.0)
    for request, run, (drawn, reason) in zip(requests, runs, together):
        assert torch.equal(spoken(network, [request], [run], 2.0)[0][0], drawn) and len(drawn) == 6
        assert reason in ("end", "limit")
        greedy = [Run(Length(frames=4), Drawing(temperature=0.0), 0)]
        best = spoken(network, [request], greedy, 2.0)[0][0]
        base = given(request, 2.0, 2)
        whole = with_text(base, (best + 1).tolist(), 2.0) if task == "asr" else layout.with_tokens(base, best)
        labels = torch.cat([best, best[:1]])[None]
        logits = network(task, collate([whole], left=True), heard_in([whole], [request], 4), labels)[0][0, :4]
        assert torch.equal(logits[..., :-1].argmax(-1), best)


# -- training --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("task", layout.TASKS)
def test_one_batch_of_each_task_is_learned_by_heart(made, task):
    """Whatever is wrong with sequences, labels or masks would keep the loss up."""
    torch.manual_seed(0)
    config = SHARED | MODELS["polyspeech"][1]
    config = config | {"batches": config["batches"] | {"valid_items": 1, "noisy": 0.0}}
    learner = language.build(config, Context("polyspeech", made / "data", made, None, Accelerator(cpu=True)))
    batch = learner.batch(learner.ahead.draw.args[0], "one", task=task)
    assert batch.task == task and len(batch.labels) == 2
    optimiser = torch.optim.Adam(learner.network.parameters(), 1e-2)
    for _ in range(120):
        loss = learner.scores(learner.network, batch)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1


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


# -- answers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def test_set(tmp_path_factory):
    """Rows of each task, on tones."""
    root = tmp_path_factory.mktemp("set")
    wave = (0.1 * np.sin(np.arange(12_345) / 20) * np.sin(np.arange(12_345) / 3000) ** 2).astype(np.float32)
    audio.write(root / "source.wav", wave, 16_000)
    audio.write(root / "silent.wav", 0 * wave, 16_000)
    audio.write(root / "short.wav", wave[3000:3100], 16_000)
    row = {"rate_hz": 16_000, "source": "source.wav", "reference": "source.wav", "prompt": "source.wav"}
    row |= {"text": "one two", "label": "en", "seconds": 0.77}
    rows = [{"id": task, "task": task, **row} for task in layout.TASKS]
    rows[3]["label"] = "m"
    for name in ("silent", "short"):
        rows += [{"id": f"{task}_{name}", **row, "task": task, "source": f"{name}.wav"} for task in ("asr", "lid")]
    rows += [{"id": label, **row, "task": "lid", "label": label} for label in ("fi", "unknown")]
    pd.DataFrame(rows).to_csv(root / "set.csv", index=False)
    return root / "set.csv"


def _source(test_set):
    return audio.read(test_set.parent / "source.wav")[0]


def system(made, **settings):
    return registry.create("polyspeech", {"models_dir": str(made), "sure": 0.0, **settings})


def test_every_task_is_answered_and_a_bad_item_costs_its_own_row(made, test_set, tmp_path):
    index = run_manifest(system(made), test_set, tmp_path / "out").fillna("").set_index("id")
    assert set(index.loc[["asr", "lid", "gid", "asr_silent", "lid_silent", "lid_short"], "status"]) == {"ok"}
    assert index.loc["lid", "label"] in LABELS["lid"] and index.loc["gid", "label"] in LABELS["gid"]
    assert index.loc["tts", "status"] in ("ok", "no_end") and "ended by" in index.loc["tts", "detail"]
    assert ("no end" in index.loc["asr", "detail"]) != PolySpeech(made).recognise([_source(test_set)])[0].ended
    assert index.loc["asr_silent", "text"] == "" and "nothing was heard" in index.loc["asr_silent", "detail"]
    assert set(index.loc[["lid_silent", "lid_short"], "label"]) == {"unknown"}
    assert index.loc["asr_short", "status"] == "failed" and "shorter than 25 ms" in index.loc["asr_short", "detail"]
    assert index.loc["fi", "status"] == "failed" and "trained on en, it" in index.loc["fi", "detail"]
    assert index.loc["unknown", "status"] == "ok"
    again = run_manifest(system(made, batch=1), test_set, tmp_path / "again").fillna("").set_index("id")
    assert list(again["text"]) == list(index["text"]) and list(again["sha256"]) == list(index["sha256"])


def test_a_label_that_is_not_sure_is_unknown(made, test_set, tmp_path):
    index = run_manifest(system(made, sure=1.0), test_set, tmp_path / "out").set_index("id")
    assert index.loc["lid", "label"] == "unknown" and "no label is sure" in index.loc["lid", "detail"]


def test_tokens_and_back_are_as_long_as_the_reference(made, test_set, tmp_path):
    index = run_manifest(system(made, resynthesis=True), test_set, tmp_path / "out").set_index("id")
    assert index.loc["tts", "status"] == "ok"
    assert len(audio.read(tmp_path / "out" / "tts.wav")[0]) == 12_345


def test_a_model_for_one_task_says_so_when_it_is_asked_for_another(made, test_set):
    single = PolySpeech(made, "polyspeech_lid")
    wave = audio.read(test_set.parent / "source.wav")[0]
    assert set(single.name("lid", [wave])[0].probabilities) == set(LABELS["lid"])
    with pytest.raises(UserError, match="no answers of the task asr: it was trained for lid"):
        single.recognise([wave])


def test_what_is_no_mono_audio_and_letters_that_it_never_read_are_refused(made, test_set):
    polyspeech = PolySpeech(made)
    wave = audio.read(test_set.parent / "source.wav")[0]
    broken = wave.copy()
    broken[100] = np.nan
    for bad in (np.stack([wave, wave], 1), broken):
        with pytest.raises(UserError, match="must be mono audio, finite"):
            polyspeech.listen(bad)
        with pytest.raises(UserError, match="must be mono audio, finite"):
            polyspeech.speak("one two", bad)
    with pytest.raises(UserError, match="Latin letters only"):
        polyspeech.speak("один", wave)


def test_the_call_and_the_command_do_the_same(made, test_set, tmp_path):
    source = test_set.parent / "source.wav"
    heard = PolySpeech(made).listen(audio.read(source)[0])
    done = CliRunner().invoke(app, ["listen", str(source), "--models", str(made)])
    assert done.exit_code == 0, done.output
    assert ("came to no end" in done.output) != heard.ended
    assert f"language: {heard.language.label}" in done.output and f"sex: {heard.sex.label}" in done.output
    out = tmp_path / "said.wav"
    done = CliRunner().invoke(
        app, ["speak", "one two", "--voice", str(source), "--out", str(out), "--models", str(made)]
    )
    assert out.is_file() == (done.exit_code == 0)
    assert done.exit_code == 0 or "came to its longest" in str(done.exception)
