"""Time of all of TSFEL's features of one waveform, in ms. Runs in an environment of its own: TSFEL and what it needs.

python tsfel_timing.py SAMPLES FS_HZ WAVEFORMS
"""

import sys
import time
import warnings

import numpy as np
import tsfel


def main(samples: int, fs_hz: float, waveforms: int) -> None:
    rng = np.random.default_rng(1)
    settings = tsfel.get_features_by_domain()
    taken = []
    for _ in range(waveforms + 1):  # the first one warms up
        x = rng.normal(size=samples)
        started = time.process_time()
        tsfel.time_series_features_extractor(settings, x, fs=fs_hz, verbose=0)
        taken.append(time.process_time() - started)
    print(1000 * float(np.median(taken[1:])))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
