"""Tests of networks: they need torch, which the extra deep brings, and skip as a whole without."""

import pytest

pytest.importorskip("torch", reason="the extra deep isn't installed")
