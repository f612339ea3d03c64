"""The machine: what matches, runs, guards and records remediation."""
