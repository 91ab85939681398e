#!/usr/bin/env python3
"""Reference figures for experiments/statistics, from SciPy, statsmodels and brute force.

    pip install numpy scipy statsmodels
    python tests/oracle/statistics_reference.py > tests/experiments/statistics/data/reference.json

Nothing here shares a formula with the C++ code where it can be helped: Tango's interval maximises the
constrained likelihood numerically, power sums over the trinomial distribution, pass@k and maj@k go
through every subset in exact fractions, the sign-flip test through every choice of signs.
"""
import itertools
import json
import platform
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint


def wilson():
    for successes, trials, confidence in [(0, 10, 0.95), (10, 10, 0.95), (1, 3, 0.9), (7, 50, 0.99),
                                          (580, 1319, 0.95), (3.7, 41.25, 0.95)]:
        low, high = proportion_confint(successes, trials, 1 - confidence, method="wilson")
        yield {"successes": successes, "trials": trials, "confidence": confidence,
               "low": float(low), "high": float(high)}


def clustered():
    """Cluster-robust variance by statsmodels' OLS on the single answers."""
    rng = np.random.default_rng(7)
    for clusters, repeats in [(12, 4), (40, 3), (300, 8)]:
        answers = rng.integers(1, repeats + 1, clusters)
        correct = rng.binomial(answers, rng.beta(0.6, 0.9, clusters))
        y = np.concatenate([[1.0] * c + [0.0] * (a - c) for a, c in zip(answers, correct)])
        groups = np.repeat(np.arange(clusters), answers)
        fit = sm.OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": groups})
        p = y.mean()
        effective = min(max(p * (1 - p) / fit.cov_params()[0, 0], clusters), len(y))
        effective *= (stats.norm.ppf(0.975) / stats.t.ppf(0.975, clusters - 1)) ** 2
        low, high = proportion_confint(p * effective, effective, 0.05, method="wilson")
        yield {"answers": answers.tolist(), "correct": correct.tolist(), "value": float(p),
               "low": float(low), "high": float(high)}


def clustered_mean():
    """Intercept of statsmodels' OLS with cluster-robust errors and t with C - 1 degrees of freedom."""
    rng = np.random.default_rng(11)
    for clusters, most in [(5, 3), (30, 4), (200, 2)]:
        groups = np.repeat(np.arange(clusters), rng.integers(1, most + 1, clusters))
        values = rng.integers(-1, 2, len(groups)) + rng.normal(0, 0.2, clusters)[groups]
        fit = sm.OLS(values, np.ones(len(values))).fit(
            cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
        low, high = fit.conf_int(0.05)[0]
        yield {"values": values.tolist(), "clusters": groups.tolist(), "value": float(fit.params[0]),
               "low": float(low), "high": float(high)}


def auroc():
    """Area by SciPy's Mann-Whitney statistic; the variance from the whole matrix of comparisons,
    summed cluster by cluster (Obuchowski 1997, equations 2 to 6)."""
    rng = np.random.default_rng(13)
    for clusters, most, shift in [(20, 1, 1.0), (25, 4, 0.5), (60, 3, -0.7)]:
        groups = np.repeat(np.arange(clusters), rng.integers(1, most + 1, clusters))
        positive = rng.random(len(groups)) < 0.4
        scores = np.round(rng.normal(0, 1, clusters)[groups] + rng.normal(0, 1, len(groups))
                          + shift * positive, 1)
        x, y = scores[positive], scores[~positive]
        area = stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
        wins = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
        of_x, of_y = groups[positive], groups[~positive]
        a = np.array([(wins[of_x == c].mean(1) - area).sum() for c in range(clusters)])
        b = np.array([(wins[:, of_y == c].mean(0) - area).sum() for c in range(clusters)])
        nx, ny = len(set(of_x)), len(set(of_y))
        variance = (nx / (nx - 1) * (a ** 2).sum() / len(x) ** 2
                    + ny / (ny - 1) * (b ** 2).sum() / len(y) ** 2
                    + 2 * clusters / (clusters - 1) * (a * b).sum() / (len(x) * len(y)))
        reach = stats.norm.ppf(0.975) * np.sqrt(variance) / (area * (1 - area))
        logit = np.log(area / (1 - area))
        yield {"scores": scores.tolist(), "positive": positive.astype(int).tolist(),
               "clusters": groups.tolist(), "value": float(area),
               "low": float(1 / (1 + np.exp(reach - logit))),
               "high": float(1 / (1 + np.exp(-reach - logit)))}


def mcnemar_p():
    for b, c in [(0, 0), (0, 5), (0, 6), (1, 9), (12, 12), (30, 51), (400, 331)]:
        yield {"only_first": b, "only_second": c,
               "p": float(mcnemar([[3, b], [c, 4]], exact=True).pvalue)}


def tango():
    def score(d, b, c, n):
        """(b - c - nd) over its standard error at the most likely q = P(only second right)."""
        def minus_log_likelihood(q):
            cells = [(b, q + d), (c, q), (n - b - c, 1 - 2 * q - d)]
            if any(p < 0 or (k > 0 and p <= 0) for k, p in cells):
                return 1e12
            return -sum(k * np.log(p) for k, p in cells if k > 0)
        low, high = max(0.0, -d), (1 - d) / 2
        # Golden-section search of a concave function, then the ends: the best may lie on the rim.
        best = optimize.minimize_scalar(minus_log_likelihood, bounds=(low, high), method="bounded",
                                        options={"xatol": 1e-14})
        q = min([best.x, low, high], key=minus_log_likelihood)
        return (b - c - n * d) / np.sqrt(n * (2 * q + d * (1 - d)))

    for b, c, n, confidence in [(1, 7, 21, 0.95), (6, 16, 161, 0.95), (40, 20, 160, 0.95),
                                (0, 1, 44, 0.95), (0, 0, 30, 0.95), (9, 0, 54, 0.99),
                                (130, 95, 1319, 0.95), (3, 3, 12, 0.9), (14, 3, 300, 0.95)]:
        z = stats.norm.ppf((1 + confidence) / 2)
        estimate = (b - c) / n
        eps = 1e-9
        low = optimize.brentq(lambda d: score(d, b, c, n) - z, -1 + eps, estimate - eps, xtol=1e-13)
        high = optimize.brentq(lambda d: score(d, b, c, n) + z, estimate + eps, 1 - eps, xtol=1e-13)
        yield {"only_first": b, "only_second": c, "total": n, "confidence": confidence,
               "low": low, "high": high}


def sign_flip():
    rng = np.random.default_rng(11)
    for values in [[1], [2, -2, 2], [1, 1, 1, 1, 1, -1], [3, -1, 2, 0, 5, -4, 1],
                   rng.integers(-8, 9, 16).tolist(), rng.integers(-2, 5, 19).tolist()]:
        nonzero = [v for v in values if v]
        sums = [abs(sum(s * v for s, v in zip(signs, nonzero)))
                for signs in itertools.product([1, -1], repeat=len(nonzero))]
        p = sum(s >= abs(sum(nonzero)) for s in sums) / len(sums)
        if 2 <= len(nonzero) <= 16:  # SciPy's exact permutation test says the same
            same = stats.permutation_test((np.array(nonzero, float),), np.sum,
                                          permutation_type="samples", n_resamples=np.inf).pvalue
            assert abs(min(1, same) - p) < 1e-12 or abs(sum(nonzero)) == 0, (values, same, p)
        yield {"differences": values, "p": p}


def holm():
    for values in [[0.01, 0.04, 0.03], [0.5], [0.02, 0.02, 0.9, 0.001, 0.2], [1, 1, 0.0001]]:
        yield {"p": values, "adjusted": multipletests(values, method="holm")[1].tolist()}


def pass_at_k():
    for n, c, k in [(5, 2, 1), (5, 2, 3), (10, 0, 4), (10, 7, 4), (12, 3, 5)]:
        hits = [any(i < c for i in chosen) for chosen in itertools.combinations(range(n), k)]
        yield {"n": n, "c": c, "k": k, "value": sum(hits) / len(hits)}


def majority_at_k():
    for right, wrong, abstaining, k in [(3, [2], 0, 1), (3, [2], 0, 2), (2, [2, 2], 0, 3),
                                        (4, [3, 1, 1], 2, 4), (0, [3], 1, 2), (5, [], 3, 4),
                                        (1, [1, 1, 1, 1], 4, 5), (6, [5, 2], 1, 7), (4, [6], 0, 10)]:
        answers = ["right"] * right + [None] * abstaining
        for i, count in enumerate(wrong):
            answers += [f"wrong {i}"] * count
        total, subsets = Fraction(0), 0
        for chosen in itertools.combinations(answers, k):
            subsets += 1
            votes = Counter(a for a in chosen if a is not None)
            if votes:
                most = max(votes.values())
                winners = [a for a, v in votes.items() if v == most]
                total += Fraction("right" in winners, len(winners))
        yield {"right": right, "wrong": wrong, "abstaining": abstaining, "k": k,
               "value": float(total / subsets)}


def power():
    for n, discordance, difference, alpha in [(20, 0.3, 0.2, 0.05), (100, 0.1, 0.08, 0.05),
                                              (200, 0.2, 0.0, 0.05), (300, 0.2, -0.09, 0.01)]:
        first = (discordance + difference) / 2
        d = np.arange(n + 1)
        table = stats.multinomial.pmf(
            np.stack(np.broadcast_arrays(d[:, None], d[None, :], n - d[:, None] - d[None, :]), -1)
            .clip(min=-1), n, [first, discordance - first, 1 - discordance])
        total = 0.0
        for b in range(n + 1):
            for c in range(n + 1 - b):
                if stats.binom.cdf(min(b, c), b + c, 0.5) * 2 <= alpha:
                    total += table[b, c]
        yield {"n": n, "discordance": discordance, "difference": difference, "alpha": alpha,
               "power": float(total)}


def percentile():
    rng = np.random.default_rng(3)
    for size, clusters, confidence in [(200, 12, 0.95), (999, 150, 0.9)]:
        values = np.round(rng.normal(size=size), 6)
        tail = stats.norm.cdf(-np.sqrt(clusters / (clusters - 1)) *
                              stats.t.ppf((1 + confidence) / 2, clusters - 1))
        low, high = np.quantile(values, [tail, 1 - tail])
        yield {"values": values.tolist(), "clusters": clusters, "confidence": confidence,
               "low": float(low), "high": float(high)}


def main():
    parts = {"wilson": wilson, "clustered": clustered, "mcnemar": mcnemar_p, "tango": tango,
             "sign_flip": sign_flip, "holm": holm, "pass_at_k": pass_at_k,
             "majority_at_k": majority_at_k, "power": power, "percentile": percentile,
             "clustered_mean": clustered_mean, "auroc": auroc}
    document = {"generator": "tests/oracle/statistics_reference.py",
                "versions": {"python": platform.python_version(), "numpy": np.__version__,
                             "scipy": scipy.__version__, "statsmodels": statsmodels.__version__}}
    # One case a line keeps differences readable.
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in document.items()]
    for name, generate in parts.items():
        cases = ",\n".join(json.dumps(case) for case in generate())
        lines.append(f'"{name}": [\n{cases}\n]')
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
