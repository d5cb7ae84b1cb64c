"""Miniatures of the corpora in their published layouts, with noise for speech."""

import numpy as np
import pytest

from speechbase import audio
from speechbase.recorded.corpora import Location


def noise(seconds: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    """White noise, float32 [n]."""
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate_hz)).astype(np.float32)


@pytest.fixture
def make_noise():
    """The maker of noise: (seconds, rate_hz, seed) -> float32 [n]."""
    return noise


@pytest.fixture
def librispeech(tmp_path):
    """LibriSpeech/test-clean: two speakers with three utterances each, of 3.5, 5 and 12 s."""
    root = tmp_path / "LibriSpeech"
    for speaker in ("61", "121"):
        chapter = root / "test-clean" / speaker / "7"
        lines = []
        for number, seconds in enumerate((3.5, 5.0, 12.0)):
            identity = f"{speaker}-7-{number:04d}"
            audio.write(chapter / f"{identity}.flac", noise(seconds, 16000, number), 16000)
            lines.append(f"{identity} HE SAID WORD{number}")
        (chapter / f"{speaker}-7.trans.txt").write_text("\n".join(lines) + "\n")
    (root / "SPEAKERS.TXT").write_text(";ID |SEX\n61 | M | test-clean | 8 | A\n121  | F | test-clean | 8 | B\n")
    return Location("librispeech", (tmp_path,))


@pytest.fixture
def make_libritts(tmp_path):
    """Write LibriTTS or LibriTTS_R with the given parts: two utterances of 2 and 11 s by each speaker."""

    def make(parts: dict[str, list[str]], corpus: str = "LibriTTS") -> Location:
        root = tmp_path / corpus
        for part, speakers in parts.items():
            for speaker in speakers:
                chapter = root / part / speaker / "9"
                lines = []
                for number, seconds in enumerate((2.0, 11.0)):
                    identity = f"{speaker}_9_000001_{number:06d}"
                    audio.write(chapter / f"{identity}.wav", noise(seconds, 24000, number), 24000, subtype="PCM_16")
                    lines.append(f"{identity}\tRaw text.\tNormal Text, no. {number}")
                (chapter / f"{speaker}_9.trans.tsv").write_text("\n".join(lines) + "\n")
                (chapter / f"._{speaker}_9.trans.tsv").write_text("left by a Macintosh")
        (root / "SPEAKERS.txt").write_text("; a comment\n84 | F | dev-clean | 1 | N\n")
        return Location(corpus.lower(), (tmp_path,))

    return make
