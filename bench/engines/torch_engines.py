"""PyTorch: eager, torch.compile, and AOTInductor. One file, for they share how a module is loaded and called.

Inductor compiles for one shape (dynamic=False). `frozen` folds and packs the weights when it compiles, which brings other
matmuls (MKL's packed ones under torch.compile, oneDNN's with fused epilogues under AOTInductor) and is not always faster.
max_autotune is left out: with MiniLM on a processor with AVX2 the libraries beat its matmuls on three shapes of four and the
whole model was no faster; let loose on attention written out it made the model three times as slow; and
each shape took a minute more to compile. Inductor's cache is kept in .cache/bench, so a second run compiles little.
"""

import os
import shutil

import cache
from engines.base import Engine, Unavailable, quiet

os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.environ.get("TFXC_BENCH_INDUCTOR", str(cache.FOLDER / "inductor"))


class _Torch(Engine):
    package = "torch"
    needs = ("torch",)

    def __init__(self, options):
        super().__init__(options)
        import torch

        torch.set_num_threads(options.threads)


class Eager(_Torch):
    """In inference mode, with fused attention."""

    name = "pytorch"
    ships = False

    def build(self, model, form, batch, tokens):
        return model.weights()

    def load(self, model, form, path, inputs):
        return _Call(model.module("sdpa"), inputs)


class _Inductor(_Torch):
    def __init__(self, options):
        super().__init__(options)
        if not shutil.which(os.environ.get("CXX", "g++")):
            raise Unavailable("Inductor needs a C++ compiler (g++, which scripts/setup installs)")

    def forms(self, model):
        return ("plain", "frozen")

    @staticmethod
    def settings(form):
        return {"freezing": form == "frozen"}


class TorchCompile(_Inductor):
    name = "torch.compile"
    needs = (*_Torch.needs, "torch._dynamo", "torch._inductor.compile_fx")
    ships = False
    quick = False  # tracing takes ten seconds even when Inductor's cache has the rest

    def make(self, model, form, batch, tokens, path):
        """Compiling happens in load; an empty file says that Inductor's cache has this shape's parts."""
        self.load(model, form, path, model.inputs(batch, tokens))
        path.touch()

    def load(self, model, form, path, inputs):
        import torch

        torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 10000
        with quiet():
            module = torch.compile(model.module("sdpa"), dynamic=False, fullgraph=True, options=self.settings(form))
            call = _Call(module, inputs)
            call.run()
        return call


class AotInductor(_Inductor):
    name = "aotinductor"
    needs = ("torch", "torch._inductor.package")
    suffix = ".pt2"

    def shipped_form(self, model):
        return "frozen"

    def make(self, model, form, batch, tokens, path):
        import torch

        inputs = tuple(torch.from_numpy(a) for a in model.inputs(batch, tokens).values())
        with torch.inference_mode():
            program = torch.export.export(model.module("sdpa"), inputs)
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(path), inductor_configs=self.settings(form)
            )

    def load(self, model, form, path, inputs):
        import torch

        with quiet():
            return _Call(torch._inductor.aoti_load_package(str(path)), inputs)


class _Call:
    def __init__(self, module, inputs):
        import torch

        self._module = module
        self._inputs = [torch.from_numpy(a) for a in inputs.values()]
        self._inference = torch.inference_mode
        self._result = None

    def run(self):
        with self._inference():
            self._result = self._module(*self._inputs)

    def outputs(self):
        import models

        return models.as_arrays(self._result)
