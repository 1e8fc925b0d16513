# One image for every service of docker-compose.yml; docs/docker.md says which runs what.
FROM python:3.12-slim-bookworm AS build
WORKDIR /opt/hypersight
COPY requirements.txt ./
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir --only-binary :all: -r requirements.txt
COPY . .
# The weights are fetched here, so that no container needs the network for them later.
RUN HYPERSIGHT_INSTANCE=/tmp/instance SECRET_KEY=only-while-building \
    .venv/bin/flask --app server fetch-weights \
    && .venv/bin/python -m compileall -q server celery_worker.py restart_watchers.py

FROM python:3.12-slim-bookworm
# A fixed number, so that the volume's owner stays the same from one image to the next.
RUN groupadd --gid 10001 hypersight \
    && useradd --uid 10001 --gid hypersight --home-dir /var/lib/hypersight --shell /usr/sbin/nologin hypersight \
    && install -d -m 750 -o hypersight -g hypersight /var/lib/hypersight \
    && install -d -m 755 -o hypersight -g hypersight /keys /videos
COPY --from=build /opt/hypersight /opt/hypersight
WORKDIR /opt/hypersight
ENV PATH=/opt/hypersight/.venv/bin:$PATH \
    HYPERSIGHT_INSTANCE=/var/lib/hypersight \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER hypersight
VOLUME /var/lib/hypersight
EXPOSE 5000
CMD ["gunicorn", "server:create_app()", "--bind", "0.0.0.0:5000", "--worker-class", "gthread", "--workers", "1", "--threads", "8", "--timeout", "60", "--graceful-timeout", "2", "--worker-tmp-dir", "/dev/shm", "--no-control-socket", "--name", "hypersight"]
