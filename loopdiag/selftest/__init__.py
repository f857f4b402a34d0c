"""Planted faults with known causes, run for real, and how often the diagnosis names them: `loopdiag selftest`."""
