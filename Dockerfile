# The service with its web UI. docs/operating.md says how it is run; compose.yaml adds Postgres.
FROM python:3.11.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 TUNING_FORK_CACHE=/cache
WORKDIR /src
RUN python -m venv /opt/tuning-fork && /opt/tuning-fork/bin/pip install uv==0.13.8
COPY constraints.txt constraints-hashes.txt pyproject.toml README.md LICENSE ./
COPY lm lm
COPY advisor advisor
COPY rag rag
COPY finetune finetune
COPY service service
COPY ui ui
COPY datasets datasets
# For GPUs: --build-arg TORCH_BACKEND=auto on a machine that has one.
ARG TORCH_BACKEND=cpu
RUN /opt/tuning-fork/bin/uv pip install --no-cache --python /opt/tuning-fork/bin/python \
      --torch-backend "$TORCH_BACKEND" torch==2.13.0 \
    && /opt/tuning-fork/bin/uv pip install --no-cache --python /opt/tuning-fork/bin/python \
      -c constraints.txt -c constraints-hashes.txt . \
    && /opt/tuning-fork/bin/tuningfork models install smollm2

FROM python:3.11.13-slim-bookworm
# pg_dump and pg_restore for backups; the server of compose.yaml is of the same release.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home tuningfork \
    && install -d -o tuningfork -g tuningfork -m 700 /data
COPY --from=build /opt/tuning-fork /opt/tuning-fork
COPY --from=build --chown=10001 /cache /cache
ENV PATH=/opt/tuning-fork/bin:$PATH TUNING_FORK_HOME=/data TUNING_FORK_CACHE=/cache HF_HOME=/cache/huggingface \
    OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=false
USER 10001
EXPOSE 8000 8501
HEALTHCHECK --interval=30s --timeout=12s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=11)"]
ENTRYPOINT ["tuningfork"]
CMD ["serve", "--host", "0.0.0.0", "--ui-listen", "0.0.0.0"]
