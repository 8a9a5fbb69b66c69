"""Compiled models from Python: a ctypes view of runtime/tfx.h, for benchmarks and checks.

    model = tfx.Model("digits.so")
    logits, = model.run(pixels=array)
"""

import ctypes
import pathlib
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int32, c_int64
from ctypes import c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

import numpy as np

ABI_VERSION = 1
MODEL_SYMBOL = "tfx_model_v1"
# The element types of tfx_dtype that NumPy has.
DTYPES = {
    0: np.bool_, 1: np.int8, 2: np.uint8, 3: np.int16, 4: np.uint16, 5: np.int32, 6: np.uint32,
    7: np.int64, 8: np.uint64, 9: np.float16, 11: np.float32, 12: np.float64,
}  # fmt: skip


class Tensor(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("dtype", c_int32),
        ("rank", c_int32),
    ]


class DimInfo(Structure):
    _fields_ = [("name", c_char_p), ("min", c_int64), ("max", c_int64), ("multiple", c_int64)]


class AxisInfo(Structure):
    _fields_ = [
        ("text", c_char_p),
        ("size", c_int64),
        ("min", c_int64),
        ("max", c_int64),
        ("dim", c_int32),
        ("computed", c_int32),
    ]


class TensorInfo(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("doc", c_char_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("axes", POINTER(AxisInfo)),
    ]


class EntryInfo(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("doc", c_char_p),
        ("inputs", POINTER(TensorInfo)),
        ("outputs", POINTER(TensorInfo)),
        ("dims", POINTER(c_uint32)),
        ("given", POINTER(c_uint32)),
        ("n_inputs", c_uint32),
        ("n_outputs", c_uint32),
        ("n_dims", c_uint32),
        ("n_given", c_uint32),
    ]


class Info(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("doc", c_char_p),
        ("source", c_char_p),
        ("compiler", c_char_p),
        ("target", c_char_p),
        ("entries", POINTER(EntryInfo)),
        ("dims", POINTER(DimInfo)),
        ("n_entries", c_uint32),
        ("n_dims", c_uint32),
        ("weight_bytes", c_uint64),
        ("weight_id", c_uint8 * 32),
        ("weights_external", c_uint32),
        ("max_tensors", c_uint32),
    ]


class Options(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("max_workers", c_uint32),
        ("reserved", c_uint32),
        ("parallel_for", c_void_p),
        ("parallel_ctx", c_void_p),
        ("workspace", c_void_p),
        ("workspace_bytes", c_uint64),
        ("weights_path", c_char_p),
        ("message", c_char_p),
        ("message_bytes", c_size_t),
    ]


class Args(Structure):
    _fields_ = [
        ("inputs", POINTER(Tensor)),
        ("outputs", POINTER(Tensor)),
        ("dims", POINTER(c_int64)),
        ("n_inputs", c_uint32),
        ("n_outputs", c_uint32),
        ("n_dims", c_uint32),
        ("reserved", c_uint32),
    ]


class Api(Structure):
    _fields_ = [
        ("abi_version", c_uint32),
        ("size", c_uint32),
        ("info", CFUNCTYPE(POINTER(Info))),
        ("open", CFUNCTYPE(c_int, POINTER(Options), POINTER(c_void_p))),
        ("close", CFUNCTYPE(None, c_void_p)),
        ("run", CFUNCTYPE(c_int, c_void_p, c_uint32, POINTER(Args))),
        ("dims", CFUNCTYPE(c_int, c_void_p, c_uint32, POINTER(Args), POINTER(c_int64))),
        ("shape", CFUNCTYPE(c_int, c_void_p, c_uint32, c_uint32, POINTER(c_int64), POINTER(c_int64))),
        ("workspace_size", CFUNCTYPE(c_int64, c_uint32, POINTER(c_int64), c_uint32, c_uint32)),
        ("error", CFUNCTYPE(c_char_p, c_void_p)),
        ("profile", c_void_p),
    ]


# As runtime/tfx.h lays them out on 64-bit machines.
for _structure, _bytes in ((Tensor, 32), (DimInfo, 32), (AxisInfo, 40), (TensorInfo, 32), (EntryInfo, 64),
                           (Info, 112), (Options, 72), (Args, 40), (Api, 80)):  # fmt: skip
    assert ctypes.sizeof(_structure) == _bytes, (_structure, ctypes.sizeof(_structure))


class Error(Exception):
    """A call that returned a status other than TFX_OK, with the model's message."""


class Bound:
    """One call with its memory laid out: `outputs` are overwritten by every run()."""

    def __init__(self, model, entry, inputs, given):
        self._model, self._entry = model, entry
        info = model.info.entries[entry]
        if len(inputs) != info.n_inputs:
            raise Error(f"expected {info.n_inputs} inputs, got {len(inputs)}")
        self._keep = []  # what the structures point to
        ins = []
        for i in range(info.n_inputs):
            name = info.inputs[i].name.decode()
            if name not in inputs:
                raise Error(f"no input '{name}' among {', '.join(inputs)}")
            ins.append(self._tensor(inputs[name], info.inputs[i].dtype))
        self._inputs = (Tensor * max(1, len(ins)))(*ins)
        self._given = (c_int64 * max(1, len(given)))(*given)
        self._args = Args(
            inputs=self._inputs, dims=self._given, n_inputs=len(ins), n_dims=len(given)
        )
        dims = (c_int64 * max(1, model.info.n_dims))()
        model._check(model._api.dims(model._handle, entry, byref(self._args), dims))
        self.outputs, outs = [], []
        for o in range(info.n_outputs):
            about = info.outputs[o]
            shape = (c_int64 * max(1, about.rank))()
            model._check(model._api.shape(model._handle, entry, info.n_inputs + o, dims, shape))
            if about.dtype not in DTYPES:
                raise Error(f"NumPy lacks the type of output '{about.name.decode()}'")
            array = np.empty(tuple(shape[: about.rank]), DTYPES[about.dtype])
            self.outputs.append(array)
            outs.append(self._tensor(array, about.dtype))
        self._outputs = (Tensor * max(1, len(outs)))(*outs)
        self._args.outputs, self._args.n_outputs = self._outputs, len(outs)
        self._ref = byref(self._args)

    def _tensor(self, array, dtype):
        if DTYPES.get(dtype) is None or array.dtype != DTYPES[dtype]:
            raise Error(f"expected elements of type number {dtype}, got {array.dtype}")
        if not array.flags.c_contiguous:
            raise Error("expected a C-contiguous array")
        shape = (c_int64 * max(1, array.ndim))(*array.shape)
        self._keep += [array, shape]
        return Tensor(data=array.ctypes.data, shape=shape, dtype=dtype, rank=array.ndim)

    def run(self):
        status = self._model._api.run(self._model._handle, self._entry, self._ref)
        if status:
            self._model._check(status)


class Model:
    """A loaded model.so with one handle. Never unloaded; close() frees the handle."""

    def __init__(self, path, weights=None):
        self._handle = None
        library = ctypes.CDLL(str(pathlib.Path(path).resolve()))
        entry_point = getattr(library, MODEL_SYMBOL)
        entry_point.restype = POINTER(Api)
        self._api = entry_point().contents
        if self._api.abi_version != ABI_VERSION:
            raise Error(f"the model has interface version {self._api.abi_version}, expected {ABI_VERSION}")
        self.info = self._api.info().contents
        message = ctypes.create_string_buffer(1024)
        options = Options(
            size=ctypes.sizeof(Options),
            max_workers=1,
            weights_path=str(weights).encode() if weights else None,
            message=ctypes.cast(message, c_char_p),
            message_bytes=len(message),
        )
        handle = c_void_p()
        if self._api.open(byref(options), byref(handle)):
            raise Error(message.value.decode())
        self._handle = handle

    def _check(self, status):
        if status:
            raise Error(f"status {status}: {self._api.error(self._handle).decode()}")

    def bind(self, inputs, entry=0, given=()):
        """A call that can be repeated without overhead. `inputs`: arrays by name, kept, not copied."""
        return Bound(self, entry, inputs, given)

    def run(self, **inputs):
        """The outputs of entry 0 as new arrays."""
        call = self.bind(inputs)
        call.run()
        return call.outputs

    def close(self):
        if self._handle:
            self._api.close(self._handle)
            self._handle = None
