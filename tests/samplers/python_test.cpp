// `type: python`: the user's view, answers and mistakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "lib/error.h"
#include "lib/sha256.h"
#include "samplers/trial.h"
#include "tests/lib/temporary_folder.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;

class PythonSampler : public testing::Test {
 protected:
  /// A sampler whose decide() has this body.
  std::unique_ptr<Sampler> deciding(const std::string& body, const std::string& more = "") {
    return of_script("class Sampler:\n" + more + "    def decide(self, view):\n        " + body +
                     "\n");
  }
  std::unique_ptr<Sampler> of_script(const std::string& text, const std::string& keys = "") {
    folder_.write("my_sampler.py", text);
    script_ = folder_.path() + "/my_sampler.py";
    return test::sampler_of("{type: python, file: " + script_ + keys + "}");
  }
  Decision decide(const Sampler& sampler, const test::Row& row) {
    return sampler.decide(row.view, sampler.start().get(), Draws(7, 3));
  }
  std::string error_of(const std::string& body) {
    const test::Row row({0, 1, 2, test::kBanned}, {1, 2});
    try {
      decide(*deciding(body), row);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kConfig);
      return error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
  std::string script_;
};

TEST_F(PythonSampler, SeesWhatSamplersSee) {
  test::Row row(test::random_logits(50, 1), {4, 5, 6});
  row.attend(1, 2, 3);
  row.view.prompt_length = 2;
  const auto sampler = deciding(
      "return {'emit': int(view.tokens[-1]), 'metrics': {\n"
      "            'logit': view.logits[9], 'entropy': view.statistics.entropy,\n"
      "            'argmax': view.statistics.argmax, 'length': view.prompt_length,\n"
      "            'head': view.attention.entropy[1, 2], 'sink': view.attention.sink_mass[0, 1],\n"
      "            'agreement': view.attention.agreement[1], 'uniform': view.uniform(),\n"
      "            'noise': view.gumbel()[13], 'size': view.logits.size}}",
      "    needs_attention = True\n");
  EXPECT_TRUE(sampler->needs().attention);
  const Decision decision = decide(*sampler, row);
  EXPECT_EQ(test::emitted(decision), 6);
  std::map<std::string, double> seen(decision.metrics.begin(), decision.metrics.end());
  EXPECT_EQ(seen["logit"], row.logits[9]);
  EXPECT_EQ(seen["entropy"], row.statistics.entropy);
  EXPECT_EQ(seen["argmax"], static_cast<double>(row.statistics.argmax));
  EXPECT_EQ(seen["length"], 2);
  EXPECT_EQ(seen["head"], row.attention.head(1, 2, HeadStatistic::kEntropy));
  EXPECT_EQ(seen["sink"], row.attention.head(0, 1, HeadStatistic::kSinkMass));
  EXPECT_EQ(seen["agreement"], row.attention.layer(1, LayerStatistic::kAgreement));
  EXPECT_EQ(seen["noise"], Draws(7, 3).gumbel(0, 13));
  EXPECT_GT(seen["uniform"], 0);
  EXPECT_EQ(seen["size"], 50);
}

TEST_F(PythonSampler, GivesEveryDecision) {
  test::Row row({0, 1, 2, 3}, {1, 2, 3});
  row.view.prompt_length = 1;
  const auto action = [&](const std::string& answer) {
    return decide(*deciding("return " + answer), row).action;
  };
  EXPECT_EQ(std::get<Emit>(action("2")).token, 2);
  EXPECT_EQ(std::get<Inject>(action("{'inject': [1, 3]}")).tokens, (std::vector<TokenId>{1, 3}));
  const auto branch = std::get<Branch>(action("{'branch': [0, 2], 'horizon': 5}"));
  EXPECT_EQ(branch.candidates, (std::vector<TokenId>{0, 2}));
  EXPECT_EQ(branch.plan.horizon, 5);
  EXPECT_EQ(std::get<Rewind>(action("{'rewind': 2, 'ban': False}")).count, 2);
  EXPECT_EQ(std::get<AskUser>(action("{'ask': 'Which?', 'options': ['a', 'b']}")).options.size(),
            2U);
  EXPECT_EQ(std::get<Retrieve>(action("{'retrieve': '2 + 2'}")).query, "2 + 2");
  EXPECT_EQ(std::get<Stop>(action("{'stop': 'done'}")).reason, "done");
}

TEST_F(PythonSampler, MistakesNameFileAndLine) {
  EXPECT_THAT(error_of("return 1 / 0"), HasSubstr("my_sampler.py:3: ZeroDivisionError"));
  EXPECT_THAT(error_of("return view.no_such_thing"), HasSubstr("my_sampler.py:3: AttributeError"));
  EXPECT_THAT(error_of("return None"), HasSubstr("expected a token id or a dictionary"));
  EXPECT_THAT(error_of("return 3"), HasSubstr("token 3 is banned"));
  EXPECT_THAT(error_of("return -1"), HasSubstr("token -1"));
  EXPECT_THAT(error_of("return {'emit': 'x'}"), HasSubstr("my_sampler.py"));
  EXPECT_THAT(error_of("return {'emit': 1, 'colour': 2}"), HasSubstr("'colour'"));
  EXPECT_THAT(error_of("return {'emit': 1, 'stop': ''}"), HasSubstr("'stop'"));
  EXPECT_THAT(error_of("return {'emit': 1, 'probs': [1, 1, 0, 0]}"), HasSubstr("add up to 2"));
  EXPECT_THAT(error_of("return {'emit': 1, 'probs': [1, 0, 0, 0]}"), HasSubstr("probability is 0"));
  EXPECT_THAT(error_of("return {'emit': 1, 'probs': [1]}"), HasSubstr("for each token"));
  EXPECT_THAT(error_of("return {'emit': 1, 'temperature': 'hot'}"), HasSubstr("wrong type"));
  EXPECT_THAT(error_of("return {'inject': []}"), HasSubstr("empty list"));
  EXPECT_THAT(error_of("return {'rewind': 5}"), HasSubstr("rewind"));
  EXPECT_THAT(error_of("return ("), HasSubstr("my_sampler.py:3: SyntaxError"));
}

TEST_F(PythonSampler, AScriptThatCannotServeIsRefused) {
  const auto refusal = [&](const std::string& text, const std::string& keys = "") -> std::string {
    try {
      of_script(text, keys);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(refusal("x = 1\n"), HasSubstr("no class 'Sampler'"));
  EXPECT_THAT(refusal("class Sampler:\n    pass\n"), HasSubstr("no decide(self, view)"));
  EXPECT_THAT(refusal("import no_such_module\n"),
              HasSubstr("my_sampler.py:1: ModuleNotFoundError"));
  EXPECT_THAT(refusal("class Sampler:\n    def decide(self, view): return 0\n",
                      ", parameters: {no_such: 1}"),
              HasSubstr("TypeError"));
  EXPECT_THROW(test::sampler_of("{type: python, file: no_such_file.py}"), Error);
  EXPECT_THROW(test::sampler_of("{type: python}"), Error);
}

// Beside the configuration first, whatever the working directory.
TEST_F(PythonSampler, ThePathIsRelativeToTheConfiguration) {
  folder_.write("beside.py", "class Sampler:\n    def decide(self, view): return 2\n");
  Json resolved;
  const std::string config = folder_.path() + "/config.yaml";
  const auto sampler =
      create_sampler(builtin_samplers(), parse_yaml("{type: python, file: beside.py}", config),
                     "sampler 'mine'", config, {}, &resolved);
  const test::Row row({0, 1, 2});
  EXPECT_EQ(test::emitted(decide(*sampler, row)), 2);
  EXPECT_EQ(resolved["type"], "python");
  EXPECT_EQ(resolved["sha256"], sha256_file(folder_.path() + "/beside.py"));
  EXPECT_FALSE(resolved.contains("file"));  // where it lies makes no other cell
}

TEST_F(PythonSampler, ParametersArriveAsWhatTheyAre) {
  const auto sampler = of_script(
      "class Sampler:\n"
      "    def __init__(self, a, b, c, d=4): self.values = [a, b, c, d]\n"
      "    def decide(self, view):\n"
      "        assert self.values == [1, 0.5, ['x', True, '7'], 4], self.values\n"
      "        return 0\n",
      ", parameters: {a: 1, b: 0.5, c: [x, true, '7']}");
  EXPECT_EQ(test::emitted(decide(*sampler, test::Row({0, 1}))), 0);
}

/// Each request's object is its own, forks continue independently, and any thread may decide.
TEST_F(PythonSampler, StatesAreCopies) {
  const auto sampler = of_script(
      "class Sampler:\n"
      "    def __init__(self): self.seen = []\n"
      "    def decide(self, view): return len(self.seen)\n"
      "    def observe(self, token, source):\n"
      "        assert source == 'sampled'\n"
      "        self.seen.append(token)\n");
  const test::Row row({0, 1, 2, 3, 4, 5});
  const auto next = [&](SamplerState* state) {
    const TokenId token = test::emitted(sampler->decide(row.view, state, Draws(1, 1)));
    sampler->observe(token, TokenSource::kSampled, state);
    return token;
  };
  const auto first = sampler->start();
  EXPECT_EQ(next(first.get()), 0);
  EXPECT_EQ(next(first.get()), 1);
  const auto fork = first->clone();
  EXPECT_EQ(next(first.get()), 2);
  EXPECT_EQ(next(fork.get()), 2);  // it did not see the other's third token
  EXPECT_EQ(next(sampler->start().get()), 0);
  std::vector<std::future<TokenId>> threads;
  for (int i = 0; i < 4; ++i)
    threads.push_back(std::async(std::launch::async, [&] {
      const auto own = sampler->start();
      for (int step = 0; step < 4; ++step) next(own.get());
      return next(own.get());
    }));
  for (auto& thread : threads) EXPECT_EQ(thread.get(), 4);
}

TEST_F(PythonSampler, TheExampleDrawsAsTheChainItImitates) {
  const auto example = test::sampler_of("{type: python, file: " SURPRISAL_SOURCE_DIR
                                        "/samplers/python/example_sampler.py}");
  const auto chain = test::sampler_of("{type: chain, steps: [{min_p: 0.1}]}");
  for (unsigned seed = 0; seed < 50; ++seed) {
    const test::Row row(test::random_logits(300, seed));
    ASSERT_GT(row.statistics.entropy, 0.5);  // below, the example is greedy
    const Draws draws(seed, 1);
    const Decision own = example->decide(row.view, example->start().get(), draws);
    const Decision expected = chain->decide(row.view, chain->start().get(), draws);
    EXPECT_EQ(test::emitted(own), test::emitted(expected));
    EXPECT_EQ(own.kept, expected.kept);
    constexpr double kRounding = 1e-6;
    EXPECT_NEAR(own.sampling_logprob, expected.sampling_logprob, kRounding);
  }
}

}  // namespace
}  // namespace surprisal
