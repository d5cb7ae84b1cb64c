"""Batches drawn where the latents lie, against those that are drawn from audio."""

import numpy as np
import pytest
import torch

from speechbase.codec import build_codec
from speechbase.corpus import latents, phones, speech
from speechbase.files import UserError
from speechop.schedule import SigmoidWeight
from speechop.settings import BatchConfig, NetworkConfig
from speechop.stages.resident import Resident, _inpainting

RATE_HZ = 16_000
TEXT = {"kind": "phonemes", "dim": 32, "layers": 1, "alphabet": phones.AMERICAN}
NETWORK = NetworkConfig(latent_dim=8, dit={"dim": 32, "ff_dim": 32, "layers": 1, "heads": 2}, text=TEXT)


class Table(speech.SpeechTable):
    """Sentences of three synthetic voices and of two real ones, 1 to 2 s each."""

    @classmethod
    def make(cls, count=40):
        rng = np.random.default_rng(0)
        rows, waves = [], []
        for number in range(count):
            wave = (rng.standard_normal(int(RATE_HZ * rng.uniform(1, 2))) * 1000).astype(np.int16)
            real = number % 5 > 2
            row = dict.fromkeys(speech.COLUMNS, "") | {
                "id": f"{number:02d}",
                "speaker": f"s{number % 5}",
                "text": "yes no",
            }
            rows.append(row | {"base": speech.RECORDED if real else "heart", "seconds": len(wave) / RATE_HZ})
            waves.append(wave)
        table = cls(speech.pandas.DataFrame(rows), None, RATE_HZ)
        table._waves = waves
        return table


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    codec = build_codec({"kind": "mel", "latent_dim": 8, "decoder_dim": 16, "decoder_layers": 1})
    folder = tmp_path_factory.mktemp("latents")
    table = Table.make()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "SAMPLE", 8)
        hours = latents.pack(table, codec, folder, phones.AMERICAN, 0.5, 1, 0.008, 9)
    return codec, table, folder, hours


def test_every_sentence_is_packed_once_in_voices_of_its_own(packed):
    _, table, _, _ = packed
    groups = list(latents.groups(table, 0.5, np.random.default_rng(3)))
    assert sorted(place for group in groups for place in group) == list(range(len(table)))
    for group in groups:
        assert table.rows["speaker"].iloc[group].nunique() == 1
        assert len(group) == 1 or not table.is_recorded(group[0])
    assert any(len(group) > 1 for group in groups)


def test_packed_latents_are_the_codecs_but_for_rounding(packed):
    codec, table, folder, hours = packed
    read = latents.read(folder)
    assert read.frames.sum() * codec.hop / RATE_HZ / 3600 == pytest.approx(hours)
    assert hours * 3600 > 0.9 * table.rows["seconds"].sum() and len(list(folder.glob("*.npz"))) > 1
    real = int(np.flatnonzero(read.recorded)[0])
    start, n = read.frames[:real].sum(), read.frames[real]
    mine = read.values[start : start + n] * read.step
    for place in np.flatnonzero(table.rows["base"] == speech.RECORDED):
        wave = torch.from_numpy(table.wave(place))
        whole = codec.encode(wave[None, : len(wave) // codec.hop * codec.hop])[0].numpy()
        if len(whole) == n and np.abs(whole - mine).max() <= read.step / 2 + 1e-4:
            break
    else:
        pytest.fail("no sentence has these latents")
    assert list(read.tokens[read.counts[:real].sum() :][: read.counts[real]]) == phones.encode("yes no")


def test_a_batch_has_the_speech_asked_for_and_comes_again(packed):
    _, _, folder, _ = packed
    config = BatchConfig(tts_seconds=20, alike=6, recorded=0.5)
    drawer = Resident(latents.read(folder), config, SigmoidWeight(), 5, "cpu", NETWORK, 40.0)
    batch, again, other = drawer.tts(3, 0), drawer.tts(3, 0), drawer.tts(4, 0)
    assert torch.equal(batch.target, again.target) and torch.equal(batch.eps, again.eps)
    assert batch.target.shape != other.target.shape or not torch.equal(batch.target, other.target)
    assert batch.mask.sum() / 40 == pytest.approx(20, rel=0.3)
    assert not batch.target[~batch.mask].any() and not (batch.clean & ~batch.mask).any()
    tokens, lengths = batch.tokens
    assert tokens.shape[1] == lengths.max() and (tokens > 0).sum() == lengths.sum()
    assert not batch.clean[~batch.keep].any()


def test_ranks_draw_others_of_the_same_lengths_and_validation_each_utterance_once(packed):
    read = latents.read(packed[2])
    config = BatchConfig(tts_seconds=10, alike=6)
    ranks = [Resident(read, config, SigmoidWeight(), 5, "cpu", NETWORK, 40.0, rank) for rank in (0, 1)]
    first, second = (drawer.tts(3, 0) for drawer in ranks)
    assert len(first.task) == len(second.task) and not torch.equal(first.eps[:, :40], second.eps[:, :40])
    held_out, number = [], 0
    while len(held_out) < len(read):
        held_out += ranks[0]._held_out(number).tolist()
        number += 1
    assert sorted(held_out) == list(range(len(read))) and number > 1
    lengths = torch.cat([ranks[0].tts("valid", n).mask.sum(1) for n in range(number)])
    assert sorted(lengths.tolist()) == sorted(read.frames.tolist())
    counted = Resident(read, BatchConfig(tts_batch=7, alike=9), SigmoidWeight(), 5, "cpu", NETWORK, 40.0)
    assert len(counted.tts(0, 0).task) == 7, "without seconds a batch has so many utterances"


def test_given_frames_are_a_prefix_or_all_but_a_middle_part():
    frames = np.full(4000, 50)
    given = _inpainting(np.random.default_rng(0), frames, 60)
    assert not given[:, 50:].any()
    some = given.any(1)
    assert some.mean() == pytest.approx(0.75, abs=0.1) and given[some].mean() < 0.5
    holes = (np.diff(np.pad(given[:, :50].astype(int), ((0, 0), (1, 1)))) == 1).sum(1)
    assert set(holes[some]) <= {1, 2} and (holes == 2).any()


def test_latents_of_another_alphabet_are_refused(packed):
    _, _, folder, _ = packed
    other = NetworkConfig(latent_dim=8, text=TEXT | {"alphabet": "abc"})
    with pytest.raises(UserError, match="another alphabet"):
        Resident(latents.read(folder), BatchConfig(), SigmoidWeight(), 5, "cpu", other, 40.0)
    with pytest.raises(UserError, match="no parts"):
        latents.read(folder / "nowhere")
