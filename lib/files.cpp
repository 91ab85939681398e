#include "lib/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "lib/error.h"

namespace surprisal {
namespace {

Error io_error(const std::string& what, const std::string& path) {
  return Error(ErrorCode::kIo, path + ": cannot " + what + ": " + std::strerror(errno));
}

int open_file(const std::string& path, int flags) {
  int fd = -1;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) throw io_error((flags & O_WRONLY) ? "write" : "open", path);
  return fd;
}

class FileDescriptor {
 public:
  FileDescriptor(const std::string& path, int flags) : path_(path), fd_(open_file(path, flags)) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }
  void sync() {
    if (::fsync(fd_) != 0) throw io_error("sync", path_);
  }
  size_t regular_file_size() const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) throw io_error("inspect", path_);
    if (!S_ISREG(status.st_mode))
      throw Error(ErrorCode::kIo, path_ + ": expected a file, found something else");
    return static_cast<size_t>(status.st_size);
  }

 private:
  std::string path_;
  int fd_ = -1;
};

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

std::string read_file(const std::string& path, size_t max_bytes) {
  FileDescriptor file(path, O_RDONLY);
  const size_t size = file.regular_file_size();
  if (size > max_bytes)
    throw Error(ErrorCode::kIo, path + ": " + std::to_string(size) + " bytes; at most " +
                                    std::to_string(max_bytes) + " are read here");
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.get(), content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw io_error("read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

void write_file_atomically(const std::string& path, std::string_view content) {
  FileWriter file(path);
  file.write(content);
  file.publish();
}

FileWriter::FileWriter(std::string path) : path_(std::move(path)) {
  fd_ = open_file(path_ + ".tmp", O_WRONLY | O_CREAT | O_TRUNC);
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void FileWriter::write(std::string_view bytes) {
  constexpr size_t kBufferBytes = 1 << 16;
  buffer_ += bytes;
  if (buffer_.size() >= kBufferBytes) flush();
}

void FileWriter::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t put = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw io_error("write", path_ + ".tmp");
    done += static_cast<size_t>(put);
  }
  buffer_.clear();
}

void FileWriter::publish() {
  flush();
  if (::close(std::exchange(fd_, -1)) != 0) throw io_error("close", path_ + ".tmp");
  publish_file(path_ + ".tmp", path_);
}

void publish_file(const std::string& temporary, const std::string& path) {
  {
    FileDescriptor file(temporary, O_RDONLY);
    file.sync();
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) throw io_error("rename onto", path);
  FileDescriptor folder(parent_of(path), O_RDONLY | O_DIRECTORY);
  folder.sync();
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  FileDescriptor file(path, O_RDONLY);
  const size_t size = file.regular_file_size();
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(path, nullptr, 0));
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) throw io_error("map", path);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace surprisal
