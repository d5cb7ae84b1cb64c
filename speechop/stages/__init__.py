"""Training: one loop (time-limited, resumable, step-seeded) and what it trains (codec, diffusion stages)."""
