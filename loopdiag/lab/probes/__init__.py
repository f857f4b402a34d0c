"""What watches a trial from outside its process."""

from loopdiag.registry import Registry

PROBES: Registry[object] = Registry("probe", {})
