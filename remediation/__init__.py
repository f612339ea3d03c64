"""Match alerts to buckets, run their steps and record every change."""
