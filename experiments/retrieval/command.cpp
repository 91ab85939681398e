#include "experiments/retrieval/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "lib/unicode.h"

namespace surprisal {
namespace {

using Clock = std::chrono::steady_clock;

/// Closes a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

/// A connected pair: writing to a program that does not read must not raise SIGPIPE here, which
/// sockets allow to ask for.
std::pair<Descriptor, Descriptor> socket_pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0)
    throw Error(ErrorCode::kIo, std::string("cannot make a socket: ") + std::strerror(errno));
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

/// A started program, which does not outlive this object.
class Child {
 public:
  Child(std::vector<std::string> argv, int in, int out) {
    std::vector<char*> arguments;
    for (std::string& argument : argv) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // one of its own: kill all
    const int failure =
        ::posix_spawn(&pid_, arguments[0], &files, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (failure != 0) {
      pid_ = -1;
      throw Error(ErrorCode::kIo, argv[0] + ": cannot be started: " + std::strerror(failure));
    }
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// @return whether it has ended, and how
  std::optional<int> status() {
    int status = 0;
    if (pid_ < 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    kill_group();  // what it may have started
    pid_ = -1;
    return status;
  }
  void end() {
    if (pid_ < 0) return;
    kill_group();
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  void kill_group() const { ::kill(-pid_, SIGKILL); }
  pid_t pid_ = -1;
};

std::string failure_text(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with exit status " + std::to_string(WEXITSTATUS(status));
}

/// A character of more bytes may have been cut through at the end.
std::string without_torn_character(std::string text) {
  for (int i = 0; i < 3 && !text.empty() && !is_valid_utf8(text); ++i) text.pop_back();
  return replace_invalid_utf8(text);
}

}  // namespace

Command::Command(const Options& options) : options_(options) {
  if (options_.argv.empty() || ::access(options_.argv[0].c_str(), X_OK) != 0)
    throw Error(ErrorCode::kConfig,
                "retriever command: program: '" + (options_.argv.empty() ? "" : options_.argv[0]) +
                    "' is not an executable file (give its path; no shell looks for it)");
}

std::string Command::retrieve(const std::string& query) const {
  const std::string& program = options_.argv[0];
  auto [to_child, child_in] = socket_pair();
  auto [from_child, child_out] = socket_pair();
  Child child(options_.argv, child_in.get(), child_out.get());
  child_in.close();
  child_out.close();
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(options_.time_limit));
  const auto most = static_cast<size_t>(options_.most_bytes);
  std::string output;
  size_t sent = 0;
  bool is_open = true;
  while (is_open && output.size() < most) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) throw Error(ErrorCode::kIo, program + ": took longer than its time_limit");
    if (sent == query.size()) to_child.close();  // end of its input
    std::array<pollfd, 2> wait = {pollfd{from_child.get(), POLLIN, 0},
                                  pollfd{to_child.get(), POLLOUT, 0}};  // -1: passed over
    if (::poll(wait.data(), wait.size(), static_cast<int>(std::min<int64_t>(left, 1000))) < 0 &&
        errno != EINTR)
      throw Error(ErrorCode::kIo, program + ": poll: " + std::strerror(errno));
    if (wait[1].revents != 0) {
      const ssize_t written = ::send(to_child.get(), query.data() + sent, query.size() - sent,
                                     MSG_NOSIGNAL | MSG_DONTWAIT);
      if (written > 0)
        sent += static_cast<size_t>(written);
      else if (errno != EAGAIN && errno != EINTR)
        sent = query.size();  // it does not read: so be it
    }
    if (wait[0].revents != 0) {
      std::array<char, 4096> buffer{};
      const ssize_t got = ::recv(from_child.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0)
        output.append(buffer.data(), static_cast<size_t>(got));
      else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        is_open = false;
    }
  }
  while (!is_open) {  // all was said: how did it end?
    if (const std::optional<int> status = child.status()) {
      if (*status != 0) throw Error(ErrorCode::kIo, program + ": " + failure_text(*status));
      break;
    }
    if (Clock::now() >= deadline)
      throw Error(ErrorCode::kIo, program + ": took longer than its time_limit");
    ::poll(nullptr, 0, 1);
  }
  output.resize(std::min(output.size(), most));
  output = without_torn_character(std::move(output));
  while (output.ends_with('\n')) output.pop_back();
  return output.empty() ? "" : options_.before + output + options_.after;
}

RetrieverEntry Command::entry() {
  return {
      "an external program: the query on its standard input, its standard output goes in",
      [](ParamReader& params) -> std::unique_ptr<Retriever> {
        Options options;
        options.argv = {params.string("program", std::nullopt, "path; started without a shell")};
        for (std::string& argument : params.strings("arguments", {}, "of the program"))
          options.argv.push_back(std::move(argument));
        options.time_limit = params.number("time_limit", 10, {.min = 0.01, .max = 3600}, "seconds",
                                           "of one query; more is an error");
        options.most_bytes = params.integer("most_bytes", 2000, {.min = 1, .max = 1e6}, "bytes",
                                            "of output; the rest is cut off");
        options.before = params.string("before", " [", "goes in before the output");
        options.after = params.string("after", "] ", "goes in behind it");
        if (params.is_describing()) return nullptr;
        return std::make_unique<Command>(options);
      }};
}

}  // namespace surprisal
