#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace surprisal {

/// An append-only file of checksummed records: the durable truth of a part of a run. It survives a
/// kill at any moment: what append() returned from is there afterwards; a record cut short is found
/// and dropped at the next opening. After a power loss at most what came after the last sync() is
/// gone.
///
/// Format: "SRPSPL01", then records of uint32 length, uint32 CRC-32 of the payload, payload (little
/// endian, length > 0). The first record is the header text, which ties the spool to its run.
///
/// While open it is locked: a second process is refused. One thread at a time.
class Spool {
 public:
  /// Opens or creates the file, and drops a torn tail.
  /// @param header  must equal that of an existing spool
  /// @throws Error(kIo) when another process has it open or the file cannot be used;
  ///         Error(kConfig) when it belongs to another run; Error(kFormat) when it is damaged
  ///         before its end
  Spool(std::string path, const std::string& header);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Where records begin, in the order they were written; usable with read().
  const std::vector<int64_t>& records() const { return records_; }
  std::string read(int64_t record) const;
  const std::string& path() const { return path_; }

  /// On failure (a full disk) the file is cut back to its last whole record. @throws Error(kIo)
  void append(std::string_view payload);
  void sync();

  /// Bytes that were dropped as a torn tail when opening.
  int64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  void check_magic_and_header(const std::string& header);
  void find_records();
  void write_record(std::string_view payload);

  std::string path_;
  int fd_ = -1;
  int64_t end_ = 0;  ///< of the last whole record
  std::vector<int64_t> records_;
  int64_t dropped_bytes_ = 0;
};

}  // namespace surprisal
