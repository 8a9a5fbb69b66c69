"""What the engines have in common."""

import contextlib
import importlib
import importlib.metadata
import io
import logging
import warnings

import cache


class Unavailable(Exception):
    """Why an engine cannot run a model here."""


class Engine:
    name = "?"
    package = None  # the PyPI package whose version counts
    needs = ()  # modules without which there is no engine
    quick = True  # whether --quick has the time for it
    made_by = ("torch", "transformers")  # packages that have a hand in an artefact
    suffix = ""  # of an artefact's name
    ships = True  # whether there is an artefact at all

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

    def shipped_form(self, model):
        """The form whose size and times to build and load are told."""
        return self.forms(model)[0]

    def build(self, model, form, batch, tokens):
        """The path of the artefact, from the cache or made now."""
        depends_on = [cache.stamp(model.weights()), *cache.versions(*self.made_by)]
        name = "-".join([model.name, *filter(None, [form.replace(" ", "-"), self.shape_name(batch, tokens)])])

        def write(path):
            with quiet():
                self.make(model, form, batch, tokens, path)

        return cache.made(f"{self.name}/{name}", depends_on, write, self.suffix, self.options.only_cached)

    def shape_name(self, batch, tokens):
        """Part of an artefact's name: empty when one is good for all shapes."""
        return f"{batch}x{tokens}"

    def make(self, model, form, batch, tokens, path):
        """Write the artefact there, a file or folder."""
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
