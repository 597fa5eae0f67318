"""Training on two machines, as torchrun starts it, from shards: only that both are this one."""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from impasto import weights
from impasto.media import image as media
from impasto.networks.encoders import SHAPES, Encoder, Shape
from impasto.training import judge
from impasto.training.teachers import EXACT, EXACT_FILE, SLIM, SLIM_FILE

RECIPE = """
kind = "adain"
encoder = "compact"
width = 0.5
content = 1.0
style = 0.1
reconstruction = 5.0
stages = [{until = 3, size = 32, batch = 2}]
schedule = {steps = 3, lr = 1e-3, log_every = 1}
"""


def shard(path: Path, count: int) -> None:
    """Pictures with their keys, as webdataset has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            media.write(torch.rand(1, 3, 48, 40), path.parent / "one.png")
            content = (path.parent / "one.png").read_bytes()
            (path.parent / "one.png").unlink()
            for name, data in ((f"{number:04}.png", content), (f"{number:04}.json", b"{}")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def node(rank: int, port: int, folder: Path) -> "subprocess.Popen[str]":
    """One of two machines."""
    place = ["--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1"]
    meet = ["--master-addr=127.0.0.1", f"--master-port={port}"]
    words = ["train", "recipe.toml", "--data", "data", "--run", "run", "-o", "made.safetensors"]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            *place,
            *meet,
            "-m",
            "--",
            "impasto",
            *words,
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Shards, and what a training of decoders is judged by, with random teachers."""
    data = tmp_path / "data"
    for name in ("photos/0000.tar", "photos/0001.tar", "paintings/0000.tar"):
        shard(data / name, 12)
    (data / "gallery").mkdir()
    for name in judge.STYLES:
        media.write(torch.rand(1, 3, 64, 64), data / "gallery" / f"{name}.jpg")
    (data / "teacher").mkdir()
    save_file(teacher(EXACT), data / "teacher" / EXACT_FILE)
    slim = teacher(SLIM)
    pairs = zip(SLIM.channels, SHAPES["vgg19"].channels, strict=True)
    for block, (mine, theirs) in enumerate(pairs, 1):
        slim[f"conv{block}1_aux.weight"] = torch.randn(theirs, mine, 1, 1)
        slim[f"conv{block}1_aux.bias"] = torch.randn(theirs)
    save_file(slim, data / "teacher" / SLIM_FILE)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def teacher(shape: Shape) -> dict[str, Tensor]:
    state = Encoder(shape).state_dict()
    return {
        key.replace("convs.", "conv").replace("_", "", 1): value.contiguous()
        for key, value in state.items()
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the loopback interface has another name")
def test_two_machines_learn_from_shards(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = [node(rank, port, folder) for rank in (0, 1)]
    said = [process.communicate(timeout=240)[0] for process in nodes]
    assert [process.returncode for process in nodes] == [0, 0], said
    lines = map(json.loads, (folder / "run" / "log.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "losses" in line] == [1, 2, 3]
    assert weights.read(folder / "made.safetensors").header.kind == "adain"
