"""torchaudio, imported late: its PyPI wheel cannot load its extension beside a CPU build of torch."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def import_torchaudio() -> ModuleType:
    """Import torchaudio, or say why that fails and what to do.

    Raises:
        ImportError: when it is missing, or when its compiled extension does not load.
    """
    try:
        return importlib.import_module("torchaudio")
    except (ImportError, OSError) as error:
        raise ImportError(
            f"torchaudio cannot be imported ({error}). Its wheel on PyPI needs CUDA; beside a CPU "
            "build of torch install torchaudio from the same index as that torch (see pytorch.org)"
        ) from error


def load_torchaudio_source(relative_path: str) -> ModuleType:
    """Load one pure-Python file of torchaudio, which works where `import torchaudio` does not.

    Args:
        relative_path: such as "models/emformer.py"; the file may import nothing else of torchaudio.
    Raises:
        ImportError: when torchaudio is not installed or has no such file.
    """
    package = importlib.util.find_spec("torchaudio")
    if package is None or not package.submodule_search_locations:
        raise ImportError("torchaudio is not installed: pip install torchaudio")
    path = Path(next(iter(package.submodule_search_locations))) / relative_path
    name = "echostream_torchaudio_" + "_".join(Path(relative_path).with_suffix("").parts)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"{path}: this torchaudio has no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and TorchScript look their module up by name
    spec.loader.exec_module(module)
    return module
