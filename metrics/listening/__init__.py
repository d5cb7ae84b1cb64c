"""Listening studies for Prolific: prepare, serve, import, analyse, report, simulate, pay and purge (Appendix A)."""
