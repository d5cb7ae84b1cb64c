"""VoiceCraft's adapter, on weights of the published form with small random networks, through a clone of the authors'
code.

It needs the espeak-ng library as well; where the system has none, that of the package espeakng-loader is taken.
"""

import string

import pandas as pd

SIZE = {"d_model": 64, "audio_embedding_dim": 64, "nhead": 4, "num_decoder_layers": 2, "n_codebooks": 4}
TOKENS = {
    **{"text_vocab_size": 100, "text_pad_token": 100, "audio_vocab_size": 2048, "empty_token": 2048, "eog": 2049},
    **{"audio_pad_token": 2050, "eos": 2051, "n_special": 4, "special_first": 0, "reduced_eog": 1},
    **{"max_n_spans": 3, "shuffle_mask_embedding": 0, "encodec_sr": 50},
}
DROPOUTS = ("trm", "text_embedding", "audio_embedding", "text_positional_embedding", "audio_positional_embedding")
SEANET = {
    **{"dimension": 16, "channels": 1, "causal": False, "n_filters": 4, "n_residual_layers": 1, "ratios": [8, 5, 4, 2]},
    **{"activation": "ELU", "activation_params": {"alpha": 1.0}, "norm": "weight_norm", "norm_params": {}, "lstm": 1},
    **{"kernel_size": 7, "residual_kernel_size": 3, "last_kernel_size": 7, "dilation_base": 2, "pad_mode": "constant"},
    **{"true_skip": True, "compress": 2, "disable_norm_outer_blocks": 0, "encoder": {}},
    "decoder": {"trim_right_ratio": 1.0, "final_activation": None, "final_activation_params": None},
}
CODEC = {
    **{"compression_model": "encodec", "sample_rate": 16000, "channels": 1, "device": "cpu", "seanet": SEANET},
    "encodec": {
        **{"autoencoder": "seanet", "quantizer": "rvq", "sample_rate": 16000, "channels": 1},
        **{"causal": False, "renormalize": False},
    },
    "rvq": {"n_q": 4, "bins": 2048, "q_dropout": False, "kmeans_init": False},
}


def write_weights(folder):
    """Language model with its phonemes, as its hub's mixin saves it, and codec, as audiocraft's training leaves it."""
    import torch
    from audiocraft.models.builders import get_compression_model
    from models.voicecraft import VoiceCraft
    from omegaconf import OmegaConf

    torch.manual_seed(0)
    phonemes = {
        phoneme: index for index, phoneme in enumerate([*string.ascii_lowercase, "_", "ɐ", "ə", "ɪ", "iː", "eɪ", "ʌ"])
    }
    dropouts = {f"{name}_dropout": 0.1 for name in DROPOUTS}
    config = {**SIZE, **TOKENS, **dropouts, "phn2num": phonemes}
    model = VoiceCraft(config=config)
    # A random network would say special tokens out of place: it must not, and the length limits end its speech.
    for layer in model.predict_layer:
        layer[-1].bias.data[TOKENS["audio_vocab_size"] :] = -1e4
    model.save_pretrained(folder / "giga830M", config=config)
    codec = OmegaConf.create(CODEC)
    state = {"model": get_compression_model(codec).state_dict()}
    torch.save({"xp.cfg": codec, "best_state": state}, folder / "encodec_4cb2048_giga.th")


def use_espeak(monkeypatch):
    """The library that phonemizer calls: the system's, else the package's."""
    from phonemizer.backend import EspeakBackend

    if not EspeakBackend.is_available():
        import espeakng_loader

        monkeypatch.setenv("ESPEAK_DATA_PATH", espeakng_loader.get_data_path())
        EspeakBackend.set_library(espeakng_loader.get_library_path())


def rows(path, **columns):
    """The manifest with more columns."""
    table = pd.read_csv(path)
    table.assign(**columns).to_csv(path, index=False)
    return path


def test_speech_and_edits_have_the_codecs_rate_and_plausible_lengths(
    published, outputs, manifest, monkeypatch, tmp_path
):
    baseline = published("voicecraft", alignments=str(tmp_path))
    use_espeak(monkeypatch)
    baseline.import_clone()
    write_weights(baseline.weights_dir)
    spoken = outputs(baseline, rows(manifest("tts", count=2), prompt_text="b a"), "spoken")
    again = outputs(baseline, rows(manifest("tts", count=2), prompt_text="b a"), "again")
    assert not baseline._model.training
    for (_, wave), (_, same) in zip(spoken, again, strict=True):
        assert 0 < len(wave) < 30 * 16000 and (wave == same).all() and abs(wave).max() > 0
    for name in ("u0", "u1"):
        words = "Begin,End,Label,Type,Speaker\n0.1,0.3,a,words,s\n0.3,0.5,b,words,s\n"
        (tmp_path / f"{name}.csv").write_text(words)
    edits = {"orig_text": "a c", "orig_span": "1", "new_span": "1", "edit_type": "substitution"}
    for source, wave in outputs(baseline, rows(manifest("edit", count=2), **edits), "edited"):
        kept = len(source) - (0.2 + 2 * 0.08 + 0.04) * 16000
        assert kept < len(wave) < len(source) + 30 * 16000
