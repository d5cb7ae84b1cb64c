"""SpeechOp: a text-to-speech latent diffusion transformer that is also a speech processor, composed at inference
time."""

MARK = "Synthetic speech: made or processed by SpeechOp (replication)"  # in every result's metadata
DEFAULT_WEIGHTS = "mini"  # of the command line and the library: any English words, recorded voices


def __getattr__(name: str):
    """`speechop.SpeechOp`, loaded when it is asked for: torch takes its time."""
    if name == "SpeechOp":
        from speechop.pipeline import SpeechOp

        return SpeechOp
    raise AttributeError(f"module 'speechop' has no attribute {name!r}")
