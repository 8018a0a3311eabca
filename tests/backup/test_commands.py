"""`paglets backup` and `paglets restore` against a real host, running and stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.site import Site

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOK = "cli_samples:Notebook"


def test_from_a_running_host_to_a_new_one_that_goes_on(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        site.start("alpha")
        site.wait_ready("alpha")
        agent_id = site.ask("alpha", "create", NOTEBOOK, "--init", '"first line"')["agent_id"]
        nowhere = site.on("alpha", "backup", str(tmp_path))
        assert (nowhere.code, "is a directory" in nowhere.err) == (1, True)
        backups = site.data_dir("alpha") / "backups"
        assert not backups.exists() or not list(backups.rglob("*")), (
            "a copy with the key in it was left behind"
        )
        told = site.ask("alpha", "backup", str(tmp_path / "alpha.backup"))
        assert told["file"] == str(tmp_path / "alpha.backup")
        host_id = site.ask("alpha", "status")["host_id"]
        in_use = site.run(
            "restore", str(tmp_path / "alpha.backup"), "--data-dir", str(site.data_dir("alpha"))
        )
        assert in_use.code == 1
        assert "not empty" in in_use.err
        site.stop("alpha")
        stopped = site.on("alpha", "backup", str(tmp_path / "stopped.backup"))
        assert "keep it secret" in stopped.out

        put_back = site.run(
            "restore", str(tmp_path / "alpha.backup"), "--data-dir", str(site.data_dir("beta"))
        )
        assert put_back.code == 0, put_back.err
        assert "restore --accept" in put_back.out
        site.start("beta")
        site.wait_ready("beta")
        assert site.ask("beta", "status")["host_id"] == host_id
        assert "restore --accept" in site.on("beta", "status").out
        assert "restore --accept" in site.on("beta", "activate", agent_id).err
        assert "goes on" in site.on("beta", "restore", "--accept").out
        assert site.ask("beta", "send", agent_id, "read") == {"reply": ["first line"]}
        assert site.on("beta", "restore", "--accept").code == 1
    finally:
        site.close()


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.run("restore").code == 2
    assert site.run("restore", "x", "--accept").code == 2
    assert site.run("restore", "x").code == 2
    assert site.run("backup", str(tmp_path / "x"), "--data-dir", str(tmp_path / "none")).code == 3
    assert site.run("restore", str(tmp_path / "x"), "--data-dir", str(tmp_path / "new")).code == 1
