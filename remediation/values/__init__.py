"""Rules for plain values: text, JSON and URLs. These modules import nothing else of ours."""
