"""Ray Serve with one replica on 127.0.0.1 until SIGTERM: `python ray_app.py PORT MODEL FOLDER`."""

import os
import signal
import sys
import threading

import joblib
import numpy as np
import orjson
import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 1})
class Tumours:
    """One model."""

    def __init__(self, model: str) -> None:
        self._model = joblib.load(model)

    async def __call__(self, request: Request) -> Response:
        """Probabilities, a row for each row."""
        rows = np.array(orjson.loads(await request.body())["rows"], dtype=np.float64)
        answer = orjson.dumps(self._model.predict_proba(rows), option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(answer, media_type="application/json")


def main(port: str, model: str, folder: str) -> None:
    """Serves until told to stop."""
    told = threading.Event()
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        _temp_dir=folder,
        _node_ip_address="127.0.0.1",
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    quiet = LoggingConfig(enable_access_log=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)}, logging_config=quiet)
    serve.run(Tumours.bind(model), route_prefix="/predict", logging_config=quiet)
    told.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    main(*sys.argv[1:])
