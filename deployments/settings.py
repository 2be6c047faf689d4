"""Process settings: the environment, `SEATRIAL_…`, and nothing else.

What a product needs stands in its spec; what a run needs stands in the flow's parameters. `seatrial settings` is not
needed: every field is printed by `Settings().model_dump()` and documented in docs/settings.md.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from deployments.account_isolation import is_private, is_shared_folder, lasting_runtime_folder, private_folder
from deployments.errors import BadInput
from deployments.printable import said_by
from deployments.trusted_types import refusal

# A Unix socket's path holds 107 bytes; our longest file name in `run` has fewer than 44.
_LONGEST_RUN_FOLDER = 60
# As browsers send it: scheme and host, in small letters, without a path.
_ORIGIN = r"^https?://[a-z0-9.\[\]:-]+$"
_SERVER = r"^([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$"
# A name that an object of Kubernetes may have.
_OBJECT = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


_GROUP = r"^[^=]+=(viewer|operator|approver|admin)(:[a-z0-9-]+(,[a-z0-9-]+)*)?$"


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
    gateway_names: tuple[Annotated[str, Field(pattern=_SERVER)], ...] = Field(
        default=(), description="further host names by which browsers may open Seatrial's page at the gateway"
    )
    api_rate: int = Field(
        default=1200,
        ge=1,
        description="requests that one caller of the API may send in a minute; more are answered 429",
    )
    gateway_open: bool = Field(
        default=False, description="whether `gateway_host` may be one that others reach, without TLS and keys"
    )
    public_host: str | None = Field(
        default=None, description="address on which others reach the gateway, by TLS and keys; unset: they do not"
    )
    public_port: int = Field(default=8443, ge=1, le=65535, description="port of the gateway for others")
    public_certificate: Path | None = Field(default=None, description="certificate chain for others, a PEM file")
    public_private_key: Path | None = Field(default=None, description="its private key, a PEM file of its owner alone")
    public_rate: int = Field(
        default=1000, ge=1, le=1_000_000, description="requests a second that others may send to one product"
    )
    oidc_issuer: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="provider (OpenID) by which people log in; unset: none"
    )
    oidc_client_id: str = Field(default="seatrial", description="what the provider calls Seatrial")
    oidc_client_secret: SecretStr = Field(default=SecretStr(""), description="its secret at the provider")
    oidc_groups_claim: str = Field(default="groups", description="claim of the id token that holds somebody's groups")
    oidc_roles: tuple[Annotated[str, Field(pattern=_GROUP)], ...] = Field(
        default=(), description="role of each of the provider's groups: GROUP=ROLE, or GROUP=ROLE:PRODUCT,PRODUCT"
    )
    prefect_port: int = Field(default=4200, ge=1, le=65535, description="wanted port of the Prefect server and pages")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="wanted port of the MLflow pages")
    tracking_uri: str | None = Field(
        default=None, description="MLflow tracking server or database; unset: SQLite in `home`"
    )
    tracking_secret: str | None = Field(
        default=None,
        pattern=_OBJECT,
        description="Secret whose `prefect` pods show as the password of that MLflow; unset: it asks for none",
    )
    artifact_servers: tuple[Annotated[str, Field(pattern=_SERVER)], ...] = Field(
        default=(), description="further servers that may hold models' files, and are shown that MLflow's password"
    )
    requests_secret: str = Field(
        default="seatrial-keys",
        pattern=_OBJECT,
        description="Secret whose `requests` pods of models seal request ids with, where a spec names no other",
    )
    journal_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the journal, or kubernetes://NAMESPACE; unset: SQLite in `home`",
    )
    allowed_packages: tuple[str, ...] = Field(
        default=("sklearn",), description="packages that `model.estimator` may come from"
    )
    trusted_types: tuple[str, ...] = Field(
        default=(), description="further types that a stored model may hold, by full name"
    )
    training_jobs: int = Field(default=2, ge=1, description="CPU cores that a training may use")
    trainings_at_once: int = Field(
        default=2, ge=1, le=1000, description="products that may be trained at once, by all runs of a Prefect server"
    )
    training_memory_mb: int = Field(
        default=8192, ge=256, description="memory that a training may take beyond what is in use at its start"
    )

    log_secret: SecretStr | None = Field(
        default=None, description="key of the hashes that stand for masked values in inference logs; unset: no hashes"
    )
    keys: Path | None = Field(
        default=None, description="folder of the platform's own secrets, each a file; unset: `keys` in `home`"
    )
    feedback_origins: tuple[Annotated[str, Field(pattern=_ORIGIN)], ...] = Field(
        default=(), description="web pages' origins that may send feedback from a browser"
    )
    feedback_ids: Literal["sealed", "any"] = Field(
        default="sealed",
        description="whether feedback needs an id that a server sealed; any: for the time of an upgrade",
    )
    feedback_days: int = Field(
        default=90, ge=1, le=3650, description="days after an answer in which feedback on it is taken, and then kept"
    )
    feedback_rate: int = Field(
        default=10_000,
        ge=1,
        description="values of feedback that one address, or holder of a key, may send in a minute",
    )
    feedback_values: int = Field(
        default=5_000_000, ge=1000, description="most values of feedback that are kept of one product"
    )
    webhook_rate: int = Field(
        default=6_000, ge=1, description="deliveries that one webhook may send in a minute; more are answered 429"
    )
    webhook_keys: SecretStr | None = Field(
        default=None, description="JSON of products and the keys of their generic webhooks, for a CI that sends them"
    )
    place: str | None = Field(
        default=None,
        pattern=r"^\S+$",
        description="name of this platform among those that share its journal; unset: an id of `home`",
    )
    warm: bool = Field(default=True, description="run releases in a fork of the platform's warm process, if it is up")

    @field_validator("trusted_types")
    @classmethod
    def _trustworthy(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if why := next(filter(None, map(refusal, kinds)), ""):
            raise ValueError(why)
        return kinds

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
        """Where the rollout journal is: see `deployments.journals.journal_url`."""
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
        """Secrets that the platform draws for itself: see `deployments.key_files`."""
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

    def private_home(self) -> Path:
        """`home`, made if need be, with its links resolved: snapshots hold people's data, so it is its owner's alone.

        Raises `BadInput` for one that belongs to somebody else, or that others need.
        """
        try:
            place = self.home.resolve()
        except (OSError, RuntimeError) as error:  # a circle of links
            raise BadInput(f"{self.home} leads nowhere ({said_by(error)}): {_ELSEWHERE}") from None
        if is_shared_folder(place):
            raise BadInput(f"{place} is needed by others, to whom a home is closed: {_ELSEWHERE}")
        return private_folder(place, _ELSEWHERE)

    @property
    def run_folder(self) -> Path:
        """Short private folder for sockets and pid files (a socket's path holds 107 bytes).

        `run` in the home where that is short enough. Else that is a link, which only we can write, to a folder of ours
        elsewhere: all processes find the same one, whatever their environment says.
        """
        inside = self.private_home() / "run"
        if len(os.fsencode(inside)) <= _LONGEST_RUN_FOLDER:
            return private_folder(inside, f"remove what stands there, or {_ELSEWHERE}")
        name = f"seatrial-{os.getuid()}-{hashlib.sha256(os.fsencode(inside)).hexdigest()[:12]}"
        return _run_folder_behind(inside, name) or _agreed(inside, _fresh_run_folder(name), name)


_ELSEWHERE = "set SEATRIAL_HOME to another place"


def _run_folder_behind(link: Path, name: str) -> Path | None:
    """Where `link` leads; None if that is no private folder of this home (it may be a copy)."""
    try:
        folder = link.readlink()
    except OSError:
        return None
    return folder if folder.name.startswith(name) and is_private(folder) else None


def _fresh_run_folder(name: str) -> Path:
    """A private folder whose name begins so, where names are short. Its name cannot be taken before by anybody else."""
    usual = Path(tempfile.gettempdir()) / name
    if is_private(usual):  # of the time before there was a link
        return usual
    lasting = lasting_runtime_folder()
    longest = _LONGEST_RUN_FOLDER - len(f"/{name}-12345678")
    place = lasting if lasting is not None and len(os.fsencode(lasting)) <= longest else None
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))


def _agreed(link: Path, folder: Path, name: str) -> Path:
    """`folder`, to which `link` leads from now on; or what another process chose at the same moment."""
    with suppress(FileExistsError):
        link.symlink_to(folder)
        return folder
    if chosen := _run_folder_behind(link, name):
        with suppress(OSError):
            folder.rmdir()
        return chosen
    if not link.is_symlink():
        raise BadInput(f"{link} must be a link to a folder with a short name: remove it, or {_ELSEWHERE}")
    link.unlink(missing_ok=True)
    return _agreed(link, folder, name)


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
