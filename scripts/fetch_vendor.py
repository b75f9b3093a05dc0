"""Fetch the page's third-party files again by name and version from npm, and check them against vendor.json.

python scripts/fetch_vendor.py            # fetch, check, write
python scripts/fetch_vendor.py --check    # check the files that are there
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "src" / "heliograph" / "serve" / "static" / "vendor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="check the files that are there")
    check = parser.parse_args().check
    for name, package in json.loads((VENDOR / "vendor.json").read_text()).items():
        with tempfile.TemporaryDirectory() as folder:
            if not check:
                command = ["npm", "pack", f"{name}@{package['version']}", "--silent"]
                subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            for file, what in package["files"].items():
                target = VENDOR / name / file
                if not check:
                    with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                        member = archive.extractfile(what["in"])
                        assert member is not None
                        content = member.read()
                    if hashlib.sha256(content).hexdigest() == what["sha256"]:
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(content)
                else:
                    content = target.read_bytes()
                if hashlib.sha256(content).hexdigest() != what["sha256"]:
                    sys.exit(f"{name} {package['version']}: {file} is not what vendor.json says")
                print(f"{name} {package['version']}: {file} is as vendor.json says")


if __name__ == "__main__":
    main()
