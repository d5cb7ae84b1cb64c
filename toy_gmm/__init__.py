"""The 1-D Gaussian-mixture study of task composition (section 6, Figure 4, Appendix B), with exact scores."""
