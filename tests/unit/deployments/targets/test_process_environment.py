"""What a model server's process is told of secrets: where their files are."""

from pathlib import Path

from pydantic import SecretStr

from deployments.key_files import known_key
from deployments.request_ids import KEY_NAME, VARIABLE
from deployments.serving.forkserver import _differing
from deployments.settings import Settings
from deployments.supervision import Supervisor
from deployments.targets.process import ProcessTarget, fork_server
from deployments.targets.protocol import Launch


def test_the_key_of_request_ids_is_told_by_its_path_and_stands_nowhere_else(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    launch = Launch("shop", 3, tmp_path / "model", 1)
    target = ProcessTarget(Supervisor.of(settings), settings)
    programs = [target._program("model-shop-v3-0", launch) for _ in range(2)]
    secret = known_key(settings.keys_folder, KEY_NAME)
    path = Path(programs[0].environment[VARIABLE])
    assert path.read_bytes() == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret.decode() not in repr(programs), "neither on the command line nor in the environment"
    assert programs[0].environment == programs[1].environment, "servers of one platform seal with one key"


def test_the_fork_server_declines_no_server_of_its_own_platform(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", project=tmp_path, log_secret=SecretStr("hush"))
    server = ProcessTarget(Supervisor.of(settings), settings)._program(
        "model-shop-v3-0", Launch("shop", 3, tmp_path, 1)
    )
    ready = fork_server(settings)
    assert ready.directory == server.directory
    assert _differing(ready.environment, server.environment) == []
    assert _differing(ready.environment, {**server.environment, "OMP_NUM_THREADS": "8"}) == ["OMP_NUM_THREADS"]
