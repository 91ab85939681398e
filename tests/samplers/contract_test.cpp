// What every registered sampler and every step of a chain must do, by their names in the
// registries.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "lib/top_logits.h"
#include "samplers/chain_step.h"
#include "samplers/entropix/defects.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

using test::kBanned;

/// Whether a decision chose a token (others are the engine's affair).
bool emits(const Decision& decision) {
  return std::holds_alternative<Emit>(decision.action);
}

/// A sampler as YAML, named for the list of tests.
struct Subject {
  std::string name, yaml;
};

/// Every sampler with its defaults, and a chain of each step alone in each dialect.
std::vector<Subject> subjects() {
  std::vector<Subject> all;
  for (const std::string& name : builtin_samplers().names())
    if (const std::string yaml = test::shortest_yaml(name); !yaml.empty())
      all.push_back({name, "{" + yaml + "}"});
  all.push_back({"chain_inverse_cdf", "{type: chain, draw: inverse_cdf}"});
  // Decides on a rounded row, and looks further down it than others do.
  all.push_back({"entropix_v2_jax_bfloat16",
                 "{type: entropix, variant: v2_jax, fixes: none, precision: bfloat16, top_k: 300, "
                 "clarifying_token: 5}"});
  for (const std::string_view variant : kEntropixVariantNames)
    for (const std::string fixes : {"none", "all"}) {
      const bool asks = !variant.starts_with("ads_") || variant == "ads_head";
      all.push_back({"entropix_" + std::string(variant) + "_fixing_" + fixes,
                     "{type: entropix, variant: " + std::string(variant) + ", fixes: " + fixes +
                         (asks ? ", clarifying_token: 5}" : "}")});
    }
  for (const std::string& step : builtin_chain_steps().names())
    for (const std::string_view dialect : kDialectNames)
      all.push_back({"chain_" + step + "_" + std::string(dialect),
                     "{type: chain, dialect: " + std::string(dialect) + ", steps: [{" + step +
                         ": " + test::active_settings(step) + "}]}"});
  return all;
}

class SamplerContract : public testing::TestWithParam<Subject> {
 protected:
  SamplerContract() : sampler_(test::sampler_of(GetParam().yaml)) {}

  Decision decide(const test::Row& row, SamplerState* state, uint64_t seed, uint32_t position = 3) {
    return sampler_->decide(row.view, state, Draws(seed, position));
  }

  std::unique_ptr<Sampler> sampler_;
};

/// Rows of many shapes: spread, peaked, flat, two-valued, extreme, almost all banned.
std::vector<std::vector<float>> adversarial_rows() {
  std::vector<std::vector<float>> rows;
  for (const float spread : {0.001F, 1.0F, 5.0F, 1e4F})
    rows.push_back(test::random_logits(200, static_cast<unsigned>(rows.size()), spread));
  rows.emplace_back(200, 0.0F);
  rows.emplace_back(200, -1e4F);
  rows.emplace_back(200, std::numeric_limits<float>::denorm_min());
  std::vector<float> two_valued(200, -3.0F);
  for (size_t i = 0; i < 200; i += 7) two_valued[i] = 3;
  rows.push_back(two_valued);
  std::vector<float> mostly_banned(200, kBanned);
  mostly_banned[11] = 1;
  mostly_banned[150] = 0.5F;
  rows.push_back(mostly_banned);
  std::vector<float> half_banned = test::random_logits(200, 77);
  for (size_t i = 0; i < 200; i += 2) half_banned[i] = kBanned;
  rows.push_back(half_banned);
  return rows;
}

TEST_P(SamplerContract, SameSeedSameDecision) {
  for (const auto& logits : adversarial_rows()) {
    test::Row row(logits, {1, 2, 3});
    row.attend(1);
    const auto first = sampler_->start(), second = sampler_->start();
    for (uint32_t position = 3; position < 30; ++position) {
      const Decision a = decide(row, first.get(), 5, position);
      const Decision b = decide(row, second.get(), 5, position);
      ASSERT_EQ(emits(a), emits(b));
      ASSERT_EQ(test::emitted(a), test::emitted(b));
      ASSERT_EQ(a.kept, b.kept);
    }
  }
}

TEST_P(SamplerContract, TokensAreKeptOnesAndNeverBanned) {
  for (const auto& logits : adversarial_rows()) {
    test::Row row(logits, {1, 2, 3});
    row.attend(2);
    row.view.want_distribution = true;
    const auto state = sampler_->start();
    for (uint32_t position = 3; position < 40; ++position) {
      const Decision decision = decide(row, state.get(), position, position);
      if (!emits(decision)) continue;
      const TokenId token = test::emitted(decision);
      ASSERT_GE(token, 0);
      ASSERT_LT(static_cast<size_t>(token), logits.size());
      ASSERT_NE(logits[static_cast<size_t>(token)], kBanned);
      ASSERT_EQ(static_cast<size_t>(decision.kept), decision.distribution.size());
      double total = 0;
      bool kept = false;
      for (const Candidate& candidate : decision.distribution) {
        total += candidate.probability;
        kept |= candidate.token == token;
        ASSERT_NE(logits[static_cast<size_t>(candidate.token)], kBanned);
      }
      ASSERT_TRUE(kept);
      ASSERT_NEAR(total, 1, 1e-4);  // up to 200 float32 probabilities
      ASSERT_LE(decision.sampling_logprob, 0);
    }
  }
}

TEST_P(SamplerContract, InputStaysUntouched) {
  for (const auto& logits : adversarial_rows()) {
    test::Row row(logits, {1, 2, 3});
    row.attend(3);
    const auto state = sampler_->start();
    decide(row, state.get(), 1);
    EXPECT_EQ(row.logits, logits);
    EXPECT_EQ(row.tokens, (std::vector<TokenId>{1, 2, 3}));
  }
}

TEST_P(SamplerContract, OneHotRowGivesThatToken) {
  std::vector<float> logits(100, kBanned);
  logits[42] = -5;
  test::Row row(logits, {1, 2, 3});
  row.attend(4);
  const auto state = sampler_->start();
  for (uint32_t position = 3; position < 20; ++position)
    EXPECT_EQ(test::emitted(decide(row, state.get(), position, position)), 42);
}

TEST_P(SamplerContract, RowsThatAreNoDistributionAreErrors) {
  std::vector<float> logits(100, 1.0F);
  logits[17] = std::numeric_limits<float>::quiet_NaN();
  try {
    const test::Row row(logits, {1});
    ADD_FAILURE() << "NaN was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNumeric);
    EXPECT_NE(std::string(error.what()).find("17"), std::string::npos);
  }
}

TEST_P(SamplerContract, ClonedStateGoesOnIndependently) {
  const auto rows = adversarial_rows();
  auto state = sampler_->start();
  std::unique_ptr<SamplerState> clone;
  std::vector<TokenId> original, copied;
  for (uint32_t position = 3; position < 63; ++position) {
    if (position == 33 && state) clone = state->clone();
    test::Row row(rows[position % 4], {1, 2, 3});
    row.attend(position);
    const TokenId token = test::emitted(decide(row, state.get(), 8, position));
    sampler_->observe(std::max(token, 0), TokenSource::kSampled, state.get());
    if (position >= 33) original.push_back(token);
  }
  for (uint32_t position = 33; position < 63; ++position) {  // the original's steps left it alone
    test::Row row(rows[position % 4], {1, 2, 3});
    row.attend(position);
    copied.push_back(test::emitted(decide(row, clone.get(), 8, position)));
    sampler_->observe(std::max(copied.back(), 0), TokenSource::kSampled, clone.get());
  }
  EXPECT_EQ(original, copied);
}

TEST_P(SamplerContract, RequestsDoNotInfluenceEachOther) {
  const auto rows = adversarial_rows();
  const auto run = [&](bool with_neighbour) {
    const auto state = sampler_->start(), neighbour = sampler_->start();
    std::vector<TokenId> tokens;
    for (uint32_t position = 3; position < 40; ++position) {
      if (with_neighbour) {
        test::Row other(rows[(position + 1) % 4], {9});
        other.attend(99);
        decide(other, neighbour.get(), 77, position);
      }
      test::Row row(rows[position % 4], {1, 2, 3});
      row.attend(position);
      tokens.push_back(test::emitted(decide(row, state.get(), 8, position)));
    }
    return tokens;
  };
  EXPECT_EQ(run(false), run(true));
}

// A decision is a function of what it is given: other threads change nothing.
TEST_P(SamplerContract, ThreadsDoNotMatter) {
  const auto rows = adversarial_rows();
  const auto tokens_of = [&](unsigned seed) {
    const auto state = sampler_->start();
    std::vector<TokenId> tokens;
    for (uint32_t position = 3; position < 20; ++position) {
      test::Row row(rows[position % 4], {1, 2, 3});
      row.attend(position);
      tokens.push_back(test::emitted(decide(row, state.get(), seed, position)));
    }
    return tokens;
  };
  auto elsewhere = std::async(std::launch::async, tokens_of, 1);
  const auto second = tokens_of(2);
  EXPECT_EQ(elsewhere.get(), tokens_of(1));
  EXPECT_EQ(second, tokens_of(2));
}

// A batch in any order, from rows at any place in memory, on any number of threads.
TEST_P(SamplerContract, BatchOrderRowAndThreadsDoNotMatter) {
  const auto rows = adversarial_rows();
  constexpr uint32_t kRequests = 24;
  const auto token_of = [&](uint32_t request) {
    const std::vector<float> logits = rows[request % rows.size()];  // a copy at a place of its own
    test::Row row(logits, {1, 2, 3});
    row.attend(request % 5);
    return test::emitted(decide(row, sampler_->start().get(), request / 3, 3 + request));
  };
  std::vector<TokenId> forwards(kRequests), backwards(kRequests), spread(kRequests);
  for (uint32_t i = 0; i < kRequests; ++i) forwards[i] = token_of(i);
  for (uint32_t i = kRequests; i-- > 0;) backwards[i] = token_of(i);
  std::vector<std::future<void>> threads;
  for (uint32_t first = 0; first < 3; ++first)
    threads.push_back(std::async(std::launch::async, [&, first] {
      for (uint32_t i = first; i < kRequests; i += 3) spread[i] = token_of(i);
    }));
  for (auto& thread : threads) thread.get();
  EXPECT_EQ(forwards, backwards);
  EXPECT_EQ(forwards, spread);
}

TEST(StepView, TopIsTheSameWhetherSharedOrNot) {
  const auto pair = [](const RankedLogit& one) { return std::pair(one.index, one.logit); };
  for (const auto& logits : adversarial_rows()) {
    test::Row alone(logits, {1}), among(logits, {1});
    RowCache shared;
    among.view.shared = &shared;
    for (const size_t count : {size_t{2}, size_t{1}, size_t{300}, size_t{7}}) {
      const auto a = alone.view.top(count), b = among.view.top(count);
      EXPECT_TRUE(std::ranges::equal(a, b, {}, pair, pair)) << count;
    }
  }
}

std::pair<TokenId, double> as_pair(const Candidate& candidate) {
  return {candidate.token, candidate.probability};
}

// What another request found out about the row must not change a decision.
TEST_P(SamplerContract, WhatIsSharedChangesNothing) {
  for (const auto& logits : adversarial_rows()) {
    test::Row row(logits, {1, 2, 3});
    row.attend(1);
    row.view.want_distribution = true;
    RowCache shared;
    shared.top(logits, 1);  // as the engine does for every row
    const auto alone = sampler_->start(), among = sampler_->start();
    for (uint32_t position = 3; position < 20; ++position) {
      row.view.shared = nullptr;
      const Decision a = decide(row, alone.get(), 5, position);
      row.view.shared = &shared;
      const Decision b = decide(row, among.get(), 5, position);
      ASSERT_EQ(test::emitted(a), test::emitted(b));
      ASSERT_EQ(a.kept, b.kept);
      ASSERT_TRUE(std::ranges::equal(a.distribution, b.distribution, {}, as_pair, as_pair));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SamplerContract, testing::ValuesIn(subjects()),
                         [](const auto& instance) { return instance.param.name; });

/// Values that no parameter of that kind can have.
std::vector<std::string> bad_values(const ParamDoc& doc) {
  std::vector<std::string> values;
  if (doc.type == "number" || doc.type == "integer") values = {"text", "[1]", ".nan"};
  if (doc.type == "bool") values = {"maybe", "2"};
  if (doc.type == "list of numbers" || doc.type == "list of integers") values = {"[x]", "{a: 1}"};
  if (doc.type == "string" && !doc.allowed.empty()) values = {"no_such_choice"};
  if (doc.allowed.starts_with(">= 0")) values.push_back("-1");
  if (doc.allowed.starts_with("> 0")) values.push_back("0");
  return values;
}

/// A documented name without the variant it belongs to, and that as the beginning of a map.
std::pair<std::string, std::string> of_variant(const std::string& name) {
  constexpr std::string_view kPrefix = "(variant ";
  if (!name.starts_with(kPrefix)) return {name, ""};
  const size_t end = name.find(").");
  return {name.substr(end + 2),
          "variant: " + name.substr(kPrefix.size(), end - kPrefix.size()) + ", "};
}

/// `key: value` in block style, a dotted key as nested maps and a chain's step as a list.
std::string nested_yaml(const std::string& key, const std::string& value) {
  const size_t dot = key.find('.');
  if (dot == std::string::npos) return "{" + key + ": " + value + "}";
  const std::string inner = nested_yaml(key.substr(dot + 1), value), outer = key.substr(0, dot);
  return "{" + outer + ": " + (outer == "steps" ? "[" + inner + "]" : inner) + "}";
}

class SamplerParameters : public testing::TestWithParam<std::string> {};

/// Every documented parameter refuses nonsense with an error that gives its place and name.
TEST_P(SamplerParameters, NonsenseIsRefusedByName) {
  ParamReader reader = ParamReader::describing(GetParam());
  const SamplerEntry entry = builtin_samplers().get(GetParam());
  entry.create(reader, {});
  for (const ParamDoc& doc : reader.docs()) {
    EXPECT_FALSE(doc.description.empty()) << doc.name;
    for (const std::string& value : bad_values(doc)) {
      const auto [name, variant] = of_variant(doc.name);
      const std::string map = nested_yaml(name, value);
      const std::string yaml = "{type: " + GetParam() + ", " + variant + map.substr(1);
      try {
        test::sampler_of(yaml);
        ADD_FAILURE() << "accepted " << yaml;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kConfig) << yaml << ": " << error.what();
        const std::string key = doc.name.substr(doc.name.rfind('.') + 1);
        EXPECT_NE(std::string(error.what()).find(key), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("test.yaml:1"), std::string::npos) << error.what();
      }
    }
  }
}

TEST_P(SamplerParameters, UnknownOnesAreRefused) {
  try {
    const std::string yaml = test::shortest_yaml(GetParam());
    if (yaml.empty()) GTEST_SKIP() << "this build is without Python";
    test::sampler_of("{" + yaml + ",\nno_such_parameter: 1}");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnknownName);
    EXPECT_NE(std::string(error.what()).find("test.yaml:2"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(All, SamplerParameters, testing::ValuesIn(builtin_samplers().names()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace surprisal
