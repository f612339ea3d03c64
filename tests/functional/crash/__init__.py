"""Kill or interrupt a process at every commit and request from webhook to the end of a run."""
