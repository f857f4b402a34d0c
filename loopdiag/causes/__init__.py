"""Hypotheses with a handle, one file each."""

from loopdiag.registry import Registry

CAUSES: Registry[object] = Registry("cause", {})
