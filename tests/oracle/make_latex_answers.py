#!/usr/bin/env python3
"""What lm-evaluation-harness makes of LaTeX answers, for tests/experiments/latex_answer_test.cpp.

    pip install lm-eval==0.4.13
    python tests/oracle/make_latex_answers.py > tests/experiments/fixtures/latex_answers.json

Answers are written by hand for every rule of the normaliser, and made at random from its pieces: a
seed fixes them. "gives_up" is where the reference raises an exception, which is_equiv() turns into a
comparison of the plain texts.
"""
import json
import random
import sys
from importlib.metadata import version

from lm_eval.tasks.hendrycks_math import utils

SEED, MADE = 5, 400
PIECES = ["\\frac", "\\dfrac", "\\tfrac", "\\sqrt", "{", "}", "1", "2", "12", "x", "/", "=", ".", "0",
          " ", "5", "-", "\\left(", "\\right)", "^{\\circ}", "^\\circ", "\\$", "\\%", "\\!", "\\\\",
          "\\text{ cm}", "\\text{a}", "\n", "_", "π", ",", "+"]  # fmt: skip
BY_HAND = [
    "", "5", " 5 ", "x=5", "xy=5", "xyz=5", "1/2", "-1/2", "01/2", "1/0", "a/b", "1/2/3", "+1/2", "1_0/2",
    "0.5", ".5", "-.5", "{.5}", "\\frac12", "\\frac1{72}", "\\frac{1}2", "\\frac1", "\\frac", "\\dfrac{3}{4}",
    "\\sqrt3", "\\sqrt{3}", "\\sqrt", "\\sqrtπ", "12\\text{ cm}", "1\\text{ a}\\text{ b}", "50\\%", "\\$18",
    "90^\\circ", "90^{\\circ}", "\\left(1,2\\right)", "\\!1{,}000", "1 000", "\\frac{1}{2}=0.5", "\\text{east}",
    "2\\frac12", "[2,5)", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "x \\in [1,2]", "p - q", "0", "00", "-0/1",
]  # fmt: skip
SOLUTIONS = [
    "so \\boxed{5}.", "\\boxed{\\frac{1}{2}} and then \\boxed{7}", "\\boxed{{a}{b}}", "\\boxed{5", "no box",
    "$\\boxed 5$ is it", "\\boxed 5$ \\boxed 6$", "\\boxed5", "\\boxed{}", "\\boxed{5} \\boxed", "x}\\boxed{1}}",
]  # fmt: skip


def normalised(text):
    try:
        return utils.strip_string(text)
    except Exception:  # noqa: BLE001: whatever it is, is_equiv() catches it
        return None


def boxed(text):
    try:
        return utils.remove_boxed(utils.last_boxed_only_string(text))
    except Exception:  # noqa: BLE001: no box, or one that remove_boxed() cannot open
        return None


def main():
    rng = random.Random(SEED)
    answers = list(BY_HAND)
    for _ in range(MADE):
        answers.append("".join(rng.choices(PIECES, k=rng.randint(1, 6))))
    pairs = [[rng.choice(answers), rng.choice(answers)] for _ in range(100)]
    pairs += [[a, a.replace(" ", "").replace("dfrac", "frac")] for a in answers[:150]]
    json.dump(
        {
            "lm_eval": version("lm_eval"),
            "seed": SEED,
            "normalised": [[a, normalised(a)] for a in answers],
            "boxed": [[s, boxed(s)] for s in SOLUTIONS],
            "equal": [[a, b, utils.is_equiv(a, b)] for a, b in pairs],
        },
        sys.stdout,
        ensure_ascii=True,
        indent=0,
    )
    print()


if __name__ == "__main__":
    main()
