import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model_fleet import Fleet


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    folder = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
    fleet = Fleet(folder)
    yield fleet
    fleet.stop_all()
    shutil.rmtree(folder)
