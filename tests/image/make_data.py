#!/usr/bin/env python3
"""Makes the pictures in data/ and reference.h: files of kinds that phosphene reads but does not write, and what Pillow's
BILINEAR makes of a picture. Needs Pillow and NumPy.

    tests/image/make_data.py
"""
import pathlib
import struct
import zlib

import numpy
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
DATA = HERE / "data"
WIDTH, HEIGHT = 13, 9


def noisy(channels):
    """Every value follows from its place; test_image.c has the same formula. [H,W,C]"""
    y, x, c = numpy.mgrid[:HEIGHT, :WIDTH, :channels]
    return ((37 * x + 59 * y + 83 * c + 7 * x * y) % 256).astype(numpy.uint8)


def smooth():
    """What JPEG keeps nearly unchanged. [H,W,3]"""
    y, x, c = numpy.mgrid[:HEIGHT, :WIDTH, :3]
    return (10 * x + 5 * y + 20 * c + 30).astype(numpy.uint8)


def wide(channels):
    """16 bits a channel. [H,W,C]"""
    y, x, c = numpy.mgrid[:HEIGHT, :WIDTH, :channels]
    return ((4099 * x + 8209 * y + 12289 * c) % 65536).astype(">u2")


def png(name, pixels, colour, interlaced):
    """A PNG as the specification has it (W3C PNG, sections 7 and 8), for kinds that Pillow does not write. Filter 0."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes if interlaced else [(0, 0, 1, 1)]:
        part = pixels[top::down, left::across]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8 * pixels.itemsize, colour, 0, 0, interlaced)
    (DATA / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) +
                              chunk(b"IEND", b""))


def exif_block(orientation):
    order, mark = (">", b"MM") if orientation % 2 else ("<", b"II")
    return b"Exif\0\0" + mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)


def turned_other_formats():
    """noisy(3) as PNG and WebP turned by 90 degrees either way: the block of PNG never has a mark before it,
    that of WebP has one by some writers."""
    sideways = [Image.fromarray(noisy(3)).transpose(Image.Transpose.ROTATE_90),
                Image.fromarray(noisy(3)).transpose(Image.Transpose.ROTATE_270)]
    sideways[0].save(DATA / "turned-6.png", exif=exif_block(6))
    sideways[1].save(DATA / "turned-8.webp", lossless=True, exif=exif_block(8))
    sideways[0].save(DATA / "turned-6.webp", lossless=True, exif=exif_block(6)[6:])
    for name in ["turned-6.png", "turned-8.webp", "turned-6.webp"]:
        upright = ImageOps.exif_transpose(Image.open(DATA / name))
        assert (numpy.asarray(upright) == noisy(3)).all(), name


def turned():
    """smooth() as cameras store it that were held otherwise: EXIF orientations 2 to 8, in either byte order."""
    turns = [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
             Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270]
    for orientation, turn in enumerate(turns, 2):
        exif = exif_block(orientation)
        path = DATA / ("turned-%d.jpg" % orientation)
        Image.fromarray(smooth()).transpose(turn).save(path, quality=98, subsampling=0, exif=exif)
        upright = ImageOps.exif_transpose(Image.open(path))
        assert upright.size == (WIDTH, HEIGHT) and abs(numpy.asarray(upright).astype(int) - smooth()).max() <= 4


def pictures():
    DATA.mkdir(exist_ok=True)
    png("interlaced.png", noisy(3), 2, 1)
    png("grey16.png", wide(1), 0, 0)
    png("rgb16_interlaced.png", wide(3), 2, 1)
    png("grey_alpha.png", noisy(2), 4, 0)
    palette = Image.fromarray(noisy(1)[:, :, 0] % 4)
    palette = Image.frombytes("P", (WIDTH, HEIGHT), palette.tobytes())
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 50, 100, 150])
    palette.save(DATA / "palette.png", bits=2)
    palette.save(DATA / "palette_alpha.png", bits=2, transparency=bytes([255, 128, 0, 51]))
    Image.fromarray(noisy(1)[:, :, 0]).point(lambda v: 255 * (v >= 128), "1").save(DATA / "bit.png")
    rgb, grey = Image.fromarray(noisy(3)), Image.fromarray(noisy(1)[:, :, 0])
    rgb.save(DATA / "rgb.bmp")
    rgb.save(DATA / "rgb.ppm")
    rgb.save(DATA / "rgb.tga")
    rgb.save(DATA / "packed.tga", compression="tga_rle")
    grey.save(DATA / "grey.pgm")
    grey.save(DATA / "grey.gif")
    Image.fromarray(smooth()).save(DATA / "smooth.jpg", quality=98, subsampling=0)
    Image.fromarray(smooth()).save(DATA / "progressive.jpg", quality=98, subsampling=0, progressive=True)
    turned()
    turned_other_formats()
    rgb.save(DATA / "rgb.webp", lossless=True)
    Image.fromarray(noisy(4)).save(DATA / "alpha.webp", lossless=True, exact=True)
    Image.fromarray(smooth()).convert("CMYK").save(DATA / "cmyk.jpg", quality=98, subsampling=0)


def resampled():
    """Pillow computes mode F in float, so nothing is rounded between the passes."""
    picture = Image.fromarray(noisy(1)[:, :, 0].astype(numpy.float32) / 255)
    lines = ["/* What Pillow's BILINEAR makes of noisy(1) / 255, by make_data.py. */", "static const struct {",
             "    int height, width;", "    float values[80];", "} resampled[] = {"]
    for height, width in [(3, 4), (9, 5), (4, 13), (1, 1), (5, 16), (16, 5), (2, 40)]:
        values = numpy.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).ravel()
        lines.append("    {%d, %d," % (height, width))
        texts = ["%.7ff" % value for value in values]
        for start in range(0, len(texts), 10):
            end = ", ".join(texts[start:start + 10])
            lines.append("     " + ("{" if start == 0 else " ") + end + ("}}," if start + 10 >= len(texts) else ","))
    (HERE / "reference.h").write_text("\n".join(lines + ["};"]) + "\n")


pictures()
resampled()
