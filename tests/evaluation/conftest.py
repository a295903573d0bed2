"""Fixtures of the evaluation tests."""

import pytest
from small_worlds import simulate


@pytest.fixture
def world():
    return simulate()
