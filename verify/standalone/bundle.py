"""Packs a release for a place without a network: one zip that needs no script."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

from verify.standalone import build
from verify.standalone.wheels import BASE

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 40 * 2**20  # bytes
MIDNIGHT = (1980, 1, 1, 0, 0, 0)
README = Path(__file__).with_name("bundle.md")


class BundleError(Exception):
    """The bundle cannot be made; the sentence says why."""


def pack(root: Path, folder: Path) -> Path:
    """Write ``handbook-VERSION.zip`` from the built site; return where it is.

    Parameters
    ----------
    root : Path
        The checkout, with the site in ``_build/html``.
    folder : Path
        Where the zip goes.

    Raises
    ------
    BundleError
        If there is no built site, or the zip is larger than 40 MiB.
    """
    name = f"handbook-{build.version(root)}"
    target, beside = folder / f"{name}.zip", folder / f".{name}.zip.tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in sorted(files(root).items()):
            info = zipfile.ZipInfo(f"{name}/{place}", MIDNIGHT)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)
    size = beside.stat().st_size
    if size > LARGEST:
        beside.unlink()
        raise BundleError(f"{target.name} has {size:,} bytes, more than {LARGEST:,}")
    os.replace(beside, target)
    return target


def files(root: Path) -> dict[str, bytes]:
    """Return what the bundle holds, by its place in it.

    Raises
    ------
    BundleError
        If there is no built site with downloads.
    """
    site = root / "_build" / "html"
    if not (site / "downloads" / "wheels").is_dir():
        raise BundleError("there is no built site: run python3 noxfile.py -s book")
    found = {
        f"site/{path.relative_to(site).as_posix()}": path.read_bytes()
        for path in site.rglob("*")
        if path.is_file()
    }
    for path in (root / BASE).iterdir():
        found[f"tiny-base/{path.name}"] = path.read_bytes()
    told = README.read_text(encoding="utf-8").replace("@VERSION@", build.version(root))
    return found | {
        "README.md": told.encode(),
        "LICENSE": (root / "LICENSE").read_bytes(),
    }


def main() -> int:
    """Pack the bundle, or say in one sentence why not."""
    try:
        made = pack(ROOT, ROOT / "_build")
    except BundleError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    print(f"{made.relative_to(ROOT)}: {made.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
