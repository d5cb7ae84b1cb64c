"""The open Miipher's adapter, on checkpoints of the published form with small random networks.

The published checkpoints name models on Hugging Face in their configurations; here they name folders with small random
ones of the same classes, and two stand-ins: for the grapheme-to-phoneme model, which only the network has, and for the
speaker encoder.
"""

import inspect
import sys
import types

import torch

SPEECH = {"hidden_size": 32, "num_hidden_layers": 9, "num_attention_heads": 2, "intermediate_size": 32}
SPEECH |= {
    "do_stable_layer_norm": True,
    "conv_dim": [32] * 7,
    "feat_extract_norm": "layer",
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
LETTERS = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 300,
}


class Letters:
    """In the place of text2phonemesequence.Text2PhonemeSequence: letters as phonemes, under the signatures of the
    original."""

    def __init__(self, pretrained_g2p_model="", tokenizer="google/byt5-small", language="vie-c", is_cuda=True):
        assert language == "eng-us" and not is_cuda

    def infer_sentence(self, sentence="", seperate_syllabel_token="_"):
        return " ".join(sentence)


class Voice:
    """In the place of speechbrain's EncoderClassifier, whose parts the reimplementation calls; `size` is its
    embedding's."""

    def __init__(self, size):
        self.size = size
        self.mods = types.SimpleNamespace(
            compute_features=lambda wave: wave[:, ::160, None],
            mean_var_norm=lambda features, lengths: features,
            embedding_model=lambda features, lengths: features.mean(1, keepdim=True).repeat(1, 1, size),
        )

    @classmethod
    def from_hparams(cls, source, savedir=None):
        return cls(int(source))

    def to(self, device):
        return self

    def eval(self):
        return self

    def encode_batch(self, wavs):
        assert wavs.dim() == 2
        return wavs.mean(1).view(-1, 1, 1).repeat(1, 1, self.size)


def write_models(folder):
    """WavLM with its feature extractor, and a model and tokenizer of phonemes: from_pretrained reads them."""
    import transformers

    speech, letters = folder / "wavlm", folder / "letters"
    transformers.WavLMModel(transformers.WavLMConfig(**SPEECH)).save_pretrained(speech)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(speech)
    transformers.RobertaModel(transformers.RobertaConfig(**LETTERS)).save_pretrained(letters)
    transformers.ByT5Tokenizer(extra_ids=0).save_pretrained(letters)
    return str(speech), str(letters)


def save(module, path):
    """A checkpoint as its trainer leaves it."""
    import lightning

    trainer = lightning.Trainer(accelerator="cpu", logger=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)


def write_checkpoints(folder):
    from lightning_vocoders.models.hifigan.xvector_lightning_module import HiFiGANXvectorLightningModule
    from miipher.lightning_module import MiipherLightningModule
    from omegaconf import OmegaConf

    torch.manual_seed(0)
    speech, letters = write_models(folder)
    model = {"_target_": "transformers.AutoModel.from_pretrained", "pretrained_model_name_or_path": speech}
    processor = {
        "_target_": "transformers.AutoFeatureExtractor.from_pretrained",
        "pretrained_model_name_or_path": speech,
    }
    tokenizer = {"_target_": "transformers.AutoTokenizer.from_pretrained", "pretrained_model_name_or_path": letters}
    phones = {**model, "pretrained_model_name_or_path": letters}
    voice = {"_target_": "baseline_stand_ins.Voice.from_hparams"}
    sizes = {
        "n_phone_feature": 16,
        "n_speaker_embedding": 8,
        "n_ssl_feature": 32,
        "n_hidden_dim": 1024,
    }  # 1024 is fixed within
    cleaner = {
        "preprocess": {"phoneme_tokenizer": tokenizer, "text2phone_model": {"_target_": "baseline_stand_ins.Letters"}},
        "data": {"speech_ssl_processor": {"processor": processor, "sr": 16000}},
        "model": {
            **{"ssl_models": {"model": model, "sr": 16000, "layer": 8}, "phoneme_model": phones},
            **{"xvector_model": {**voice, "source": "8"}, "miipher": {**sizes, "n_conformer_blocks": 1, "n_iters": 1}},
        },
    }
    save(MiipherLightningModule(OmegaConf.create(cleaner)), folder / "miipher.ckpt")
    generator = {
        **{"num_input_channels": 1024, "upsample_rates": [7, 7, 3, 3], "upsample_kernel_sizes": [15, 15, 7, 7]},
        **{"upsample_initial_channel": 32, "resblock": "1", "resblock_kernel_sizes": [3], "xvector_dim": 4},
        "resblock_dilation_sizes": [[1, 3, 5]],
    }
    mel = {
        "stft": {"n_fft": 1024, "win_length": 1024, "hop_length": 256},
        "mel": {"f_min": 0, "f_max": 8000, "n_mels": 80},
    }
    vocoder = {
        **{"sample_rate": 22050, "preprocess": mel, "model": {"generator": generator}},
        "data": {"xvector": {"model": {**voice, "source": "4"}}},
    }
    save(HiFiGANXvectorLightningModule(OmegaConf.create(vocoder)), folder / "vocoder_finetuned.ckpt")


def test_rate_and_length_without_dropout(published, outputs, manifest, monkeypatch):
    baseline = published("miipher_open")
    stand_ins = types.ModuleType("baseline_stand_ins")
    stand_ins.Letters, stand_ins.Voice = Letters, Voice
    monkeypatch.setitem(sys.modules, "baseline_stand_ins", stand_ins)
    from speechbrain.pretrained import EncoderClassifier
    from text2phonemesequence import Text2PhonemeSequence

    for call in ("__init__", "infer_sentence"):
        assert list(inspect.signature(getattr(Letters, call)).parameters) == list(
            inspect.signature(getattr(Text2PhonemeSequence, call)).parameters
        )
    assert {"wavs"} <= set(inspect.signature(EncoderClassifier.encode_batch).parameters)
    write_checkpoints(baseline.weights_dir)
    for source, restored in outputs(baseline, manifest(count=2)):
        assert len(restored) == round(len(source) * 22050 / 16000) and 0 < abs(restored).max() <= 1
    assert not baseline._cleaner.training and not baseline._vocoder.training
