"""Each metric against an independent implementation, a closed form or a published value."""

from __future__ import annotations

import csv
import math
import os
import re
import tempfile
import warnings
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from metrics import log_mel, mcd, registry, scorer, sim, text
from metrics.contract import Unscorable
from metrics.pesq_wb import pesq_wb
from metrics.si_sdr import best_permutation, si_sdr_db
from metrics.spbs import speech_bert_score
from metrics.utterance import Files, Utterance
from metrics.wer import error_rate
from tests.metrics.signals import RATE_HZ, noisy, speech_like


def test_pesq_of_identical_signals_is_the_mapping_s_top(clean):
    # P.862.2 maps a raw score x to 0.999 + 4 / (1 + exp(-1.3669 x + 3.8224)); identical signals have raw 4.5.
    top = 0.999 + 4 / (1 + math.exp(-1.3669 * 4.5 + 3.8224))
    assert pesq_wb(reference=clean, estimate=clean) == pytest.approx(top, abs=1e-6)


def test_pesq_reproduces_the_package_s_fixture():
    folder = os.environ.get(
        "PESQ_AUDIO"
    )  # the `audio` folder of the pesq sources; 1e-9: same code, same platform family
    if not folder:
        pytest.skip("PESQ_AUDIO is not set")
    reference, estimate = (soundfile.read(Path(folder) / name)[0] for name in ("speech.wav", "speech_bab_0dB.wav"))
    assert pesq_wb(reference=reference, estimate=estimate) == pytest.approx(1.0832337141036987, abs=1e-9)


def test_pesq_of_a_synthetic_pair_is_what_it_was(clean):
    # Measured with pesq 0.0.4. 1e-3: the signals come from this machine's sines, and the mapping steepens their
    # rounding.
    assert pesq_wb(reference=clean, estimate=noisy(clean, 40)) == pytest.approx(2.489774, abs=1e-3)


def test_pesq_falls_with_noise_and_is_not_symmetric(clean):
    scores = [pesq_wb(reference=clean, estimate=noisy(clean, snr)) for snr in (40, 20, 5)]
    assert scores == sorted(scores, reverse=True)
    estimate = noisy(clean, 10)
    assert abs(pesq_wb(reference=clean, estimate=estimate) - pesq_wb(reference=estimate, estimate=clean)) > 0.01


def test_si_sdr_agrees_with_other_implementations(clean):
    import fast_bss_eval

    estimate = noisy(clean, 7).astype(np.float64)
    reference = clean.astype(np.float64)
    own = si_sdr_db(reference=reference, estimate=estimate)
    # 1e-4 dB: the other one clamps
    assert own == pytest.approx(
        float(fast_bss_eval.si_sdr(reference[None], estimate[None], zero_mean=True)[0]), abs=1e-4
    )


@pytest.mark.slow
def test_si_sdr_agrees_with_torchmetrics(clean):
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

    estimate, reference = noisy(clean, 7).astype(np.float64), clean.astype(np.float64)
    theirs = scale_invariant_signal_distortion_ratio(
        torch.from_numpy(estimate), torch.from_numpy(reference), zero_mean=True
    )
    # 1e-4 dB: it adds an epsilon of float64's resolution
    assert si_sdr_db(reference=reference, estimate=estimate) == pytest.approx(float(theirs), abs=1e-4)


@given(st.floats(-40, 60), st.integers(0, 2**31), st.floats(0.01, 100), st.sampled_from([-1, 1]), st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_si_sdr_of_orthogonal_noise_is_the_snr_whatever_gain_polarity_and_offset(snr_db, seed, gain, polarity, offset):
    rng = np.random.default_rng(seed)
    reference, noise = rng.standard_normal((2, 4000))
    reference, noise = reference - reference.mean(), noise - noise.mean()
    noise -= (noise @ reference) / (reference @ reference) * reference
    noise *= np.sqrt(reference @ reference / (noise @ noise) / 10 ** (snr_db / 10))
    estimate = polarity * gain * (reference + noise) + offset
    assert si_sdr_db(reference=reference, estimate=estimate) == pytest.approx(snr_db, abs=1e-6)


def test_si_sdr_of_a_scaled_copy_is_infinite_and_a_sample_of_delay_ruins_it(clean):
    assert si_sdr_db(reference=clean, estimate=-0.25 * clean) == math.inf
    assert si_sdr_db(reference=clean[1:], estimate=clean[:-1]) < 30


@given(st.permutations(range(3)), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_best_permutation_undoes_any_order(order, seed):
    sources = [speech_like(0.3, seed=seed + k) for k in range(3)]
    estimates = [noisy(sources[k], 15, seed=k) for k in order]
    assert best_permutation(references=sources, estimates=estimates) == tuple(order.index(k) for k in range(3))


@pytest.fixture(scope="module")
def pysptk():
    with warnings.catch_warnings():  # it imports pkg_resources, which warns that it is deprecated
        warnings.simplefilter("ignore")
        return pytest.importorskip("pysptk")


@pytest.mark.parametrize("rate_hz", mcd.ORDER_AND_ALPHA)
def test_mel_cepstra_of_many_frames_are_those_of_sptk_frame_by_frame(pysptk, rate_hz):
    order, alpha = mcd.ORDER_AND_ALPHA[rate_hz]
    wave = speech_like(0.8, seed=rate_hz, rate_hz=rate_hz).astype(np.float64)
    wave[: len(wave) // 4] = 0  # digital silence is the floor alone
    wave[-len(wave) // 4 :] *= 1e-4
    frames = np.lib.stride_tricks.sliding_window_view(wave, 1024)[::256] * pysptk.hamming(1024)
    theirs = np.array([pysptk.sptk.mcep(frame, order, alpha, eps=1e-6, etype=1) for frame in frames])
    assert mcd.mel_cepstrum(wave, rate_hz) == pytest.approx(theirs, abs=1e-9)  # both stop at the same iteration


def test_mcd_agrees_with_a_frame_by_frame_computation(clean, pysptk):
    estimate = noisy(clean, 20)

    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(1024) / 1023)
    window /= math.sqrt(sum(window**2))  # SPTK's windows have power 1

    def cepstrum(wave):
        frames = []
        for start in range(0, len(wave) - 1024 + 1, 256):
            windowed = wave[start : start + 1024].astype(np.float64) * window
            frames.append(pysptk.sptk.mcep(windowed, order=23, alpha=0.42, eps=1e-6, etype=1))
        return frames

    frames = list(zip(cepstrum(clean), cepstrum(estimate), strict=True))
    for energy, first in ((False, 1), (True, 0)):
        naive = np.mean([10 / math.log(10) * math.sqrt(2 * sum((a[first:] - b[first:]) ** 2)) for a, b in frames])
        ours = mcd.distortion_db(
            reference=mcd.mel_cepstrum(clean, RATE_HZ), estimate=mcd.mel_cepstrum(estimate, RATE_HZ), energy=energy
        )
        assert ours == pytest.approx(naive, abs=1e-6)  # mcep iterates to a tolerance


def test_a_gain_moves_only_c0_by_its_logarithm():
    wave = np.random.default_rng(0).standard_normal(8000) * 0.1  # far above the floor everywhere
    quiet, loud = (mcd.mel_cepstrum(gain * wave, RATE_HZ) for gain in (1.0, 2.0))
    assert mcd.distortion_db(reference=quiet, estimate=loud) < 0.01
    with_energy = mcd.distortion_db(reference=quiet, estimate=loud, energy=True)
    assert with_energy == pytest.approx(10 * math.sqrt(2) / math.log(10) * math.log(2), abs=0.02)


def test_mcd_of_identical_signals_is_zero_and_warping_forgives_a_delay(clean):
    cepstrum = mcd.mel_cepstrum(clean, RATE_HZ)
    late = mcd.mel_cepstrum(np.concatenate([np.zeros(2560, np.float32), clean]), RATE_HZ)
    assert mcd.distortion_db(reference=cepstrum, estimate=cepstrum) == 0
    assert mcd.distortion_db(reference=cepstrum, estimate=cepstrum, warp=True) == 0
    aligned = mcd.distortion_db(reference=cepstrum, estimate=late, warp=True)
    assert aligned < 0.5 * mcd.distortion_db(reference=cepstrum, estimate=late)


def test_espnet_s_variant_is_the_norm_over_an_exact_warping_path():
    """Against dynamic time warping over the whole grid; FastDTW (radius 1) may miss the best path by a little."""
    first, second = (mcd.mel_cepstrum(speech_like(seconds, seed=3), RATE_HZ) for seconds in (0.8, 0.9))
    distances = np.array([[math.dist(a, b) for b in second] for a in first])
    cost = np.full((len(first) + 1, len(second) + 1), np.inf)
    cost[0, 0] = 0
    for i, j in np.ndindex(*distances.shape):
        cost[i + 1, j + 1] = distances[i, j] + min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
    i, j, path = *distances.shape, []
    while i and j:
        path.append(distances[i - 1, j - 1])
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda place: cost[place])
    exact = 10 / math.log(10) * math.sqrt(2) * np.mean(path)
    ours = mcd.distortion_db(reference=first, estimate=second, energy=True, warp=True)
    assert ours == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
def test_pymcd_s_variant_agrees_with_world_and_pysptk(write, clean, pysptk):
    """Each step by hand at 22.05 kHz, where nothing is resampled: WORLD's envelope, mel-cepstra, a path without c0."""
    import pyworld
    from fastdtw import fastdtw

    rate_hz, cepstra = 22050, []
    waves = [speech_like(0.6, seed=seed, rate_hz=rate_hz).astype(np.float64) for seed in (0, 1)]
    for wave in waves:
        pitch, times = pyworld.dio(wave, rate_hz, frame_period=5.0)
        pitch = pyworld.stonemask(wave, pitch, times, rate_hz)
        envelope = pyworld.cheaptrick(wave, pitch, times, rate_hz, fft_size=512)
        cepstra.append(pysptk.mcep(envelope, 13, 0.65, maxiter=0, etype=1, eps=1e-8, min_det=0.0, itype=3))
    path = fastdtw(cepstra[0][:, 1:], cepstra[1][:, 1:], dist=math.dist)[1]
    expected = np.mean([10 / math.log(10) * math.sqrt(2) * math.dist(cepstra[0][i], cepstra[1][j]) for i, j in path])
    files = [write(f"{name}.wav", wave, rate_hz, "DOUBLE") for name, wave in zip("re", waves, strict=True)]
    utterance = Utterance(Files("u", reference=files[0], estimate=files[1]))
    found = registry.find("mcd_pymcd").compute(utterance, {})
    assert found.value == pytest.approx(expected, rel=1e-3)  # librosa hands it float32


SIGNAL = {
    "pesq": lambda r, e: pesq_wb(reference=r, estimate=e),
    "si_sdr": lambda r, e: si_sdr_db(reference=r, estimate=e),
    "log_mel": lambda r, e: log_mel.log_mel_distance(reference=r, estimate=e),
    "mcd": lambda r, e: mcd.distortion_db(
        reference=mcd.mel_cepstrum(r, RATE_HZ), estimate=mcd.mel_cepstrum(e, RATE_HZ)
    ),
}
PERFECT = {"pesq": pytest.approx(4.6439, abs=1e-4), "si_sdr": math.inf, "log_mel": 0.0, "mcd": 0.0}


@given(st.integers(0, 10_000), st.floats(0, 40), st.floats(0.05, 2.0), st.integers(1, 160))
@settings(max_examples=6, deadline=None, phases=[Phase.generate])  # a smaller example would tell no more
def test_identity_polarity_gain_and_delay_of_the_signal_metrics(seed, snr_db, gain, delay):
    clean = noisy(speech_like(1.0, seed=seed), 50)  # a floor of noise, far above what the metrics cut off
    estimate = noisy(clean, snr_db, seed=seed)
    for name, metric in SIGNAL.items():
        assert metric(clean, clean) == PERFECT[name]
        value = metric(clean, estimate)
        assert metric(clean, -estimate) == pytest.approx(value, rel=1e-9), name
    assert SIGNAL["si_sdr"](clean, gain * estimate) == pytest.approx(SIGNAL["si_sdr"](clean, estimate), abs=1e-5)
    assert SIGNAL["pesq"](clean, gain * estimate) == pytest.approx(SIGNAL["pesq"](clean, estimate), abs=1e-3)
    assert SIGNAL["log_mel"](clean, gain * clean) == pytest.approx(abs(math.log(gain)), abs=1e-5)
    late = np.concatenate([np.zeros(delay, np.float32), clean])[: len(clean)]
    assert SIGNAL["si_sdr"](clean, late) < 40 and SIGNAL["log_mel"](clean, late) > 0 and SIGNAL["mcd"](clean, late) > 0


@given(st.floats(0, 2.0**-15.01), st.integers(0, 1000), st.sampled_from(["reference", "estimate"]))
@settings(max_examples=10, deadline=None)
def test_what_stays_below_one_step_of_16_bits_is_silence_and_has_no_value(peak, seed, which):
    quiet = np.random.default_rng(seed).uniform(-peak, peak, 8000)
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.wav" for name in ("reference", "estimate")}
        for name, path in paths.items():
            soundfile.write(path, quiet if name == which else speech_like(0.5), RATE_HZ, "FLOAT")
        rows = scorer.score([Files("u", **paths)], registry.find_all(["pesq", "si_sdr", "log_mel", "mcd"]))
    assert {(row["value"], row["status"]) for (row,) in rows.values()} == {(None, f"silent_{which}")}


def test_speech_bert_score_agrees_with_a_double_loop():
    rng = np.random.default_rng(0)
    estimate, reference = rng.standard_normal((7, 5)), rng.standard_normal((4, 5))

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    precision = sum(max(cosine(x, y) for y in reference) for x in estimate) / 7
    recall = sum(max(cosine(x, y) for x in estimate) for y in reference) / 4
    score = speech_bert_score(reference=reference, estimate=estimate)
    assert score["p"] == pytest.approx(precision, abs=1e-12)
    assert score["r"] == pytest.approx(recall, abs=1e-12)
    assert score["f1"] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)


def test_a_truncated_estimate_keeps_precision_and_loses_recall():
    reference = np.random.default_rng(0).standard_normal((30, 8))
    score = speech_bert_score(reference=reference, estimate=reference[:10])
    assert score["p"] == pytest.approx(1) and score["r"] < 0.9


WORDS = st.lists(st.sampled_from(["a", "b", "the", "don't", "naïve", "50", "é", "-", "B", "b."]), max_size=12)


@given(WORDS.filter(bool), WORDS)
@settings(max_examples=150, deadline=None)
def test_word_counts_agree_with_jiwer(reference, hypothesis):
    ours = error_rate(reference=" ".join(reference), hypothesis="  ".join(hypothesis))
    theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    assert {key: ours.detail[key] for key in ("hits", "substitutions", "deletions", "insertions")} == {
        "hits": theirs.hits,
        "substitutions": theirs.substitutions,
        "deletions": theirs.deletions,
        "insertions": theirs.insertions,
    }
    assert ours.value == pytest.approx(100 * theirs.wer)
    assert ours.detail["hits"] + ours.detail["substitutions"] + ours.detail["deletions"] == len(reference)


def test_character_rate_agrees_with_jiwer():
    reference, hypothesis = "the cat sat on the mat", "the hat sat mat"
    ours = error_rate(reference=reference, hypothesis=hypothesis, unit="characters")
    assert ours.value == pytest.approx(100 * jiwer.cer(reference, hypothesis))


def test_an_empty_hypothesis_is_all_deletions_and_an_empty_reference_has_no_rate():
    empty = error_rate(reference="two words", hypothesis="")
    assert (empty.value, empty.detail["deletions"]) == (100, 2)
    with pytest.raises(Unscorable, match="empty_reference"):
        error_rate(reference=text.whisper_english("?! ..."), hypothesis="anything")


def test_normalisers_do_what_their_names_say():
    assert text.lower("Wait, What?") == "wait, what?"
    assert text.lower_nopunct('"Don\'t -- stop," he_said; 50!') == "don't stop hesaid 50"
    assert text.whisper_english("Mr. Smith: the colour costs fifty dollars!") == "mister smith the color costs $50"


def test_table_2_s_convention_has_the_floors_of_its_texts():
    """Perfect transcripts of RealEdit's LibriTTS texts have 15.43 % (originals) and 14.41 % (edited) under
    wer_refpunct."""
    path = Path(os.environ.get("REALEDIT", "data/paper/RealEdit.txt"))
    if not path.is_file():
        pytest.skip("RealEdit.txt is not here (REALEDIT)")
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if re.match(r"\d+_\d+_\d+_\d+", row["wav_fn"])]
    for column, floor, words in (("orig_transcript", 15.43, 2113), ("new_transcript", 14.41, 2172)):
        errors = total = 0
        for row in rows:
            spoken = row[column].replace("|", " ")  # a bar joins two texts of one row
            detail = error_rate(reference=text.lower(row[column]), hypothesis=text.lower_nopunct(spoken)).detail
            errors += detail["substitutions"] + detail["deletions"] + detail["insertions"]
            total += detail["reference_words"]
        assert (total, round(100 * errors / total, 2)) == (words, floor)


def test_log_mel_filters_agree_with_librosa_and_a_gain_adds_its_logarithm():
    import librosa

    theirs = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=80, htk=True, norm=None)
    assert np.abs(log_mel.mel_filters() - theirs).max() < 1e-6
    wave = np.random.default_rng(0).standard_normal(16000)
    assert log_mel.log_mel_distance(reference=wave, estimate=3 * wave) == pytest.approx(math.log(3), abs=1e-9)


def test_speaker_encoder_s_mel_agrees_with_librosa(clean):
    import librosa

    theirs = librosa.feature.melspectrogram(y=clean, sr=16000, n_fft=400, hop_length=160, n_mels=40).T
    assert np.abs(sim.mel_power(clean) - theirs).max() < 1e-5 * theirs.max()


@pytest.mark.slow
def test_speaker_embedding_agrees_with_resemblyzer(clean, monkeypatch):
    import sys
    import types

    from scipy import ndimage

    morphology = types.ModuleType("scipy.ndimage.morphology")  # what Resemblyzer 0.1.4 imports; SciPy has moved it
    morphology.binary_dilation = ndimage.binary_dilation
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from resemblyzer import VoiceEncoder
        from resemblyzer.audio import normalize_volume

        wave = np.concatenate([clean, speech_like(1.3, seed=4)])
        theirs = VoiceEncoder("cpu", verbose=False).embed_utterance(
            normalize_volume(0.01 * wave, -30, increase_only=True)
        )
    assert np.abs(sim._ge2e()(0.01 * wave) - theirs).max() < 1e-5


@pytest.mark.slow
def test_dnsmos_agrees_with_the_package(clean):
    from speechmos import dnsmos as package

    from metrics import dnsmos

    for wave in (clean, np.tile(clean, 6)):  # 12 s: three windows
        theirs = package.run(wave, 16000)
        ours = dnsmos.p835(estimate=wave) | dnsmos.p808(estimate=wave)
        for name, value in ours.items():
            assert value == pytest.approx(float(theirs[f"{name}_mos"]), abs=1e-5)


@pytest.mark.slow
def test_dnsmos_of_overlapping_windows_is_that_of_each_window(clean):
    import onnxruntime

    from metrics import dnsmos

    whole = onnxruntime.InferenceSession(dnsmos._tool().primary_model_path, providers=["CPUExecutionProvider"])
    overlapping = dnsmos.windows(speech_like(4.35, seed=2).astype(np.float32))
    overlapping = np.concatenate([overlapping, overlapping[:1]])  # one more than go through together
    assert len(overlapping) == dnsmos.TOGETHER + 1
    found = dnsmos.raw_p835(overlapping)
    for window, ours in zip(overlapping, found, strict=True):
        assert ours == pytest.approx(whole.run(None, {"input_1": window[None]})[0][0], abs=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3  # the windows differ, or the test would see nothing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "period", "count"),
    [(4.35, 435, 8), (4.355, 871, 8), (2.4, 240, 1), (4.3501, 34801, 8), (8.0, 800, 7), (12.0, None, 3)],
    ids=["ends with a frame", "with half a frame", "several repetitions", "elsewhere", "twice", "not repeated"],
)
def test_dnsmos_of_audio_that_repeats_is_that_of_each_window(seconds, period, count):
    import onnxruntime

    from metrics import dnsmos

    whole = onnxruntime.InferenceSession(dnsmos._tool().primary_model_path, providers=["CPUExecutionProvider"])
    wave = speech_like(seconds, seed=2).astype(np.float32)
    overlapping = dnsmos.windows(wave)
    assert (dnsmos.repeats_after(len(wave)), len(overlapping)) == (period, count)
    for window, ours in zip(overlapping, dnsmos.raw_p835(overlapping, period), strict=True):
        assert ours == pytest.approx(whole.run(None, {"input_1": window[None]})[0][0], abs=1e-5)
