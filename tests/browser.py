"""Chromium for the tests of the HTML report: Debian's package where apt works, playwright's own elsewhere.

`python tests/browser.py` installs it unless it is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


def executable() -> str | None:
    """Chromium on the path; null: playwright's own, if it has one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def has_own() -> bool:
    """Whether playwright has a browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def install() -> None:
    if executable() or has_own():
        return
    if shutil.which("apt-get"):
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*root, "apt-get", "update", "-q"], check=False, env=quiet, stdout=subprocess.DEVNULL)
        wanted = [*root, "apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-liberation"]
        if subprocess.run(wanted, check=False, env=quiet, stdout=subprocess.DEVNULL).returncode == 0:
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"], check=True)


if __name__ == "__main__":
    install()
