// Replays the committed corpora and damages them at random for a second each, with no fuzzer.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "lib/files.h"
#include "tests/fuzz/targets.h"

namespace surprisal::fuzz {
namespace {

constexpr int kLeast = 100;

struct Seed {
  std::string name, content;
};

std::vector<Seed> seeds_of(const Target& target) {
  std::vector<Seed> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::string(SURPRISAL_SOURCE_DIR) + "/tests/fuzz/corpus/" + std::string(target.name)))
    seeds.push_back({entry.path().filename().string(), read_file(entry.path().string(), 1 << 20)});
  std::ranges::sort(seeds, {}, &Seed::name);
  return seeds;
}

/// Keeps the input under test where a crash can save it.
class Witness {
 public:
  explicit Witness(const Target& target) {
    path_ = ::testing::TempDir() + "surprisal_fuzz_" + std::string(target.name);
    for (const int number : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(number, save_and_die);
  }
  ~Witness() {
    for (const int number : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(number, SIG_DFL);
  }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  bool accepts(const Target& target, const std::string& input) {
    input_ = input;
    return target.accepts(input);
  }
  /// @return where the input was saved
  static std::string save() {
    const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    [[maybe_unused]] const ssize_t written = ::write(file, input_.data(), input_.size());
    ::close(file);
    return path_;
  }

 private:
  static void save_and_die(int number) {
    save();
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
  static inline std::string path_, input_;
};

class Corpus : public ::testing::TestWithParam<Target> {
 protected:
  const Target& target_ = GetParam();
  std::vector<Seed> seeds_ = seeds_of(target_);
  Witness witness_{target_};
};

/// Files named ok_* must be accepted and bad_* refused; all others (what fuzzing has found) must
/// merely do no harm.
TEST_P(Corpus, EveryFileIsAnsweredAsItsNameSays) {
  int accepted = 0, refused = 0;
  for (const Seed& seed : seeds_) {
    const bool ok = witness_.accepts(target_, seed.content);
    EXPECT_FALSE(seed.name.starts_with("ok_") && !ok) << seed.name << " was refused";
    EXPECT_FALSE(seed.name.starts_with("bad_") && ok) << seed.name << " was accepted";
    ++(ok ? accepted : refused);
  }
  EXPECT_GE(accepted, 2) << "the corpus holds valid inputs";
  EXPECT_GE(refused, 5) << "the corpus holds invalid inputs";
}

/// At least kLeast inputs, however slow the machine. SURPRISAL_FUZZ_SECONDS=600 makes it a longer
/// sweep; SURPRISAL_FUZZ_SEED another one.
TEST_P(Corpus, DamagedFilesAreRefusedOrRead) {
  const auto setting = [](const char* name, int otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::atoi(value);
  };
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(setting("SURPRISAL_FUZZ_SECONDS", 1));
  std::vector<Seed> valid = seeds_;
  std::erase_if(valid, [](const Seed& seed) { return !seed.name.starts_with("ok_"); });
  Mutator mutator(static_cast<uint64_t>(setting("SURPRISAL_FUZZ_SEED", 0)));
  int accepted = 0, refused = 0;
  while (accepted + refused < kLeast || std::chrono::steady_clock::now() < end) {
    const std::vector<Seed>& from = mutator.below(4) == 0 ? seeds_ : valid;
    std::string input = from[mutator.below(from.size())].content;
    input = mutator.below(3) == 0 ? mutator.bytes(input) : target_.reshape(mutator, input);
    try {
      ++(witness_.accepts(target_, input) ? accepted : refused);
    } catch (const std::exception& error) {
      FAIL() << error.what() << "; the input is in " << Witness::save();
    }
  }
  RecordProperty("accepted", accepted);
  RecordProperty("refused", refused);
  EXPECT_GT(accepted, 0) << "mutations that never get past the first check test little";
  EXPECT_GT(refused, 0);
}

INSTANTIATE_TEST_SUITE_P(Targets, Corpus, ::testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace surprisal::fuzz
