# The web app. CPU: docker build -t impasto .
# NVIDIA GPUs: docker build -t impasto --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN TORCH=$(grep '^torch==' constraints.txt) \
 && pip install --no-cache-dir --index-url "$TORCH_INDEX" "$TORCH" \
 && pip install --no-cache-dir --constraint constraints.txt '.[web,faces,ncnn]'

RUN useradd --create-home --uid 1000 impasto && install --directory --owner impasto /data
USER impasto
VOLUME /data
EXPOSE 8400
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8400/healthz', timeout=5)"]
ENTRYPOINT ["impasto", "serve", "--host", "0.0.0.0", "--data", "/data"]
