#include "experiments/numeric_answer.h"

#include <gtest/gtest.h>

namespace surprisal {
namespace {

TEST(NumericAnswer, SpellsEqualNumbersEqually) {
  for (const char* same : {"18", "18.00", "$18", "018", "18.", "18%", "36/2", "\u20ac18.0", "+18"})
    EXPECT_EQ(numeric_answer(same), "18") << same;
  EXPECT_EQ(numeric_answer("1,000"), "1000");
  EXPECT_EQ(numeric_answer("1,234,567.50"), "1234567.5");
  EXPECT_EQ(numeric_answer("3/4"), "0.75");
  EXPECT_EQ(numeric_answer(".75"), "0.75");
  EXPECT_EQ(numeric_answer("2 1/2"), "2.5");
  EXPECT_EQ(numeric_answer("4/6"), "2/3");
  EXPECT_EQ(numeric_answer("-4/6"), "-2/3");
  EXPECT_EQ(numeric_answer("-0.0"), "0");
  EXPECT_EQ(numeric_answer("0"), "0");
}

TEST(NumericAnswer, IsExactBeyondEveryMachineNumber) {
  const std::string big = "1" + std::string(400, '0') + "1";
  EXPECT_EQ(numeric_answer(big + ".50"), big + ".5");
  EXPECT_EQ(numeric_answer("1/1000000000"), "1000000000") << "ten digits: not a denominator";
  EXPECT_EQ(numeric_answer("1/512000000"), "0.000000001953125");
  EXPECT_EQ(numeric_answer("999999999 999999998/999999999"), "999999998999999999/999999999");
}

TEST(NumericAnswer, ReadsSigns) {
  EXPECT_EQ(numeric_answer("it is -5"), "-5");
  EXPECT_EQ(numeric_answer("it is \u22125"), "-5");
  EXPECT_EQ(numeric_answer("-$5"), "-5");
  EXPECT_EQ(numeric_answer("$-5"), "-5");
  EXPECT_EQ(numeric_answer("20-5"), "5");
  EXPECT_EQ(numeric_answer("(a)-5"), "5");
  EXPECT_EQ(numeric_answer("a - 5"), "5");
}

TEST(NumericAnswer, TakesNumbersApartAsPeopleDo) {
  EXPECT_EQ(numeric_answer("1,2"), "2");
  EXPECT_EQ(numeric_answer("12,3456"), "3456");
  EXPECT_EQ(numeric_answer("on 3/4/2024"), "2024");
  EXPECT_EQ(numeric_answer("3/0"), "0");
  EXPECT_EQ(numeric_answer("7 of CO2"), "7");
  EXPECT_EQ(numeric_answer("7kg"), "7");
  EXPECT_EQ(numeric_answer("no number, just H2O."), "[invalid]");
  EXPECT_EQ(numeric_answer(""), "[invalid]");
}

TEST(NumericAnswer, PrefersWhatAMarkerIntroduces) {
  EXPECT_EQ(numeric_answer("The answer is 18. It took 3 steps."), "18");
  EXPECT_EQ(numeric_answer("The final answer is: **18** apples"), "18");
  EXPECT_EQ(numeric_answer("ANSWER:\n\n18\n\nCheck: 9 + 9"), "18");
  EXPECT_EQ(numeric_answer("so \\boxed{18} for 2"), "18");
  EXPECT_EQ(numeric_answer("9 * 2 = 18\n#### 18\n2"), "18");
  EXPECT_EQ(numeric_answer("The answer is 3 * 6 = 18. Then 5."), "18");
  EXPECT_EQ(numeric_answer("The answer is $18.50. Good 1."), "18.5");
}

TEST(NumericAnswer, TheLastMarkerWithANumberDecides) {
  EXPECT_EQ(numeric_answer("The answer is 17. No, the answer is 18. Or 19?"), "18");
  EXPECT_EQ(numeric_answer("The answer is 18. The answer is clear. 2"), "18");
  EXPECT_EQ(numeric_answer("The answer is clear. 3 and 4"), "4");
}

TEST(NumericAnswer, SurvivesAnyBytes) {
  EXPECT_EQ(numeric_answer("\xff\xfe 7 \xc3"), "7");
  EXPECT_EQ(numeric_answer(std::string("3\0004", 3)), "4");
  EXPECT_EQ(numeric_answer(std::string(1'000'000, '#')), "[invalid]");
}

}  // namespace
}  // namespace surprisal
