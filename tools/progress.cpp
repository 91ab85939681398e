#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>

namespace surprisal {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{200};
constexpr std::chrono::seconds kPlainInterval{15};
constexpr int kBarWidth = 30;

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  const std::string minutes = std::to_string(whole / 60 % 60) + " min";
  if (whole >= 3600) return std::to_string(whole / 3600) + " h " + minutes;
  if (whole >= 60) return minutes + " " + std::to_string(whole % 60) + " s";
  return std::to_string(whole) + " s";
}

ProgressDisplay::ProgressDisplay() : terminal_(::isatty(STDERR_FILENO) != 0) {}

void ProgressDisplay::progress(const RunProgress& progress) {
  const Clock::time_point now = Clock::now();
  const bool new_run = progress.samples_total != samples_total_ || progress.samples < samples_;
  samples_ = progress.samples;
  samples_total_ = progress.samples_total;
  if (new_run) {
    start_ = last_ = now;
    return;
  }
  const bool finished = progress.samples == progress.samples_total;
  const Clock::duration interval =
      terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kPlainInterval);
  if (now - last_ < interval && !finished) return;
  last_ = now;
  draw(progress, std::chrono::duration<double>(now - start_).count());
}

void ProgressDisplay::draw(const RunProgress& progress, double seconds) {
  const int64_t here = progress.samples - progress.samples_before;
  const int64_t missing = progress.samples_total - progress.samples;
  char rate[64];
  std::snprintf(rate, sizeof rate, "%.0f tokens/s",
                static_cast<double>(progress.answer_tokens) / std::max(seconds, 1e-3));
  std::string text = std::to_string(progress.samples) + "/" +
                     std::to_string(progress.samples_total) + " answers  " + rate;
  if (here > 0 && missing > 0)
    text += "  " +
            duration_text(seconds * static_cast<double>(missing) / static_cast<double>(here)) +
            " left";
  if (!terminal_) {
    std::cerr << text << std::endl;
    return;
  }
  const auto filled = static_cast<size_t>(kBarWidth * progress.samples /
                                          std::max<int64_t>(1, progress.samples_total));
  std::cerr << "\r\033[K[" << std::string(filled, '#') << std::string(kBarWidth - filled, ' ')
            << "] " << text << std::flush;
  drawn_ = true;
}

void ProgressDisplay::message(const std::string& text) {
  clear();
  std::cerr << text << std::endl;
}

void ProgressDisplay::clear() {
  if (drawn_) std::cerr << "\r\033[K" << std::flush;
  drawn_ = false;
}

}  // namespace surprisal
