"""Metrics that were made faster (all frames at once, shared windows, kept features) against the plain computation, a
file, a frame and a window at a time: 200 clips of the test speech that ships, with noise at 15 dB. About twelve minutes
of a core, more than half of them DNSMOS's whole windows.
"""

from __future__ import annotations

import math
import sys
import types
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
import soundfile

from metrics import registry, scorer
from metrics.utterance import Files
from speechbase.corpus.build_speech import SPOKEN
from tests.metrics.signals import RATE_HZ, noisy

pytestmark = pytest.mark.slow
CLIPS = 200
KEPT = ("mcd", "spbs_whisper_base_l6", "sim_ge2e")  # those whose reference's features are kept between systems
WINDOW = 144_160  # samples of 9.01 s
Plain = Callable[[np.ndarray, np.ndarray], float]


@cache
def cepstra(wave: bytes) -> list[np.ndarray]:
    """SPTK's mel-cepstrum of one frame after another."""
    with warnings.catch_warnings():  # it imports pkg_resources, which warns that it is deprecated
        warnings.simplefilter("ignore")
        import pysptk
    samples = np.frombuffer(wave, np.float32).astype(float)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(1024) / 1023)
    window /= math.sqrt(sum(window**2))  # SPTK's windows have power 1
    starts = range(0, len(samples) - 1024 + 1, 256)
    return [pysptk.sptk.mcep(samples[s : s + 1024] * window, 23, 0.42, eps=1e-6, etype=1) for s in starts]


def cepstral(first: int, warp: bool) -> Plain:
    """Mel-cepstral distortion from coefficient `first` on, pair after pair of frames."""

    def plain(reference: np.ndarray, estimate: np.ndarray) -> float:
        a, b = ([frame[first:] for frame in cepstra(wave.tobytes())] for wave in (reference, estimate))
        pairs = list(zip(range(len(a)), range(len(b)), strict=True))
        if warp:
            from fastdtw import fastdtw

            pairs = fastdtw(a, b, radius=1, dist=math.dist)[1]
        return 10 / math.log(10) * math.sqrt(2) * sum(math.dist(a[i], b[j]) for i, j in pairs) / len(pairs)

    return plain


def plain_pesq(reference: np.ndarray, estimate: np.ndarray) -> float:
    """The package's own call."""
    import pesq

    return pesq.pesq(RATE_HZ, reference, estimate, "wb")


def plain_spbs(reference: np.ndarray, estimate: np.ndarray) -> float:
    """The best cosine of each of the estimate's frames with any of the reference's, frame by frame."""
    from metrics.judges import whisper

    model = whisper.load("whisper_base")
    frames, others = (model.features(wave).astype(float) for wave in (estimate, reference))
    lengths = np.sqrt((others**2).sum(1))
    return float(np.mean([(others @ frame / lengths).max() / math.sqrt(frame @ frame) for frame in frames]))


@cache
def voice_encoder():
    """Resemblyzer's, and how it levels."""
    from scipy import ndimage

    morphology = types.ModuleType("scipy.ndimage.morphology")  # what Resemblyzer 0.1.4 imports; SciPy has moved it
    morphology.binary_dilation = ndimage.binary_dilation
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patched.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
        from resemblyzer import VoiceEncoder
        from resemblyzer.audio import normalize_volume

        return VoiceEncoder("cpu", verbose=False).embed_utterance, normalize_volume


def plain_sim(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Cosine of the package's embeddings."""
    embed, level = voice_encoder()
    a, b = (embed(level(wave, -30, increase_only=True)).astype(float) for wave in (reference, estimate))
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


@cache
def authors_dnsmos():
    """speechmos's object and a session of its whole P.835 network, of one thread."""
    from metrics import dnsmos

    tool = dnsmos._tool()
    return tool, dnsmos._session(tool.primary_model_path)


@cache
def all_of_dnsmos(estimate: bytes) -> np.ndarray:
    """SIG, BAK and OVRL: the whole network on one window after another, in steps of a second."""
    tool, network = authors_dnsmos()
    wave = np.frombuffer(estimate, np.float32)
    wave = wave / max(1.0, np.abs(wave).max())
    while len(wave) < WINDOW:
        wave = np.append(wave, wave)
    starts = [s * RATE_HZ for s in range(int(len(wave) // RATE_HZ - 9.01) + 1)]
    windows = [wave[start : start + WINDOW] for start in starts if start + WINDOW <= len(wave)]
    raw = [network.run(None, {"input_1": window[None].astype(np.float32)})[0][0] for window in windows]
    return np.mean([tool.get_polyfit_val(*scores, False) for scores in raw], axis=0)


def plain_dnsmos(place: int) -> Plain:
    """One of the three scores."""
    return lambda reference, estimate: float(all_of_dnsmos(estimate.tobytes())[place])


# metric -> digits that tables print, and the plain computation
FASTER: dict[str, tuple[int, Plain]] = {
    "pesq": (2, plain_pesq),
    "mcd": (2, cepstral(1, warp=False)),
    "mcd_dtw": (2, cepstral(1, warp=True)),
    "mcd_espnet_16k": (2, cepstral(0, warp=True)),
    "spbs_whisper_base_l6": (3, plain_spbs),
    "sim_ge2e": (3, plain_sim),
    "dnsmos_ovrl": (2, plain_dnsmos(2)),
    "dnsmos_sig": (2, plain_dnsmos(0)),
    "dnsmos_bak": (2, plain_dnsmos(1)),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Files]:
    """Test speech that ships, and the same with noise."""
    folder, found = tmp_path_factory.mktemp("noisy"), []
    shipped = pd.read_csv(SPOKEN / "test.csv")[["id", "path"]].head(CLIPS)
    for seed, (name, path) in enumerate(shipped.itertuples(index=False)):
        clean, rate_hz = soundfile.read(SPOKEN / path, dtype="float32")
        assert rate_hz == RATE_HZ
        soundfile.write(folder / f"{name}.wav", noisy(clean, 15, seed), RATE_HZ, "FLOAT")
        found.append(Files(name, reference=SPOKEN / path, estimate=folder / f"{name}.wav"))
    assert len(found) == CLIPS
    return found


@pytest.fixture(scope="module")
def scored(clips, tmp_path_factory) -> dict[str, list[dict]]:
    """The scorer's rows, of a run that finds the references' features where the run of another system kept them."""
    features = tmp_path_factory.mktemp("features")
    scorer.score(clips, registry.find_all(KEPT), features=features)
    assert len(list(features.glob("*.npy"))) == len(KEPT) * CLIPS
    return scorer.score(clips, registry.find_all(FASTER), features=features)


@pytest.mark.parametrize("name", FASTER)
def test_a_faster_metric_is_the_plain_one_to_its_printed_digits(clips, scored, name):
    digits, plain = FASTER[name]
    assert [row["status"] for row in scored[name]] == ["ok"] * CLIPS
    waves = [[soundfile.read(path, dtype="float32")[0] for path in (f.reference, f.estimate)] for f in clips]
    expected = [plain(*pair) for pair in waves]
    found = [row["value"] for row in scored[name]]
    assert np.ptp(expected) > 10**-digits  # the clips differ, or the test would see nothing
    # A hundredth of the last digit: two values so close print alike but for one that lies on the edge of rounding.
    assert found == pytest.approx(expected, abs=10**-digits / 100)
