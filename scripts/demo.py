"""A sample photo in three styles by every method, side by side on one page."""

import subprocess
import sys
from pathlib import Path

from impasto.media.image import write
from impasto.media.samples import sample_photo

STYLES = ("starry-night", "great-wave", "composition-vii")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    photo = folder / "chelsea.png"
    write(sample_photo("chelsea"), photo)
    words = ["impasto", "compare", str(photo), "--size", "400", "-o", str(folder)]
    words += [word for style in STYLES for word in ("-s", style)]
    print(" ".join(words), flush=True)
    subprocess.run([sys.executable, "-m", *words], check=True)
    print(f"Open {folder}/index.html to see them side by side; {folder}/sheet.jpg is one picture.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
