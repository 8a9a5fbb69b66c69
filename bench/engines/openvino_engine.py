"""OpenVINO's CPU plugin, on the model converted from PyTorch and from ONNX."""

from engines.base import Engine
from engines.ort_engine import FILE, OnnxRuntime


class OpenVino(Engine):
    """The shape is fixed before compiling; latency hint, one stream, and f32 throughout: left alone the plugin would compute
    in bf16 on processors that have it, and the saved file would hold weights in f16. Inputs are set once, without a copy."""

    name = "openvino"
    package = "openvino"
    needs = ("openvino",)
    made_by = ("torch", "transformers", "openvino", "onnxscript")

    def forms(self, model):
        return ("from PyTorch", "from ONNX")

    def shape_name(self, batch, tokens):
        return ""

    def make(self, model, form, batch, tokens, path):
        import openvino as ov

        path.mkdir()
        ov.save_model(self._converted(model, form), path / "model.xml", compress_to_fp16=False)

    def _converted(self, model, form):
        import openvino as ov

        if form == "from ONNX":
            return ov.convert_model(OnnxRuntime(self.options).build(model, "exported", batch=1, tokens=1) / FILE)
        import torch

        example = model.inputs(2, max(2, model.tokens[-1] // 4))
        converted = ov.convert_model(
            model.module("sdpa"), example_input=tuple(torch.from_numpy(a) for a in example.values())
        )
        for port, name in zip(converted.inputs, example):
            port.get_tensor().set_names({name})
        return converted

    def load(self, model, form, path, inputs):
        import openvino as ov

        core = ov.Core()
        read = core.read_model(path / "model.xml")
        read.reshape({read.input(name): list(array.shape) for name, array in inputs.items()})
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self.options.threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        return _Call(core.compile_model(read, "CPU", settings), inputs)


class _Call:
    def __init__(self, compiled, inputs):
        import openvino as ov

        self._inputs = inputs  # the tensors share their memory
        self._count = len(compiled.outputs)
        self._request = compiled.create_infer_request()
        for name, array in inputs.items():
            self._request.set_tensor(name, ov.Tensor(array, shared_memory=True))
        self.run = self._request.infer

    def outputs(self):
        return [self._request.get_output_tensor(i).data.copy() for i in range(self._count)]
