"""Text encoders: frozen ByT5-base (section 5), or a small encoder of bytes or phonemes that is trained with the
model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechbase.files import UserError
from speechbase.texts import MAX_BYTES
from speechop.model.transformer import Transformer
from speechop.settings import TransformerConfig

PAD = 0
OFFSET = 3  # ByT5's numbering: 0 pad, 1 end of text, 2 unknown, then bytes
VOCABULARY = 256 + OFFSET


def tokenize(texts: list[str], device="cpu") -> tuple[Tensor, Tensor]:
    """UTF-8 bytes of lower-cased texts: tokens [b, t] (padded with 0) and lengths [b].

    Raises:
        UserError: a text that holds no letter or digit, or one of more than 1,024 bytes.
    """
    rows = []
    for text in texts:
        if not any(character.isalnum() for character in text):
            raise UserError(f"The transcript {text!r} has no letters or digits: there is nothing to say.")
        data = text.lower().strip().encode()
        if len(data) > MAX_BYTES:
            raise UserError(
                f"A transcript of {len(data)} bytes is too long (at most {MAX_BYTES}): split it into sentences."
            )
        rows.append(torch.tensor([byte + OFFSET for byte in data]))
    return _padded(rows, device)


def tokenize_phonemes(texts: list[str], alphabet: str, device="cpu") -> tuple[Tensor, Tensor]:
    """Phonemes of texts (`speechbase.corpus.phones.encode`): tokens [b, t] (padded with 0) and lengths [b]; errors as
    there."""
    from speechbase.corpus import phones

    return _padded([torch.tensor(phones.encode(text, alphabet)) for text in texts], device)


def _padded(rows: list[Tensor], device) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    return nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device), lengths.to(device)


class PhonemeEmbedding(nn.Module):
    """The sum of a phoneme's, a stress's and a word beginning's vectors, so that rare combinations share what they can.

    `lengths` [2][alphabet], in ms without and with stress, place the signs in time; without them all are equally long.
    """

    def __init__(self, alphabet: str, dim: int, lengths: list[list[int]] | None = None):
        super().__init__()
        self.lengths: Tensor
        lengths = lengths or [[1] * len(alphabet)] * 2
        kinds = [0, *(lengths[stress > 0][place] for place in range(len(alphabet)) for stress in (0, 0, 1, 1, 2, 2))]
        self.register_buffer("lengths", torch.tensor(kinds, dtype=torch.float32), persistent=False)
        self.phoneme = nn.Embedding(1 + len(alphabet), dim, padding_idx=PAD)
        self.stress, self.begins = nn.Embedding(3, dim), nn.Embedding(2, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t] -> [b, t, dim]."""
        rest = (tokens - 1).clamp_min(0)
        phoneme = torch.where(tokens > PAD, rest // 6 + 1, PAD)
        return self.phoneme(phoneme) + self.stress(rest // 2 % 3) + self.begins(rest % 2)

    def places(self, tokens: Tensor) -> Tensor:
        """Where in its text (0..1) each sign of tokens [b, t] lies: its middle, by the sounds' usual lengths."""
        lengths = self.lengths[tokens]
        ends = lengths.cumsum(1)
        return (ends - lengths / 2) / ends[:, -1:].clamp_min(1e-6)


class SmallEncoder(nn.Module):
    """A small transformer over bytes or phonemes, trained with the model: tokens [b, t] -> [b, t, dim]."""

    def __init__(self, embed: nn.Module, dim: int, layers: int):
        super().__init__()
        self.dim = dim
        self.embed = embed
        self.neighbours = nn.Conv1d(dim, dim, 5, padding=2)
        heads = max(1, dim // 64)
        config = TransformerConfig(dim=dim, ff_dim=2 * dim, layers=layers, heads=heads, registers=0, dropout=0.0)
        self.transformer = Transformer(config)
        self.condition = nn.Parameter(torch.randn(dim) * 0.02)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Tokens [b, t] with lengths [b] -> encoded text [b, t, dim]."""
        mask = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        x = self.embed(tokens)  # [b, t, dim]
        x = x + self.neighbours((x * mask[..., None]).transpose(1, 2)).transpose(1, 2)
        return self.transformer(x, self.condition.expand(len(x), -1), mask)


def byte_encoder(dim: int, layers: int) -> SmallEncoder:
    """Over UTF-8 bytes."""
    return SmallEncoder(nn.Embedding(VOCABULARY, dim, padding_idx=PAD), dim, layers)


def phoneme_encoder(dim: int, layers: int, alphabet: str, lengths: list[list[int]] | None = None) -> SmallEncoder:
    """Over phonemes of an alphabet, with their usual lengths."""
    return SmallEncoder(PhonemeEmbedding(alphabet, dim, lengths), dim, layers)


class ByT5(nn.Module):
    """Frozen ByT5-base encoder (Xue et al., 2022), read from a local folder: tokens [b, t] -> [b, t, 1536]."""

    dim = 1536

    def __init__(self, folder: str):
        super().__init__()
        from transformers import T5EncoderModel

        try:
            self.model = T5EncoderModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except OSError as error:
            raise UserError(
                f"ByT5 cannot be read from {folder!r} ({error}); download google/byt5-base (safetensors) to that "
                "folder."
            ) from None
        self.model.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ByT5:
        """Stay in evaluation mode: the encoder is frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Tokens [b, t] with lengths [b] -> encoded text [b, t, dim]."""
        mask = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        return self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
