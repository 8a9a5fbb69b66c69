"""What examples/embed_python/tfx.py promises. run_embed_python.sh makes the models.

    python3 tests/embed/check_tfx.py DIRECTORY

DIRECTORY has digits.so, digits_outside.so with digits.tfxw, other.so (digits with random weights), small.so and
no_model.so, and first.so, short.so, shorter.so, next.so of other versions (other_version.c).
"""

import gc
import pathlib
import re
import shutil
import struct
import sys
import threading
import unittest
import weakref

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
sys.path.insert(0, str(ROOT / "examples" / "embed_python"))
import tfx  # noqa: E402

MODELS = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".")
IMAGES = np.load(DIGITS / "test_images.npy")
LOGITS = np.load(DIGITS / "golden_logits_f32.npy")


def mapped(path):
    """Whether the file is in this process's memory."""
    return str(path) in pathlib.Path("/proc/self/maps").read_text()


class Threads(unittest.TestCase):
    def test_same_bits(self):
        with tfx.Model(MODELS / "digits.so") as one:
            alone = one.run(pixels=IMAGES[:64])["logits"]
        for threads in (0, 1, 2, 5, tfx.ALL_PROCESSORS):
            with tfx.Model(MODELS / "digits.so", threads=threads) as model:
                for _ in range(3):
                    np.testing.assert_array_equal(model.run(pixels=IMAGES[:64])["logits"], alone)

    def test_too_many(self):
        with self.assertRaises(tfx.Error) as raised:
            tfx.Model(MODELS / "digits.so", threads=1025)
        self.assertEqual(str(raised.exception), "options: threads is 1025, expected at most 1024")


class Case(unittest.TestCase):
    def setUp(self):
        self.model = tfx.Model(MODELS / "digits.so")
        self.addCleanup(self.model.close)

    def refuses(self, status, message, call, *arguments, **named):
        with self.assertRaises(tfx.Error) as raised:
            call(*arguments, **named)
        self.assertEqual(str(raised.exception), message)
        self.assertIs(raised.exception.status, status)


class Header(unittest.TestCase):
    """The numbers in tfx.py are those of tfx.h."""

    header = (ROOT / "runtime" / "tfx.h").read_text()

    def test_statuses(self):
        ours = {("OK" if s == 0 else f"ERR_{s.name}", int(s)) for s in tfx.Status}
        theirs = {(name, int(n)) for name, n in re.findall(r"TFX_(OK|ERR_\w+)\s*=\s*(\d+)", self.header)}
        self.assertEqual(ours, theirs)

    def test_dtypes(self):
        enum = self.header[self.header.index("enum tfx_dtype") : self.header.index("} tfx_dtype;")]
        theirs = {int(n): name.lower() for name, n in re.findall(r"TFX_(\w+)\s*=\s*(\d+)", enum)}
        self.assertEqual(tfx._TYPE_NAME, theirs)

    def test_constants(self):
        self.assertIn(f"#define TFX_ABI_VERSION {tfx.ABI_VERSION}\n", self.header)
        self.assertIn(f'#define TFX_MODEL_SYMBOL "{tfx.MODEL_SYMBOL}"\n', self.header)
        self.assertIn(f"#define TFX_STRIDED {tfx.STRIDED}u\n", self.header)


class Running(Case):
    def logits(self, images, **named):
        return self.model.run(pixels=images, **named)["logits"]

    def near(self, got, rows):
        np.testing.assert_allclose(got, LOGITS[rows], rtol=0, atol=1e-4)

    def test_description(self):
        self.assertEqual(self.model.name, "digits")
        (entry,) = self.model.entries
        self.assertEqual(str(entry), "digits(pixels: f32[B, 1, 8, 8]) -> logits: f32[B, 10]  where B: 1..64")
        self.assertEqual(entry.inputs[0].shape, ("B", 1, 8, 8))
        self.assertEqual(entry.inputs[0].dtype, np.float32)
        self.assertEqual(entry.dims, (tfx.Dim("B", 1, 64, 1),))

    def test_logits(self):
        for n in (1, 3, 64):
            self.near(self.logits(IMAGES[:n]), slice(n))

    def test_views(self):
        wide = np.zeros((5, 3, 8, 16), np.float32)
        wide[:, 1:2, :, ::2] = IMAGES[:5]
        turned = np.asfortranarray(IMAGES[:5])
        for view, rows in (
            (IMAGES[::7][:40], slice(0, 280, 7)),
            (IMAGES[9::-1], slice(9, None, -1)),
            (wide[:, 1:2, :, ::2], slice(5)),
            (turned, slice(5)),
            (np.broadcast_to(IMAGES[3], (4, 1, 8, 8)), [3] * 4),
        ):
            self.assertFalse(view.flags.c_contiguous)
            self.near(self.logits(view), rows)
            np.testing.assert_array_equal(self.logits(view), self.logits(view.copy(order="C")))

    def test_outputs_of_the_caller(self):
        expected = self.logits(IMAGES[:4])
        plain, wide, turned = (np.zeros(shape, np.float32) for shape in ((4, 10), (4, 20), (10, 4)))
        for out in (plain, wide[:, ::2], turned.T):
            self.assertIs(self.logits(IMAGES[:4], out={"logits": out}), out)
            np.testing.assert_array_equal(out, expected)
        around = np.full((4, 20), 7, np.float32)
        self.logits(IMAGES[:4], out={"logits": around[:, 1::2]})
        np.testing.assert_array_equal(around[:, 1::2], expected)
        self.assertTrue((around[:, ::2] == 7).all())

    def test_bound(self):
        images = IMAGES[:2].copy()
        call = self.model.bind(pixels=images)
        first = call.run()["logits"].copy()
        self.near(first, slice(2))
        images[:] = IMAGES[2:4]
        self.near(call.run()["logits"], slice(2, 4))
        images[:] = IMAGES[:2]
        np.testing.assert_array_equal(call.run()["logits"], first)

    def test_two_models_of_one_file_and_threads(self):
        expected = self.logits(IMAGES[:8])
        shared, wrong = self.model, []

        def work(own):
            model = tfx.Model(MODELS / "digits.so") if own else shared
            for _ in range(20):
                if not (model.run(pixels=IMAGES[:8])["logits"] == expected).all():
                    wrong.append(own)

        threads = [threading.Thread(target=work, args=(own,)) for own in (True, True, False, False)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])

    def test_several_entries(self):
        with tfx.Model(MODELS / "small.so") as model:
            self.assertEqual([e.name for e in model.entries], ["score", "halve"])
            self.assertEqual(model.entries[0].given, ("P",))
            self.assertEqual(str(model.entries[1]), "halve(x: f16[B, S]) -> y: bf16[B, S]  where B: 1..4, S: 1..16")
            ids = np.array([[1, 2, 2], [0, 9, 1]])
            mask = np.array([[True, False, True], [False, False, False]])
            zero = model.run(entry="score", ids=ids, mask=mask, dims={"P": 0})
            three = model.run({"ids": ids, "mask": mask}, entry="score", dims={"P": 3})
            self.assertEqual(list(zero), ["y", "n"])
            np.testing.assert_array_equal(zero["n"], [[2], [0]])
            np.testing.assert_array_equal(zero["y"] + np.float32(3), three["y"])
            np.testing.assert_array_equal(zero["y"][0, 1], zero["y"][0, 2])
            half = model.run(entry="halve", x=np.array([[1, -2.5]], np.float16))["y"]
            self.assertEqual(half.dtype, np.uint16)  # bit patterns
            np.testing.assert_array_equal((half.astype(np.uint32) << 16).view(np.float32), [[0.5, -1.25]])

    def test_variants(self):
        model = tfx.Model(MODELS / "digits.so")
        self.assertEqual((model.variant,), model.variants)
        same = tfx.Model(MODELS / "digits.so", variant=model.variant)
        np.testing.assert_array_equal(same.run(pixels=IMAGES[:2])["logits"], self.logits(IMAGES[:2]))
        message = f"options: the model has no variant 'z80', only '{model.variant}'"
        self.refuses(tfx.Status.ARGUMENT, message, tfx.Model, MODELS / "digits.so", variant="z80")

    def test_weights_of_their_own(self):
        outside = tfx.Model(MODELS / "digits_outside.so", weights=MODELS / "digits.tfxw")
        np.testing.assert_array_equal(outside.run(pixels=IMAGES[:2])["logits"], self.logits(IMAGES[:2]))
        with self.assertRaisesRegex(tfx.Error, "this model's weights are in a file of their own") as raised:
            tfx.Model(MODELS / "digits_outside.so")
        self.assertIs(raised.exception.status, tfx.Status.WEIGHTS)
        none = MODELS / "none.tfxw"
        message = f"weights '{none}': no such file"
        self.refuses(tfx.Status.WEIGHTS, message, tfx.Model, MODELS / "digits_outside.so", none)


class Refusals(Case):
    def test_dtype(self):
        for array, got in (
            (IMAGES[:1].astype(np.float64), "f64"),
            (IMAGES[:1] > 0, "bool"),
            (IMAGES[:1].astype(">f4"), "elements of dtype('>f4')"),
            ("x", "elements of dtype('<U1')"),
        ):
            message = f"input 'pixels': expected f32, got {got}"
            self.refuses(tfx.Status.DTYPE, message, self.model.run, pixels=array)
        out = {"logits": np.empty((1, 10))}
        message = "output 'logits': expected f32, got f64"
        self.refuses(tfx.Status.DTYPE, message, self.model.run, pixels=IMAGES[:1], out=out)

    def test_shape(self):
        for array, status, message in (
            (IMAGES[:2, 0], tfx.Status.RANK, ": expected rank 4 [B, 1, 8, 8], got rank 3 [2, 8, 8]"),
            (
                IMAGES[:2, :, :, 1:],
                tfx.Status.SHAPE,
                ", axis 3: expected 8, got 7 (expected [B, 1, 8, 8], got [2, 1, 8, 7])",
            ),
            (IMAGES[:65], tfx.Status.BOUND, ", axis 0: dim 'B': expected 1..64, got 65"),
            (IMAGES[:0], tfx.Status.BOUND, ", axis 0: dim 'B': expected 1..64, got 0"),
        ):
            self.refuses(status, "input 'pixels'" + message, self.model.run, pixels=array)
        with self.assertRaises(tfx.Error) as raised:
            self.model.run(pixels=IMAGES[:1], out={"logits": np.empty((1, 9), np.float32)})
        self.assertIs(raised.exception.status, tfx.Status.SHAPE)
        with self.assertRaises(tfx.Error) as raised:
            self.model.run(pixels=np.zeros((1,) * 20, np.float32))
        self.assertIs(raised.exception.status, tfx.Status.RANK)

    def test_memory(self):
        run = self.model.run
        odd = np.zeros(257, np.uint8)[1:].view(np.float32).reshape(1, 1, 8, 8)
        with self.assertRaisesRegex(tfx.Error, "^input 'pixels': expected data aligned to 4 bytes") as raised:
            run(pixels=odd)
        self.assertIs(raised.exception.status, tfx.Status.ALIGNMENT)
        record = np.zeros((1, 1, 8, 8), np.dtype([("v", "f4"), ("pad", "u1")]))["v"]
        with self.assertRaisesRegex(tfx.Error, "^input 'pixels': strides of .* no multiples of an element$") as raised:
            run(pixels=record)
        self.assertIs(raised.exception.status, tfx.Status.STRIDE)
        both = np.zeros(64, np.float32)
        with self.assertRaises(tfx.Error) as raised:
            run(pixels=both.reshape(1, 1, 8, 8), out={"logits": both[:10].reshape(1, 10)})
        self.assertIs(raised.exception.status, tfx.Status.ALIAS)
        self.assertTrue((both == 0).all())
        with self.assertRaises(tfx.Error) as raised:
            run(pixels=IMAGES[:2], out={"logits": np.lib.stride_tricks.as_strided(both, (2, 10), (4, 4))})
        self.assertIs(raised.exception.status, tfx.Status.STRIDE)
        fixed = np.zeros((1, 10), np.float32)
        fixed.flags.writeable = False
        for out in (fixed, [[0.0] * 10]):
            with self.assertRaisesRegex(TypeError, "output 'logits': expected an array that can be written"):
                run(pixels=IMAGES[:1], out={"logits": out})

    def test_values(self):
        with tfx.Model(MODELS / "small.so") as model:
            ids, mask = np.array([[3, 10]]), np.ones((1, 2), bool)
            message = "input 'ids': element [0, 1] is 10, allowed 0..9"
            self.refuses(tfx.Status.VALUE, message, model.run, entry="score", ids=ids, mask=mask, dims={"P": 0})
            self.assertEqual(model.run(entry="score", ids=ids % 10, mask=mask, dims={"P": 0})["n"][0, 0], 2)

    def test_names(self):
        run = self.model.run
        for pattern, call in (
            ("no input is called 'x': expected pixels", lambda: run(x=IMAGES[:1])),
            ("input 'pixels' is missing", lambda: run()),
            ("no output is called 'y': expected logits", lambda: run(pixels=IMAGES[:1], out={"y": 1})),
            ("no dim is called 'B': expected none", lambda: run(pixels=IMAGES[:1], dims={"B": 1})),
            ("no entry is called 'e': expected digits", lambda: run(pixels=IMAGES[:1], entry="e")),
        ):
            with self.assertRaisesRegex(TypeError, f"^{pattern}$"):
                call()
        with tfx.Model(MODELS / "small.so") as model:
            with self.assertRaisesRegex(TypeError, "^which entry[?] The model has score, halve$"):
                model.run(x=IMAGES)

    def test_a_handle_is_as_good_after_a_mistake(self):
        expected = self.model.run(pixels=IMAGES[:1])["logits"]
        with self.assertRaises(tfx.Error):
            self.model.run(pixels=IMAGES)
        np.testing.assert_array_equal(self.model.run(pixels=IMAGES[:1])["logits"], expected)

    def test_files(self):
        whole = (MODELS / "digits.so").read_bytes()
        cut = MODELS / "cut.so"
        for n in (1000, 4096, len(whole) // 2, len(whole) - 1):
            cut.write_bytes(whole[:n])
            message = f"{cut}: the file is cut off: expected {len(whole)} bytes, got {n}"
            self.refuses(tfx.Status.LOAD, message, tfx.Model, cut)
        for n in (0, 3, 64, 200):
            cut.write_bytes(whole[:n])
            with self.assertRaises(tfx.Error) as raised:
                tfx.Model(cut)
            self.assertIs(raised.exception.status, tfx.Status.LOAD)
        cut.unlink()
        path = MODELS / "no_model.so"
        message = f"{path}: not a model of tfxc (it lacks the symbol tfx_model_v1)"
        self.refuses(tfx.Status.LOAD, message, tfx.Model, path)
        self.assertFalse(mapped(path))
        self.assertRaises(FileNotFoundError, tfx.Model, MODELS / "none.so")

    def test_versions(self):
        older = "the model is older than tfx.py: {} is {}, expected {}; compile it again"
        for name, message in (
            ("first", older.format("the version of its interface", 1, 2)),
            ("short", older.format("the size of its tfx_api", 80, 88)),
            ("shorter", older.format("the size of its tfx_info", 112, 128)),
            ("next", "the model is newer than tfx.py: the version of its interface is 3, expected 2; "
                     "take the tfx.py of the tfxc that compiled the model"),
        ):  # fmt: skip
            path = MODELS / f"{name}.so"
            self.refuses(tfx.Status.VERSION, f"{path}: {message}", tfx.Model, path)
            self.assertFalse(mapped(path))

    def test_longer_structures(self):
        """What a later tfxc compiles serves, as long as the interface has only grown."""
        data = (MODELS / "digits.so").read_bytes()
        for head, longer in (((2, 88), (2, 96)), ((128, 1, 1, 1), (136, 1, 1, 1))):
            head, longer = (struct.pack(f"<{len(n)}I", *n) for n in (head, longer))
            self.assertEqual(data.count(head), 1)
            data = data.replace(head, longer)
        path = MODELS / "longer.so"
        path.write_bytes(data)
        self.addCleanup(path.unlink)
        with tfx.Model(path) as model:
            np.testing.assert_array_equal(model.run(pixels=IMAGES[:3])["logits"], self.model.run(pixels=IMAGES[:3])["logits"])

    def test_directories(self):
        self.assertRaises(IsADirectoryError, tfx.Model, MODELS)


class Lifetime(unittest.TestCase):
    def copy(self, name):
        path = MODELS / f"{name}.so"
        shutil.copy(MODELS / "digits.so", path)
        self.addCleanup(path.unlink)
        return path

    def test_close(self):
        path = self.copy("closed")
        model = tfx.Model(path)
        call = model.bind(pixels=IMAGES[:1])
        logits = call.run()["logits"]
        self.assertTrue(mapped(path))
        model.close()
        model.close()
        self.assertFalse(mapped(path))
        np.testing.assert_allclose(logits, LOGITS[:1], rtol=0, atol=1e-4)
        for use in (call.run, lambda: model.run(pixels=IMAGES[:1]), lambda: model.bind(pixels=IMAGES[:1])):
            with self.assertRaisesRegex(tfx.Error, "^the model is closed$"):
                use()
        self.assertEqual(model.entries[0].inputs[0].name, "pixels")
        self.assertIn("digits", str(model))

    def test_with(self):
        path = self.copy("within")
        with self.assertRaises(ZeroDivisionError), tfx.Model(path) as model:
            self.assertTrue(mapped(path))
            _ = 1 // 0
        self.assertFalse(mapped(path))
        self.assertRaises(tfx.Error, model.run, pixels=IMAGES[:1])

    def test_garbage(self):
        path = self.copy("dropped")
        model = tfx.Model(path)
        call, gone = model.bind(pixels=IMAGES[:1]), weakref.ref(model)
        del model
        gc.collect()
        self.assertTrue(mapped(path))  # the call needs it
        call.run()
        del call
        gc.collect()
        self.assertIsNone(gone())
        self.assertFalse(mapped(path))

    def test_a_file_that_was_compiled_anew(self):
        path = self.copy("anew")
        with tfx.Model(path) as model:
            before = model.run(pixels=IMAGES[:1])["logits"]
        fresh = MODELS / "fresh.so"
        shutil.copy(MODELS / "other.so", fresh)
        fresh.replace(path)
        with tfx.Model(path) as model:
            self.assertFalse((model.run(pixels=IMAGES[:1])["logits"] == before).any())


if __name__ == "__main__":
    unittest.main()
