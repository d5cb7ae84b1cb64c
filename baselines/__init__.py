"""Compared systems: a folder each with a `card.yaml` and, where it can be run, an `adapter.py` behind one contract."""
