"""Fixtures of this folder's tests."""

from commands import pyagent

__all__ = ["pyagent"]
