"""The engines that the benchmark compares: one class each, one row of ENGINES.

An engine works in two steps, as in use. `build` makes from a model what one would ship (an artefact: a file or folder), ahead
of time and kept in the cache where it takes long; `load` opens an artefact and binds inputs to it: from then on run() does
one inference and nothing else. `forms` are the ways in which an engine can run a model, each with its own artefact: for
every shape the benchmark tries them all and lets the fastest stand for the engine, as someone would who knows it.
Building may use PyTorch; loading uses nothing but the engine, so that a fresh process shows what the engine itself takes.
"""

from engines.base import Engine, Unavailable
from engines.openvino_engine import OpenVino
from engines.ort_engine import OnnxRuntime
from engines.tfxc_engine import Tfxc
from engines.torch_engines import AotInductor, Eager, TorchCompile

__all__ = ["ENGINES", "Engine", "Unavailable"]

ENGINES = {e.name: e for e in (Tfxc, OnnxRuntime, OpenVino, Eager, TorchCompile, AotInductor)}
