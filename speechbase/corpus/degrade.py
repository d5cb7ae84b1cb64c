"""Acoustic simulation (Appendix D): random equalisation and compression, reverberation, noise, band-limiting.

Beyond the paper, where the configuration asks for it, the sum is clipped and goes through a lossy audio format.

Every number is drawn first into a JSON-able dict (`draw`), then applied to a batch (`apply`), so that training on the
fly and test sets go the same road. Shapes: b batch, n samples, r samples of an impulse response.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
from scipy.fft import next_fast_len

from speechbase.files import UserError

EQ_POINTS_HZ = (60, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
# Longer impulse responses are cut, unless `reverb.seconds` says otherwise: at the longest simulated decay (0.9 s) the
# rest lies below -40 dB.
RIR_SECONDS = 0.6
FRAME_SECONDS = 0.005
PEAK = 0.98
SILENCE_POWER = 1e-10
# Lossy formats that a recording may have gone through: libsndfile's format, subtype and range of compression levels.
CODINGS = {
    "opus": ("OGG", "OPUS", (0.85, 0.995)),  # about 45 to 9 kbit/s
    "mp3": ("MP3", "MPEG_LAYER_III", (0.7, 0.99)),
    "gsm": ("WAV", "GSM610", None),
    "ulaw": ("WAV", "ULAW", None),
}


@dataclass(frozen=True)
class Degraded:
    """Outcome of `apply`, all [b, n]: `source` = `speech` + `noise`, sample-aligned with the clean input.

    Where an item is clipped or coded, that happens to `source` alone.

    `speech` is equalised, compressed, reverberant and band-limited but without noise; `noise` is what was added to it.
    """

    source: torch.Tensor
    speech: torch.Tensor
    noise: torch.Tensor


def draw(rng: np.random.Generator, config: dict, noises: Sequence, rirs: Sequence) -> dict:
    """Draw one item's degradation.

    Args:
        rng: the item's own generator.
        config: `speechbase.corpus.settings.Degradation` as plain values; a missing section means never.
        noises: what to choose a noise from, such as (id, samples) pairs; may be empty where no noise is asked for.
        rirs: ids to choose an impulse response from.

    Returns:
        Keys `eq_db` (gains at EQ_POINTS_HZ), `compression`, `rir`, `noise`, `noise_start` (0..1 of the noise's length),
        `snr_db`, `cutoff_hz`; None where a step is left out. The same number of draws is made whatever is left out.
        With the sections in question also `clip_db` and `coding` (kind and level).
    """
    eq, compression, band = (config.get(name, {}) for name in ("eq", "compression", "band"))
    reverb, noise = config.get("reverb", {}), config.get("noise", {})
    chances = rng.random(5)
    use = [
        chance < part.get("probability", 0.0) for chance, part in zip(chances, (eq, compression, reverb, noise, band))
    ]
    gains = rng.uniform(-1, 1, len(EQ_POINTS_HZ)) * eq.get("gain_db", 0.0)
    threshold, ratio = (rng.uniform(*compression.get(name, (1, 1))) for name in ("threshold_db", "ratio"))
    rir, clip = rng.random(), rng.random()
    start, snr = rng.random(), rng.uniform(*noise.get("snr_db", (0, 0)))
    low, high = band.get("cutoff_hz", (1, 1))
    cutoff = low * (high / low) ** rng.random()
    if (use[2] and not rirs) or (use[3] and not noises):
        raise UserError(
            "The degradation asks for reverberation or noise, and no impulse responses or noises were given."
        )
    return {
        "eq_db": [round(float(gain), 3) for gain in gains] if use[0] else None,
        "compression": {"threshold_db": round(threshold, 3), "ratio": round(ratio, 3)} if use[1] else None,
        "rir": rirs[int(rir * len(rirs))] if use[2] else None,
        "noise": noises[int(clip * len(noises))] if use[3] else None,
        "noise_start": round(start, 6) if use[3] else None,
        "snr_db": round(snr, 3) if use[3] else None,
        "cutoff_hz": round(cutoff, 1) if use[4] else None,
        **({"rir_seconds": reverb["seconds"]} if "seconds" in reverb else {}),
        **_draw_ending(rng, config),
    }


def _draw_ending(rng: np.random.Generator, config: dict) -> dict:
    """Clipping and coding, where the configuration has them: a configuration without keeps its draws and its keys."""
    drawn = {}
    if "clipping" in config:
        chance, below = rng.random(), rng.uniform(*config["clipping"]["below_peak_db"])
        drawn["clip_db"] = round(below, 3) if chance < config["clipping"]["probability"] else None
    if "coding" in config:
        chance, kind, level = rng.random(), str(rng.choice(config["coding"]["kinds"])), round(rng.random(), 3)
        drawn["coding"] = {"kind": kind, "level": level} if chance < config["coding"]["probability"] else None
    return drawn


def apply(
    clean: torch.Tensor,
    noise: torch.Tensor,
    rirs: list[torch.Tensor | None],
    params: list[dict],
    rate_hz: int,
    lengths: list[int] | None = None,
) -> Degraded:
    """Degrade a batch of clean speech as `draw` decided.

    Args:
        clean: float32 [b, n], on any device: all is computed there.
        noise: float32 [b, n] on that device; a row is read where its params have an `snr_db`.
        rirs: per item float32 [r] on any device with the direct path at sample 0, or None.
        params: one dict of `draw` per item.
        lengths: valid samples per item where rows are padded; levels are measured, and sound is left, inside them only.

    Returns:
        Degraded. The speech keeps the clean speech's RMS; the SNR is that of `speech` to `noise` as returned, after
        band-limiting. A silent or non-finite row comes back finite: no noise is added to silence (its SNR is
        undefined), and NaN counts as 0. Where the sum would exceed a peak of 0.98, all three are scaled down together.
    """
    if len(params) != len(clean) or len(rirs) != len(clean) or noise.shape != clean.shape:
        raise ValueError(
            f"{tuple(clean.shape)} clean, {tuple(noise.shape)} noise, {len(rirs)} rirs, {len(params)} params"
        )
    n = clean.shape[1]
    limit = int(max(param.get("rir_seconds", RIR_SECONDS) for param in params) * rate_hz)
    n_fft = next_fast_len(n + limit, real=True)
    valid = _valid(lengths, clean)
    clean = torch.nan_to_num(clean, posinf=0.0, neginf=0.0) * valid
    speech = _equalise_and_compress(clean, params, rate_hz, n_fft, valid)
    band = _band_gains(params, rate_hz, n_fft, clean.device)
    spectrum = torch.fft.rfft(speech, n_fft)
    _reverberate_(spectrum, rirs, limit, n_fft)
    if band is not None:
        spectrum *= band
    speech = torch.fft.irfft(spectrum, n_fft)[:, :n] * valid
    speech = speech * _ratio(clean, speech)
    noise = _scaled_noise(noise, speech, params, band, n_fft, valid)
    source = speech + noise
    gain = (PEAK / source.abs().amax(1, keepdim=True).clamp(min=PEAK)).to(source.dtype)
    return Degraded(_ended(source * gain, params, rate_hz), speech * gain, noise * gain)


def _ended(source: torch.Tensor, params: list[dict], rate_hz: int) -> torch.Tensor:
    """Rows [b, n] whose params say so are clipped below their peak and coded."""
    for row, param in enumerate(params):
        if param.get("clip_db") is not None:
            limit = source[row].abs().max() * 10 ** (-param["clip_db"] / 20)
            source[row] = source[row].clamp(-limit, limit)
        if param.get("coding"):
            source[row] = torch.from_numpy(coded(source[row].cpu().numpy(), rate_hz, **param["coding"])).to(
                source.device
            )
    return source


def coded(wave: np.ndarray, rate_hz: int, kind: str, level: float) -> np.ndarray:
    """Audio [n] after a lossy format and back, of the same length; `level` (0..1) spans the format's range of
    compression."""
    form, subtype, span = CODINGS[kind]
    if kind == "opus" and rate_hz not in (8000, 12000, 16000, 24000, 48000):
        form, subtype, span = CODINGS["mp3"]
    settings = {} if span is None else {"compression_level": span[0] + level * (span[1] - span[0])}
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate_hz, format=form, subtype=subtype, **settings)
    stream.seek(0)
    back = soundfile.read(stream, dtype="float32")[0][: len(wave)]
    return np.pad(back, (0, len(wave) - len(back)))


def mix(target: torch.Tensor, interferer: torch.Tensor, level_db: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two speakers at once: target + interferer, the interferer `level_db` [b] louder than the target in RMS.

    Returns:
        (mixture, target), both [b, n], scaled down together where the mixture's peak would exceed 0.98.
    """
    gain = torch.pow(10.0, level_db / 20)[:, None]
    mixture = target + interferer * _ratio(target, interferer) * gain
    safe = PEAK / mixture.abs().amax(1, keepdim=True).clamp(min=PEAK)
    return mixture * safe, target * safe


def _valid(lengths: list[int] | None, clean: torch.Tensor) -> torch.Tensor:
    if lengths is None:
        return clean.new_ones(1, 1)
    place = torch.arange(clean.shape[1], device=clean.device)
    return (place < torch.tensor(lengths, device=clean.device)[:, None]).to(clean.dtype)


def _ratio(wanted: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """The gain [b, 1] that gives `given` the energy of `wanted`; 1 where either is silent."""
    ours, theirs = (wave.square().mean(1, keepdim=True) for wave in (wanted, given))
    silent = (ours < SILENCE_POWER) | (theirs < SILENCE_POWER)
    return torch.where(silent, 1.0, (ours / theirs.clamp(min=SILENCE_POWER)).sqrt())


def _equalise_and_compress(clean, params, rate_hz: int, n_fft: int, valid) -> torch.Tensor:
    """Rows whose params ask for it go through the equaliser and the compressor; the others come back as they are."""
    speech = clean.clone()
    equalised = [row for row, param in enumerate(params) if param["eq_db"]]
    if equalised:
        gains = np.stack([_eq_gains(params[row]["eq_db"], rate_hz, n_fft) for row in equalised])
        spectrum = torch.fft.rfft(clean[equalised], n_fft) * torch.from_numpy(gains).to(clean.device)
        speech[equalised] = torch.fft.irfft(spectrum, n_fft)[:, : clean.shape[1]]
    compressed = [row for row, param in enumerate(params) if param["compression"]]
    if compressed:
        settings = [params[row]["compression"] for row in compressed]
        speech[compressed] = compress(speech[compressed], settings, rate_hz)
    return speech * valid


def _eq_gains(eq_db: list[float], rate_hz: int, n_fft: int) -> np.ndarray:
    """Amplitude gains [n_fft / 2 + 1]: the points' gains in dB, linear over log frequency (zero phase, so no delay)."""
    hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)
    db = np.interp(np.log(np.maximum(hz, 1.0)), np.log(EQ_POINTS_HZ), eq_db)
    return (10 ** (db / 20)).astype(np.float32)


def compress(wave: torch.Tensor, settings: list[dict], rate_hz: int) -> torch.Tensor:
    """Dynamic-range compression of [b, n]: `ratio` above `threshold_db` relative to each row's RMS.

    The level is measured in 5-ms frames, the gain in dB smoothed by an exponential of 20 ms.
    """
    frame = int(FRAME_SECONDS * rate_hz)
    padded = torch.nn.functional.pad(wave, (0, -wave.shape[1] % frame))
    power = padded.reshape(len(wave), -1, frame).square().mean(2)
    level_db = 10 * torch.log10(power.clamp(min=SILENCE_POWER) / power.mean(1, keepdim=True).clamp(min=SILENCE_POWER))
    threshold, ratio = (_column([s[name] for s in settings], wave.device) for name in ("threshold_db", "ratio"))
    gain_db = -(level_db - threshold).clamp(min=0) * (1 - 1 / ratio)
    kernel = torch.exp(-torch.arange(15, -1, -1, device=wave.device) * FRAME_SECONDS / 0.02)
    before = torch.nn.functional.pad(gain_db[:, None], (15, 0), mode="replicate")
    smooth = torch.nn.functional.conv1d(before, (kernel / kernel.sum())[None, None])
    gain = torch.pow(10.0, torch.nn.functional.interpolate(smooth, scale_factor=frame, mode="linear") / 20)
    return wave * gain[:, 0, : wave.shape[1]]


def _column(values: list[float], device: torch.device) -> torch.Tensor:
    """One number an item as [b, 1]."""
    return torch.tensor(values, device=device)[:, None]


def _reverberate_(spectrum: torch.Tensor, rirs, limit: int, n_fft: int) -> None:
    rows = [row for row, rir in enumerate(rirs) if rir is not None]
    if not rows:
        return
    padded = torch.zeros(len(rows), limit, device=spectrum.device)
    for place, row in enumerate(rows):
        response = rirs[row][:limit]
        padded[place, : len(response)] = response
    spectrum[rows] *= torch.fft.rfft(padded, n_fft)


def _band_gains(params: list[dict], rate_hz: int, n_fft: int, device: torch.device) -> torch.Tensor | None:
    """Low-pass gains [b, n_fft / 2 + 1]: 1 below the cut-off, a cosine slope to 0 in the next 10 %; None for none."""
    if not any(param["cutoff_hz"] for param in params):
        return None
    hz = torch.fft.rfftfreq(n_fft, 1 / rate_hz, device=device)[None]
    cutoff = _column([param["cutoff_hz"] or rate_hz for param in params], device)
    slope = ((hz - cutoff) / (0.1 * cutoff)).clamp(0, 1)
    return 0.5 + 0.5 * torch.cos(torch.pi * slope)


def _scaled_noise(noise, speech, params, band, n_fft: int, valid) -> torch.Tensor:
    """The noise, band-limited like the speech and brought to each item's SNR; zeros where there is none to add."""
    wanted = [row for row, param in enumerate(params) if param["snr_db"] is not None]
    scaled = torch.zeros_like(speech)
    if not wanted:
        return scaled
    rows = torch.nan_to_num(noise[wanted], posinf=0.0, neginf=0.0)
    limited = [place for place, row in enumerate(wanted) if params[row]["cutoff_hz"]]
    if limited:
        spectrum = torch.fft.rfft(rows[limited], n_fft) * band[[wanted[place] for place in limited]]
        rows[limited] = torch.fft.irfft(spectrum, n_fft)[:, : noise.shape[1]]
    rows = rows * (valid if len(valid) == 1 else valid[wanted])
    silent = (speech[wanted].square().mean(1, keepdim=True) < SILENCE_POWER).to(rows.dtype)
    snr_db = _column([params[row]["snr_db"] for row in wanted], speech.device)
    scaled[wanted] = rows * _ratio(speech[wanted], rows) * torch.pow(10.0, -snr_db / 20) * (1 - silent)
    return scaled
