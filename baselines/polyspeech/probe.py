"""Which layer knows the words best: a linear probe with CTC on frozen features, scored on validation speech."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from baselines.polyspeech.hubert import Hubert, frames_of
from speechbase.codec import Codec
from speechbase.corpus.speech import SpeechTable
from speechbase.files import seed_of

ALPHABET = "-abcdefghijklmnopqrstuvwxyz' "  # the first is CTC's blank
FITTED, SCORED = 600, 150  # utterances
STEPS, BATCH, RATE = 300, 32, 0.02
GROUP = 16  # utterances that are encoded at once


def features(
    network: Hubert, codec: Codec, speech: SpeechTable, count: int, seed: int
) -> tuple[list[list[Tensor]], list[str]]:
    """Of up to `count` utterances, every layer's output [n, d] and the text."""
    drawn = np.random.default_rng(seed_of(seed, "probe")).permutation(len(speech))[:count]
    order = sorted((int(place) for place in drawn), key=lambda place: speech.rows["seconds"].iat[place])
    found: list[list[Tensor]] = []
    device = next(network.parameters()).device
    for start in range(0, len(order), GROUP):
        waves = [torch.from_numpy(speech.wave(place)) for place in order[start : start + GROUP]]
        padded = nn.utils.rnn.pad_sequence(waves, batch_first=True).to(device)
        latents = codec.encode(padded)
        real = frames_of(codec, [len(wave) for wave in waves], latents.shape[1]).to(device)
        layers = network.layers(latents, real)
        found += [[layer[row, real[row]].cpu() for layer in layers] for row in range(len(waves))]
    texts = (speech.rows["text"].iat[place] for place in order)
    return found, ["".join(sign for sign in text if sign in ALPHABET[1:]) for text in texts]


def character_errors(train: tuple[list[Tensor], list[str]], valid: tuple[list[Tensor], list[str]], seed: int) -> float:
    """Character error rate in % of a linear CTC layer over features [n, d] that is fitted to `train`."""
    torch.manual_seed(seed)
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        probe = nn.Linear(train[0][0].shape[-1], len(ALPHABET))
        optimiser = torch.optim.Adam(probe.parameters(), RATE)
        rng = np.random.default_rng(seed)
        for step in range(STEPS):
            optimiser.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
            rows = rng.integers(len(train[0]), size=BATCH)
            loss = _ctc(probe, [train[0][row] for row in rows], [train[1][row] for row in rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        heard = [greedy(probe(one).argmax(-1).tolist()) for one in valid[0]]
    errors = sum(Levenshtein.distance(text, said) for text, said in zip(valid[1], heard))
    return 100 * errors / max(1, sum(map(len, valid[1])))


def _ctc(probe: nn.Linear, rows: list[Tensor], texts: list[str]) -> Tensor:
    scores = probe(nn.utils.rnn.pad_sequence(rows, batch_first=True)).log_softmax(-1).transpose(0, 1)  # [n, b, k]
    labels = [[ALPHABET.index(sign) for sign in text] for text in texts]
    flat = torch.tensor([label for row in labels for label in row])
    lengths = torch.tensor([len(row) for row in rows]), torch.tensor([len(row) for row in labels])
    return F.ctc_loss(scores, flat, *lengths, zero_infinity=True)


def greedy(classes: list[int]) -> str:
    """The text of the best classes frame by frame: repetitions once, blanks not at all."""
    kept = [one for one, before in zip(classes, [0, *classes]) if one not in (0, before)]
    return "".join(ALPHABET[one] for one in kept)


@torch.no_grad()
def choose(
    network: Hubert, codec: Codec, train: SpeechTable, valid: SpeechTable, seed: int
) -> tuple[int, dict[str, float], Tensor, Tensor]:
    """The layer with the fewest character errors on validation speech.

    Returns:
        the layer (from 1 on), the errors in % by layer, and the mean and deviation [l + 1, d] of every layer's output.
    """
    with torch.autocast(next(network.parameters()).device.type, enabled=False):
        fitted, texts = features(network, codec, train, FITTED, seed)
        scored, said = features(network, codec, valid, SCORED, seed)
    count = len(fitted[0])
    whole = [torch.cat([one[layer] for one in fitted]).double() for layer in range(count)]
    mean = torch.stack([one.mean(0) for one in whole]).float()
    std = torch.stack([one.std(0).clamp_min(1e-4) for one in whole]).float()
    errors = {}
    for layer in range(1, count):
        scaled = [[(one[layer] - mean[layer]) / std[layer] for one in of] for of in (fitted, scored)]
        errors[str(layer)] = round(character_errors((scaled[0], texts), (scaled[1], said), seed), 2)
    return int(min(errors, key=lambda layer: errors[layer])), errors, mean, std
