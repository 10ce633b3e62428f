"""Fixtures of this folder's tests."""

from loading import load, plugins

__all__ = ["load", "plugins"]
