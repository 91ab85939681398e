#include "tools/ask_person.h"

#include <unistd.h>

#include <charconv>
#include <iostream>

namespace surprisal {

bool person_is_there() {
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

AskPolicy ask_person() {
  return [](const AskUser& question, const Draws&) {
    if (!question.so_far.empty()) std::cerr << "\n\n" << question.so_far;
    std::cerr << "\n\n" << question.question << '\n';
    for (size_t i = 0; i < question.options.size(); ++i)
      std::cerr << "  " << i + 1 << (i == question.best ? " * " : "   ") << question.options[i]
                << '\n';
    std::cerr << "number, your own words, or Enter for *: " << std::flush;
    AskReply reply{.option = question.best, .own_words = std::nullopt};
    std::string line;
    if (!std::getline(std::cin, line) || line.empty()) return reply;
    size_t number = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    const bool is_number = error == std::errc() && end == line.data() + line.size();
    if (is_number && number >= 1 && number <= question.options.size())
      reply.option = number - 1;
    else
      reply.own_words = line;
    return reply;
  };
}

}  // namespace surprisal
