"""ONNX Runtime with all graph optimizations, on several graphs of one module."""

import os

from engines.base import Engine

FILE = "model.onnx"  # in the artefact; tensors may lie in another beside it


class OnnxRuntime(Engine):
    """`exported` is what PyTorch's exporter writes (opset 23: attention is one operator). The fused ones went through
    onnxruntime.transformers.optimizer, which knows older forms better: `fused` is made from the same exporter at opset 20,
    `fused from trace` from the older exporter and the module with attention written out. The graphs have a free batch size
    and number of tokens; each session fixes them, so that everything which depends on them is folded. Inputs and outputs are
    bound beforehand."""

    name = "onnxruntime"
    package = "onnxruntime"
    needs = ("onnxruntime",)
    made_by = ("torch", "transformers", "onnx", "onnxruntime", "onnxscript")

    def forms(self, model):
        return ("exported", "fused", "fused from trace") if model.plain else ("exported", "fused")

    def shipped_form(self, model):
        return "fused"

    def shape_name(self, batch, tokens):
        return ""

    def make(self, model, form, batch, tokens, path):
        make = {"exported": self._exported, "fused": self._fused, "fused from trace": self._fused_trace}[form]
        path.mkdir()
        make(model, str(path / FILE))

    def load(self, model, form, path, inputs):
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads = self.options.threads
        settings.inter_op_num_threads = 1
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.log_severity_level = 3
        shape = next(iter(inputs.values())).shape
        settings.add_free_dimension_override_by_name("batch", shape[0])
        if model.max_tokens:
            settings.add_free_dimension_override_by_name("tokens", shape[1])
        session = ort.InferenceSession(str(path / FILE), settings, providers=["CPUExecutionProvider"])
        return _Call(session, model, inputs)

    def _exported(self, model, path, opset=23):
        import torch

        example = _example(model)
        dynamic = {0: torch.export.Dim("batch", max=model.max_batch)}
        if model.max_tokens:
            dynamic[1] = torch.export.Dim("tokens", max=model.max_tokens)
        torch.onnx.export(
            model.module("sdpa"),
            tuple(example.values()),
            path,
            input_names=list(example),
            output_names=list(model.outputs),
            dynamic_shapes=tuple(dynamic for _ in example),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )

    def _fused(self, model, path):
        self._exported(model, path + ".tmp", 20)
        _fuse(model, path + ".tmp", path)

    def _fused_trace(self, model, path):
        import torch

        example = _example(model)
        axes = {0: "batch", 1: "tokens"} if model.max_tokens else {0: "batch"}
        torch.onnx.export(
            model.module("eager"),
            tuple(example.values()),
            path + ".tmp",
            input_names=list(example),
            output_names=list(model.outputs),
            dynamic_axes={k: axes for k in example} | {k: {0: "batch"} for k in model.outputs},
            opset_version=17,
            dynamo=False,
            verbose=False,
        )
        _fuse(model, path + ".tmp", path)


def _example(model):
    import torch

    return {k: torch.from_numpy(v) for k, v in model.inputs(2, max(2, model.tokens[-1] // 4)).items()}


def _fuse(model, path, fused):
    from onnxruntime.transformers import optimizer

    graph = optimizer.optimize_model(
        path, model_type=model.onnx_type, num_heads=model.heads, hidden_size=model.dim, opt_level=0
    )
    graph.save_model_to_file(fused, use_external_data_format=os.path.exists(path + ".data"))
    for left in (path, path + ".data"):
        if os.path.exists(left):
            os.unlink(left)


class _Call:
    def __init__(self, session, model, inputs):
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
