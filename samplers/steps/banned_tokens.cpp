#include "samplers/steps/banned_tokens.h"

#include <cmath>
#include <map>

#include "samplers/read_token.h"

namespace surprisal {
namespace {

class BannedTokens : public ChainStep {
 public:
  explicit BannedTokens(std::map<TokenId, bool> banned) : banned_(std::move(banned)) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (banned_.empty()) return;
    candidates.transform(banned_, [](double, bool) { return -HUGE_VAL; });
  }

 private:
  std::map<TokenId, bool> banned_;
};

}  // namespace

StepEntry banned_tokens_step() {
  return {StepStage::kEdit, "l = -inf", "tokens", [](ParamReader& params, const StepBuild& build) {
            std::map<TokenId, bool> banned;
            for (const std::string& token : params.strings(
                     "tokens", {}, "ids, or texts that are one token each; never chosen"))
              banned[read_token(token, "tokens", params, build.sampler)] = true;
            return std::make_unique<BannedTokens>(std::move(banned));
          }};
}

}  // namespace surprisal
