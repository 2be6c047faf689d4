"""Who is measured, and how each is set up: one worker, the fastest sensible settings, and what they are called."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.models import PRODUCT, Forms

SERVERS = Path(__file__).parent / "servers"
# One thread of the numeric libraries for everybody: one worker is measured, not the machine.
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Launch:
    """What an entrant needs to start: `python` of its environment, the model, its port and further free ones."""

    python: Path
    forms: Forms
    folder: Path
    port: int
    further_ports: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Start:
    """How one is started."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to ask an entrant. `port` is an index: 0 the entrant's own, 1 and 2 the further ones."""

    name: str
    dialect: str
    ours: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Entrant:
    """A server in the comparison. `serves` tells its serving processes by their command lines; None: all of them."""

    name: str
    setup: str
    ways: tuple[Way, ...]
    start: Callable[[Launch], Start]
    serves: tuple[str, ...] | None = None


def _seatrial(launch: Launch) -> Start:
    command = [sys.executable, "-m", "deployments.serving", "--model", str(launch.forms.seatrial)]
    log = ["--log-folder", str(launch.folder / "log")]
    return Start([*command, "--product", PRODUCT, "--version", "1", "--port", str(launch.port), *log])


def _seatrial_without_log(launch: Launch) -> Start:
    command = _seatrial(launch).command
    place = command.index("--log-folder")
    return Start([*command[:place], *command[place + 2 :]])


def _mlflow(launch: Launch) -> Start:
    command = [str(launch.python.with_name("mlflow")), "models", "serve", "--model-uri", str(launch.forms.mlflow)]
    local = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", str(launch.port)]
    path = f"{launch.python.parent}:/usr/local/bin:/usr/bin:/bin"
    return Start([*command, *local], {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "false"})


def _bentoml(launch: Launch) -> Start:
    command = [str(launch.python), "-m", "bentoml", "serve", "bento:Tumours", "--working-dir", str(SERVERS)]
    environment = {
        "SERVED_MODEL": str(launch.forms.joblib),
        "BENTOML_HOME": str(launch.folder),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    return Start([*command, "--host", "127.0.0.1", "--port", str(launch.port)], environment)


def _mlserver(launch: Launch) -> Start:
    grpc, metrics = launch.further_ports
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": launch.port,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
        "use_structured_logging": False,
    }
    model = {
        "name": PRODUCT,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(launch.forms.joblib), "version": "1"},
    }
    (launch.folder / "settings.json").write_text(json.dumps(settings))
    (launch.folder / "model-settings.json").write_text(json.dumps(model))
    return Start([str(launch.python.with_name("mlserver")), "start", str(launch.folder)])


def _ray(launch: Launch) -> Start:
    command = [str(launch.python), str(SERVERS / "ray_app.py"), str(launch.port)]
    low = launch.further_ports[0]
    environment = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(low),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(low + 1),
    }
    return Start([*command, str(launch.forms.joblib), str(launch.folder)], environment)


ENTRANTS = (
    Entrant(
        "seatrial",
        "`python -m deployments.serving`, one process; schema check, metrics and inference log on",
        (
            Way("Seatrial, /invocations", "dataframe_split"),
            Way("Seatrial, V2", "V2"),
            Way("Seatrial, V2 in bytes", "V2 in bytes"),
        ),
        _seatrial,
    ),
    Entrant(
        "seatrial-no-log",
        "the same without its inference log, as nobody else has one",
        (Way("Seatrial without log, V2", "V2"),),
        _seatrial_without_log,
    ),
    Entrant(
        "mlflow",
        "`mlflow models serve --env-manager local --workers 1` of a model with a signature; uvloop and httptools "
        "installed beside it, access log off",
        (Way("mlflow models serve", "dataframe_split", "Seatrial, /invocations"),),
        _mlflow,
    ),
    Entrant(
        "bentoml",
        "`bentoml serve`, one worker, an `async` API from NumPy array to NumPy array; uvloop and httptools installed "
        "beside it, access log off",
        (Way("BentoML", "JSON rows", "Seatrial, V2"),),
        _bentoml,
    ),
    Entrant(
        "mlserver",
        "`mlserver start` with its scikit-learn runtime, `parallel_workers` 0, `debug` off; one FP64 tensor; httptools "
        "installed beside it",
        (Way("MLServer", "V2, MLServer's names", "Seatrial, V2"),),
        _mlserver,
    ),
    Entrant(
        "ray",
        "one replica, an `async` handler that reads and writes with orjson, `RAY_SERVE_THROUGHPUT_OPTIMIZED`, no "
        "dashboard, access log off; counted are the proxy and the replica. A second line asks the replica's own port, "
        "as Ray's HAProxy ingress would: what that ingress costs is not in it",
        (
            Way("Ray Serve", "JSON rows", "Seatrial, V2"),
            Way("Ray Serve, past its proxy", "JSON rows", "Seatrial, V2", port=1),
        ),
        _ray,
        serves=("ray::Proxy", "ray::ServeReplica"),
    ),
)
