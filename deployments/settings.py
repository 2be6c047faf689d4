"""Process settings: the environment, `SEATRIAL_…`, and nothing else.

What a product needs stands in its spec; what a run needs stands in the flow's parameters. `seatrial settings` is not
needed: every field is printed by `Settings().model_dump()` and documented in docs/settings.md.
"""

import hashlib
import os
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from deployments.errors import BadInput

# A Unix socket's path holds 107 bytes; our longest file name in `run` has fewer than 44.
_LONGEST_RUN_FOLDER = 60


class Settings(BaseSettings):
    """Where things are kept and which limits hold, read from `SEATRIAL_…` environment variables."""

    model_config = SettingsConfigDict(env_prefix="SEATRIAL_", frozen=True, extra="ignore")

    home: Path = Field(
        default_factory=lambda: Path.cwd() / ".seatrial", description="all state of the embedded platform"
    )
    project: Path = Field(default_factory=Path.cwd, description="folder with specs/ and the user's own modules")
    specs: Path = Field(default=Path("specs"), description="folder of product specs; relative to `project`")
    gateway_host: str = Field(default="127.0.0.1", description="address the gateway listens on")
    gateway_port: int = Field(
        default=8080, ge=1, le=65535, description="wanted port of the gateway; another is picked if it is taken"
    )
    prefect_port: int = Field(default=4200, ge=1, le=65535, description="wanted port of the Prefect server and pages")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="wanted port of the MLflow pages")
    tracking_uri: str | None = Field(
        default=None, description="MLflow tracking server or database; None: SQLite in `home`"
    )
    tracking_secret: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$",
        description="Secret whose `prefect` pods show as the password of that MLflow; None: it asks for none",
    )
    journal_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the journal, or kubernetes://NAMESPACE; None: SQLite in `home`",
    )
    allowed_packages: tuple[str, ...] = Field(
        default=("sklearn",), description="packages that `model.estimator` may come from"
    )
    trusted_types: tuple[str, ...] = Field(
        default=(), description="further types that a stored model may hold, by full name"
    )
    training_jobs: int = Field(default=2, ge=1, description="CPU cores that a training may use")
    training_memory_mb: int = Field(
        default=8192, ge=256, description="memory that a training may take beyond what is in use at its start"
    )

    log_secret: SecretStr | None = Field(
        default=None, description="key of the hashes that stand for masked values in inference logs; None: no hashes"
    )
    keys: Path | None = Field(
        default=None, description="folder of the platform's own secrets, each a file; None: `keys` in `home`"
    )
    place: str | None = Field(
        default=None,
        pattern=r"^\S+$",
        description="name of this platform among those that share its journal; None: an id of `home`",
    )
    warm: bool = Field(default=True, description="run releases in a fork of the platform's warm process, if it is up")

    @property
    def specs_folder(self) -> Path:
        """Absolute folder of the product specs."""
        return (self.project / self.specs).resolve()

    @property
    def mlflow_uri(self) -> str:
        """Where runs and model versions are recorded."""
        return self.tracking_uri or f"sqlite:///{self.home.resolve() / 'mlflow' / 'mlflow.db'}"

    @property
    def has_own_mlflow(self) -> bool:
        """Whether MLflow's pages are the platform's to start; a tracking server brings its own."""
        return not self.mlflow_uri.startswith(("http://", "https://"))

    @property
    def journal_address(self) -> str:
        """Where the rollout journal is: see `deployments.journals.opening`."""
        return self.journal_url or self._database_at_home

    @property
    def feedback_database(self) -> str:
        """SQLAlchemy URL of what users push: the journal's database, or one in `home` where the journal has none."""
        address = self.journal_address
        return self._database_at_home if address.startswith("kubernetes://") else address

    @property
    def _database_at_home(self) -> str:
        return f"sqlite:///{self.home.resolve() / 'journal.db'}"

    @property
    def keys_folder(self) -> Path:
        """Secrets that the platform draws for itself: see `deployments.keys`."""
        return self.keys or self.home.resolve() / "keys"

    @property
    def snapshots(self) -> Path:
        """Immutable copies of ingested data, by fingerprint."""
        return self.home.resolve() / "snapshots"

    @property
    def models(self) -> Path:
        """Model files as the servers load them: `<product>/v<version>/`."""
        return self.home.resolve() / "models"

    @property
    def inference_log(self) -> Path:
        """What the servers answered, of products whose spec names no other place."""
        return self.home.resolve() / "inference-log"

    @property
    def candidates(self) -> Path:
        """Model files of runs that are not registered yet: `<run id>/`."""
        return self.home.resolve() / "candidates"

    @property
    def logs(self) -> Path:
        """Log files of every process of the platform."""
        return self.home.resolve() / "logs"

    @property
    def run_folder(self) -> Path:
        """Short private folder for sockets and pid files (a socket's path holds 107 bytes).

        `home` is made with it if need be, private as well: snapshots hold people's data.
        """
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"{self.home} cannot be made ({error.strerror}): set SEATRIAL_HOME to another place"
            ) from None
        folder = self.home.resolve() / "run"
        if len(os.fsencode(folder)) > _LONGEST_RUN_FOLDER:
            digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
            folder = Path(tempfile.gettempdir()) / f"seatrial-{os.getuid()}-{digest}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or stat.S_IMODE(folder.stat().st_mode) & 0o077:
            raise BadInput(
                f"{folder} must belong to you alone (mode 0700): remove it or set SEATRIAL_HOME to another place"
            )
        return folder


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, read once. Raises `BadInput` that names each variable which cannot be used."""
    try:
        return Settings()
    except SettingsError as error:
        raise BadInput(f"{error}: SEATRIAL_ variables that hold a list are JSON, such as '[\"sklearn\"]'") from None
    except ValidationError as error:
        found = (f"SEATRIAL_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
        raise BadInput(f"{'; '.join(found)} (docs/settings.md has every setting)") from None
