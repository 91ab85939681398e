"""The packages of tools/requirements.txt, which the set-up keeps in .venv."""

import importlib.util
import os
import pathlib
import sys

from .files import FetchError

_ROOT = pathlib.Path(__file__).resolve().parents[3]


def require(*modules):
    """Returns if all `modules` are there; else starts the program again with .venv's Python."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not missing:
        return
    folder = _ROOT / ".venv"
    python = folder / "bin" / "python"
    if python.exists() and pathlib.Path(sys.prefix).resolve() != folder.resolve():
        os.execv(python, [str(python), *sys.argv])
    raise FetchError(
        f"this needs the Python modules {', '.join(missing)}: run tools/quickstart.sh once, "
        "or install tools/requirements.txt"
    )
