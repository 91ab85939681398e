#include "experiments/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lib/files.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

constexpr const char* kHeader = "{\"config\":\"a\"}";

class SpoolTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.file("spool"); }
  std::string content() const { return read_file(path(), 1 << 20); }
  void overwrite(const std::string& bytes) const {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << bytes;
  }
  std::vector<std::string> records() const {
    const Spool spool(path(), kHeader);
    std::vector<std::string> payloads;
    for (const int64_t record : spool.records()) payloads.push_back(spool.read(record));
    return payloads;
  }
  /// Three records.
  void fill() const {
    Spool spool(path(), kHeader);
    for (const std::string& payload : kPayloads) spool.append(payload);
  }

  const std::vector<std::string> kPayloads = {"one", std::string(1000, '\0'), "three"};
  testing::TemporaryFolder folder_;
};

TEST_F(SpoolTest, RecordsComeBackInOrderAndAfterReopening) {
  EXPECT_TRUE(records().empty());
  fill();
  EXPECT_EQ(records(), kPayloads);
  { Spool(path(), kHeader).append("four"); }
  EXPECT_EQ(records().size(), 4U);
}

TEST_F(SpoolTest, ATailCutAnywhereLosesOnlyTheLastRecord) {
  fill();
  const std::string whole = content();
  const size_t last = whole.size() - 5 - 8;  // "three" and its frame
  for (size_t length = last; length < whole.size(); ++length) {
    overwrite(whole.substr(0, length));
    {
      const Spool spool(path(), kHeader);
      EXPECT_EQ(spool.records().size(), 2U) << length;
      EXPECT_EQ(spool.dropped_bytes(), static_cast<int64_t>(length - last));
    }
    EXPECT_EQ(std::filesystem::file_size(path()), last);
    { Spool(path(), kHeader).append("again"); }
    EXPECT_EQ(records().back(), "again");
  }
}

TEST_F(SpoolTest, ACutHeaderMeansAnEmptySpool) {
  { Spool(path(), kHeader); }
  const std::string whole = content();
  for (size_t length = 0; length < whole.size(); ++length) {
    overwrite(whole.substr(0, length));
    EXPECT_TRUE(records().empty()) << length;
  }
}

TEST_F(SpoolTest, ALastRecordWithAWrongChecksumIsDropped) {
  fill();
  std::string bytes = content();
  bytes.back() = '!';
  overwrite(bytes);
  EXPECT_EQ(records().size(), 2U);
}

TEST_F(SpoolTest, ZerosThatAPowerLossLeftAreDropped) {
  fill();
  overwrite(content() + std::string(100'000, '\0'));
  EXPECT_EQ(records(), kPayloads);
}

TEST_F(SpoolTest, DamageBeforeTheEndIsAnErrorAndKeepsTheFile) {
  fill();
  std::string bytes = content();
  const size_t in_second = bytes.size() - 5 - 8 - 500;
  bytes[in_second] = 'x';
  overwrite(bytes);
  const Error error = error_of([&] { records(); });
  EXPECT_EQ(error.code(), ErrorCode::kFormat);
  EXPECT_THAT(error.what(), HasSubstr("damaged at byte"));
  EXPECT_THAT(error.what(), HasSubstr("1 records before it"));
  EXPECT_EQ(content(), bytes);
}

TEST_F(SpoolTest, ForeignFilesAndOtherRunsAreRefused) {
  overwrite("this is not a spool but a letter to my aunt");
  EXPECT_EQ(error_of([&] { records(); }).code(), ErrorCode::kFormat);
  std::filesystem::remove(path());
  fill();
  const Error error = error_of([&] { Spool(path(), "{\"config\":\"b\"}"); });
  EXPECT_EQ(error.code(), ErrorCode::kConfig);
  EXPECT_THAT(error.what(), HasSubstr("belongs to another run"));
  EXPECT_EQ(records(), kPayloads);
}

TEST_F(SpoolTest, ASecondWriterIsRefused) {
  const Spool first(path(), kHeader);
  const Error error = error_of([&] { Spool(path(), kHeader); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_THAT(error.what(), HasSubstr("another process"));
}

TEST_F(SpoolTest, AnUnwritablePlaceIsAnError) {
  EXPECT_EQ(error_of([&] { Spool(folder_.file("absent/spool"), kHeader); }).code(), ErrorCode::kIo);
}

/// Runs `action` in a child whose files may have at most `bytes` bytes (a full disk's stand-in).
int status_with_file_limit(rlim_t bytes, const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);  // write() then fails with EFBIG
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(action());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(SpoolTest, AFullDiskIsAnErrorAndLeavesWholeRecords) {
  const int status = status_with_file_limit(4096, [&] {
    Spool spool(path(), kHeader);
    spool.append(std::string(1000, 'a'));
    const Error error = error_of([&] { spool.append(std::string(10'000, 'b')); });
    if (error.code() != ErrorCode::kIo) return 1;
    spool.append(std::string(500, 'c'));  // there was room for less
    return 0;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(records(), (std::vector<std::string>{std::string(1000, 'a'), std::string(500, 'c')}));
}

TEST_F(SpoolTest, AKillAtAnyMomentLosesNothingThatWasAppended) {
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove(path());
    int acknowledged[2];
    ASSERT_EQ(::pipe(acknowledged), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Spool spool(path(), kHeader);
      for (int i = 0;; ++i) {
        spool.append(std::to_string(i) + std::string(5000, 'x'));
        if (::write(acknowledged[1], "x", 1) != 1) ::_exit(1);
      }
    }
    ::close(acknowledged[1]);
    size_t count = 0;
    char byte = 0;
    while (count < 10 + static_cast<size_t>(round) * 7 && ::read(acknowledged[0], &byte, 1) == 1)
      ++count;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(acknowledged[0], &byte, 1) == 1) ++count;
    ::close(acknowledged[0]);
    const std::vector<std::string> there = records();
    ASSERT_GE(there.size(), count);
    ASSERT_LE(there.size(), count + 1);
    for (size_t i = 0; i < there.size(); ++i)
      ASSERT_TRUE(there[i].starts_with(std::to_string(i) + "x"));
  }
}

}  // namespace
}  // namespace surprisal
