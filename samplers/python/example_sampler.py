"""A sampler for `type: python`: min-p, but greedy while it is sure, and never the same token thrice."""

import numpy as np


class Sampler:
    def __init__(self, min_p=0.1, sure_below=0.5):
        self.min_p = min_p
        self.sure_below = sure_below  # nats
        self.recent = []

    def decide(self, view):
        logits = view.logits.astype(np.float64)
        if len(self.recent) == 2 and self.recent[0] == self.recent[1] and view.statistics.support > 1:
            logits[self.recent[0]] = -np.inf
        threshold = np.log(self.min_p)
        if view.statistics.entropy < self.sure_below:
            threshold = 0
        logits[logits < logits.max() + threshold] = -np.inf
        probs = np.exp(logits - logits.max())
        probs /= probs.sum()
        token = int(np.argmax(logits + view.gumbel()))  # a draw from probs
        return {"emit": token, "probs": probs}

    def observe(self, token, source):
        self.recent = (self.recent + [token])[-2:]
