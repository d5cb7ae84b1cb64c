"""The edges of the project: audio files, atomic writes, JSON lines, checksums and user-facing errors."""
