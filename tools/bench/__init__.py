"""The benchmark that anyone can run: ``make bench``. docs/benchmarks.md says what it measures."""

API_KEY = "bench"
ONE_STEP, THREE_STEPS = "BenchAlert", "BenchAlertThreeSteps"  # names of alerts
STEPS = {ONE_STEP: 1, THREE_STEPS: 3}
