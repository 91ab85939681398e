#include "samplers/steps/logit_bias.h"

#include <cmath>
#include <map>

#include "samplers/read_token.h"

namespace surprisal {
namespace {

class LogitBias : public ChainStep {
 public:
  explicit LogitBias(std::map<TokenId, double> bias) : bias_(std::move(bias)) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (bias_.empty()) return;
    candidates.transform(bias_, [](double logit, double bias) { return logit + bias; });
  }

 private:
  std::map<TokenId, double> bias_;
};

double number_of(const YAML::Node& node, const ParamReader& params) {
  try {
    const double value = node.as<double>();
    if (std::isfinite(value)) return value;
  } catch (const YAML::Exception&) {
  }
  throw params.error("bias", "expected finite numbers (banned_tokens bans a token)");
}

}  // namespace

StepEntry logit_bias_step() {
  return {StepStage::kEdit, "l += bias of the token", "",
          [](ParamReader& params, const StepBuild& build) {
            const YAML::Node node = params.raw("bias", "map of token id or text: nats",
                                               "what is added to which token; default: none");
            std::map<TokenId, double> bias;
            Json resolved = Json::object();
            if (node.IsDefined() && !node.IsMap())
              throw params.error("bias", "expected a map of token ids to numbers");
            for (const auto& entry : node) {
              const TokenId token = read_token(entry.first.Scalar(), "bias", params, build.sampler);
              bias[token] = number_of(entry.second, params);
              resolved[std::to_string(token)] = bias[token];
            }
            params.set_resolved("bias", std::move(resolved));
            return std::make_unique<LogitBias>(std::move(bias));
          }};
}

}  // namespace surprisal
