"""What token models share: sequences of text, signs and codec codes, a transformer with a cache, sampling."""
