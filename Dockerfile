# The endpoint from the locked environment; docs/serving.md, "In a container", has the commands.

FROM python:3.11-slim-bookworm AS build
WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
COPY tools/get_uv.py tools/
COPY pyproject.toml uv.lock ./
RUN "$(python tools/get_uv.py)" sync --frozen --no-dev --no-install-project --python /usr/local/bin/python

FROM python:3.11-slim-bookworm
WORKDIR /app
# State is a volume, for every command; the program is the superuser's, so that the endpoint cannot change itself.
RUN useradd --uid 10001 --no-create-home churn && install -d -m 0700 -o churn -g churn /state && ln -s /state .churn
COPY --from=build /app/.venv .venv
COPY . .
ENV PATH=/app/.venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
RUN python -m compileall -q adapters churn cli configs materializers pipelines reports serving steps run.py
USER 10001
VOLUME /state
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8080/health/ready', timeout=4)"]
ENTRYPOINT ["python", "run.py"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
