"""Fixtures of pytest: `larder_server` is an empty server for one test, `larder_session_server` one for all tests."""

from typing import Iterator

import pytest

from ._server import Server


@pytest.fixture
def larder_server() -> Iterator[Server]:
    """A larder for this test alone."""
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def larder_session_server() -> Iterator[Server]:
    """A larder for all tests of a run. What a test stores is there in the next."""
    with Server() as server:
        yield server
