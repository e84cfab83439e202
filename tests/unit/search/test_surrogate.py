"""The Gaussian process: its gradient, what it predicts, and how sure it is."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from cimsearch.search import surrogate
from cimsearch.search.surrogate import Scales, conditioned, fitted, prior_scales

GROUPS = np.array([0, 1, 2, 2, 3])


def some_results(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, 5) and a smooth function of them that ignores the last two variables."""
    features = np.random.default_rng(seed).random((n, len(GROUPS)))
    return features, 3.0 + np.sin(4 * features[:, 0]) + features[:, 1] ** 2


def test_the_gradient_is_that_of_the_loss() -> None:
    features, results = some_results(25)
    vector = prior_scales(4).vector + np.random.default_rng(1).normal(size=7) * 0.3
    targets = (results - results.mean()) / results.std()

    def loss(at: np.ndarray) -> float:
        return surrogate._loss(at, GROUPS, features, targets)[0]

    gradient = surrogate._loss(vector, GROUPS, features, targets)[1]
    np.testing.assert_allclose(gradient, approx_fprime(vector, loss, 1e-6), rtol=1e-3, atol=1e-3)


def test_the_posterior_is_that_of_scikit_learn() -> None:
    features, results = some_results(20)
    scales = Scales(np.array([-0.5, 0.1, -0.2, 0.3, 0.0, 0.4, -4.0]))
    lengths = np.exp(scales.log_length)[GROUPS]
    kernel = ConstantKernel(np.exp(0.4)) * RBF(lengths) + WhiteKernel(np.exp(-4.0))
    peer = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True, alpha=1e-8)
    there = some_results(9, seed=5)[0]
    mean, deviation = conditioned(scales, GROUPS, features, results).predict(there)
    # It tells the spread of a measurement; ours is that of the function, without noise.
    expected, spread = peer.fit(features, results).predict(there, return_std=True)
    noise = results.std() ** 2 * np.exp(-4.0)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    np.testing.assert_allclose(deviation**2 + noise, spread**2, rtol=1e-4)


def test_it_finds_which_variables_count_and_ranks_what_it_has_not_seen() -> None:
    features, results = some_results(60)
    scales = fitted(prior_scales(4), GROUPS, features, results)
    assert scales.log_length[0] == min(scales.log_length)
    assert max(scales.log_length[:2]) < min(scales.log_length[2:])
    there, truth = some_results(200, seed=7)
    mean, _ = conditioned(scales, GROUPS, features, results).predict(there)
    assert spearmanr(mean, truth)[0] > 0.98


def test_a_result_makes_it_sure_there_and_no_less_sure_elsewhere() -> None:
    features, results = some_results(10)
    scales, there = prior_scales(4), some_results(30, seed=2)[0]
    before = conditioned(scales, GROUPS, features, results)
    believed = before.predict(there[:1])[0]
    after = conditioned(
        scales, GROUPS, np.vstack([features, there[:1]]), np.append(results, believed)
    )
    spreads = [posterior.predict(there)[1] / posterior.deviation for posterior in (before, after)]
    ratio = spreads[1] / spreads[0]
    assert ratio[0] < 0.5
    assert (ratio <= 1 + 1e-9).all()


@pytest.mark.parametrize("results", [np.full(6, 2.5), np.array([1.0])])
def test_equal_results_and_a_single_one_are_no_trouble(results: np.ndarray) -> None:
    features = np.vstack([some_results(1)[0]] * len(results))
    scales = fitted(prior_scales(4), GROUPS, features, results)
    mean, deviation = conditioned(scales, GROUPS, features, results).predict(features)
    np.testing.assert_allclose(mean, results, rtol=1e-6)
    assert np.isfinite(deviation).all()
