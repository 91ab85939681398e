#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace surprisal {

/// The whole file. @throws Error(kIo) when it cannot be read or is larger than `max_bytes`
std::string read_file(const std::string& path, size_t max_bytes);

/// Writes to `path.tmp`, syncs, renames onto `path`, and syncs the folder, so that after any crash
/// `path` holds either its old content or all of the new. @throws Error(kIo)
void write_file_atomically(const std::string& path, std::string_view content);

/// A file written piece by piece under `path.tmp`; publish() gives it its name, as durably as
/// write_file_atomically(). Without publish() the temporary file stays behind, and `path` as it
/// was.
class FileWriter {
 public:
  /// @throws Error(kIo)
  explicit FileWriter(std::string path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  /// Buffered. @throws Error(kIo), a full disk included
  void write(std::string_view bytes);
  void publish();

 private:
  void flush();
  std::string path_, buffer_;
  int fd_ = -1;
};

/// Renames a finished file onto its final name durably. @throws Error(kIo)
void publish_file(const std::string& temporary, const std::string& path);

/// A read-only memory map of a whole file; unmapped when the last owner lets go.
class MappedFile {
 public:
  /// @throws Error(kIo)
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}
  std::string path_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace surprisal
