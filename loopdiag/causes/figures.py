"""Figures that causes rest on."""

from loopdiag.model.diagnosis import Evidence as Figure

__all__ = ["Figure", "figure"]


def figure(what: str, value: float, unit: str) -> Figure:
    """One figure that a cause rests on, to as many digits as anyone reads."""
    return Figure(what=what, value=float(f"{value:.4g}"), unit=unit)
