"""k-means: every point in the cluster whose mean is nearest, whatever becomes of clusters on the way."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.k_means import k_means, nearest_mean


@pytest.mark.parametrize("noise", [1.0, 1e-2, 6e-4, 4e-4])
def test_clusters_that_lose_all_their_points_leave_nothing_behind(noise: float) -> None:
    """As many sizes as centers, none empty, together all points; of twins that rounding takes for one too."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        kinds = rng.normal(size=(12, 384))
        points = kinds[rng.integers(0, 12, 60)] + noise * rng.normal(size=(60, 384))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        points = points.astype(np.float16).astype(np.float32)
        centers, size = k_means(points, 20, seed)
        assert len(centers) == len(size) <= 20
        assert size.min() > 0
        assert size.sum() == len(points)
        if noise > 1e-3:  # else rounding decides
            home = nearest_mean(points, centers)
            assert np.array_equal(np.bincount(home, minlength=len(centers)), size)
