"""PolySpeech's language model: one transformer, an embedding for each modality, an output for each.

Legend: b batch, n positions, t the last positions (those with labels), e width of what is heard, d width, k codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.polyspeech.layout import KINDS, SIGNS
from speechbase.tokens.lm import CodeHead, TokenEmbedding, TokenLM
from speechbase.tokens.sequences import BYTES, Tokens
from speechbase.tokens.settings import LMConfig


class PolySpeechLM(nn.Module):
    """Text, tokens or a label from text or speech.

    Args:
        codewords: [k, h] of the tokens that it speaks.
        heard: width of the embeddings that it hears.
        labels: how many labels each naming task has.
    """

    def __init__(self, codewords: Tensor, sizes: LMConfig, heard: int, labels: dict[str, int]):
        super().__init__()
        words = codewords[None]
        self.embed = TokenEmbedding(words, sizes.dim, len(KINDS), len(SIGNS))
        self.hear = nn.Linear(heard, sizes.dim)
        self.lm = TokenLM(sizes)
        self.text = nn.Linear(sizes.dim, BYTES + 1)  # the last class is the end
        self.speech = CodeHead(words, sizes.dim, extra=1)
        self.labels = nn.ModuleDict({task: nn.Linear(sizes.dim, count) for task, count in labels.items()})
        self.aligned = nn.Linear(sizes.dim, BYTES + 1)  # CTC's, over the positions of speech; class 0 is the blank

    def vectors(self, tokens: Tokens, heard: Tensor | None) -> Tensor:
        """What goes in [b, n, d]; `heard` [b, n, e] is zero where a position hears nothing."""
        embedded = self.embed(tokens)
        if heard is None:
            return embedded
        there = (heard != 0).any(-1, keepdim=True)
        return embedded + self.hear(heard) * there

    def hidden(self, tokens: Tokens, heard: Tensor | None) -> Tensor:
        """Hidden states [b, n, d]."""
        return self.lm(self.vectors(tokens, heard), tokens.places, tokens.visible())

    def logits(self, task: str, hidden: Tensor) -> Tensor:
        """Logits [b, t, classes] of hidden states [b, t, d]: bytes, tokens (the last class is the end) or labels."""
        if task == "tts":
            return self.speech(hidden, torch.zeros(len(hidden), dtype=torch.long, device=hidden.device))
        return (self.text if task == "asr" else self.labels[task])(hidden)

    def forward(self, task: str, tokens: Tokens, heard: Tensor | None, last: int) -> tuple[Tensor, Tensor]:
        """Logits at the last t positions, and all hidden states."""
        hidden = self.hidden(tokens, heard)
        return self.logits(task, hidden[:, -last:]), hidden
