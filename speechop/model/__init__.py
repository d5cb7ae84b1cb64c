"""The network: diffusion transformer, audio encoder and text encoders (section 5, Figure 3, Table 8)."""
