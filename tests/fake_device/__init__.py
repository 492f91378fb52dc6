"""A fake device: its tensors lie in ordinary memory and are worked on by the CPU, but, as on a GPU,
they neither meet the CPU's nor turn into arrays. It finds what a CPU alone cannot: a tensor that
was made or drawn in the wrong place."""

from __future__ import annotations

import hashlib
import subprocess
import types
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

NAME = "fake"
SOURCE = Path(__file__).with_name("device.cpp")


def compiled(folder: Path) -> Path:
    """The library, in that folder, where it stays until this torch or its source changes."""
    torch_folder = Path(torch.__file__).parent
    key = hashlib.sha256(SOURCE.read_bytes() + f"{torch.__version__} {torch_folder}".encode())
    library = folder / f"{key.hexdigest()[:16]}.so"
    with FileLock(folder / "lock"):  # one of the workers compiles, the others wait
        if not library.is_file():
            _compile(library.with_suffix(".begun")).replace(library)
    return library


def _compile(library: Path) -> Path:
    from torch.utils.cpp_extension import include_paths

    torch_folder = Path(torch.__file__).parent
    subprocess.run(
        [
            "g++", "-std=c++20", "-O0", "-shared", "-fPIC", str(SOURCE), "-o", str(library),
            *(f"-isystem{path}" for path in include_paths()),
            f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
            f"-L{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu",
        ],
        check=True,
    )  # fmt: skip
    return library


def start(library: Path) -> None:
    """Make it known to torch in this process."""
    torch.ops.load_library(library)
    torch.utils.rename_privateuse1_backend(NAME)
    module = types.ModuleType(NAME)
    module.is_available = module.is_initialized = lambda: True
    module._is_in_bad_fork = lambda: False
    module.device_count = lambda: 1
    module.current_device = lambda: 0
    module.manual_seed_all = lambda seed: None
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]
    torch._register_device_module(NAME, module)
    passed_on = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    passed_on.fallback(torch.library.fallthrough_kernel)
    module.library = passed_on  # it is taken back when nothing holds it
    for kind in (Tensor, nn.Parameter):
        kind.__deepcopy__ = _copied_there(kind.__deepcopy__)


def _copied_there(usual: Any) -> Any:
    """Torch copies the storage of a tensor deeply on devices that it knows alone."""

    def deepcopy(tensor: Tensor, memo: dict) -> Tensor:
        if tensor.device.type != NAME:
            return usual(tensor, memo)
        if id(tensor) not in memo:
            copy = tensor.detach().clone()
            if isinstance(tensor, nn.Parameter):
                copy = nn.Parameter(copy)
            memo[id(tensor)] = copy.requires_grad_(tensor.requires_grad)
        return memo[id(tensor)]

    return deepcopy
