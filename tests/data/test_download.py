"""The downloader against a server of our own: whole, stopped, wrong, dead; and hostile archives."""

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from trees import picture

from pddm_lite import data
from pddm_lite.data.__main__ import main
from pddm_lite.data.download import Failed, download, fetch, unpack
from pddm_lite.data.real import REAL, Archive


def characters(part, count):
    return {
        f"images_{part}/A/{part}{c:02d}/{n}.png": picture(c * 10 + n, size=(24, 24))
        for c in range(count)
        for n in range(4)
    }


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, content in files.items():
            z.writestr(name, content)
    return out.getvalue()


def tar_of(members, mode="w:gz"):
    """members: name -> content, or a TarInfo for what is no plain file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            plain = isinstance(content, bytes)
            info.size = len(content) if plain else 0
            t.addfile(info, io.BytesIO(content) if plain else None)
    return out.getvalue()


def md5(content):
    return hashlib.md5(content).hexdigest()


class Server:
    """Serves `files`; `most` bytes an answer at most, with Range unless told otherwise."""

    def __init__(self):
        self.files, self.asked = {}, []  # asked: (file, Range) of each request
        self.most, self.ranges = None, True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name, wanted = self.path[1:], self.headers.get("Range")
                outer.asked.append((name, wanted))
                content = outer.files.get(name)
                if content is None:
                    return self.send_error(404)
                start = int(wanted[6:-1]) if wanted and outer.ranges else 0
                if start >= len(content):
                    return self.send_error(416)
                self.send_response(206 if start else 200)
                if start:
                    self.send_header(
                        "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                    )
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:][: outer.most])

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server():
    s = Server()
    yield s
    s.http.shutdown()
    s.http.server_close()


PARTS = {
    "images_background.zip": zip_of(characters("background", 2)),
    "images_evaluation.zip": zip_of(characters("evaluation", 2)),
}


@pytest.fixture
def omniglot(server, monkeypatch):
    """Omniglot as an entry whose archives are small and on the server."""
    server.files = dict(PARTS)
    archives = tuple(Archive(f, md5(c), server.url) for f, c in PARTS.items())
    monkeypatch.setitem(REAL, "omniglot", replace(REAL["omniglot"], archives=archives))
    return archives


def get(name, root):
    lines = []
    return download(name, root, lines.append, bar=False), "\n".join(lines)


def fails(name, root):
    with pytest.raises(Failed) as error:
        get(name, root)
    assert "\n" not in str(error.value)
    assert not list(root.glob(".tmp-*")) and not (root / name).exists()
    return str(error.value)


def test_a_set_is_fetched_checked_unpacked_and_found(tmp_path, server, omniglot):
    root = tmp_path / "new" / "root"
    path, said = get("omniglot", root)
    assert path == root / "omniglot" and said.count("md5 is right") == 2
    assert len(data.load("omniglot", root)) == 16
    assert sorted(p.name for p in root.iterdir()) == [*sorted(PARTS), "omniglot"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    server.asked.clear()
    path, said = get("omniglot", root)
    assert "there already" in said and not server.asked


@pytest.mark.parametrize("ranges", [True, False], ids=["with Range", "without"])
def test_a_stopped_download_goes_on(tmp_path, server, omniglot, ranges):
    server.most, server.ranges = 2000, ranges
    message = fails("omniglot", tmp_path)
    part = tmp_path / "images_background.zip.part"
    assert "run this again" in message or "try again" in message
    assert part.read_bytes() == PARTS["images_background.zip"][:2000]
    server.most = None
    get("omniglot", tmp_path)
    assert server.asked[1] == ("images_background.zip", "bytes=2000-")
    assert not part.exists() and len(data.load("omniglot", tmp_path)) == 16


def test_a_wrong_md5_keeps_what_came_and_unpacks_nothing(tmp_path, server, omniglot):
    name = "images_evaluation.zip"
    server.files[name] = PARTS[name][:-1] + b"x"
    message = fails("omniglot", tmp_path)
    assert md5(PARTS[name]) in message and md5(server.files[name]) in message
    assert f"put it at {tmp_path / name}" in message
    assert (tmp_path / f"{name}.part.bad").read_bytes() == server.files[name]
    assert not (tmp_path / f"{name}.part").exists() and not (tmp_path / name).exists()
    server.files[name] = PARTS[name]
    get("omniglot", tmp_path)


def test_a_file_of_the_users_with_a_wrong_md5_stays(tmp_path, server, omniglot):
    mine = tmp_path / "images_background.zip"
    mine.write_bytes(b"mine")
    message = fails("omniglot", tmp_path)
    assert str(mine) in message and "move it away" in message
    assert mine.read_bytes() == b"mine" and not server.asked


def test_a_dead_link_says_what_to_fetch_by_hand_and_that_is_then_taken(tmp_path, server, omniglot):
    server.files.clear()
    name, content = next(iter(PARTS.items()))
    message = fails("omniglot", tmp_path)
    assert all(x in message for x in ("404", md5(content), f"put it at {tmp_path / name}"))
    for name, content in PARTS.items():
        (tmp_path / name).write_bytes(content)
    server.asked.clear()
    get("omniglot", tmp_path)
    assert not server.asked and len(data.load("omniglot", tmp_path)) == 16


def test_no_server_and_a_link_that_is_none(tmp_path):
    for url in ("http://127.0.0.1:9/", "ftp://127.0.0.1:9/", "nonsense://x/"):
        with pytest.raises(Failed, match="cannot be fetched") as error:
            fetch(Archive("x.zip", "0" * 32, url), tmp_path, bar=False)
        assert "\n" not in str(error.value) and "0" * 32 in str(error.value)
    assert not list(tmp_path.iterdir())


def test_cars_has_no_link_and_takes_what_lies_there(tmp_path, monkeypatch):
    message = fails("cars196", tmp_path)
    for archive in REAL["cars196"].archives:
        assert archive.md5 in message and str(tmp_path / archive.file) in message
    files = {"car_ims.tgz": tar_of({"car_ims/1.jpg": b"x"}), "cars_annos.mat": b"mat"}
    archives = tuple(Archive(f, md5(c)) for f, c in files.items())
    monkeypatch.setitem(REAL, "cars196", replace(REAL["cars196"], archives=archives))
    (tmp_path / "cars_annos.mat").write_bytes(files["cars_annos.mat"])
    message = fails("cars196", tmp_path)
    assert "car_ims.tgz" in message and "cars_annos.mat" not in message
    (tmp_path / "car_ims.tgz").write_bytes(files["car_ims.tgz"])
    path, _ = get("cars196", tmp_path)
    assert (path / "car_ims" / "1.jpg").read_bytes() == b"x"
    assert (path / "cars_annos.mat").read_bytes() == b"mat"
    assert "there already" in get("cars196", tmp_path)[1]


def test_a_folder_in_the_way_is_left_alone(tmp_path, omniglot):
    (tmp_path / "omniglot").mkdir()
    (tmp_path / "omniglot" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(Failed, match="in the way"):
        get("omniglot", tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["omniglot", "mine.txt"]


def test_the_exit_codes(tmp_path, capsys, omniglot, server):
    assert main(["download", "omniglot", "--data-root", str(tmp_path)]) == 0
    assert "md5 is right" in capsys.readouterr().out
    server.files.clear()
    assert main(["download", "omniglot", "--data-root", str(tmp_path / "b")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert main(["download", "omniglot", "--data-root", str(tmp_path / "file")]) == 1
    assert "cannot be written" in capsys.readouterr().err


# ---------------------------------------------------------------------------- unpacking


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="from Python 3.11.4 on")
@pytest.mark.filterwarnings("error")  # Python 3.13 warns where no filter is named
def test_a_tars_files_are_data_and_get_no_rights_of_programs(tmp_path):
    info = tarfile.TarInfo("a.txt")
    info.mode = 0o4777
    (tmp_path / "x.tar").write_bytes(tar_of({"a.txt": info}, "w"))
    unpack([tmp_path / "x.tar"], tmp_path / "set", bar=False)
    assert (tmp_path / "set" / "a.txt").stat().st_mode & 0o4022 == 0


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


A = {"a.txt": b"x"}
HOSTILE = {  # file name, content
    "up": ("x.tgz", tar_of(A | {"../evil": b"x"})),
    "link": ("x.tgz", tar_of(A | {"out": special("out", tarfile.SYMTYPE, "/etc")})),
    "hard link": ("x.tgz", tar_of(A | {"h": special("h", tarfile.LNKTYPE, "../../etc/passwd")})),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "deep" / "root").mkdir(parents=True)
    return tmp_path / "deep" / "root"


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_tar_is_refused_and_leaves_nothing(tmp_path, root, case):
    name, content = HOSTILE[case]
    (root / name).write_bytes(content)
    with pytest.raises(Failed, match="is a link or outside; nothing unpacked") as error:
        unpack([root / name], root / "set", bar=False)
    assert name in str(error.value) and "\n" not in str(error.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["deep", "root", name]


BAD = {
    "no zip": ("x.zip", b"<html>"),
    "truncated zip": ("x.zip", PARTS["images_background.zip"][:3000]),
    "truncated tar": ("x.tgz", tar_of({"a.png": picture(1, size=(24, 24))})[:900]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_archive_leaves_nothing(tmp_path, case):
    name, content = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Failed, match="cannot be unpacked") as error:
        unpack([tmp_path / name], tmp_path / "set", bar=False)
    assert name in str(error.value) and "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == [name]
