"""The transformer of token models: embeddings of text, signs and codes, a decoder with a cache, logits over codes.

The decoder is `transformers`' Llama (pre-norm, rotary positions, gated feed-forward, its own key-value cache), small
and from random weights, on torch's scaled dot-product attention. Where all positions see each other it is an encoder.

Legend: b batch, n positions, q levels, k codes a level, c latent channels, d width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache, LlamaConfig, LlamaModel
from transformers.cache_utils import DynamicLayer

from speechbase.files import UserError
from speechbase.tokens.sequences import BYTES, NO_CODE, Tokens
from speechbase.tokens.settings import LMConfig


class CodeTable(nn.Module):
    """A vector [d] for every code of every level: its codeword through a matrix, and a learned part, zero at first.

    A code that occurs five times in training still lies beside its neighbours.
    """

    codewords: Tensor  # [q, k, c], each level at unit variance

    def __init__(self, codewords: Tensor, dim: int, std: float):
        super().__init__()
        levels, codes, channels = codewords.shape
        scale = codewords.float().square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-8)
        self.register_buffer("codewords", (codewords.float() / scale).clone(), persistent=False)
        self.project = nn.Parameter(torch.randn(levels, channels, dim) * std * channels**-0.5)
        self.own = nn.Parameter(torch.zeros(levels, codes, dim))
        self.made: tuple[tuple, Tensor] | None = None

    def forward(self) -> Tensor:
        """The table [q, k, d]."""
        return self.rows()[:-1].unflatten(0, self.own.shape[:2])

    def rows(self) -> Tensor:
        """The table's rows and one of zeros [q * k + 1, d]; kept while the weights stay and nobody learns, since
        generation asks every frame."""
        if torch.is_grad_enabled():
            return self._table()
        state = tuple((one.data_ptr(), one._version) for one in (self.project, self.own))
        if self.made is None or self.made[0] != state:
            self.made = (state, self._table())
        return self.made[1]

    def _table(self) -> Tensor:
        with torch.autocast(self.own.device.type, enabled=False):
            table = torch.einsum("qkc,qcd->qkd", self.codewords, self.project) + self.own
        return torch.cat([table.flatten(0, 1), table.new_zeros(1, table.shape[-1])])

    def summed(self, codes: Tensor) -> Tensor:
        """The sum [..., d] of the vectors of codes [..., l] of the first l levels, without making the table."""
        levels = torch.arange(codes.shape[-1], device=codes.device)
        with torch.autocast(self.own.device.type, enabled=False):
            words = self.codewords[levels, codes]  # [..., l, c]
            return torch.einsum("...lc,lcd->...d", words, self.project[levels]) + self.own[levels, codes].sum(-2)


class TokenEmbedding(nn.Module):
    """Positions as vectors [b, n, d]: their segment's, their symbol's, and the sum of their codes'."""

    def __init__(self, codewords: Tensor, dim: int, kinds: int, signs: int, std: float = 0.1):
        super().__init__()
        self.table = CodeTable(codewords, dim, std)
        self.kind = nn.Embedding(kinds, dim)
        self.symbol = nn.Embedding(1 + BYTES + signs, dim, padding_idx=0)
        for embedding in (self.kind, self.symbol):
            nn.init.normal_(embedding.weight, std=std)
        with torch.no_grad():
            self.symbol.weight[0] = 0

    def forward(self, tokens: Tokens) -> Tensor:
        """Vectors [b, n, d]: of the segment, of the text's sign, and the sum of the codes' own."""
        flat = self.table.rows()  # [q * k + 1, d]
        levels, codes, dim = self.table.own.shape
        nothing = levels * codes
        offsets = torch.arange(levels, device=flat.device) * codes
        places = torch.where(tokens.codes == NO_CODE, nothing, tokens.codes + offsets)  # [b, n, q]
        heard = F.embedding_bag(places.flatten(0, 1), flat, mode="sum", padding_idx=nothing)  # [b * n, d]
        return self.kind(tokens.kinds) + self.symbol(tokens.symbols) + heard.view(*tokens.kinds.shape, dim)


class TokenLM(nn.Module):
    """The decoder: vectors [b, n, d] -> hidden states [b, n, d]."""

    def __init__(self, config: LMConfig):
        super().__init__()
        self.config = config
        llama = LlamaConfig(
            vocab_size=1, hidden_size=config.dim, intermediate_size=config.ff_dim, num_hidden_layers=config.layers,
            num_attention_heads=config.heads, max_position_embeddings=config.window, use_cache=False,
            attn_implementation="sdpa",
        )  # fmt: skip

        self.model = LlamaModel(llama)
        self.model.embed_tokens = nn.Identity()  # type: ignore[assignment]  # what comes in is embedded already

    def forward(self, vectors: Tensor, places: Tensor, visible: Tensor, cache: Cache | None = None) -> Tensor:
        """Hidden states of vectors [b, n, d] at `places` [b, n].

        Args:
            visible: bool [b, 1, n, m]; m counts the positions in the cache too.
            cache: what `new_cache` gives; it keeps these positions for the next call.

        Raises:
            UserError: more positions than the model's window; with a cache, whoever fills it sees to that.
        """
        if cache is None and visible.shape[-1] > self.config.window:
            raise UserError(
                f"{visible.shape[-1]} positions of text and speech are more than the model's window of "
                f"{self.config.window}: give less at once."
            )
        return self.model(
            inputs_embeds=vectors, position_ids=places, attention_mask=visible, past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state  # fmt: skip

    def layers(self, vectors: Tensor, places: Tensor, visible: Tensor) -> tuple[Tensor, ...]:
        """What each layer makes of vectors [b, n, d], the vectors themselves first; arguments as `forward`'s."""
        made = self.model(
            inputs_embeds=vectors, position_ids=places, attention_mask=visible, use_cache=False,
            output_hidden_states=True,
        )  # fmt: skip
        return made.hidden_states

    def new_cache(self) -> Cache:
        """An empty cache."""
        return Cache(layers=[RoomyLayer() for _ in range(self.config.layers)])


class RoomyLayer(DynamicLayer):
    """A layer's keys and values with room for more: a new position moves itself, not all that stand before it."""

    LEAST = 256  # positions of room at once

    def update(
        self, key_states: Tensor, value_states: Tensor, cache_kwargs: dict | None = None
    ) -> tuple[Tensor, Tensor]:
        """All keys and values [b, heads, n, d / heads], the new ones last."""
        if not self.is_initialized:
            self.lazy_initialization(key_states)
            self.room = [new[..., :0, :] for new in (key_states, value_states)]
        before = self.get_seq_length()
        count = before + key_states.shape[-2]
        if count > self.room[0].shape[-2]:
            self.room = [F.pad(room, (0, 0, 0, max(self.LEAST, count))) for room in self.room]
        for room, new in zip(self.room, (key_states, value_states)):
            room[..., before:count, :] = new
        self.keys, self.values = (room[..., :count, :] for room in self.room)
        return self.keys, self.values


class CodeHead(nn.Module):
    """Logits over the codes of the levels `first`, `first` + 1, ... from hidden states, and of `extra` classes."""

    def __init__(self, codewords: Tensor, dim: int, extra: int = 0, std: float = 0.02):
        super().__init__()
        levels, codes, _ = codewords.shape
        self.table = CodeTable(codewords, dim, std)
        self.extra = nn.Parameter(torch.randn(levels, extra, dim) * std)
        self.bias = nn.Parameter(torch.zeros(levels, codes + extra))

    def forward(self, hidden: Tensor, level: Tensor) -> Tensor:
        """Logits [b, n, k + extra] of hidden states [b, n, d], each item at its own level [b] (from 0), or all at
        one [1]."""
        with torch.autocast(hidden.device.type, enabled=False):
            table = torch.cat([self.table(), self.extra], 1)[level]  # [b, k + extra, d]
            return torch.einsum("bnd,bkd->bnk", hidden.float(), table) + self.bias[level][:, None]
