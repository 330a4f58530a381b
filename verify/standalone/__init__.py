"""Makes downloads that run alone: a notebook that carries its modules and its pins."""
