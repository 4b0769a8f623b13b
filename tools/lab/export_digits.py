"""Write scikit-learn's small digits where the playground reads them: python tools/lab/export_digits.py

`_static/lab/digits8.bin` holds 1,797 images of 8 × 8 pixels, a byte each (0 to 16), and then their labels, a byte each.
They are a copy of the test set of the UCI ML hand-written digits data sets (Alpaydin and Kaynak 1998), CC BY 4.0:
https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).resolve().parents[2] / "_static" / "lab" / "digits8.bin"


def content():
    digits = load_digits()
    return (
        np.concatenate([digits.data.ravel(), digits.target]).astype(np.uint8).tobytes()
    )


if __name__ == "__main__":
    TARGET.write_bytes(content())
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
