"""VoiceCraft (Peng et al. 2024) through a clone of the authors' code."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import soundfile

from speechbase.files import UserError
from speechbase.items import Item
from speechbase.systems.contract import Baseline


class Adapter(Baseline):
    """Calls the authors' `inference_one_sample` for continuation and for editing."""

    def load(self, device: str) -> None:
        """Load language model, codec and phonemiser from the clone and the weights folder."""
        self.import_clone()
        os.environ.setdefault("USER", "nobody")  # audiocraft's configuration asks for it; a container may have none
        from data.tokenizer import AudioTokenizer, TextTokenizer
        from models import voicecraft

        self._device = device
        model = voicecraft.VoiceCraft.from_pretrained(str(self.weights_dir / "giga830M"))
        self._model = model.to(device).eval()  # the hub's loader of safetensors leaves dropout on
        codec = str(self.weights_dir / "encodec_4cb2048_giga.th")
        self._audio_tokens = AudioTokenizer(signature=codec, device=device)
        self._text_tokens = TextTokenizer(backend="espeak")
        own = ("alignments", "margin_s", "editing")
        self._decoding = {key: value for key, value in self.settings.items() if key not in own}

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The continuation, or the edited utterance with its surroundings, at 16 kHz."""
        import torch

        torch.manual_seed(self.seed_of(item))
        wave = self._edit(item) if item.task == "edit" else self._continue(item)
        return wave[0].flatten().cpu().numpy(), self.rate_hz

    def _continue(self, item: Item):
        from inference_tts_scale import inference_one_sample

        if not item.row.get("prompt_text"):
            raise UserError(f"{item.id} has no prompt_text, which VoiceCraft continues.")
        prompt = item.root / item.row["prompt"]
        text = f"{item.row['prompt_text']} {item.text}"
        _, generated = inference_one_sample(
            *self._common(prompt, text), self._device, self._decoding, soundfile.info(prompt).frames
        )
        return generated

    def _edit(self, item: Item):
        import torch
        from inference_speech_editing_scale import get_mask_interval, inference_one_sample

        table = Path(self.settings["alignments"]) / f"{item.id}.csv"
        if not table.is_file():
            raise UserError(f"{table} does not exist: align the originals with the Montreal Forced Aligner first.")
        source = item.root / item.row["source"]
        seconds, frames = soundfile.info(source).duration, self.settings["codec_sr"]
        margin, spans = self.settings["margin_s"], []
        for words, kind in zip(item.row["orig_span"].split("|"), item.row["edit_type"].split("|"), strict=True):
            start, end = get_mask_interval(str(table), words, kind)
            spans.append([max(start - margin, 1 / frames), min(end + margin, seconds)])
        mask = torch.LongTensor([[round(time * frames) for time in span] for span in sorted(spans)])
        decoding = self._decoding | self.settings["editing"]
        _, edited = inference_one_sample(*self._common(source, item.text), mask, self._device, decoding)
        return edited

    def _common(self, path: Path, text: str) -> tuple:
        model = self._model
        arguments = argparse.Namespace(**vars(model.args))
        return model, arguments, model.args.phn2num, self._text_tokens, self._audio_tokens, str(path), text
