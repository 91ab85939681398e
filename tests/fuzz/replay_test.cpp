// Replays the committed corpora: files named ok_* must be accepted, bad_* refused with an Error,
// and all others (what fuzzing has found) must merely do no harm.

#include <gtest/gtest.h>

#include <filesystem>

#include "lib/files.h"
#include "tests/fuzz/targets.h"

namespace surprisal::fuzz {
namespace {

struct Corpus {
  const char* name;
  bool (*target)(std::span<const std::byte>);
};

class Replay : public ::testing::TestWithParam<Corpus> {};

TEST_P(Replay, EveryFileIsAnsweredAsItsNameSays) {
  const std::string folder =
      std::string(SURPRISAL_SOURCE_DIR) + "/tests/fuzz/corpus/" + GetParam().name;
  int accepted = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const std::string content = read_file(entry.path().string(), 1 << 20);
    const bool ok = GetParam().target(std::as_bytes(std::span(content)));
    EXPECT_FALSE(name.starts_with("ok_") && !ok) << name << " was refused";
    EXPECT_FALSE(name.starts_with("bad_") && ok) << name << " was accepted";
    ++(ok ? accepted : refused);
    // Cut anywhere, it must be answered too.
    for (size_t size = 0; size < content.size(); ++size)
      GetParam().target(std::as_bytes(std::span(content)).first(size));
  }
  EXPECT_GE(accepted, 2) << "the corpus holds valid inputs";
  EXPECT_GE(refused, 10) << "the corpus holds invalid inputs";
}

INSTANTIATE_TEST_SUITE_P(Corpora, Replay,
                         ::testing::Values(Corpus{"model_config", fuzz_model_config},
                                           Corpus{"safetensors", fuzz_safetensors}),
                         [](const auto& corpus) { return std::string(corpus.param.name); });

}  // namespace
}  // namespace surprisal::fuzz
