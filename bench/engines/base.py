"""What the engines have in common."""

import contextlib
import importlib
import importlib.metadata
import io
import logging
import warnings


class Unavailable(Exception):
    """Why an engine cannot run a model here."""


class Engine:
    name = "?"
    package = None  # the PyPI package whose version counts
    needs = ()  # modules without which there is no engine
    quick = True  # whether --quick has the time for it

    def __init__(self, options):
        """`options`: those of bench/run; threads, only_cached, scratch, tfxc and tfxc_flag count."""
        self.options = options
        for module in self.needs:
            try:
                importlib.import_module(module)
            except ImportError as why:
                raise Unavailable(f"{why} (scripts/setup --bench installs it)") from None

    @property
    def version(self):
        return importlib.metadata.version(self.package)

    def forms(self, model):
        return ("",)

    def build(self, model, form, batch, tokens):
        """The path of the artefact."""
        raise NotImplementedError

    def load(self, model, form, path, inputs):
        """A call of the artefact on the inputs: has run(), outputs() -> arrays in the model's order."""
        raise NotImplementedError


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
