"""XTTS v2's adapter, on a checkpoint of the published form with a small random network."""

import string

from speechbase.files import sha256

SIZE = {
    "gpt_layers": 1,
    "gpt_n_model_channels": 64,
    "gpt_n_heads": 4,
    "decoder_input_dim": 64,
    "gpt_max_audio_tokens": 24,
}


def write_checkpoint(folder):
    """model.pth with the configuration's class pickled in it, as published; config.json, vocab.json,
    speakers_xtts.pth."""
    import torch
    from tokenizers import Tokenizer, models
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models.xtts import Xtts, _legacy_safe_globals

    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]"]
    vocabulary = {token: index for index, token in enumerate([*special, *string.ascii_lowercase, *".,!?'"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "vocab.json"))
    config = XttsConfig(model_args=XttsArgs(**SIZE, tokenizer_file=str(folder / "vocab.json")))
    config.save_json(str(folder / "config.json"))
    torch.manual_seed(0)
    model = Xtts(config)
    model.tokenizer.tokenizer = tokenizer
    model.init_models()
    with _legacy_safe_globals():
        torch.save({"model": model.state_dict(), "config": config}, folder / "model.pth")
    torch.save({}, folder / "speakers_xtts.pth")


def test_rate_level_and_voice(published, outputs, manifest):
    baseline = published("xtts_v2")
    write_checkpoint(baseline.weights_dir)
    before = sha256(baseline.weights_dir / "model.pth")
    spoken = [wave for _, wave in outputs(baseline, manifest("tts", count=2))]
    again = [wave for _, wave in outputs(baseline, manifest("tts", count=2), "again")]
    for wave, same in zip(spoken, again, strict=True):
        assert 0.1 < len(wave) / 24000 < 2 and 0 < abs(wave).max() <= 1
        assert (wave == same).all()
    assert len(spoken[0]) != len(spoken[1]) or (spoken[0] != spoken[1]).any()
    assert sha256(baseline.weights_dir / "model.pth") == before
