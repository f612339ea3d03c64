"""Where the recorded exchanges and the inputs of the tests are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "tests" / "contracts"
