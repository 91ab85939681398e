"""Progress of a download on stderr: one changing line on a terminal, now and then one elsewhere."""

import sys
import time

_TERMINAL_SECONDS = 0.2
_LOG_SECONDS = 10.0


class Progress:
    """Counts bytes towards `total`; the time left comes from the speed since this run began."""

    def __init__(self, total, stream=None, clock=time.monotonic):
        self.total = total
        self.done = 0
        self._fetched = 0
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._clock = clock
        self._start = self._last = clock()

    def skip(self, count):
        """Bytes that were there already; negative to take back bytes that must be fetched again."""
        self.done += count

    def add(self, count):
        """Bytes just fetched."""
        self.done += count
        self._fetched += count
        now = self._clock()
        if now - self._last >= (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            self._last = now
            self._print(now)

    def finish(self):
        """The last line, with what was reached."""
        if self._fetched:
            self._print(self._clock())
        if self._fetched and self._terminal:
            self._stream.write("\n")

    def _print(self, now):
        speed = self._fetched / max(now - self._start, 1e-9)
        left = max(self.total - self.done, 0) / max(speed, 1.0)
        line = (
            f"  {self.done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB"
            f" ({100 * self.done / max(self.total, 1):.0f} %), {speed / 1e6:.1f} MB/s,"
            f" {int(left) // 60}:{int(left) % 60:02d} left"
        )
        self._stream.write(f"\r{line:<70}" if self._terminal else f"{line}\n")
        self._stream.flush()
