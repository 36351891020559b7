"""Pixels as a viewer shows them, whatever the file holds and whoever reads it."""

import io
import struct
import sys
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

from pddm_lite.data import open_folder, open_image
from pddm_lite.data.pictures import _kinds, suffixes
from pddm_lite.store.errors import UserError

T = Image.Transpose
# EXIF orientation -> how a picture that should look upright was stored
STORED = {
    1: None,
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_90,
    7: T.TRANSVERSE,
    8: T.ROTATE_270,
}
CORNERS = {(0, 0): (230, 30, 30), (1, 0): (30, 200, 30), (0, 1): (30, 30, 230)}


def upright(size=(64, 40)):
    """A picture, wider than high, whose corners differ in colour."""
    image = Image.new("RGB", size, "white")
    w, h = size[0] // 2, size[1] // 2
    for (x, y), colour in CORNERS.items():
        image.paste(colour, (x * w, y * h, (x + 1) * w, (y + 1) * h))
    return image


def turned(orientation, fmt):
    """The bytes of `upright` as a camera held in another way stores it."""
    how, image, out = STORED[orientation], upright(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    (image if how is None else image.transpose(how)).save(out, fmt, exif=exif)
    return out.getvalue()


def looks_upright(image):
    want = np.asarray(upright()).astype(int)
    return image.size == (64, 40) and np.abs(np.asarray(image) - want).mean() < 4


@pytest.fixture(params=["directory", "zip"])
def opened(request, tmp_path):
    """opened(contents, suffix): a class of pictures read by open_folder, beside another class."""

    def make(contents, suffix):
        files = {f"a/{k:02d}{suffix}": c for k, c in enumerate(contents)}
        other = io.BytesIO()
        upright().save(other, "PNG")
        files |= {f"b/{k}.png": other.getvalue() for k in range(4)}
        if request.param == "zip":
            with zipfile.ZipFile(tmp_path / "z.zip", "w") as z:
                for name, content in files.items():
                    z.writestr(name, content)
            return open_folder(tmp_path / "z.zip", "mine", images=1)
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return open_folder(tmp_path, "mine", images=1)

    return make


@pytest.mark.parametrize(
    ("fmt", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif"), ("AVIF", ".avif")],
)
def test_every_exif_orientation_in_every_format(opened, tmp_path, fmt, suffix):
    if suffix not in suffixes():
        pytest.skip(f"no {fmt} here")
    contents = [turned(k, fmt) for k in STORED]
    data = opened(contents, suffix)
    for k, content in enumerate(contents):
        (tmp_path / f"one{suffix}").write_bytes(content)
        path = tmp_path / f"one{suffix}"
        sources = [data.read(k), open_image(path), open_image(str(path)), open_image(content)]
        sources += [open_image(io.BytesIO(content)), open_image(Image.open(path))]
        for how, image in enumerate(sources):
            assert looks_upright(image), (fmt, k + 1, how)
    assert data.side == 40


def test_a_picture_with_broken_exif_is_shown_as_it_lies(tmp_path):
    out = io.BytesIO()
    upright().save(out, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert looks_upright(open_image(out.getvalue()))


def tiff(x, photometric=1):
    """The bytes of a plain TIFF of an array [h, w] or [h, w, 3], written by hand."""
    h, w, *deep = x.shape
    n, bits, kind = (*deep, 1)[0], 8 * x.itemsize, {"u": 1, "i": 2, "f": 3}[x.dtype.kind]
    data = x.astype(x.dtype.newbyteorder("<")).tobytes()
    tags = [(256, w), (257, h), (258, bits), (259, 1), (262, photometric), (273, 0)]
    tags += [(277, n), (278, h), (279, len(data)), (339, kind)]
    if photometric == 8:
        tags.remove((339, kind))
    start = 8 + 2 + 12 * len(tags) + 4
    fields = b""
    for tag, value in tags:
        if tag == 258 and n == 3:
            fields += struct.pack("<HHII", tag, 3, 3, start)
            continue
        fields += struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1,
                              start + 6 if tag == 273 else value)  # fmt: skip
    ifd = struct.pack("<H", len(tags)) + fields + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8) + ifd + struct.pack("<HHH", bits, bits, bits) + data


RAMP = np.linspace(0, 1, 12).reshape(3, 4)  # of light
SHOWN = {
    # a grey picture of the ramp in every way that scanners, cameras and programs store it
    "uint8": (255 * RAMP).round().astype(np.uint8),
    "uint16": (65535 * RAMP).astype(np.uint16),
    "int16": (32767 * RAMP).astype(np.int16),
    "int16 of 8 bits": (255 * RAMP).round().astype(np.int16),
    "int32 of 8 bits": (255 * RAMP).round().astype(np.int32),
    "int32 of 16 bits": (65535 * RAMP).astype(np.int32),
    "int32": ((2**31 - 1) * RAMP).astype(np.int32),
    "uint32": ((2**32 - 1) * RAMP).astype(np.uint32),
    "uint32 of 16 bits": (65535 * RAMP).astype(np.uint32),
    "float of 0 to 1": RAMP.astype(np.float32),
    "float of 0 to 255": (255 * RAMP).astype(np.float32),
    "float of 0 to 65535": (65535 * RAMP).astype(np.float32),
    "float after resampling": (1.08 * RAMP - 0.04).astype(np.float32),
}


@pytest.mark.parametrize("case", SHOWN)
def test_grey_of_every_type_and_range(opened, case):
    x = SHOWN[case]
    photometrics = [1] if x.dtype == np.uint32 or x.dtype.kind == "i" else [1, 0]  # Pillow's limits
    data = opened([tiff(x, p) for p in photometrics], ".tif")
    for i, photometric in enumerate(photometrics):
        got = np.asarray(data.read(i)).astype(float)
        want = 255 * (1 - RAMP if photometric == 0 else RAMP)
        close = 12 if "resampling" in case else 1.01
        assert got.shape == (3, 4, 3) and np.abs(got - want[..., None]).max() <= close, case


def test_16_bits_that_say_so_are_not_taken_for_8(opened):
    """Their brightest value is below 256, as of a night's picture: all but black, and no bright."""
    x = np.array([[0, 60, 200]], np.uint16)
    out = io.BytesIO()
    Image.fromarray(x).save(out, "PNG")
    pgm = b"P5\n3 1\n65535\n" + x.astype(">u2").tobytes()  # Pillow's mode of it is I
    for content, suffix in ((out.getvalue(), ".png"), (pgm, ".pgm"), (tiff(x), ".tif")):
        assert np.asarray(opened([content], suffix).read(0)).max() <= 1, suffix


LAB = {  # CIE L*a*b* under D50 -> sRGB
    (54.29, 80.80, 69.89): (255, 0, 0),
    (87.82, -79.27, 80.99): (0, 255, 0),
    (53.39, 0.0, 0.0): (127, 127, 127),
    (100.0, 0.0, 0.0): (255, 255, 255),
}


def test_lab(opened):
    x = np.array([[(round(k * 2.55), round(a) % 256, round(b) % 256) for k, a, b in LAB]])
    got = np.asarray(opened([tiff(x.astype(np.uint8), 8)], ".tiff").read(0))[0].astype(int)
    assert np.abs(got - np.array(list(LAB.values()))).max() <= 16, got  # 8 bits of a, b


def test_palette_cmyk_and_alpha_by_open_image():
    red = Image.new("RGB", (8, 8), (200, 20, 20))
    clear = Image.new("RGBA", (8, 8), (200, 20, 20, 0))
    cases = [(red.quantize(4), "PNG", (200, 20, 20)), (red.convert("CMYK"), "TIFF", (200, 20, 20))]
    cases += [(red.convert("CMYK"), "JPEG", (200, 20, 20)), (clear, "PNG", (255, 255, 255))]
    cases += [(clear, "WEBP", (255, 255, 255)), (clear, "TIFF", (255, 255, 255))]
    cases += [(red.convert("YCbCr"), "TIFF", (200, 20, 20))]
    cases += [(clear.convert("LA"), "PNG", (255, 255, 255))]
    for image, fmt, want in cases:
        out = io.BytesIO()
        image.save(out, fmt)
        for source in (out.getvalue(), image):
            got = open_image(source)
            assert got.mode == "RGB"
            assert np.abs(np.asarray(got).astype(int) - want).max() < 12, (fmt, image.mode)
    half = Image.new("LA", (8, 8), (100, 128))  # grey, and half of it white
    for image in (half, half.convert("La")):  # alpha beside the grey, and multiplied into it
        assert np.abs(np.asarray(open_image(image)).astype(int) - 177).max() <= 1, image.mode


NOT_SHOWN = {
    "not finite": (np.array([[0, np.nan]], np.float32), "not all of its values are finite"),
    "standardised": (np.array([[-2.1, 2.6]], np.float32), "go from -2.1 to 2.6"),
    "high dynamic range": (np.array([[0, 8]], np.float32), "go from 0 to 8"),
    "below zero": (np.array([[-5, 200]], np.int32), "go from -5 to 200"),
    "too high": (np.array([[0, 1e6]], np.float32), "go from 0 to 1e\\+06"),
}


@pytest.mark.parametrize("case", NOT_SHOWN)
def test_what_cannot_be_shown_is_refused_in_a_line(opened, case):
    x, named = NOT_SHOWN[case]
    with pytest.raises(UserError, match=named) as error:
        opened([tiff(x)], ".tif").read(0)
    assert "a/00.tif: cannot be read" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match=named):
        open_image(tiff(x))


def test_what_is_no_picture_is_a_line(tmp_path):
    (tmp_path / "x.png").write_bytes(b"<html>")
    for source, named in (
        (tmp_path / "x.png", "x.png: cannot be read as an image (its content is no image)"),
        (tmp_path / "none.png", "No such file"),
        (tmp_path, "Is a directory"),
        (b"", "picture: cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "its content is no image"),
    ):
        with pytest.raises(UserError) as error:
            open_image(source)
        assert named in str(error.value) and "\n" not in str(error.value)


def test_heic_is_read_where_its_plugin_is(opened, monkeypatch):
    def register():  # a plugin of the same shape as pillow_heif, whose files hold a PNG
        def factory(fp, filename=None):
            fp.seek(5)
            return Image.open(io.BytesIO(fp.read()))

        Image.register_open("HEIF", factory, lambda prefix: prefix.startswith(b"heif:"))
        Image.register_extensions("HEIF", [".heic", ".heif"])

    out = io.BytesIO()
    upright().save(out, "PNG")
    content = b"heif:" + out.getvalue()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    _kinds.cache_clear()
    assert ".heic" not in suffixes()
    plugin = types.SimpleNamespace(register_heif_opener=register)
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    _kinds.cache_clear()
    try:
        data = opened([content] * 4, ".HEIC")
        assert len(data) == 8 and looks_upright(data.read(2))
    finally:
        for known in (Image.OPEN, Image.ID):
            known.remove("HEIF") if isinstance(known, list) else known.pop("HEIF")
        for suffix in (".heic", ".heif"):
            Image.EXTENSION.pop(suffix)
        _kinds.cache_clear()


KNOWN = ".jpg .jpeg .jpe .jfif .png .gif .bmp .webp .tif .tiff .ppm .pgm .pbm .jp2 .tga".split()


def test_all_suffixes_that_pillow_reads(opened):
    assert set(KNOWN) <= set(suffixes())
    assert not {".eps", ".ps", ".mpg", ".h5", ".wmf", ".txt", ".pdf"} & set(suffixes())
    image = upright()
    for suffix, fmt in (
        (".jfif", "JPEG"), (".JPE", "JPEG"), (".jp2", "JPEG2000"), (".pgm", "PPM"), (".tga", "TGA"),
    ):  # fmt: skip
        out = io.BytesIO()
        (image.convert("L") if suffix == ".pgm" else image).save(out, fmt)
        data = opened([out.getvalue()] * 4, suffix)
        assert data.read(0).size == (64, 40), suffix
