"""The embedded corpus: synthetic speech, noises, rooms and test sets, every random choice drawn once from a seed."""
