#include "lib/hdf5.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "lib/error.h"

namespace surprisal::hdf5 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Hdf5 : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_;
};

template <typename T>
std::span<const T> view(const std::vector<T>& values) {
  return values;
}

TEST_F(Hdf5, EveryTypeComesBackAsItWent) {
  const std::string path = file("types.h5");
  static constexpr std::string_view kStates[] = {"none", "low", "high"};
  const std::vector<uint16_t> halves = {0x3c00, 0xc000, 0x7bff, 0x0001};  // 1, -2, 65504, 2^-24
  {
    File out = File::create(path);
    out.attributes().set("format", "test");
    out.attributes().set("version", int64_t{3});
    out.attributes().set("ratio", 0.25);
    out.attributes().set("complete", true);
    out.attributes().set("empty", "");
    out.create_dataset("/a/int", Type::int64(), {3}, "tokens", "numbers")
        .write(view<int64_t>({-1, 2, int64_t{1} << 40}));
    out.create_dataset("/a/state", Type::enumeration(kStates), {3}, "", "states")
        .write(view<uint8_t>({2, 0, 1}));
    out.create_dataset("/a/flag", Type::boolean(), {2}, "", "flags").write(view<uint8_t>({1, 0}));
    out.create_dataset("/a/half", Type::float16(), {4}, "", "logits").write(view(halves));
    out.create_dataset("/a/double", Type::float64(), {}, "nat", "a scalar")
        .write(view<double>({0.1}));
    out.write_strings("/a/text", std::vector<std::string>{"", "é", "abc"}, "", "words");
    out.write_text("/meta/config", "a: 1\n", "the config");
    out.close();
  }
  const File in = File::open(path);
  EXPECT_EQ(in.attributes().text("format"), "test");
  EXPECT_EQ(in.attributes().text("empty"), "");
  EXPECT_EQ(in.attributes().integer("version"), 3);
  EXPECT_EQ(in.attributes().number("ratio"), 0.25);
  EXPECT_TRUE(in.attributes().boolean("complete"));
  EXPECT_FALSE(in.attributes().contains("absent"));
  EXPECT_THAT(in.dataset("/a/int").read<int64_t>(), ElementsAre(-1, 2, int64_t{1} << 40));
  EXPECT_EQ(in.dataset("/a/int").attributes().text("units"), "tokens");
  EXPECT_THAT(in.dataset("/a/state").read<uint8_t>(), ElementsAre(2, 0, 1));
  EXPECT_THAT(in.dataset("/a/state").enumeration_names(), ElementsAre("none", "low", "high"));
  EXPECT_THAT(in.dataset("/a/flag").read<uint8_t>(), ElementsAre(1, 0));
  EXPECT_EQ(in.dataset("/a/half").read<uint16_t>(), halves);
  EXPECT_THAT(in.dataset("/a/half").read<float>(), ElementsAre(1.f, -2.f, 65504.f, 0x1p-24f));
  EXPECT_THAT(in.dataset("/a/double").read<double>(), ElementsAre(0.1));
  EXPECT_THAT(in.dataset("/a/text").read_strings(), ElementsAre("", "é", "abc"));
  EXPECT_THAT(in.dataset("/meta/config").read_strings(), ElementsAre("a: 1\n"));
  EXPECT_THAT(in.names("/a"), ElementsAre("double", "flag", "half", "int", "state", "text"));
  EXPECT_TRUE(in.contains("/meta/config"));
  EXPECT_FALSE(in.contains("/nowhere/at/all"));
}

TEST_F(Hdf5, ColumnsGrowByRows) {
  const std::string path = file("grow.h5");
  std::vector<float> row(7);
  {
    File out = File::create(path);
    Dataset column =
        out.create_dataset("/x", Type::float32(), {0, 7}, "nat", "rows", {.extensible = true});
    for (int i = 0; i < 5000; ++i) {
      std::iota(row.begin(), row.end(), static_cast<float>(i));
      column.append(view(row));
    }
    row.assign(7, -1);
    column.write_rows(1, view(row));
    EXPECT_THROW(column.append(view<float>({1, 2})), Error) << "not a whole row";
    EXPECT_THROW(column.write_rows(5000, view(row)), Error) << "past the end";
  }
  const Dataset column = File::open(path).dataset("/x");
  EXPECT_THAT(column.shape(), ElementsAre(5000, 7));
  EXPECT_THAT(column.read_rows<float>(4999, 1),
              ElementsAre(4999, 5000, 5001, 5002, 5003, 5004, 5005));
  EXPECT_THAT(column.read_rows<float>(1, 1), ::testing::Each(-1.f));
  EXPECT_THROW(column.read<float>(100), Error) << "over the caller's bound";
}

TEST_F(Hdf5, BoxesFillWhatTheyNameAndNothingElse) {
  const std::string path = file("box.h5");
  {
    File out = File::create(path);
    Dataset maps = out.create_dataset("/maps", Type::float32(), {2, 3, 4}, "", "");
    maps.write_box({1, 1, 0}, {1, 2, 3}, view<float>({1, 2, 3, 4, 5, 6}));
    EXPECT_THROW(maps.write_box({1, 2, 0}, {1, 2, 1}, view<float>({1, 2})), Error);
    EXPECT_THROW(maps.write_box({0, 0, 0}, {1, 1, 1}, view<float>({1, 2})), Error);
  }
  EXPECT_THAT(File::open(path).dataset("/maps").read_rows<float>(1, 1),
              ElementsAre(0, 0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0));
}

TEST_F(Hdf5, EmptyColumnsAreReadable) {
  const std::string path = file("empty.h5");
  File::create(path).create_dataset("/x", Type::int32(), {0}, "", "", {.extensible = true});
  EXPECT_TRUE(File::open(path).dataset("/x").read<int32_t>().empty());
}

TEST_F(Hdf5, GroupsListWhatIsInThemInTheOrderOfCreation) {
  const std::string path = file("order.h5");
  {
    File out = File::create(path);
    out.create_group("/made");
    const std::vector<std::string_view> names = {"no", "yes"};
    out.create_dataset("/made/z", Type::float16(), {1}, "", "");
    out.create_dataset("/made/a", Type::float64(), {1}, "", "");
    out.create_dataset("/made/m", Type::enumeration(names), {1}, "", "");
    out.create_dataset("/implied/z", Type::int8(), {1}, "", "");
    out.create_dataset("/implied/a", Type::text(3), {1}, "", "");
  }
  const File in = File::open(path);
  EXPECT_THAT(in.names("/made"), testing::ElementsAre("z", "a", "m"));
  EXPECT_THAT(in.names("/implied"), testing::ElementsAre("a", "z"));
  EXPECT_EQ(in.dataset("/made/z").kind(), Kind::kFloat);
  EXPECT_EQ(in.dataset("/made/a").kind(), Kind::kDouble);
  EXPECT_EQ(in.dataset("/made/m").kind(), Kind::kEnumeration);
  EXPECT_EQ(in.dataset("/implied/z").kind(), Kind::kInteger);
  EXPECT_EQ(in.dataset("/implied/a").kind(), Kind::kText);
}

TEST_F(Hdf5, LargeArraysOfManyAxesGetLegalChunks) {
  File out = File::create(file("maps.h5"));
  EXPECT_NO_THROW(out.create_dataset("/maps", Type::float32(), {30, 9, 4096, 4096}, "", ""));
}

TEST_F(Hdf5, FailuresSayWhereAndWhy) {
  const auto message_of = [](const auto& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kIo || error.code() == ErrorCode::kFormat);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message_of([&] { File::open(file("absent.h5")); }),
              testing::AllOf(HasSubstr("absent.h5"), HasSubstr("No such file")));
  EXPECT_THAT(message_of([&] { File::create("/proc/nowhere.h5"); }), HasSubstr("/proc/nowhere.h5"));
  std::filesystem::create_symlink("/dev/full", file("full.h5"));
  EXPECT_THAT(message_of([&] { File::create(file("full.h5")); }),
              testing::EndsWith("cannot create the file: No space left on device"));
  { File::create(file("locked.h5")); }
  const int other = ::open(file("locked.h5").c_str(), O_RDWR);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  EXPECT_THAT(message_of([&] { File::open(file("locked.h5")); }),
              HasSubstr("HDF5_USE_FILE_LOCKING=FALSE"));
  ::close(other);
  std::ofstream(file("text.h5")) << "not HDF5";
  EXPECT_THAT(message_of([&] { File::open(file("text.h5")); }), HasSubstr("text.h5"));
  File out = File::create(file("same.h5"));
  out.create_dataset("/x", Type::int32(), {1}, "", "");
  EXPECT_THAT(message_of([&] { out.create_dataset("/x", Type::int32(), {1}, "", ""); }),
              HasSubstr("/x"));
  EXPECT_THAT(message_of([&] { out.dataset("/y"); }), HasSubstr("/y"));
}

}  // namespace
}  // namespace surprisal::hdf5
