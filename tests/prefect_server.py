"""Prefect's real server as `seatrial up` starts it, and nothing of the platform beside it."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from deployments.key_files import known_key
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.environment import environment
from deployments.local_platform.services import prefect_server
from deployments.settings import Settings
from deployments.supervision import Program
from deployments.web_login.password import USER, credentials


class Prefect:
    """Where it stands, and whoever knows its password."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        self.settings = Settings(home=folder / "home", project=folder)
        self.addresses = Addresses("127.0.0.1", prefect=port)
        self.url = f"http://127.0.0.1:{port}"
        self.program: Program = prefect_server(self.settings, self.addresses)

    @property
    def password(self) -> str:
        return known_key(self.settings.keys_folder, "prefect").decode()

    def client(self, **more: Any) -> httpx.Client:
        """Whoever knows the password."""
        return httpx.Client(base_url=f"{self.url}/api", auth=(USER, self.password), timeout=60, trust_env=False, **more)

    def told(self, code: str) -> str:
        """What a Python process of ours says that has the environment of this platform's."""
        variables = environment(self.settings, self.addresses) | {
            "PREFECT_API_AUTH_STRING": credentials(self.password),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout.strip()
