"""Models compiled by tfxc, from Python: ctypes over runtime/tfx.h, with NumPy arrays.

    import tfx

    with tfx.Model("digits.so") as model:
        print(model)                                  # entries, inputs, outputs, dims
        logits = model.run(pixels=images)["logits"]

Needs NumPy and nothing of tfxc, which has compiled the model: this file can be copied into a program.
"""

import ctypes
import dataclasses
import enum
import os
import struct
import threading
import weakref
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int32, c_int64
from ctypes import c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

import _ctypes
import numpy as np

ABI_VERSION = 2
MODEL_SYMBOL = "tfx_model_v1"
ALL_PROCESSORS = 0xFFFFFFFF  # as a number of threads
STRIDED = 1  # flag of options: tensors need not be compact
MESSAGE_BYTES = 1024

# Number, name and NumPy type of each tfx_dtype. What NumPy lacks travels as bit patterns; f4 and f6 are packed without
# gaps, so that no array of theirs has the model's shape.
_DTYPES = (
    (0, "bool", np.bool_), (1, "i8", np.int8), (2, "u8", np.uint8), (3, "i16", np.int16), (4, "u16", np.uint16),
    (5, "i32", np.int32), (6, "u32", np.uint32), (7, "i64", np.int64), (8, "u64", np.uint64), (9, "f16", np.float16),
    (10, "bf16", np.uint16), (11, "f32", np.float32), (12, "f64", np.float64), (13, "f8e4m3", np.uint8),
    (14, "f8e5m2", np.uint8), (15, "f8e8m0", np.uint8), (16, "f4", None), (17, "f6e2m3", None), (18, "f6e3m2", None),
)  # fmt: skip
_NUMPY_TYPE = {number: np.dtype(t) if t else None for number, _, t in _DTYPES}
_TYPE_NAME = {number: name for number, name, _ in _DTYPES}
_BIT_PATTERNS = {10, 13, 14, 15}
_NUMBER = {np.dtype(t): number for number, _, t in _DTYPES if t and number not in _BIT_PATTERNS}


class Status(enum.IntEnum):
    """tfx_status: what a call came to."""

    OK = 0
    ARGUMENT = 1
    DTYPE = 2
    RANK = 3
    SHAPE = 4
    BOUND = 5
    REQUIRE = 6
    STRIDE = 7
    ALIGNMENT = 8
    ALIAS = 9
    VALUE = 10
    WORKSPACE = 11
    MEMORY = 12
    WEIGHTS = 13
    CPU = 14
    BUSY = 15
    LOAD = 16
    VERSION = 17


class Error(Exception):
    """A call that failed: the model's own message, and the Status as `status`."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = Status(status)


# ---- the structures of tfx.h ----


class _Tensor(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("dtype", c_int32),
        ("rank", c_int32),
    ]


class _DimInfo(Structure):
    _fields_ = [("name", c_char_p), ("min", c_int64), ("max", c_int64), ("multiple", c_int64)]


class _AxisInfo(Structure):
    _fields_ = [
        ("text", c_char_p),
        ("size", c_int64),
        ("min", c_int64),
        ("max", c_int64),
        ("dim", c_int32),
        ("computed", c_int32),
    ]


class _TensorInfo(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("doc", c_char_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("axes", POINTER(_AxisInfo)),
    ]


class _EntryInfo(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("doc", c_char_p),
        ("inputs", POINTER(_TensorInfo)),
        ("outputs", POINTER(_TensorInfo)),
        ("dims", POINTER(c_uint32)),
        ("given", POINTER(c_uint32)),
        ("n_inputs", c_uint32),
        ("n_outputs", c_uint32),
        ("n_dims", c_uint32),
        ("n_given", c_uint32),
    ]


class _VariantInfo(Structure):
    _fields_ = [("name", c_char_p), ("vector_bits", c_uint32), ("reserved", c_uint32)]


class _Info(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("n_entries", c_uint32),
        ("n_dims", c_uint32),
        ("n_variants", c_uint32),
        ("name", c_char_p),
        ("doc", c_char_p),
        ("source", c_char_p),
        ("compiler", c_char_p),
        ("target", c_char_p),
        ("entries", POINTER(_EntryInfo)),
        ("dims", POINTER(_DimInfo)),
        ("variants", POINTER(_VariantInfo)),
        ("weight_bytes", c_uint64),
        ("weight_id", c_uint8 * 32),
        ("weights_external", c_uint32),
        ("max_tensors", c_uint32),
    ]


class _Options(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("max_workers", c_uint32),
        ("threads", c_uint32),
        ("parallel_for", c_void_p),
        ("parallel_ctx", c_void_p),
        ("workspace", c_void_p),
        ("workspace_bytes", c_uint64),
        ("weights_path", c_char_p),
        ("message", c_char_p),
        ("message_bytes", c_size_t),
        ("variant", c_char_p),
    ]


class _Args(Structure):
    _fields_ = [
        ("inputs", POINTER(_Tensor)),
        ("outputs", POINTER(_Tensor)),
        ("dims", POINTER(c_int64)),
        ("n_inputs", c_uint32),
        ("n_outputs", c_uint32),
        ("n_dims", c_uint32),
        ("reserved", c_uint32),
    ]


class _Api(Structure):
    _fields_ = [
        ("abi_version", c_uint32),
        ("size", c_uint32),
        ("info", CFUNCTYPE(POINTER(_Info))),
        ("open", CFUNCTYPE(c_int, POINTER(_Options), POINTER(c_void_p))),
        ("close", CFUNCTYPE(None, c_void_p)),
        ("run", CFUNCTYPE(c_int, c_void_p, c_uint32, POINTER(_Args))),
        ("dims", CFUNCTYPE(c_int, c_void_p, c_uint32, POINTER(_Args), POINTER(c_int64))),
        ("shape", CFUNCTYPE(c_int, c_void_p, c_uint32, c_uint32, POINTER(c_int64), POINTER(c_int64))),
        ("workspace_size", CFUNCTYPE(c_int64, c_uint32, POINTER(c_int64), c_uint32, c_uint32)),
        ("error", CFUNCTYPE(c_char_p, c_void_p)),
        ("profile", c_void_p),
        ("variant", CFUNCTYPE(c_int32, c_void_p)),
    ]


# As tfx.h lays them out on 64-bit machines.
for _structure, _bytes in ((_Tensor, 32), (_DimInfo, 32), (_AxisInfo, 40), (_TensorInfo, 32), (_EntryInfo, 64),
                           (_Info, 128), (_Options, 80), (_Args, 40), (_Api, 88)):  # fmt: skip
    assert ctypes.sizeof(_structure) == _bytes, (_structure, ctypes.sizeof(_structure))


# ---- what a model looks like ----


def _text(chars):
    return chars.decode(errors="replace") if chars else ""


@dataclasses.dataclass(frozen=True)
class Dim:
    """A size that is known when the model runs: from `min` to `max`, both included, and a multiple of `multiple`."""

    name: str
    min: int
    max: int
    multiple: int

    def __str__(self):
        return f"{self.name}: {self.min}..{self.max}" + (f" by {self.multiple}" if self.multiple > 1 else "")


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output. `shape` has numbers, and text where a size depends on dims: ("B", 3, "S + 1")."""

    name: str
    doc: str
    type: str
    dtype: np.dtype  # of the array; None where NumPy can have none
    shape: tuple

    def __str__(self):
        return f"{self.name}: {self.type}[{', '.join(map(str, self.shape))}]"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A way to call the model. `given` names the dims that no input's shape shows."""

    name: str
    doc: str
    inputs: tuple
    outputs: tuple
    dims: tuple
    given: tuple

    def __str__(self):
        text = f"{self.name}({', '.join(map(str, self.inputs))}) -> {', '.join(map(str, self.outputs))}"
        return text + (f"  where {', '.join(map(str, self.dims))}" if self.dims else "")


def _tensor_of(info):
    axes = [info.axes[k] for k in range(info.rank)]
    shape = tuple(a.size if a.size >= 0 else _text(a.text) for a in axes)
    type_name = _TYPE_NAME.get(info.dtype, "?")
    return Tensor(_text(info.name), _text(info.doc), type_name, _NUMPY_TYPE.get(info.dtype), shape)


def _entry_of(info, index):
    e = info.entries[index]
    dims = [info.dims[e.dims[i]] for i in range(e.n_dims)]
    return Entry(
        _text(e.name),
        _text(e.doc),
        tuple(_tensor_of(e.inputs[i]) for i in range(e.n_inputs)),
        tuple(_tensor_of(e.outputs[i]) for i in range(e.n_outputs)),
        tuple(Dim(_text(d.name), d.min, d.max, d.multiple) for d in dims),
        tuple(_text(info.dims[e.given[i]].name) for i in range(e.n_given)),
    )


# ---- calls ----


def _descriptor(array, wanted, what, keep):
    """The array as the model reads or writes it. `keep` gets what must live as long as the descriptor."""
    as_bits = wanted in _BIT_PATTERNS and array.dtype == _NUMPY_TYPE[wanted]
    number = wanted if as_bits else _NUMBER.get(array.dtype)
    if number is None:
        raise Error(Status.DTYPE, f"{what}: expected {_TYPE_NAME.get(wanted, '?')}, got elements of {array.dtype!r}")
    if any(n > 1 and s % array.itemsize for n, s in zip(array.shape, array.strides)):
        raise Error(Status.STRIDE, f"{what}: strides of {array.strides} bytes are no multiples of an element")
    shape = (c_int64 * max(1, array.ndim))(*array.shape)
    strides = None
    if not array.flags.c_contiguous:
        strides = (c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
    keep += [array, shape, strides]
    return _Tensor(data=array.ctypes.data, shape=shape, strides=strides, dtype=number, rank=array.ndim)


def _by_name(given, names, what):
    """The values in the order of `names`. Wrong names are a TypeError, as those of a function's arguments are."""
    for name in given:
        if name not in names:
            raise TypeError(f"no {what} is called '{name}': expected {', '.join(names) or 'none'}")
    missing = [name for name in names if name not in given]
    if missing:
        raise TypeError(f"{what} '{missing[0]}' is missing")
    return [given[name] for name in names]


class Call:
    """A call with its memory laid out. run() may be repeated, on what the inputs then hold; it overwrites `outputs`."""

    def __init__(self, model, index, inputs, dims, out):
        self._model, self._index = model, index
        entry, info = model.entries[index], model._info.entries[index]
        self._keep = []
        arrays = _by_name(inputs, [t.name for t in entry.inputs], "input")
        self._inputs = (_Tensor * max(1, len(arrays)))()
        for i, a in enumerate(arrays):
            what = f"input '{entry.inputs[i].name}'"
            self._inputs[i] = _descriptor(np.asarray(a), info.inputs[i].dtype, what, self._keep)
        self._given = (c_int64 * max(1, len(entry.given)))(*_by_name(dims, entry.given, "dim"))
        self._args = _Args(
            inputs=self._inputs, dims=self._given, n_inputs=len(arrays), n_dims=len(entry.given)
        )
        self.outputs = self._make_outputs(entry, info, out)

    def _make_outputs(self, entry, info, out):
        names = [t.name for t in entry.outputs]
        for name in out:
            if name not in names:
                raise TypeError(f"no output is called '{name}': expected {', '.join(names)}")
        self._outputs = (_Tensor * max(1, len(names)))()
        dims = self._model._dims(self._index, self._args)
        outputs = {}
        for o, tensor in enumerate(entry.outputs):
            what, array = f"output '{tensor.name}'", out.get(tensor.name)
            if array is None:
                if tensor.dtype is None:
                    raise Error(Status.DTYPE, f"{what}: NumPy has no type for {tensor.type}")
                shape = self._model._shape(self._index, len(entry.inputs) + o, dims, len(tensor.shape))
                array = np.empty(shape, tensor.dtype)
            elif not isinstance(array, np.ndarray) or not array.flags.writeable:
                raise TypeError(f"{what}: expected an array that can be written")
            self._outputs[o] = _descriptor(array, info.outputs[o].dtype, what, self._keep)
            outputs[tensor.name] = array
        self._args.outputs, self._args.n_outputs = self._outputs, len(names)
        return outputs

    def run(self):
        """Compute the outputs; returns them, arrays by name."""
        self._model._run(self._index, self._args)
        return self.outputs


def _check_whole(path):
    """Raise for a file that was cut off: the system would load it, and end the program where a page is missing."""
    with open(path, "rb") as f:
        head = f.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            return  # loading it will say what it is
        programs, sections = struct.unpack_from("<QQ", head, 32)
        program_bytes, n_programs, section_bytes, n_sections = struct.unpack_from("<HHHH", head, 54)
        size = sections + section_bytes * n_sections
        f.seek(programs)
        table = f.read(program_bytes * n_programs)
        for at in range(0, len(table) - 55, max(56, program_bytes)):
            kind, _, offset, _, _, in_file = struct.unpack_from("<IIQQQQ", table, at)
            if kind == 1:  # PT_LOAD
                size = max(size, offset + in_file)
        got = os.fstat(f.fileno()).st_size
    if got < size:
        raise Error(Status.LOAD, f"{path}: the file is cut off: expected {size} bytes, got {got}")


def _check_version(path, api):
    """Raise unless the model has what this file knows, or more: see TFX_ABI_VERSION in tfx.h."""
    version = "the version of its interface"
    if api.abi_version > ABI_VERSION:
        raise Error(
            Status.VERSION,
            f"{path}: the model is newer than tfx.py: {version} is {api.abi_version}, expected {ABI_VERSION}; "
            "take the tfx.py of the tfxc that compiled the model",
        )

    def require(what, got, expected):
        if got < expected:
            message = f"{path}: the model is older than tfx.py: {what} is {got}, expected {expected}; compile it again"
            raise Error(Status.VERSION, message)

    require(version, api.abi_version, ABI_VERSION)
    require("the size of its tfx_api", api.size, ctypes.sizeof(_Api))
    require("the size of its tfx_info", api.info().contents.size, ctypes.sizeof(_Info))


def _release(close, handle, library):
    close(handle)
    _ctypes.dlclose(library)


class Model:
    """A compiled model (model.so) with one handle; `weights` is the file of a model with external weights. So many
    `threads` work on a run: the calling one and others of the model's own (ALL_PROCESSORS: as many as may be used).
    `variant` is the name of one of its variants, to run that instead of the best that the machine can.

    close(), the end of a `with`, or the garbage collector free it. A Model may be used by several threads, which then
    wait for each other; for runs side by side open one Model a thread, they share the weights.
    """

    def __init__(self, path, weights=None, threads=1, variant=None):
        path = os.path.abspath(path)
        _check_whole(path)
        try:
            library = ctypes.CDLL(path)._handle
        except OSError as e:
            raise Error(Status.LOAD, str(e)) from None
        try:
            self._api = self._find(library, path)
            self._info = self._api.info().contents
            self._handle = self._open(weights, threads, variant)
        except BaseException:
            _ctypes.dlclose(library)
            raise
        self._finalizer = weakref.finalize(self, _release, self._api.close, self._handle, library)
        self._lock = threading.Lock()
        info = self._info
        self.name, self.doc, self.source = _text(info.name), _text(info.doc), _text(info.source)
        self.compiler, self.target = _text(info.compiler), _text(info.target)
        self.weight_bytes = info.weight_bytes
        self.variants = tuple(_text(info.variants[i].name) for i in range(info.n_variants))
        self.variant = self.variants[self._api.variant(self._handle)]
        self.entries = tuple(_entry_of(info, i) for i in range(info.n_entries))

    @staticmethod
    def _find(library, path):
        try:
            find = CFUNCTYPE(POINTER(_Api))(_ctypes.dlsym(library, MODEL_SYMBOL))
        except OSError:
            raise Error(Status.LOAD, f"{path}: not a model of tfxc (it lacks the symbol {MODEL_SYMBOL})") from None
        api = find().contents
        _check_version(path, api)
        return api

    def _open(self, weights, threads, variant):
        message = ctypes.create_string_buffer(MESSAGE_BYTES)
        options = _Options(
            size=ctypes.sizeof(_Options),
            flags=STRIDED,
            max_workers=1,
            threads=threads,
            weights_path=os.fsencode(weights) if weights is not None else None,
            message=ctypes.cast(message, c_char_p),
            message_bytes=len(message),
            variant=variant.encode() if variant is not None else None,
        )
        handle = c_void_p()
        status = self._api.open(byref(options), byref(handle))
        if status:
            raise Error(status, _text(message.value))
        return handle

    def _checked(self, function, *arguments):
        with self._lock:
            if self._handle is None:
                raise Error(Status.ARGUMENT, "the model is closed")
            status = function(self._handle, *arguments)
            if status:
                raise Error(status, _text(self._api.error(self._handle)))

    def _run(self, entry, args):
        self._checked(self._api.run, entry, byref(args))

    def _dims(self, entry, args):
        dims = (c_int64 * max(1, self._info.n_dims))()
        self._checked(self._api.dims, entry, byref(args), dims)
        return dims

    def _shape(self, entry, tensor, dims, rank):
        shape = (c_int64 * max(1, rank))()
        self._checked(self._api.shape, entry, tensor, dims, shape)
        return tuple(shape[:rank])

    def bind(self, inputs=(), /, *, entry=None, dims=None, out=None, **named):
        """A Call of these inputs, given as a dict or by name: arrays or what NumPy makes arrays of; arrays are kept,
        not copied, and need not be contiguous.

        `entry` names one of several entries, `dims` has the values of Entry.given, `out` arrays for outputs that are
        not to be made.
        """
        if self._handle is None:
            raise Error(Status.ARGUMENT, "the model is closed")
        names = [e.name for e in self.entries]
        if entry is None and len(names) > 1:
            raise TypeError(f"which entry? The model has {', '.join(names)}")
        if entry is not None and entry not in names:
            raise TypeError(f"no entry is called '{entry}': expected {', '.join(names)}")
        index = names.index(entry) if entry is not None else 0
        return Call(self, index, {**dict(inputs), **named}, dims or {}, out or {})

    def run(self, inputs=(), /, *, entry=None, dims=None, out=None, **named):
        """The outputs, arrays by name. Takes what bind() takes."""
        return self.bind(inputs, entry=entry, dims=dims, out=out, **named).run()

    def close(self):
        """Free the model's memory and unload it. What it has computed stays."""
        with self._lock:
            self._handle = None
            self._finalizer()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __str__(self):
        head = f"model '{self.name}', compiled by {self.compiler} for {self.target}"
        return "\n".join([head, *map(str, self.entries)])
