"""For the tests of applications: the conformance kit for suites of one's own (floor 13)."""

from __future__ import annotations

from .conformance import check_suite

__all__ = ["check_suite"]
