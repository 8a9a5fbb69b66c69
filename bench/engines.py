"""The engines that the benchmark compares: one row of ENGINES each.

An engine prepares a model once (`prepare`; `note` then says what is worth printing about it), then once for each shape
gives a `Call`: run() does one inference and nothing else, outputs() gives the results of the last run as a list of arrays.
To add an engine, write such a class and add it to ENGINES; `Unavailable` says that it cannot be tried here.
"""

import contextlib
import io
import logging
import os
import pathlib
import subprocess
import sys
import time
import warnings

import numpy as np
import torch

import models

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "embed_python"))
import tfx  # noqa: E402


class Unavailable(Exception):
    """Why an engine cannot run a model here."""


class Tfxc:
    """tfxc: compiled to a shared object, called through ctypes."""

    name = "tfxc"
    note = None

    def __init__(self, options):
        self.options = options
        self.version = "?"

    def prepare(self, model, threads):
        if threads != 1:
            raise Unavailable("this binding runs models on one thread")
        compiler = pathlib.Path(self.options.tfxc)
        if not compiler.exists():
            raise Unavailable(f"there is no {compiler}: build it, or say --tfxc PATH")
        path = self.options.scratch / f"{model.name}.so"
        command = [compiler, model.source, "-o", path, *self.options.tfxc_flag]
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        self.compile_s = time.perf_counter() - begin
        if done.returncode != 0:
            raise Unavailable(f"tfxc failed ({done.returncode}):\n{done.stderr.rstrip()}")
        self.model = tfx.Model(path)
        self.version = self.model.compiler.removeprefix("tfxc ")
        self.artefact_bytes = path.stat().st_size
        code = self.artefact_bytes - self.model.weight_bytes
        self.note = (
            f"compiled in {self.compile_s:.2f} s, artefact {self.artefact_bytes / 1e6:.2f} MB, "
            f"of which all but the weights {code / 1e6:.2f} MB"
        )

    def call(self, model, inputs):
        return TfxcCall(self.model, inputs)


class TfxcCall:
    variant = None

    def __init__(self, model, inputs):
        self._bound = model.bind(inputs)
        self.run = self._bound.run

    def outputs(self):
        return list(self._bound.outputs.values())


class OnnxRuntime:
    """ONNX Runtime with all graph optimizations, on several graphs of one module.

    `exported` is what PyTorch's exporter writes (opset 23: attention is one operator). The fused ones went through
    onnxruntime.transformers.optimizer, which knows older forms better: `fused` is made from the same exporter at opset 20,
    `fused from trace` from the older exporter and, where the model has one, the module with attention written out. For each shape the graph that is
    fastest in a short trial stands for the engine; the record's `variant` names it. Inputs and outputs are bound beforehand.
    """

    name = "onnxruntime"
    note = None
    trial_runs, trial_seconds = 15, 1.0

    def __init__(self, options):
        self.options = options
        import onnxruntime

        self.version = onnxruntime.__version__

    def prepare(self, model, threads):
        import onnxruntime as ort

        graphs = {
            "exported": self._export(model, 23),
            "fused": self._fuse(model, self._export(model, 20)),
        }
        if model.plain_module:
            graphs["fused from trace"] = self._fuse(model, self._trace(model, 17))
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.log_severity_level = 3
        self._sessions = {
            variant: ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
            for variant, path in graphs.items()
        }

    def _example(self, model):
        return {k: torch.from_numpy(v) for k, v in model.inputs(2, model.tokens[0]).items()}

    def _export(self, model, opset):
        path = str(self.options.scratch / f"{model.name}.{opset}.onnx")
        example = self._example(model)
        dynamic = {0: torch.export.Dim("batch", max=model.max_batch)}
        if model.max_tokens:
            dynamic[1] = torch.export.Dim("tokens", max=model.max_tokens)
        with quiet():
            torch.onnx.export(
                model.module(),
                tuple(example.values()),
                path,
                input_names=list(example),
                output_names=list(model.outputs),
                dynamic_shapes=tuple(dynamic for _ in example),
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
        return path

    def _trace(self, model, opset):
        path = str(self.options.scratch / f"{model.name}.trace.onnx")
        example = self._example(model)
        axes = {0: "batch", 1: "tokens"} if model.max_tokens else {0: "batch"}
        with quiet():
            torch.onnx.export(
                model.plain_module(),
                tuple(example.values()),
                path,
                input_names=list(example),
                output_names=list(model.outputs),
                dynamic_axes={k: axes for k in example} | {k: {0: "batch"} for k in model.outputs},
                opset_version=opset,
                dynamo=False,
                verbose=False,
            )
        return path

    def _fuse(self, model, path):
        from onnxruntime.transformers import optimizer

        with quiet():
            graph = optimizer.optimize_model(
                path, model_type=model.onnx_type, num_heads=model.heads, hidden_size=model.dim, opt_level=0
            )
            fused = path.removesuffix(".onnx") + ".fused.onnx"
            graph.save_model_to_file(fused, use_external_data_format=os.path.exists(path + ".data"))
        return fused

    def call(self, model, inputs):
        best = None
        for variant, session in self._sessions.items():
            call = OnnxRuntimeCall(session, variant, model, inputs)
            call.run()
            times = []
            while len(times) < 3 or (len(times) < self.trial_runs and sum(times) < self.trial_seconds):
                start = time.perf_counter()
                call.run()
                times.append(time.perf_counter() - start)
            if best is None or np.median(times) < best[0]:
                best = (np.median(times), call)
        return best[1]


class OnnxRuntimeCall:
    def __init__(self, session, variant, model, inputs):
        self.variant = variant
        self._session = session
        self._binding = session.io_binding()
        for name, array in inputs.items():
            self._binding.bind_cpu_input(name, array)
        for name in model.outputs:
            self._binding.bind_output(name, "cpu")

    def run(self):
        self._session.run_with_iobinding(self._binding)

    def outputs(self):
        return self._binding.copy_outputs_to_cpu()


class PyTorch:
    """PyTorch eager, in inference mode."""

    name = "pytorch"
    note = None

    def __init__(self, options):
        self.version = torch.__version__

    def prepare(self, model, threads):
        torch.set_num_threads(threads)
        self._module = model.module()

    def call(self, model, inputs):
        return PyTorchCall(self._module, inputs)


class PyTorchCall:
    variant = "eager"

    def __init__(self, module, inputs):
        self._module = module
        self._inputs = [torch.from_numpy(a) for a in inputs.values()]
        self._result = None

    def run(self):
        with torch.inference_mode():
            self._result = self._module(*self._inputs)

    def outputs(self):
        return models.as_arrays(self._result)


ENGINES = {engine.name: engine for engine in (Tfxc, OnnxRuntime, PyTorch)}


class quiet:
    """Keeps the exporters' chatter off the terminal; errors still come out as exceptions."""

    def __enter__(self):
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        self._stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        self._stack.enter_context(contextlib.redirect_stderr(io.StringIO()))

    def __exit__(self, *exception):
        self._stack.close()
        logging.disable(self._level)
        return False
