"""run_all.py check: what it finds, and that it finds what is missing."""

import importlib.metadata
import os

import pytest

from pddm_lite.errors import UserError
from pddm_lite.pipeline import check, cli


def test_all_is_there_and_nothing_is_left_behind(tmp_path, capsys):
    assert cli.main(["check", "--results", str(tmp_path / "r"), "--profile", "smoke"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"[OK]   {what}"
        for what in ("Python", "packages", "GPU", "disk", "results", "data", "weights")
    ]
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_fails_with_its_remedy_and_the_rest_is_told(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.touch()
    options = ["--data", "cub200_2010", "--data-root", str(tmp_path / "no"), "--backbone"]
    options += ["mobilenet_v2", "--weights", str(tmp_path / "no.pth"), "--results"]
    assert cli.main(["check", *options, str(blocked / "r")]) == 1
    out = capsys.readouterr().out
    failed = {x.split(": ")[0]: x for x in out.splitlines() if x.startswith("[FAIL]")}
    assert set(failed) == {"[FAIL] results", "[FAIL] data", "[FAIL] weights"}
    for what, remedy in (("results", "--results"), ("data", "no does not"), ("weights", "no.pth")):
        assert remedy in failed[f"[FAIL] {what}"]


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0", "2.7"])
def test_a_python_out_of_range(version):
    with pytest.raises(UserError, match="is needed"):
        check.python(version)
    assert check.python("3.12.1") == "3.12.1"


def test_packages_out_of_range_and_missing():
    def installed(name: str) -> str:
        if name == "papermill":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "numpy" else "99"

    with pytest.raises(UserError) as err:
        check.packages(installed)
    assert "papermill is missing" in str(err.value) and "numpy 1.0 is not >=1.26" in str(err.value)
    assert "torch" not in str(err.value) and "pip install" in str(err.value)


def test_a_full_disk(tmp_path):
    with pytest.raises(UserError, match="GiB free .* --results"):
        check.disk(tmp_path, least=2**70)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        check.writable(tmp_path / "r")


def test_weights_that_a_run_would_fetch_are_not_fetched(capsys, monkeypatch):
    def no(*args, **more):
        raise AssertionError("fetched")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no)
    for weights in ("", "imagenet", "IMAGENET1K_V1"):
        code = cli.main(["check", "--backbone", "mobilenet_v2", "--weights", weights])
        assert code == 0 and "to be fetched" in capsys.readouterr().out
