"""The benchmark, ``make bench``. tools/README.md explains its output."""

API_KEY = "benchmark-key"
ONE_STEP, THREE_STEPS = "BenchAlert", "BenchAlertThreeSteps"  # names of alerts
STEPS = {ONE_STEP: 1, THREE_STEPS: 3}
