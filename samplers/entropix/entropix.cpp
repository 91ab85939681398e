#include "samplers/entropix/entropix.h"

#include "samplers/entropix/v2_jax.h"

namespace surprisal {
namespace {

using MakeVariant = std::unique_ptr<Sampler> (*)(ParamReader&, const SamplerContext&);

/// The table of variants, in the order of their publication.
constexpr std::pair<std::string_view, MakeVariant> kVariants[] = {
    {"v2_jax", make_entropix_v2_jax},
};

}  // namespace

SamplerEntry entropix_entry() {
  return {"Entropix as published (entropy, varentropy and attention decide), bugs included",
          [](ParamReader& params, const SamplerContext& context) {
            std::vector<std::string> names;
            for (const auto& [name, make] : kVariants) names.emplace_back(name);
            const std::string variant =
                params.choice("variant", "v2_jax", names, "which published version");
            for (const auto& [name, make] : kVariants)
              if (name == variant) return make(params, context);
            throw Error(ErrorCode::kInternal, "entropix: variant table");
          }};
}

}  // namespace surprisal
