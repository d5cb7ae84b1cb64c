"""PolySpeech's language model: one transformer, an embedding for each modality, an output for each.

Legend: b batch, n positions, t the last positions (those with labels), f positions of speech, e width of what is heard,
d width, q levels of tokens, k codes a level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.polyspeech.layout import KINDS, SIGNS
from speechbase.tokens.depth import Depth
from speechbase.tokens.lm import CodeHead, TokenEmbedding, TokenLM
from speechbase.tokens.sequences import BYTES, Tokens
from speechbase.tokens.settings import LMConfig


class PolySpeechLM(nn.Module):
    """Text, tokens or a label from text or speech.

    Args:
        codewords: [q, k, h] of the tokens that it speaks: of a frame the first by the transformer, others by depth.
        heard: width of the embeddings that it hears.
        labels: how many labels each naming task has.
    """

    def __init__(self, codewords: Tensor, sizes: LMConfig, heard: int, labels: dict[str, int]):
        super().__init__()
        self.levels, self.end = codewords.shape[:2]
        self.embed = TokenEmbedding(codewords, sizes.dim, len(KINDS), len(SIGNS))
        self.hear = nn.Linear(heard, sizes.dim)
        self.lm = TokenLM(sizes)
        self.text = nn.Linear(sizes.dim, BYTES + 1)  # the last class is the end
        self.speech = CodeHead(codewords[:1], sizes.dim, extra=1)
        self.depth = Depth(codewords, sizes.dim)
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
        """Logits [b, t, classes] of hidden states [b, t, d]: bytes, first tokens (the last class is the
        end) or labels."""
        if task == "tts":
            return self.speech(hidden, torch.zeros(1, dtype=torch.long, device=hidden.device))
        return (self.text if task == "asr" else self.labels[task])(hidden)

    def further(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Logits [b, t, k] of the level above tokens [b, t, l] of the same frames."""
        return self.depth(self.embed.table, hidden, codes)[0]

    def forward(
        self,
        task: str,
        tokens: Tokens,
        heard: Tensor | None,
        labels: Tensor,
        speech: list[tuple[int, int]] | None = None,
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """What a loss is made of, all of it in one pass: the wrapper of several processes knows no other.

        Args:
            labels: [b, t, s] of the last t positions.
            speech: from where to where in each row, counted from its end, speech stands that CTC is to align.

        Returns:
            logits [b, t, s, classes] at the last t positions, CTC's [b, f, bytes + 1] over `speech` (None without), and
            codewords' sums [b, t, h] as every level of tokens after the first guesses them.
        """
        hidden = self.hidden(tokens, heard)
        last = hidden[:, -labels.shape[1] :]
        logits = self.logits(task, last)
        aligned = None if speech is None else self._over_speech(hidden, speech)
        if task != "tts":
            return logits[..., None, :], aligned, []
        logits, guesses = self.depth.learned(self.embed.table, logits, last, labels)
        return logits, aligned, guesses

    def _over_speech(self, hidden: Tensor, speech: list[tuple[int, int]]) -> Tensor:
        rows = [row[first:last] for row, (first, last) in zip(hidden, speech)]
        return self.aligned(nn.utils.rnn.pad_sequence(rows, batch_first=True))
