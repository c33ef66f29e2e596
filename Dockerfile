# docker build --tag radapt-bench .                          for CPUs
# docker build --tag radapt-bench --build-arg DEVICE=cuda .  for NVIDIA GPUs
#
# Results and downloads go to the folder that is mounted at /work:
# docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" radapt-bench quickstart
# docker run --rm --gpus all --user ... --volume ... radapt-bench run zero_shot
#
# What was tested: buildah 1.28 (`buildah bud --skip-unused-stages=false`) built both images, of 2.1 and
# 6.5 GB, and a suite ran on the CPU in each as a user without privileges. The base was Debian 12 with
# Python 3.11 (0.6 GB), and torch for CPUs came as a file: the public base and PyTorch's index were out
# of reach.
ARG DEVICE=cpu

FROM python:3.12-slim AS base
WORKDIR /source
COPY constraints.txt ./

# torch for CPUs is in PyTorch's own index only; without it, pip installs CUDA's libraries, 3 GB
FROM base AS cpu
RUN pip install --no-cache-dir --constraint constraints.txt --no-deps torch torchvision \
    --index-url https://download.pytorch.org/whl/cpu

# the registry's torch brings CUDA's libraries; the driver is the host's; --compile needs gcc
FROM base AS cuda
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM ${DEVICE}
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE CHANGELOG.md CITATION.cff run_bench.py ./
COPY bench bench
COPY radapt radapt
COPY suites suites
COPY results/published results/published
ARG EXTRAS=plot,tables
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]" && rm -rf /source
WORKDIR /work
ENV HOME=/tmp HF_HOME=/work/.cache/huggingface
ENTRYPOINT ["radapt-bench"]
CMD ["--help"]
