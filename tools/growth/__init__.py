"""Flat growth: what PoundCake does costs at a million rows what it costs at a thousand."""
