import numpy as np
import pytest
import torch

from speechbase.corpus.pairs import Pairs
from speechbase.corpus.speech import SpeechTable
from speechbase.training.ahead import Ahead
from speechop.model.network import SpeechOpNetwork
from speechop.schedule import SigmoidWeight
from speechop.settings import BatchConfig
from speechop.stages.batches import Drawer, inpainting
from speechop.stages.diffusion import DiffusionTrainee
from speechop.tasks import TABLE9
from tests.speechbase.training.conftest import data  # noqa: F401
from tests.speechop.conftest import TINY

CONFIG = BatchConfig(tts_batch=64, s2s_batch=64, crop_seconds=0.5, prompt_seconds=(0.2, 0.3))
DEGRADATION = {"noise": {"probability": 1, "snr_db": [5, 5]}, "reverb": {"probability": 0.5}}


@pytest.fixture
def make(data, codec):  # noqa: F811
    speech = SpeechTable.load(data / "speech" / "train.csv")
    pairs = Pairs.load(data, "train", DEGRADATION, 16_000)
    return lambda **how: Drawer(speech, codec, CONFIG, SigmoidWeight(), 7, pairs, **how)


@pytest.fixture
def one_thread():
    """As processes that draw ahead have: on some processors two add up in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same(a, b) -> bool:
    return all(torch.equal(x, y) if torch.is_tensor(x) else x == y for x, y in zip(vars(a).values(), vars(b).values()))


def test_a_step_draws_the_same_batch_again_and_another_one_next(make):
    for kind in ("tts", "s2s"):
        assert same(getattr(make(), kind)(3, 0), getattr(make(), kind)(3, 0))
        assert not torch.equal(getattr(make(), kind)(3, 0).eps[0, :5], getattr(make(), kind)(4, 0).eps[0, :5])


def test_two_ranks_share_what_one_rank_of_twice_the_batch_draws(make, data, codec):  # noqa: F811
    halves = [make(rank=rank, ranks=2).tts(0, 0) for rank in (0, 1)]
    speech = SpeechTable.load(data / "speech" / "train.csv")
    double = Drawer(speech, codec, BatchConfig(tts_batch=128, crop_seconds=0.5), SigmoidWeight(), 7).tts(0, 0)
    assert double.texts[0::2] == halves[0].texts and double.texts[1::2] == halves[1].texts
    torch.testing.assert_close(double.logsnr[1::2], halves[1].logsnr, rtol=0, atol=0)


def test_inpainting_follows_section_5(make):
    """75 % of samples are inpainted, half of these as a prefix; the given share is Beta with mode 0.01, concentration
    5."""
    rng = np.random.default_rng(0)
    masks = [inpainting(rng, 1000) for _ in range(4000)]
    given = np.array([mask.mean() for mask in masks])
    assert (given > 0).mean() == pytest.approx(0.75, abs=0.03)
    shares = given[given > 0]
    assert shares.mean() == pytest.approx(1.03 / 5, abs=0.01)
    prefix = np.array([mask[: int(mask.sum())].all() for mask in masks if mask.any()])
    assert prefix.mean() == pytest.approx(0.5, abs=0.05)
    for mask in masks[:200]:  # one free stretch only: prefix, or start and end
        assert (np.diff(mask.astype(int)) != 0).sum() <= 2


def test_speech_to_speech_follows_table_9(make):
    drawer = make()
    batches = [drawer.s2s(step, 0) for step in range(40)]
    tasks = torch.cat([batch.task for batch in batches])
    for task in TABLE9.values():
        if task.name != "tts":
            assert float((tasks == drawer.tasks.index(task.name)).float().mean()) == pytest.approx(
                task.weight / 9, abs=0.15
            )
    kept = torch.cat([batch.keep for batch in batches])
    assert float(kept.float().mean()) == pytest.approx(0.9, abs=0.03)
    for batch in batches:
        prompted = batch.clean.any(1)
        if batch.target.shape[1] > 20:  # separation and matching: nine in ten of those kept hear a prompt
            assert float(prompted[batch.keep].float().mean()) == pytest.approx(0.9, abs=0.15)
            assert not (batch.mask & ~batch.clean)[:, :3][~prompted].any(), "a prompt that is not given does not exist"
        else:
            assert float(prompted[batch.keep].float().mean()) == pytest.approx(0.1, abs=0.12)
        assert not batch.clean[~batch.keep].any(), "dropping the condition drops the prompt"


def test_pairs_hold_what_their_task_asks_for(make):
    pairs = make().degrader
    names = ["enhancement", "noise_isolation", "speech_isolation", "separation", "acoustic_matching"]
    rngs = [np.random.default_rng(i) for i in range(len(names))]
    pair = pairs.pairs(names, rngs, 8000, 4000)
    energy = lambda x: float(x.square().mean())  # noqa: E731
    again = pairs.pairs(names, [np.random.default_rng(i) for i in range(len(names))], 8000, 4000)
    assert torch.equal(pair.source, again.source)
    assert pair.source.shape == pair.target.shape == (5, 8000) and pair.prompt.shape == (5, 4000)
    noise, speech = pair.target[1], pair.target[2]
    assert energy(pair.source[1] - noise) / energy(noise) == pytest.approx(10**0.5, rel=0.02)  # 5 dB
    assert energy(speech) / energy(pair.source[2] - speech) == pytest.approx(10**0.5, rel=0.02)
    assert not torch.allclose(pair.source[3], pair.target[3])


def test_speed_perturbation_moves_pitch_of_crop_and_prompt_alike_and_keeps_their_length(make):
    pairs = make().degrader
    tone = np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000).astype(np.float32)
    pairs.speech.wave = lambda place: tone

    def hz(wave):
        return float(torch.fft.rfft(wave * torch.hann_window(len(wave))).abs().argmax()) * 16_000 / len(wave)

    for speed in (0.9, 1.0, 1.17751, 1.25):
        pair = pairs.pairs(["enhancement"], [np.random.default_rng(3)], 8000, 4000, [speed])
        assert pair.target.shape == (1, 8000) and pair.prompt.shape == (1, 4000)
        assert hz(pair.target[0]) == pytest.approx(440 * speed, abs=8) == hz(pair.prompt[0])


def test_speed_perturbation_shortens_sentences_and_leaves_other_draws_alone(make, data, codec):  # noqa: F811
    speech = SpeechTable.load(data / "speech" / "train.csv")
    fast = BatchConfig(tts_batch=4, s2s_batch=4, crop_seconds=0.5, prompt_seconds=(0.2, 0.3), speed=(1.25, 1.25))
    faster = Drawer(speech, codec, fast, SigmoidWeight(), 7, make().degrader)
    rng = lambda: np.random.default_rng(5)  # noqa: E731
    plain = Drawer(speech, codec, CONFIG, SigmoidWeight(), 7).utterance(rng(), 1)
    quick = faster.utterance(rng(), 1)
    assert quick[1] == plain[1] and len(quick[0]) == pytest.approx(len(plain[0]) / 1.25, abs=2)
    assert same(faster.s2s(2, 0), faster.s2s(2, 0))


def test_a_batch_of_so_many_seconds_holds_utterances_of_about_one_length(data, codec):  # noqa: F811
    speech = SpeechTable.load(data / "speech" / "train.csv")
    lengths = speech.rows["seconds"].to_numpy()
    config = BatchConfig(tts_seconds=8 * float(lengths.mean()), alike=3, crop_seconds=0.5)
    batches = [Drawer(speech, codec, config, SigmoidWeight(), 7).tts(step, 0) for step in range(6)]
    assert same(batches[2], Drawer(speech, codec, config, SigmoidWeight(), 7).tts(2, 0))
    seconds = [float(batch.mask.sum()) * codec.hop / codec.rate_hz for batch in batches]
    assert np.mean(seconds) == pytest.approx(config.tts_seconds, rel=0.35)
    for batch in batches:
        frames = batch.mask.sum(1).float()
        assert len(set(batch.texts)) <= 3 and frames.max() - frames.min() <= np.ptp(lengths) * codec.rate_hz / codec.hop


def test_batches_drawn_ahead_are_the_same_ones_and_go_on_where_a_run_was_resumed(data, codec, one_thread):  # noqa: F811
    speech = SpeechTable.load(data / "speech" / "train.csv")
    pairs = Pairs.load(data, "train", DEGRADATION, 16_000)
    config = CONFIG.model_copy(update={"tts_batch": 4, "s2s_batch": 4, "workers": 2})
    drawer = Drawer(speech, codec, config, SigmoidWeight(), 7, pairs)
    ahead = Ahead(lambda step, micro: (drawer.tts, drawer.s2s)[micro](step, micro), drawer.config.workers, (0, 1))
    for step in (0, 1, 7):  # a resumed run jumps
        assert same(ahead.take(step, 0), drawer.tts(step, 0))
        assert same(ahead.take(step, 1), drawer.s2s(step, 1))


def test_a_batch_that_cost_much_is_used_again_under_other_noise(data, codec, one_thread):  # noqa: F811
    config = CONFIG.model_copy(update={"workers": 1, "replay": 3, "s2s_batch": 2, "valid_items": 2})
    speech, pairs = SpeechTable.load(data / "speech" / "train.csv"), Pairs.load(data, "train", DEGRADATION, 16_000)
    drawer = Drawer(speech, codec, config, SigmoidWeight(), 7, pairs)
    trainee = DiffusionTrainee(SpeechOpNetwork(TINY), drawer, drawer, ("s2s",), kind="s2s")
    taken = [trainee.ahead.take(turn, 0) for turn in range(9)]
    for turn in (0, 3, 6):  # the processes' batches, in turn
        assert same(taken[turn], drawer.s2s(turn // 3, 0))
    for turn in (1, 2, 4, 5, 7, 8):
        first = next(taken[one] for one in (0, 3, 6) if torch.equal(taken[one].target, taken[turn].target))
        assert torch.equal(first.source, taken[turn].source)
        assert not torch.equal(first.eps, taken[turn].eps) and not torch.equal(first.logsnr, taken[turn].logsnr)
    again = DiffusionTrainee(SpeechOpNetwork(TINY), drawer, drawer, ("s2s",), kind="s2s")
    assert all(same(batch, again.ahead.take(turn, 0)) for turn, batch in enumerate(taken))
