#include "lib/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "tests/lib/temporary_folder.h"
#include "tests/thrown.h"

namespace surprisal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A file of the given header and `data` bytes.
std::string packed(const std::string& header, size_t data) {
  const uint64_t size = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &size, 8);
  file += header;
  for (size_t i = 0; i < data; ++i) file += static_cast<char>(i);
  return file;
}

/// One tensor of four bytes.
std::string shard(const std::string& tensor) {
  return packed("{\"" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
}

SafetensorsIndex parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "model.safetensors");
}

std::string refused(const std::string& file) {
  return test::thrown(ErrorCode::kFormat, [&] { parse(file); });
}

TEST(Safetensors, TensorsAreFoundWhereTheHeaderPutsThem) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]},)"
                             R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})";
  const SafetensorsIndex tensors = parse(packed(header, 8));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors.at("a").dtype, "F32");
  EXPECT_THAT(tensors.at("a").shape, IsEmpty());
  EXPECT_EQ(tensors.at("a").begin, 8 + header.size());
  EXPECT_THAT(tensors.at("b").shape, ElementsAre(1, 2));
  EXPECT_EQ(tensors.at("b").end, 8 + header.size() + 8);
}

TEST(Safetensors, RefusalsSayWhereAndWhat) {
  // The rules themselves are in tests/fuzz/corpus/safetensors, one file each.
  EXPECT_THAT(refused("1234"), AllOf(HasSubstr("model.safetensors"), HasSubstr("4 bytes")));
  EXPECT_THAT(refused(packed(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3)),
              HasSubstr("cut short"));
  EXPECT_THAT(refused(packed(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4)),
              AllOf(HasSubstr("'w'"), HasSubstr("need 8")));
  EXPECT_THAT(refused(packed(R"({"w":{"dtype":"F99","shape":[2],"data_offsets":[0,4]}})", 4)),
              HasSubstr("F99"));
  EXPECT_THAT(refused(packed(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                             R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                             3)),
              AllOf(HasSubstr("'b'"), HasSubstr("starts at byte 1")));
}

class SafetensorsFolder : public ::testing::Test {
 protected:
  void write_index(const std::string& weight_map) const {
    folder_.write("model.safetensors.index.json", "{\"weight_map\":" + weight_map + "}");
  }
  std::string refused(ErrorCode code = ErrorCode::kFormat) const {
    return test::thrown(code, [&] { open_safetensors_folder(folder_.path()); });
  }
  test::TemporaryFolder folder_;
};

TEST_F(SafetensorsFolder, ShardsAreReadTogether) {
  folder_.write("one.safetensors", shard("a"));
  folder_.write("two.safetensors", shard("b"));
  write_index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  const auto files = open_safetensors_folder(folder_.path());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_TRUE(files[0].tensors().contains("a"));
  const auto bytes = files[1].bytes(files[1].tensors().at("b"));
  EXPECT_THAT(bytes, ElementsAre(std::byte{0}, std::byte{1}, std::byte{2}, std::byte{3}));
}

TEST_F(SafetensorsFolder, ASingleFileNeedsNoIndex) {
  folder_.write("model.safetensors", shard("a"));
  EXPECT_THAT(safetensors_files(folder_.path()),
              ElementsAre(folder_.path() + "/model.safetensors"));
  EXPECT_EQ(open_safetensors_folder(folder_.path()).size(), 1u);
}

TEST_F(SafetensorsFolder, IndexAndShardsMustAgree) {
  folder_.write("one.safetensors", shard("a"));
  folder_.write("two.safetensors", shard("b"));
  write_index(R"({"a":"two.safetensors","b":"two.safetensors","c":"one.safetensors"})");
  EXPECT_THAT(refused(), AllOf(HasSubstr("a is not in two.safetensors"),
                               HasSubstr("c is not in one.safetensors"),
                               HasSubstr("a is in one.safetensors but")));
}

TEST_F(SafetensorsFolder, ShardNamesCannotLeaveTheFolder) {
  const test::TemporaryFolder outside;
  outside.write("secret.safetensors", shard("a"));
  for (const char* name : {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".",
                           "a\\\\b", "a\\u0000b", ""}) {
    write_index(std::string("{\"a\":\"") + name + "\"}");
    EXPECT_THAT(refused(), HasSubstr("plain file name")) << name;
  }
  std::filesystem::create_symlink(outside.path() + "/secret.safetensors",
                                  folder_.path() + "/link.safetensors");
  write_index(R"({"a":"link.safetensors"})");
  EXPECT_THAT(refused(), HasSubstr("leads out"));
}

TEST_F(SafetensorsFolder, TheHubsCacheLinksToItsBlobs) {
  // ~/.cache/huggingface/hub/models--X/{blobs/HASH, snapshots/REVISION/FILE -> ../../blobs/HASH}
  const std::filesystem::path root = folder_.path();
  std::filesystem::create_directories(root / "blobs");
  std::filesystem::create_directories(root / "snapshots" / "main");
  folder_.write("blobs/1234", shard("a"));
  std::filesystem::create_symlink("../../blobs/1234", root / "snapshots/main/one.safetensors");
  folder_.write("snapshots/main/model.safetensors.index.json",
                R"({"weight_map":{"a":"one.safetensors"}})");
  EXPECT_EQ(open_safetensors_folder((root / "snapshots/main").string()).size(), 1u);
}

TEST_F(SafetensorsFolder, BadIndexesAreRefused) {
  EXPECT_THAT(refused(ErrorCode::kIo), HasSubstr("model.safetensors"));
  for (const char* text : {"[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":{}}",
                           "{\"weight_map", R"({"weight_map":{"a":1}})"}) {
    folder_.write("model.safetensors.index.json", text);
    EXPECT_THAT(refused(), HasSubstr("model.safetensors.index.json")) << text;
  }
  write_index(R"({"a":"absent.safetensors"})");
  EXPECT_THAT(refused(ErrorCode::kIo), HasSubstr("absent.safetensors"));
}

}  // namespace
}  // namespace surprisal
