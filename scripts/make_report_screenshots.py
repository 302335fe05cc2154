"""Make the pictures of a report in the documentation: light, dark and narrow. Needs Chromium.

The page is that of the sample model: `tagger report --against models/forward -o report.html`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from chromium import chromium

# The name of each picture, with width, height, color scheme, and the section at its top.
PICTURES = {
    "report-light": (1050, 1000, "light", "types"),
    "report-dark": (900, 640, "dark", "sentences"),
    "report-narrow": (400, 800, "light", "comparison"),
}
MOST_BYTES = 150_000
SHOWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    with chromium() as browser:
        for name, (width, height, scheme, section) in PICTURES.items():
            browser.show(width, height, scheme)
            browser.open(options.page)
            browser.run(f"document.getElementById('{section}').scrollIntoView(); {SHOWN}")
            picture = browser.screenshot()
            assert len(picture) < MOST_BYTES, f"{name}: found {len(picture)} bytes, expected less than {MOST_BYTES}"
            (options.out / f"{name}.png").write_bytes(picture)
            print(f"{name}.png: {len(picture)} bytes")


if __name__ == "__main__":
    main()
