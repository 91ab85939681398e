// Against SciPy, statsmodels and brute force: tests/oracle/statistics_reference.py made the
// figures.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "experiments/statistics/auroc.h"
#include "experiments/statistics/clustered_mean.h"
#include "experiments/statistics/detectable_effect.h"
#include "experiments/statistics/holm.h"
#include "experiments/statistics/paired_binary.h"
#include "experiments/statistics/proportion.h"
#include "experiments/statistics/repeated_samples.h"
#include "experiments/statistics/resampling.h"
#include "experiments/statistics/sign_flip.h"
#include "lib/json.h"

namespace surprisal {
namespace {

constexpr double kExact = 1e-12;     // the same figure by another route, in float64
constexpr double kSummed = 1e-10;    // sums of up to 45,000 terms, or quantiles by iteration
constexpr double kMaximised = 1e-6;  // the oracle maximises a likelihood numerically

const Json& reference() {
  static const Json document =
      read_json_file(SURPRISAL_SOURCE_DIR "/tests/experiments/statistics/data/reference.json");
  return document;
}

double number(const Json& entry, const char* name) {
  return entry.at(name).get<double>();
}

int64_t count(const Json& entry, const char* name) {
  return entry.at(name).get<int64_t>();
}

TEST(Reference, Wilson) {
  for (const Json& c : reference().at("wilson")) {
    const Proportion ours =
        wilson_interval(number(c, "successes"), number(c, "trials"), number(c, "confidence"));
    EXPECT_NEAR(ours.low, number(c, "low"), kExact) << c;
    EXPECT_NEAR(ours.high, number(c, "high"), kExact) << c;
  }
}

TEST(Reference, ClusteredProportion) {
  for (const Json& c : reference().at("clustered")) {
    std::vector<Tally> tallies;
    for (size_t i = 0; i < c.at("answers").size(); ++i)
      tallies.push_back({c.at("answers")[i].get<int64_t>(), c.at("correct")[i].get<int64_t>()});
    const Proportion ours = clustered_proportion(tallies);
    EXPECT_NEAR(ours.value, number(c, "value"), kExact);
    EXPECT_NEAR(ours.low, number(c, "low"), kSummed);
    EXPECT_NEAR(ours.high, number(c, "high"), kSummed);
  }
}

TEST(Reference, ClusteredMean) {
  for (const Json& c : reference().at("clustered_mean")) {
    const Proportion ours = clustered_mean(c.at("values").get<std::vector<double>>(),
                                           c.at("clusters").get<std::vector<size_t>>());
    EXPECT_NEAR(ours.value, number(c, "value"), kExact);
    EXPECT_NEAR(ours.low, number(c, "low"), kSummed);
    EXPECT_NEAR(ours.high, number(c, "high"), kSummed);
  }
}

TEST(Reference, Auroc) {
  for (const Json& c : reference().at("auroc")) {
    const Proportion ours = clustered_auroc(c.at("scores").get<std::vector<double>>(),
                                            c.at("positive").get<std::vector<unsigned char>>(),
                                            c.at("clusters").get<std::vector<size_t>>());
    EXPECT_NEAR(ours.value, number(c, "value"), kExact);
    EXPECT_NEAR(ours.low, number(c, "low"), kSummed);
    EXPECT_NEAR(ours.high, number(c, "high"), kSummed);
  }
}

TEST(Auroc, HasNoIntervalWhereNothingTellsOne) {
  const std::vector<double> scores = {1, 2, 3, 4};
  const std::vector<size_t> clusters = {0, 1, 2, 3};
  const auto of = [&](const std::vector<unsigned char>& positive) {
    return clustered_auroc(scores, positive, clusters);
  };
  EXPECT_TRUE(std::isnan(of({0, 0, 0, 0}).value));
  EXPECT_EQ(of({0, 0, 1, 1}).value, 1);
  EXPECT_TRUE(std::isnan(of({0, 0, 1, 1}).low));
  EXPECT_EQ(of({1, 1, 0, 0}).value, 0);
  EXPECT_EQ(of({0, 1, 1, 0}).value, 0.5);
  for (const size_t half : {7, 10, 20}) {  // shares that float sums do not add up to 1
    std::vector<double> rising(2 * half);
    std::iota(rising.begin(), rising.end(), 0.0);
    std::vector<unsigned char> positive(half);
    positive.resize(2 * half, 1);
    std::vector<size_t> own(2 * half);
    std::iota(own.begin(), own.end(), size_t{0});
    const Proportion separated = clustered_auroc(rising, positive, own);
    EXPECT_EQ(separated.value, 1);
    EXPECT_TRUE(std::isnan(separated.low));
  }
}

TEST(Reference, ExactMcNemar) {
  for (const Json& c : reference().at("mcnemar"))
    EXPECT_NEAR(mcnemar_exact_p(count(c, "only_first"), count(c, "only_second")), number(c, "p"),
                kExact)
        << c;
}

TEST(Reference, Tango) {
  for (const Json& c : reference().at("tango")) {
    const int64_t b = count(c, "only_first"), other = count(c, "only_second");
    const Interval ours =
        tango_interval({count(c, "total") - b - other, b, other, 0}, number(c, "confidence"));
    EXPECT_NEAR(ours.low, number(c, "low"), kMaximised) << c;
    EXPECT_NEAR(ours.high, number(c, "high"), kMaximised) << c;
  }
}

TEST(Reference, SignFlip) {
  for (const Json& c : reference().at("sign_flip"))
    EXPECT_NEAR(sign_flip_test(c.at("differences").get<std::vector<int64_t>>()).p_value,
                number(c, "p"), kExact)
        << c;
}

TEST(Reference, Holm) {
  for (const Json& c : reference().at("holm")) {
    const std::vector<double> ours = holm_adjusted(c.at("p").get<std::vector<double>>());
    ASSERT_EQ(ours.size(), c.at("adjusted").size());
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_NEAR(ours[i], c.at("adjusted")[i].get<double>(), kExact) << c;
  }
}

TEST(Reference, PassAtK) {
  for (const Json& c : reference().at("pass_at_k"))
    EXPECT_NEAR(pass_at_k(count(c, "n"), count(c, "c"), count(c, "k")), number(c, "value"), kExact)
        << c;
}

TEST(Reference, MajorityAtK) {
  for (const Json& c : reference().at("majority_at_k")) {
    const auto wrong = c.at("wrong").get<std::vector<int64_t>>();
    EXPECT_NEAR(majority_at_k({count(c, "right"), wrong, count(c, "abstaining")}, count(c, "k")),
                number(c, "value"), kExact)
        << c;
  }
}

TEST(Reference, Power) {
  for (const Json& c : reference().at("power"))
    EXPECT_NEAR(mcnemar_power(count(c, "n"), number(c, "discordance"), number(c, "difference"),
                              number(c, "alpha")),
                number(c, "power"), kSummed)
        << c;
}

TEST(Reference, ExpandedPercentile) {
  for (const Json& c : reference().at("percentile")) {
    const Interval ours = expanded_percentile_interval(c.at("values").get<std::vector<double>>(),
                                                       static_cast<size_t>(count(c, "clusters")),
                                                       number(c, "confidence"));
    EXPECT_NEAR(ours.low, number(c, "low"), kSummed);
    EXPECT_NEAR(ours.high, number(c, "high"), kSummed);
  }
}

TEST(Reference, NothingIsLeftUnread) {
  const std::set<std::string> read = {"generator", "versions",      "wilson",    "clustered",
                                      "mcnemar",   "tango",         "sign_flip", "holm",
                                      "pass_at_k", "majority_at_k", "power",     "percentile",
                                      "auroc",     "clustered_mean"};
  for (const auto& [name, cases] : reference().items()) {
    EXPECT_TRUE(read.contains(name)) << name;
    EXPECT_FALSE(cases.empty()) << name;
  }
  EXPECT_EQ(reference().size(), read.size());
}

}  // namespace
}  // namespace surprisal
