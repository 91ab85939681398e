#include "samplers/entropix/entropix.h"

#include "samplers/entropix/ads.h"
#include "samplers/entropix/v1.h"
#include "samplers/entropix/v2.h"
#include "samplers/entropix/v3_70b.h"
#include "samplers/entropix/v4_server.h"

namespace surprisal {
namespace {

using MakeVariant = std::unique_ptr<Sampler> (*)(ParamReader&, const SamplerContext&);

template <EntropixVariant variant>
std::unique_ptr<Sampler> make_ads(ParamReader& params, const SamplerContext& context) {
  return make_entropix_ads(params, context, variant);
}

/// The table of variants, in the order of their publication.
constexpr std::pair<std::string_view, MakeVariant> kVariants[] = {
    {"v1", make_entropix_v1},
    {"v2_jax", make_entropix_v2_jax},
    {"v2_torch", make_entropix_v2_torch},
    {"v3_70b", make_entropix_v3_70b},
    {"v4_server", make_entropix_v4_server},
    {"ads_e982dd5", make_ads<EntropixVariant::kAdsE982dd5>},
    {"ads_f0b8ea6", make_ads<EntropixVariant::kAdsF0b8ea6>},
    {"ads_head", make_ads<EntropixVariant::kAdsHead>},
};

}  // namespace

SamplerEntry entropix_entry() {
  return {"Entropix as published (entropy, varentropy and attention decide), bugs included",
          [](ParamReader& params, const SamplerContext& context) {
            std::vector<std::string> names;
            for (const auto& [name, make] : kVariants) names.emplace_back(name);
            const std::string variant = params.choice(
                "variant", "v2_jax", names, "which published version; each has its own parameters");
            std::unique_ptr<Sampler> sampler;
            for (const auto& [name, make] : kVariants) {
              if (params.is_describing()) {  // document every variant
                ParamReader reader = ParamReader::describing("entropix " + std::string(name));
                make(reader, context);
                params.append_docs("(variant " + std::string(name) + ")", reader.docs());
              }
              if (name == variant && !params.is_describing()) return make(params, context);
            }
            ParamReader defaults = ParamReader::describing("entropix");
            return make_entropix_v2_jax(defaults, context);
          }};
}

}  // namespace surprisal
