#include "experiments/statistics/frontier.h"

#include <gtest/gtest.h>

#include <vector>

#include "lib/error.h"

namespace surprisal {
namespace {

TEST(Frontier, IsTheUpperHullFromNothing) {
  const std::vector<CostAccuracy> baselines = {{400, 0.50}, {100, 0.30}, {200, 0.35},
                                               {300, 0.20}, {800, 0.49}, {200, 0.10}};
  const Frontier frontier(baselines);
  // (200, 0.35) lies below the line from (100, 0.30) to (400, 0.50); (800, 0.49) pays for nothing.
  ASSERT_EQ(frontier.corners().size(), 3u);
  EXPECT_EQ(frontier.corners()[1].cost, 100);
  EXPECT_EQ(frontier.corners()[2].cost, 400);
  EXPECT_DOUBLE_EQ(frontier.accuracy_at(0), 0);
  EXPECT_DOUBLE_EQ(frontier.accuracy_at(50), 0.15);
  EXPECT_DOUBLE_EQ(frontier.accuracy_at(100), 0.30);
  EXPECT_DOUBLE_EQ(frontier.accuracy_at(250), 0.40);
  EXPECT_DOUBLE_EQ(frontier.accuracy_at(5000), 0.50);
  EXPECT_DOUBLE_EQ(frontier.distance_above({250, 0.45}), 0.45 - 0.40);
  EXPECT_LT(frontier.distance_above({800, 0.49}), 0);
}

TEST(Frontier, NoBaselineLiesAboveIt) {
  std::vector<CostAccuracy> baselines;
  for (int i = 1; i < 60; ++i) baselines.push_back({1.0 + (i * 37) % 61, ((i * 53) % 59) / 59.0});
  const Frontier frontier(baselines);
  for (const CostAccuracy& point : baselines) EXPECT_LE(frontier.distance_above(point), 1e-15);
}

TEST(Frontier, BaselinesThatGetNothingRight) {
  const std::vector<CostAccuracy> baselines = {{100, 0}, {200, 0}};
  EXPECT_EQ(Frontier(baselines).accuracy_at(150), 0);
  EXPECT_EQ(Frontier(baselines).corners().size(), 1u);
}

TEST(Frontier, RefusesFreeAnswers) {
  const std::vector<CostAccuracy> baselines = {{0, 0.5}};
  EXPECT_THROW(Frontier{baselines}, Error);
}

}  // namespace
}  // namespace surprisal
