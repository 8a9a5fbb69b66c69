"""tfxc: compiled to a shared object, called through ctypes."""

import pathlib
import subprocess
import sys

import cache
from engines.base import Engine, Unavailable

sys.path.insert(0, str(cache.ROOT / "examples" / "embed_python"))
import tfx  # noqa: E402


class Tfxc(Engine):
    name = "tfxc"

    def __init__(self, options):
        super().__init__(options)
        self._compiler = pathlib.Path(options.tfxc).resolve()
        if not self._compiler.exists():
            raise Unavailable(f"there is no {self._compiler}: build it, or say --tfxc PATH")
        self._built = {}

    @property
    def version(self):
        said = subprocess.run([self._compiler, "--version"], capture_output=True, text=True, check=True)
        return said.stdout.split("\n")[0].removeprefix("tfxc ")

    def command(self, model, path):
        flags = [f"--weights={model.weights()}", *self.options.tfxc_flag]
        return [str(self._compiler), str(model.source), "-o", str(path), *flags]

    def build(self, model, form, batch, tokens):
        """One artefact for all shapes; made in every run, for the compiler is what changes."""
        if model.name not in self._built:
            path = pathlib.Path(self.options.scratch) / f"{model.name}.so"
            done = subprocess.run(self.command(model, path), capture_output=True, text=True)
            if done.returncode != 0:
                raise Unavailable(f"tfxc failed ({done.returncode}):\n{done.stderr.rstrip()}")
            self._built[model.name] = path
        return self._built[model.name]

    def load(self, model, form, path, inputs):
        return _Call(tfx.Model(path, threads=self.options.threads), inputs)


class _Call:
    def __init__(self, model, inputs):
        self._bound = model.bind(inputs)
        self.run = self._bound.run

    def outputs(self):
        return list(self._bound.outputs.values())
