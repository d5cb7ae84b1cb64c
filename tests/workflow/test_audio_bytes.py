"""Equal audio is equal bytes, whenever it was written."""

import time

import numpy as np
import pytest

from speechbase import audio
from speechbase.files import sha256


@pytest.mark.parametrize("suffix, comment", [(".wav", "synthetic"), (".wav", None), (".flac", "synthetic")])
def test_the_time_of_writing_leaves_no_trace(tmp_path, suffix, comment):
    wave = np.linspace(-0.5, 0.5, 401, dtype=np.float32)
    audio.write(tmp_path / f"a{suffix}", wave, 16_000, comment=comment)
    time.sleep(1.1)  # libsndfile's clock counts seconds
    audio.write(tmp_path / f"b{suffix}", wave, 16_000, comment=comment)
    assert sha256(tmp_path / f"a{suffix}") == sha256(tmp_path / f"b{suffix}")
    read, rate_hz = audio.read(tmp_path / f"a{suffix}")
    assert rate_hz == 16_000 and np.abs(read - wave).max() < 2**-14
