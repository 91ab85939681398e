#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "experiments/retrieval/calculator.h"
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

}  // namespace
}  // namespace surprisal
