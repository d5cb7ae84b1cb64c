"""Speech metrics that anyone can check: one file a metric, one scorer, one place for statistics."""
