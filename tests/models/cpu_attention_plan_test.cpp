#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "models/cpu/attention_plan.h"
#include "models/cpu/work_share.h"

namespace surprisal {
namespace {

constexpr AttentionPlan::Heads kHeads{.all = 9, .kv = 3, .group = 3};
constexpr int64_t kTileRows = 12;

/// Rows of new tokens after `context` others, in blocks of their own.
class AttentionPlanTest : public ::testing::Test {
 protected:
  void add_row(int64_t context, int64_t count = 1) {
    blocks_.emplace_back();
    for (int64_t i = 0; i <= (context + count - 1) / kBlockKeys; ++i) {
      blocks_.back().push_back(next_block_++);
    }
    lengths_.push_back({context, count});
  }
  void make(size_t ranks) {
    batch_ = {};
    int64_t token = 0;
    for (size_t r = 0; r < blocks_.size(); ++r) {
      const auto [context, count] = lengths_[r];
      batch_.rows.push_back({blocks_[r], context, count, token});
      token += count;
      batch_.selected.push_back(token - 1);
    }
    batch_.token_ids.resize(static_cast<size_t>(token));
    plan_.make(batch_, 0, token, true, false, kHeads, kTileRows, ranks);
  }
  using Place = std::pair<int64_t, int64_t>;  // row of the batch, chunk
  Place place(int32_t query, int64_t chunk) const {
    return {plan_.queries[static_cast<size_t>(query)].row, chunk};
  }

  AttentionPlan plan_;

 private:
  int64_t next_block_ = 0;
  std::vector<std::vector<int64_t>> blocks_;
  std::vector<std::pair<int64_t, int64_t>> lengths_;
  Batch batch_;
};

TEST_F(AttentionPlanTest, EveryHeadMeetsEveryChunkOnceAndIsComparedThereOnce) {
  add_row(0);
  add_row(127);
  add_row(128);
  add_row(300, 40);
  add_row(900);
  for (const size_t ranks : {1, 2, 3, 16}) {
    make(ranks);
    std::map<std::tuple<int32_t, int64_t, int64_t>, int> met;
    for (const AttentionPlan::Item& item : plan_.items) {
      for (int32_t i = 0; i < item.queries; ++i) {
        for (int32_t h = item.first_head; h < item.first_head + item.heads; ++h) {
          ++met[{item.query[static_cast<size_t>(i)], item.chunk, item.kv_head * kHeads.group + h}];
        }
      }
    }
    int64_t expected = 0;
    for (const AttentionPlan::Query& query : plan_.queries) expected += query.chunks * kHeads.all;
    EXPECT_EQ(static_cast<int64_t>(met.size()), expected);
    EXPECT_TRUE(std::ranges::all_of(met, [](const auto& m) { return m.second == 1; }));

    std::set<int64_t> numbers;
    for (const auto& [query, chunk] : plan_.comparisons) {
      numbers.insert(plan_.queries[static_cast<size_t>(query)].compared + chunk);
    }
    EXPECT_EQ(numbers.size(), plan_.comparisons.size());
    EXPECT_EQ(plan_.comparisons.size(), 1u + 1 + 2 + 3 + 8);  // chunks of the last queries
    EXPECT_EQ(*numbers.rbegin() + 1, static_cast<int64_t>(plan_.comparisons.size()));
  }
}

TEST_F(AttentionPlanTest, ARankComparesWhatItAttendedTo) {
  for (int row = 0; row < 16; ++row) add_row(1000);
  make(2);
  const auto items = static_cast<int64_t>(plan_.items.size());
  const auto comparisons = static_cast<int64_t>(plan_.comparisons.size());
  for (const int rank : {0, 1}) {
    const WorkShare share{rank, 2};
    std::set<Place> attended, compared;
    for (int64_t i = share.begin(items); i < share.end(items); ++i) {
      const AttentionPlan::Item& item = plan_.items[static_cast<size_t>(i)];
      attended.insert(place(item.query[0], item.chunk));
    }
    for (int64_t i = share.begin(comparisons); i < share.end(comparisons); ++i) {
      const auto& [query, chunk] = plan_.comparisons[static_cast<size_t>(i)];
      compared.insert(place(query, chunk));
    }
    EXPECT_EQ(attended, compared) << rank;
    EXPECT_EQ(attended.size(), 64u) << rank;  // half of 16 rows x 8 chunks
  }
}

TEST_F(AttentionPlanTest, ManyQueriesArePutTogetherOneByOne) {
  for (int row = 0; row < 11; ++row) add_row(300 + 100 * row);
  make(2);
  EXPECT_TRUE(plan_.by_query);
  std::map<int32_t, std::pair<size_t, size_t>> places;  // a query's first and last item
  std::map<int32_t, int32_t> counts;
  for (size_t i = 0; i < plan_.items.size(); ++i) {
    const int32_t query = plan_.items[i].query[0];
    places.try_emplace(query, i, i).first->second.second = i;
    ++counts[query];
  }
  for (const auto& [query, place] : places) {
    EXPECT_EQ(counts[query], plan_.queries[static_cast<size_t>(query)].items);
    EXPECT_EQ(place.second - place.first + 1, static_cast<size_t>(counts[query])) << query;
  }
  make(3);
  EXPECT_FALSE(plan_.by_query) << "11 queries are too few for 3 ranks";
}

}  // namespace
}  // namespace surprisal
