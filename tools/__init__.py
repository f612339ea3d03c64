"""Programs that measure PoundCake: the benchmark and the growth test."""
