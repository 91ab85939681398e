#include "experiments/spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "lib/error.h"

namespace surprisal {
namespace {

constexpr std::string_view kMagic = "SRPSPL01";
constexpr int64_t kFrameBytes = 8;  // length and CRC
constexpr uint32_t kMaxPayload = uint32_t{1} << 31;

Error io_error(const std::string& path, const std::string& what) {
  return Error(ErrorCode::kIo, path + ": cannot " + what + ": " + std::strerror(errno));
}

uint32_t checksum(std::string_view payload) {
  return static_cast<uint32_t>(
      ::crc32_z(0, reinterpret_cast<const unsigned char*>(payload.data()), payload.size()));
}

/// Reads up to `size` bytes at `offset`; fewer at the end of the file.
std::string read_at(int fd, const std::string& path, int64_t offset, size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(fd, bytes.data() + done, size - done, offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw io_error(path, "read");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

struct Frame {
  uint32_t length, crc;
};

Frame parse_frame(const std::string& bytes) {
  Frame frame;
  std::memcpy(&frame.length, bytes.data(), 4);
  std::memcpy(&frame.crc, bytes.data() + 4, 4);
  return frame;
}

/// The payload of the record at `offset`, or nullopt when no whole record stands there.
std::optional<std::string> whole_record(int fd, const std::string& path, int64_t offset) {
  const std::string head = read_at(fd, path, offset, kFrameBytes);
  if (head.size() < kFrameBytes) return std::nullopt;
  const Frame frame = parse_frame(head);
  if (frame.length == 0 || frame.length > kMaxPayload) return std::nullopt;
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw io_error(path, "inspect");
  if (offset + kFrameBytes + static_cast<int64_t>(frame.length) > status.st_size)
    return std::nullopt;
  std::string payload = read_at(fd, path, offset + kFrameBytes, frame.length);
  if (payload.size() < frame.length || checksum(payload) != frame.crc) return std::nullopt;
  return payload;
}

}  // namespace

Spool::Spool(std::string path, const std::string& header) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) throw io_error(path_, "open for writing");
  try {
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        throw Error(ErrorCode::kIo, path_ +
                                        ": another process is writing this part of the run; "
                                        "wait for it, or give this run another name");
      throw io_error(path_, "lock");
    }
    check_magic_and_header(header);
    find_records();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

Spool::~Spool() {
  ::fsync(fd_);
  ::close(fd_);
}

void Spool::check_magic_and_header(const std::string& header) {
  const std::string magic = read_at(fd_, path_, 0, kMagic.size());
  const auto after_magic = static_cast<int64_t>(kMagic.size());
  if (magic.size() == kMagic.size() && magic != kMagic)
    throw Error(ErrorCode::kFormat, path_ + ": not a spool of this version");
  const auto found = whole_record(fd_, path_, after_magic);
  if (found) {
    if (*found != header)
      throw Error(ErrorCode::kConfig, path_ + ": belongs to another run (" + found->substr(0, 200) +
                                          "); give this run another name");
    end_ = after_magic + kFrameBytes + static_cast<int64_t>(found->size());
    return;
  }
  // Nothing, or a beginning that was cut short: no sample can be in it.
  struct stat status {};
  if (::fstat(fd_, &status) != 0) throw io_error(path_, "inspect");
  if (status.st_size > after_magic + kFrameBytes + static_cast<int64_t>(header.size()))
    throw Error(ErrorCode::kFormat, path_ +
                                        ": its header is damaged; move the file away to start "
                                        "this part anew");
  if (::ftruncate(fd_, 0) != 0) throw io_error(path_, "truncate");
  if (::pwrite(fd_, kMagic.data(), kMagic.size(), 0) != after_magic) throw io_error(path_, "write");
  end_ = after_magic;
  write_record(header);
  sync();
}

void Spool::find_records() {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) throw io_error(path_, "inspect");
  while (end_ < status.st_size) {
    const auto payload = whole_record(fd_, path_, end_);
    if (!payload) break;
    records_.push_back(end_);
    end_ += kFrameBytes + static_cast<int64_t>(payload->size());
  }
  dropped_bytes_ = status.st_size - end_;
  if (dropped_bytes_ == 0) return;

  // A torn tail is one record cut short, or zeros that a power loss left. Anything else is damage
  // that must not be thrown away silently.
  const std::string head = read_at(fd_, path_, end_, kFrameBytes);
  const bool cut_short =
      head.size() < kFrameBytes ||
      end_ + kFrameBytes + static_cast<int64_t>(parse_frame(head).length) >= status.st_size;
  bool zeros = true;
  constexpr size_t kBlock = 1 << 16;
  for (int64_t at = end_; zeros && at < status.st_size; at += static_cast<int64_t>(kBlock))
    zeros = read_at(fd_, path_, at, kBlock).find_first_not_of('\0') == std::string::npos;
  if (!cut_short && !zeros)
    throw Error(ErrorCode::kFormat,
                path_ + ": damaged at byte " + std::to_string(end_) + " of " +
                    std::to_string(status.st_size) + "; the " + std::to_string(records_.size()) +
                    " records before it are whole: truncate the file there to keep them, and the "
                    "rest will be computed again");
  if (::ftruncate(fd_, end_) != 0) throw io_error(path_, "truncate");
}

std::string Spool::read(int64_t record) const {
  auto payload = whole_record(fd_, path_, record);
  if (!payload)
    throw Error(ErrorCode::kFormat,
                path_ + ": the record at byte " + std::to_string(record) + " is damaged");
  return *std::move(payload);
}

void Spool::append(std::string_view payload) {
  const int64_t at = end_;
  write_record(payload);
  records_.push_back(at);
}

void Spool::write_record(std::string_view payload) {
  if (payload.empty() || payload.size() > kMaxPayload)
    throw Error(ErrorCode::kInternal,
                path_ + ": a record of " + std::to_string(payload.size()) + " bytes");
  const auto length = static_cast<uint32_t>(payload.size());
  const uint32_t crc = checksum(payload);
  std::string record(kFrameBytes, '\0');
  std::memcpy(record.data(), &length, 4);
  std::memcpy(record.data() + 4, &crc, 4);
  record += payload;
  size_t done = 0;
  while (done < record.size()) {
    const ssize_t put = ::pwrite(fd_, record.data() + done, record.size() - done,
                                 end_ + static_cast<int64_t>(done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      const Error error = io_error(path_, "write");
      if (::ftruncate(fd_, end_) != 0) throw io_error(path_, "write, nor truncate");
      throw error;
    }
    done += static_cast<size_t>(put);
  }
  end_ += static_cast<int64_t>(record.size());
}

void Spool::sync() {
  if (::fsync(fd_) != 0) throw io_error(path_, "sync");
}

}  // namespace surprisal
