"""Files that take long to make and are kept between runs: .cache/bench, which may be deleted at any time.

A file's name carries a digest of all that it depends on; making it anew removes those of the same name with another digest.
"""

import hashlib
import importlib.metadata
import os
import pathlib
import shutil
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "bench"


class NotCached(Exception):
    """A file would have to be made, and the caller did not want to wait."""


def versions(*packages):
    """What a file depends on when these packages had a hand in it."""
    return [f"{p} {importlib.metadata.version(p)}" for p in packages]


def stamp(path):
    """A file that is not changed in place is known by its size and time."""
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns}"


def place(name, depends_on, suffix=""):
    digest = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:12]
    return FOLDER / f"{name}-{digest}{suffix}"


def made(name, depends_on, make, suffix="", only_cached=False):
    """The path of the file or folder that make(path) writes; made now unless it is there."""
    path = place(name, depends_on, suffix)
    if path.exists():
        return path
    if only_cached:
        raise NotCached("not in the cache yet (bench/run --prepare)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=FOLDER) as scratch:
        new = pathlib.Path(scratch) / path.name
        make(new)
        for old in path.parent.glob(f"{path.name[: -len(suffix) - 12]}{'?' * 12}{suffix}"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        os.replace(new, path)
    return path
