"""PyTorch: eager, torch.compile, and AOTInductor. One file, for they share how a module is loaded and called.

Inductor compiles for one shape (dynamic=False). `frozen` folds and packs the weights when it compiles, which brings other
matmuls (MKL's packed ones under torch.compile, oneDNN's with fused epilogues under AOTInductor) and is not always faster.
max_autotune is left out: on processors with AVX2 its own matmuls lost to the libraries' in all of its trials with MiniLM
(or won by 25 % on one shape of four), where it was let loose on attention's products the model took three times as long,
and each shape took a minute more to compile. Inductor's cache is kept in .cache/bench, so a second run compiles little.
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

    def build(self, model, form, batch, tokens):
        return model.weights()


class Eager(_Torch):
    """In inference mode, with fused attention."""

    name = "pytorch"

    def load(self, model, form, path, inputs):
        return _Call(model.module("sdpa"), inputs)


class _Inductor(_Torch):
    needs = ("torch", "torch._inductor")

    def __init__(self, options):
        super().__init__(options)
        if not shutil.which(os.environ.get("CXX", "g++")):
            raise Unavailable("Inductor needs a C++ compiler (scripts/setup --bench installs g++)")

    def forms(self, model):
        return ("plain", "frozen")

    @staticmethod
    def settings(form):
        return {"freezing": form == "frozen"}


class TorchCompile(_Inductor):
    name = "torch.compile"
    quick = False  # tracing takes ten seconds even when Inductor's cache has the rest

    def build(self, model, form, batch, tokens):
        """Compiling happens in load; a mark in the cache says that this shape's parts are in Inductor's."""

        def write(path):
            self.load(model, form, None, model.inputs(batch, tokens)).run()
            path.touch()

        name = f"compiled/{model.name}-{form}-{batch}x{tokens}"
        cache.made(name, _depends_on(model), write, only_cached=self.options.only_cached)
        return model.weights()

    def load(self, model, form, path, inputs):
        import torch

        with quiet():
            module = torch.compile(model.module("sdpa"), dynamic=False, fullgraph=True, options=self.settings(form))
            call = _Call(module, inputs)
            call.run()
        return call


class AotInductor(_Inductor):
    name = "aotinductor"

    def build(self, model, form, batch, tokens):
        def write(path):
            import torch

            inputs = tuple(torch.from_numpy(a) for a in model.inputs(batch, tokens).values())
            with quiet(), torch.inference_mode():
                program = torch.export.export(model.module("sdpa"), inputs)
                torch._inductor.aoti_compile_and_package(
                    program, package_path=str(path), inductor_configs=self.settings(form)
                )

        name = f"aoti/{model.name}-{form}-{batch}x{tokens}"
        return cache.made(name, _depends_on(model), write, ".pt2", self.options.only_cached)

    def load(self, model, form, path, inputs):
        import torch

        with quiet():
            return _Call(torch._inductor.aoti_load_package(str(path)), inputs)


def _depends_on(model):
    return [cache.stamp(model.weights()), *cache.versions("torch", "transformers")]


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
