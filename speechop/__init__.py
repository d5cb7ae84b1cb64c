"""SpeechOp: a text-to-speech latent diffusion transformer that is also a speech processor, composed at inference time."""
