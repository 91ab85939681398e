#include "models/cpu/cpu_path.h"

#include <gtest/gtest.h>

#include "lib/error.h"

namespace surprisal {
namespace {

TEST(CpuPath, EveryAvailablePathCanBeForced) {
  for (const CpuPath path : available_cpu_paths()) {
    EXPECT_EQ(choose_cpu_path(cpu_path_name(path)), path);
  }
}

TEST(CpuPath, ChoosesTheFastestByDefault) {
  EXPECT_EQ(choose_cpu_path(""), available_cpu_paths().back());
}

TEST(CpuPath, RefusesAnUnknownName) {
  try {
    choose_cpu_path("avx521");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnknownName);
    EXPECT_NE(std::string(error.what()).find("did you mean 'avx512'"), std::string::npos);
  }
}

TEST(CpuPath, RefusesWhatTheProcessorLacks) {
  for (const std::string name : {"avx2", "avx512", "avx512_bf16", "amx"}) {
    bool available = false;
    for (const CpuPath path : available_cpu_paths()) available |= cpu_path_name(path) == name;
    if (available) continue;
    try {
      choose_cpu_path(name);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    }
  }
}

}  // namespace
}  // namespace surprisal
