"""Pictures from strangers either open upright in RGB or are refused with a reason; nothing else happens."""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

import mulcot.media.gallery
from mulcot.errors import MediaError
from mulcot.media import Gallery, ImageLimits, Store, encode_jpeg, open_image
from mulcot.records import ImageRef

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plain(color: object = RED, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, color)  # type: ignore[arg-type]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *, depth: int = 8, color: int = 0, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    packed = zlib.compress(pixels, 9)
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def exif(orientation: int, order: str = "<") -> bytes:
    start = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + start + struct.pack(f"{order}IH", 8, 1) + entry + b"\0\0\0\0"


def reason_of(data: bytes | Path, limits: ImageLimits | None = None) -> str:
    with pytest.raises(MediaError) as caught:
        open_image(data, limits or ImageLimits())
    return caught.value.reason


def near(got: object, wanted: tuple[int, int, int], by: int = 4) -> bool:
    return all(abs(a - b) <= by for a, b in zip(got, wanted, strict=True))  # type: ignore[call-overload]


# What opens


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_allowed_format_opens_by_its_content_whatever_the_name(kind, tmp_path):
    path = tmp_path / "photo.txt"
    path.write_bytes(saved(plain(BLUE), kind))
    image = open_image(path)
    assert (image.mode, image.size) == ("RGB", (40, 30))
    assert near(image.getpixel((20, 15)), BLUE)


def test_a_picture_of_one_pixel_opens():
    assert open_image(saved(plain(GREEN, (1, 1)))).getpixel((0, 0)) == GREEN


def test_an_animation_gives_its_first_frame():
    frames = [plain(color) for color in (RED, GREEN, BLUE)]
    for kind in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=20)
        assert near(open_image(data).getpixel((5, 5)), RED), kind


def test_cmyk_becomes_rgb():
    image = open_image(saved(plain((0, 255, 255, 0), mode="CMYK"), "JPEG"))
    assert image.mode == "RGB"
    assert near(image.getpixel((5, 5)), RED)


def test_sixteen_bits_are_scaled_and_not_cut():
    values = np.array([[0, 257 * 100, 65535]], dtype=">u2")
    image = open_image(png(3, 1, b"\0" + values.tobytes(), depth=16))
    assert [image.getpixel((x, 0))[0] for x in range(3)] == [0, 100, 255]


def test_a_transparent_colour_of_sixteen_bits_becomes_white():
    values = np.array([[300, 257 * 100]], dtype=">u2")
    extra = chunk(b"tRNS", struct.pack(">H", 300))
    image = open_image(png(2, 1, b"\0" + values.tobytes(), depth=16, extra=extra))
    assert [image.getpixel((x, 0)) for x in range(2)] == [WHITE, (100, 100, 100)]
    colours = np.array([[[0, 0, 0], [1000, 0, 0]]], dtype=">u2")
    extra = chunk(b"tRNS", struct.pack(">HHH", 1000, 0, 0))
    image = open_image(png(2, 1, b"\0" + colours.tobytes(), depth=16, color=2, extra=extra))
    assert [image.getpixel((x, 0)) for x in range(2)] == [(0, 0, 0), WHITE]


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_bitmaps_grays_and_palettes_become_rgb(mode):
    image = open_image(saved(plain(WHITE).convert(mode)))
    assert (image.mode, image.getpixel((3, 3))) == ("RGB", WHITE)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_laid_on_white(kind):
    image = plain((0, 0, 0, 0), mode="RGBA")
    image.paste((255, 0, 0, 128), (0, 0, 20, 30))
    opened = open_image(saved(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert near(opened.getpixel((30, 15)), WHITE)
    assert near(opened.getpixel((5, 15)), (255, 127, 127))


def test_a_transparent_palette_colour_is_laid_on_white():
    image = plain(BLUE).quantize(4)
    index = image.getpixel((0, 0))
    for kind in ("PNG", "GIF"):
        assert near(open_image(saved(image, kind, transparency=index)).getpixel((5, 5)), WHITE), kind


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_exif_orientation_is_undone_as_pillow_does(order):
    image = plain(RED, (32, 16))
    image.paste(BLUE, (0, 0, 16, 8))
    for orientation in range(1, 9):
        data = saved(image, "PNG", exif=exif(orientation, order))
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        assert np.array_equal(np.asarray(open_image(data)), np.asarray(expected)), orientation


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_orientation_is_found_in_each_format(kind):
    image = open_image(saved(plain(), kind, exif=exif(6)))
    assert image.size == (30, 40)
    assert not image.info and ImageOps.exif_transpose(image).size == (30, 40), "nobody downstream turns it again"


@pytest.mark.parametrize("data", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0", b"junk", exif(99), exif(0)])
def test_broken_exif_means_upright_and_warns_nobody(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(saved(plain(), "JPEG", exif=data, dpi=(0, 0))).size == (40, 30)


# What does not


def test_no_bytes_are_an_empty_image():
    assert reason_of(b"") == "empty_image"


@pytest.mark.parametrize(
    "data", [b"hello, world", b"<html></html>", b"BMW is a car maker", b"\0" * 500, b"RIFF1234WAVE"]
)
def test_other_files_are_not_images(data):
    assert reason_of(data) == "not_an_image"


@pytest.mark.parametrize("kind", ["TIFF", "ICO", "PDF", "AVIF"])
def test_formats_outside_the_list_are_named(kind):
    data = b"\0\0\0\x20ftypavif" + b"\0" * 60 if kind == "AVIF" else saved(plain(), kind)
    with pytest.raises(MediaError, match=kind) as caught:
        open_image(data)
    assert caught.value.reason == "unsupported_format"
    assert "Convert" in caught.value.hint


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_file_cut_anywhere_is_truncated(kind):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for length in (20, *(int(len(data) * share) for share in (0.01, 0.1, 0.5, 0.8))):
        assert reason_of(data[:length]) == "truncated_image", length


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_middle_is_broken_or_opens(kind):
    data = bytearray(saved(Image.effect_noise((80, 80), 90).convert("RGB"), kind))
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    try:
        assert open_image(bytes(data)).size == (80, 80)
    except MediaError as error:
        assert error.reason == "broken_image"


def test_a_webp_without_a_picture_is_broken():
    data = saved(plain(), "WEBP")
    assert reason_of(data[:12] + b"JUNK" + data[16:]) == "broken_image"


@pytest.mark.parametrize("start", [b"\xff\xd8", b"\x89PN", b"GIF", b"RI", b"RIFF", b"RIFF1234", b"RIFF1234WE"])
def test_of_a_few_bytes_the_format_is_guessed(start):
    assert reason_of(start) == "truncated_image"


def bombs() -> dict[str, bytes]:
    small = {kind: saved(plain(size=(64, 64)), kind) for kind in ("JPEG", "GIF", "BMP", "WEBP")}
    at = small["JPEG"].index(b"\xff\xc0") + 5
    jpeg = small["JPEG"][:at] + struct.pack(">HH", 20000, 20000) + small["JPEG"][at + 4 :]
    at = small["GIF"].index(b",", 13)
    frame = small["GIF"][: at + 1] + struct.pack("<HHHH", 10000, 10000, 10000, 10000) + small["GIF"][at + 9 :]
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\0" * 4 + (16383).to_bytes(3, "little") * 2
    lossless = saved(plain(size=(64, 64)), "WEBP", lossless=True)
    bits = struct.pack("<I", 16383 | 16383 << 14)
    return {
        "png": png(20000, 20000, b"\0" * 2501 * 20000, depth=1),
        "jpeg": jpeg,
        "gif screen": small["GIF"][:6] + struct.pack("<HH", 20000, 20000) + small["GIF"][10:],
        "gif frame": frame,
        "gif frame behind junk": frame[:at] + b"\x00\x07" + frame[at:],
        "bmp": small["BMP"][:18] + struct.pack("<ii", 20000, 20000) + small["BMP"][26:],
        "webp canvas": b"RIFF" + struct.pack("<I", 22 + len(small["WEBP"])) + b"WEBP" + canvas + small["WEBP"][12:],
        "webp lossy": small["WEBP"][:26] + struct.pack("<HH", 16383, 16383) + small["WEBP"][30:],
        "webp lossless": lossless[:21] + bits + lossless[25:],
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_by_its_header(name):
    assert reason_of(bombs()[name]) == "too_many_pixels"


def test_a_bomb_costs_no_memory(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bombs()["png"])
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from mulcot.errors import MediaError; from mulcot.media import open_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try: open_image(Path(sys.argv[1]))\n"
        "except MediaError as error: print(error.reason, peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "bomb.png"], capture_output=True, text=True, check=True
    )
    reason, grown = done.stdout.split()
    assert reason == "too_many_pixels"
    assert int(grown) < 20_000  # KiB; decoded it would be 400,000


def test_a_text_chunk_that_unpacks_to_a_gigabyte_is_never_unpacked():
    bomb = chunk(b"zTXt", b"c\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 50_000_000, 9))
    image = open_image(png(1, 1, b"\0\x07", extra=(bomb + profile) * 20))
    assert image.getpixel((0, 0)) == (7, 7, 7)


def test_a_jpeg_with_thousands_of_scans_is_refused():
    data = saved(Image.effect_noise((64, 64), 90).convert("RGB"), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert open_image(data[:-2] + scan * 3 + data[-2:]).size == (64, 64)
    assert reason_of(data[:-2] + scan * 3000 + data[-2:]) == "broken_image"


def test_each_limit_has_its_reason():
    data = saved(plain(size=(100, 50)))
    assert reason_of(data, ImageLimits(max_pixels=4999)) == "too_many_pixels"
    assert reason_of(data, ImageLimits(max_side=99)) == "too_many_pixels"
    assert reason_of(data, ImageLimits(max_ratio=1.9)) == "too_narrow"
    assert reason_of(data, ImageLimits(max_bytes=len(data) - 1)) == "too_many_bytes"
    fits = ImageLimits(max_pixels=5000, max_side=100, max_ratio=2, max_bytes=len(data))
    assert open_image(data, fits).size == (100, 50)


def test_a_huge_file_is_refused_without_being_read(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert reason_of(path) == "too_many_bytes"


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    cut=st.floats(0, 1) | st.just(1.0),
)
def test_any_damage_gives_a_picture_or_a_reason_and_no_warning(kind, changes, cut):
    data = bytearray(saved(Image.radial_gradient("L").resize((24, 17)).convert("RGB"), kind, exif=exif(6)))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        assert open_image(bytes(data[: int(cut * len(data))])).mode == "RGB"
    except MediaError as error:
        assert re.fullmatch(r"[a-z_]+", error.reason)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF0000WEBP"])
)
def test_any_bytes_give_a_picture_or_a_reason(data, start):
    with pytest.raises(MediaError):
        open_image(start + data)


def test_many_threads_open_pictures_and_leave_no_trace():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    good, bad = saved(plain(BLUE), "JPEG"), bombs()["gif screen"]

    def work(number: int) -> str:
        try:
            return str(open_image(bad if number % 2 else good).getpixel((1, 1)))
        except MediaError as error:
            return error.reason

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(200)))
    assert set(results[1::2]) == {"too_many_pixels"}
    assert len(set(results[0::2])) == 1
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))


# Thumbnails


def test_thumbnails_fit_keep_their_shape_and_never_grow():
    thumbnail = open_image(encode_jpeg(plain(BLUE, (400, 100)), (80, 80)))
    assert thumbnail.size == (80, 20)
    assert near(thumbnail.getpixel((40, 10)), BLUE)
    assert open_image(encode_jpeg(plain(BLUE, (40, 30)), (80, 80))).size == (40, 30)


def test_thumbnails_carry_no_metadata_and_take_any_mode():
    source = Image.open(io.BytesIO(saved(plain(), "JPEG", exif=exif(6), comment=b"secret")))
    assert not Image.open(io.BytesIO(encode_jpeg(source, None, 90))).getexif()
    transparent = open_image(encode_jpeg(plain((0, 0, 0, 0), mode="RGBA"), (20, 20)))
    assert near(transparent.getpixel((5, 5)), WHITE)


def test_making_a_thumbnail_leaves_the_picture_alone():
    image = plain(RED, (100, 100))
    encode_jpeg(image, (10, 10))
    assert image.size == (100, 100)


# The gallery


def gallery(tmp_path: Path, **limits: int) -> tuple[Gallery, Path]:
    root = tmp_path / "pictures"
    root.mkdir()
    return Gallery(root, Store(tmp_path / "store"), ImageLimits(**limits)), root


def refused(found: Gallery, path: str) -> str:
    reasons = set()
    for method in (found.path, found.bytes, found.open, found.check):
        with pytest.raises(MediaError) as caught:
            method(ImageRef(path=path))
        reasons.add(caught.value.reason)
    assert len(reasons) == 1
    return reasons.pop()


def test_check_returns_hash_and_upright_size(tmp_path):
    found, root = gallery(tmp_path)
    data = saved(plain(), "JPEG", exif=exif(6))
    (root / "a.jpg").write_bytes(data)
    checked = found.check(ImageRef(path="a.jpg", of="B"))
    digest = hashlib.sha256(data).hexdigest()
    assert checked == ImageRef(path="a.jpg", sha256=digest, width=30, height=40, of="B")
    assert found.open(checked).size == (30, 40)
    assert found.bytes(checked) == data
    assert found.path(checked) == root / "a.jpg"


def test_each_picture_is_decoded_once_whether_good_or_bad(tmp_path, monkeypatch):
    found, root = gallery(tmp_path)
    (root / "good.png").write_bytes(saved(plain()))
    (root / "bad.png").write_bytes(b"hello")
    decoded = []
    real = mulcot.media.gallery.decode

    def counting(data: bytes, *rest: object) -> Image.Image:
        decoded.append(data)
        return real(data, *rest)

    monkeypatch.setattr(mulcot.media.gallery, "decode", counting)
    for _ in range(5):
        found.check(ImageRef(path="good.png"))
        with pytest.raises(MediaError, match="bad"):
            found.check(ImageRef(path="bad.png"))
    assert len(decoded) == 2


def test_check_decodes_the_whole_picture(tmp_path):
    found, root = gallery(tmp_path)
    data = saved(Image.effect_noise((200, 200), 90), "JPEG")
    (root / "a.jpg").write_bytes(data[: len(data) * 9 // 10])
    with pytest.raises(MediaError) as caught:
        found.check(ImageRef(path="a.jpg"))
    assert caught.value.reason == "truncated_image"


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "a/../../secret.png", "/etc/passwd", "a\0.png", "..", "a/..", "link.png", "folder/secret.png"],
)
def test_no_path_leaves_the_root(path, tmp_path):
    found, root = gallery(tmp_path)
    (tmp_path / "secret.png").write_bytes(saved(plain()))
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    assert refused(found, path) == "outside_root"


def test_a_neighbour_whose_name_begins_like_the_root_is_outside(tmp_path):
    found, root = gallery(tmp_path)
    (tmp_path / "pictures2").mkdir()
    (tmp_path / "pictures2" / "a.png").write_bytes(saved(plain()))
    (root / "link.png").symlink_to(tmp_path / "pictures2" / "a.png")
    assert refused(found, "link.png") == "outside_root"


def test_a_link_inside_the_root_and_a_root_behind_a_link_are_fine(tmp_path):
    _, root = gallery(tmp_path)
    (root / "a.png").write_bytes(saved(plain()))
    (root / "b.png").symlink_to("a.png")
    (tmp_path / "alias").symlink_to(root)
    assert Gallery(tmp_path / "alias", Store(tmp_path)).check(ImageRef(path="b.png")).width == 40


@pytest.mark.parametrize("path", ["", "none.png", "a.png/b.png", "x" * 5000, "loop.png", "broken.png"])
def test_what_is_not_there_is_missing(path, tmp_path):
    found, root = gallery(tmp_path)
    (root / "a.png").write_bytes(saved(plain()))
    (root / "loop.png").symlink_to("loop.png")
    (root / "broken.png").symlink_to("none.png")
    assert refused(found, path) == "missing_image"


def test_folders_pipes_and_devices_are_not_files_and_do_not_block(tmp_path):
    found, root = gallery(tmp_path)
    (root / "folder.png").mkdir()
    os.mkfifo(root / "pipe.png")
    assert refused(found, "folder.png") == "not_a_file"
    assert refused(found, "pipe.png") == "not_a_file"
    assert reason_of(root / "pipe.png") == "not_a_file"
    assert reason_of(Path("/dev/zero")) == "not_a_file"


def test_a_dataset_without_a_folder_refuses_paths(tmp_path):
    assert refused(Gallery(None, Store(tmp_path)), "a.png") == "outside_root"


def test_a_picture_that_changed_after_its_check_is_refused(tmp_path):
    found, root = gallery(tmp_path)
    (root / "a.png").write_bytes(saved(plain(RED)))
    checked = found.check(ImageRef(path="a.png"))
    (root / "a.png").write_bytes(saved(plain(BLUE)))
    with pytest.raises(MediaError) as caught:
        found.open(checked)
    assert caught.value.reason == "changed_image"


def test_messages_name_the_picture_but_not_the_machine(tmp_path):
    found, root = gallery(tmp_path, max_bytes=10)
    (root / "a\n[red].png").write_bytes(saved(plain()))
    for path in ("a\n[red].png", "../x.png", "none.png"):
        with pytest.raises(MediaError) as caught:
            found.check(ImageRef(path=path))
        assert repr(path) in caught.value.message
        assert str(tmp_path) not in str(caught.value)


# The store


def test_equal_bytes_are_stored_once_and_can_be_opened(tmp_path):
    store = Store(tmp_path / "store")
    data = saved(plain(GREEN))
    first, again, other = store.put(data, ".png"), store.put(data, ".png"), store.put(saved(plain(RED)), ".png")
    assert first == again != other
    assert first.stored
    assert first.sha256 == hashlib.sha256(data).hexdigest()
    assert store.path(first).read_bytes() == data
    assert sorted(p for p in store.folder.rglob("*") if p.is_file()) == sorted({store.path(first), store.path(other)})
    found = Gallery(None, store)
    assert found.open(found.check(first)).getpixel((1, 1)) == GREEN


def test_the_store_spreads_its_files_over_folders(tmp_path):
    store = Store(tmp_path)
    for number in range(300):
        store.put(str(number).encode(), ".png")
    folders = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    assert 100 < len(folders) <= 256
    assert sum(len(list(folder.iterdir())) for folder in folders) == 300


def test_a_half_written_picture_is_written_again(tmp_path):
    store = Store(tmp_path)
    ref = store.put(b"0123456789", ".png")
    store.path(ref).write_bytes(b"0123")
    assert store.path(store.put(b"0123456789", ".png")).read_bytes() == b"0123456789"


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(self: Path, target: object) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        Store(tmp_path).put(b"0123456789", ".png")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_threads_may_store_the_same_picture(tmp_path):
    store = Store(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        refs = set(pool.map(lambda _: store.put(b"x" * 10000, ".png"), range(100)))
    assert len(refs) == 1
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("suffix", ["png", "/../x.png", ".p/g", "", ".toolong"])
def test_a_suffix_cannot_be_a_path(suffix, tmp_path):
    with pytest.raises(ValueError, match="suffix"):
        Store(tmp_path).put(b"x", suffix)


def test_a_temporary_store_is_deleted():
    with Store.temporary() as store:
        path = store.path(store.put(b"x", ".png"))
        assert path.exists()
    assert not path.exists()


# The docs


def test_the_docs_explain_every_reason():
    folder = Path(mulcot.media.gallery.__file__).parent
    source = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    raised = set(re.findall(r'MediaError\(\s*"([a-z_]+)"', source)) | {"truncated_image", "broken_image"}
    docs = (Path(__file__).parent.parent / "docs" / "hostile-input.md").read_text("utf-8").split("## Texts")[0]
    assert set(re.findall(r"(?m)^\| `([a-z_]+)` \|", docs)) == raised


# Real data


REAL = Path(os.environ.get("MULCOT_DATA", "/nonexistent")) / "twitter2015" / "images"


@pytest.mark.skipif(not REAL.is_dir(), reason="MULCOT_DATA names no folder with twitter2015/")
def test_real_photographs_open_as_pillow_opens_them(tmp_path):
    found = Gallery(REAL, Store(tmp_path))
    for path in sorted(REAL.iterdir())[:150]:
        checked = found.check(ImageRef(path=path.name))
        expected = Image.open(path).convert("RGB")
        assert (checked.width, checked.height) == expected.size
        assert np.array_equal(np.asarray(found.open(checked)), np.asarray(expected))
