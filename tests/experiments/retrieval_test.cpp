#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "experiments/retrieval/calculator.h"
#include "experiments/retrieval/command.h"
#include "experiments/retrieval/corpus.h"
#include "lib/error.h"
#include "lib/yaml.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

std::string calculate(const std::string& text) {
  return Calculator().retrieve(text);
}

TEST(Calculator, CompletesWhatAnAnswerOpens) {
  EXPECT_EQ(calculate("She sold 48/2 = <<48/2="), "24>>");
  EXPECT_EQ(calculate("so there are 3 * (4 + 5) ="), "27");
  EXPECT_EQ(calculate("7 / 2 = "), "3.5");
  EXPECT_EQ(calculate("Tom has 3. 4 + 4 ="), "8");
  EXPECT_EQ(calculate("<<5--3="), "8>>");  // not an SQL comment
  EXPECT_EQ(calculate("<<.5*4="), "2>>");
  EXPECT_EQ(calculate("1/3="), "0.333333333333");
}

TEST(Calculator, LeavesAloneWhatIsNoArithmetic) {
  for (const char* text : {"", "=", "x =", "= 5", "5 =", "48/2",
                           "3 + =", "(1 + 2 =", "1/0=", "1 + 2 /* =", "5 5 + 1 ="})
    EXPECT_EQ(calculate(text), "") << text;
  EXPECT_EQ(calculate(std::string(100'000, '(') + "1+1="), "");
}

class CorpusTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.file(name)) << text;
  }
  Corpus corpus(int64_t most_characters = 500) const {
    return Corpus({folder_.path(), "[", "]", most_characters});
  }
  testing::TemporaryFolder folder_;
};

TEST_F(CorpusTest, TheBestParagraphComesBack) {
  write("a.txt", "A dozen is twelve things.\n\nA score is twenty things.");
  write("b.md", "A gross is a dozen dozens, that is 144 things.");
  write("c.csv", "score,score,score");
  const Corpus found = corpus();
  EXPECT_EQ(found.retrieve("How many eggs are in a score?"), "[A score is twenty things.]");
  EXPECT_EQ(found.retrieve("a gross of pens"), "[A gross is a dozen dozens, that is 144 things.]");
  EXPECT_EQ(found.retrieve("zebra"), "");
  EXPECT_EQ(found.retrieve("\" OR NEAR( * ^"), "");
  EXPECT_EQ(found.retrieve(""), "");
  EXPECT_EQ(corpus(9).retrieve("score"), "[A score i]");
}

TEST_F(CorpusTest, KnowsWhenItHoldsAQuestion) {
  write("a.txt", "Q: Mia has 3 apples; how many?  A: three");
  EXPECT_TRUE(corpus().holds("Mia has 3 apples, how many?"));
  EXPECT_FALSE(corpus().holds("How many apples has Mia?"));
  EXPECT_FALSE(corpus().holds(""));
}

TEST_F(CorpusTest, NeedsText) {
  EXPECT_THROW(corpus(), Error);
  EXPECT_THROW(Corpus({folder_.file("nowhere"), "", "", 1}), Error);
}

TEST(Retrievers, AreReadStrictly) {
  const auto code_of = [](const std::string& yaml) {
    try {
      create_retriever(builtin_retrievers(), parse_yaml(yaml, "a.yaml"), "a.yaml", nullptr);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code_of("{type: calculater}"), ErrorCode::kUnknownName);
  EXPECT_EQ(code_of("{type: calculator, folder: x}"), ErrorCode::kUnknownName);
  EXPECT_EQ(code_of("{type: corpus}"), ErrorCode::kConfig);
  Json resolved;
  EXPECT_NE(create_retriever(builtin_retrievers(), parse_yaml("{type: calculator}", "a.yaml"),
                             "a.yaml", &resolved),
            nullptr);
  EXPECT_EQ(resolved, Json({{"type", "calculator"}}));
}

Command shell(const std::string& script, double time_limit = 10, int64_t most_bytes = 2000) {
  return Command({.argv = {"/bin/sh", "-c", script},
                  .time_limit = time_limit,
                  .most_bytes = most_bytes,
                  .before = "[",
                  .after = "]"});
}

TEST(Command, ReadsTheQueryAndSaysWhatGoesIn) {
  EXPECT_EQ(shell("tr a-z A-Z").retrieve("48 eggs"), "[48 EGGS]");
  EXPECT_EQ(shell("cat > /dev/null").retrieve("x"), "") << "nothing found";
  EXPECT_EQ(shell("echo; echo").retrieve("x"), "");
  EXPECT_EQ(shell("echo hidden >&2; echo shown").retrieve("x"), "[shown]");
  // Nothing of the query is a command: it is not on the command line.
  const Command plain(
      {.argv = {"/bin/cat"}, .time_limit = 10, .most_bytes = 99, .before = "", .after = ""});
  EXPECT_EQ(plain.retrieve("$(id); `id` | id"), "$(id); `id` | id");
}

TEST(Command, LongTextsGoBothWays) {
  const std::string query(300'000, 'q');
  EXPECT_EQ(shell("cat", 30, 1'000'000).retrieve(query).size(), query.size() + 2);
  EXPECT_EQ(shell("echo early; exec 0<&-; sleep 0.1").retrieve(query), "[early]")
      << "it need not read all";
}

TEST(Command, OutputIsCappedAndNotWaitedFor) {
  EXPECT_EQ(shell("yes", 30, 10).retrieve("").size(), 11u) << "less the last line end";
  EXPECT_EQ(shell("printf '1234567\\303\\251'", 30, 8).retrieve(""), "[1234567]")
      << "no half characters";
}

TEST(Command, FailuresAreErrorsAndNotNothing) {
  using testing::error_of;
  EXPECT_EQ(error_of([] { shell("exit 3").retrieve(""); }).code(), ErrorCode::kIo);
  EXPECT_EQ(error_of([] { shell("kill -9 $$").retrieve(""); }).code(), ErrorCode::kIo);
  EXPECT_EQ(error_of([] { shell("sleep 60", 0.2).retrieve(""); }).code(), ErrorCode::kIo);
  EXPECT_EQ(error_of([] { shell("exec 1>&-; sleep 60", 0.2).retrieve(""); }).code(),
            ErrorCode::kIo);
  EXPECT_EQ(error_of([] { Command({.argv = {"cat"}}); }).code(), ErrorCode::kConfig)
      << "no PATH, no shell";
}

}  // namespace
}  // namespace surprisal
