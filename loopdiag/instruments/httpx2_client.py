"""httpx2, the fork of httpx: the same seams under the same names."""

from .httpx_client import install

__all__ = ["install"]
