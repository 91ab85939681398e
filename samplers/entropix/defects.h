#pragma once

#include <bitset>
#include <span>
#include <string>
#include <string_view>

#include "lib/params.h"

namespace surprisal {

/// What is known to be wrong with published versions of Entropix. Each is reproduced until `fixes`
/// names it.
enum class Defect : uint8_t {
  kMinPDead,
  kTopPInverted,
  kPaddedAttention,
  kFixedKey,
  kFirstTokenArgmax,
  kAgreementScale,
  kHeadVarianceAsVarentropy,
  kHardcoded2564,
  kHistoryAxis,
  kUndefinedHistory,
  kUnconditional2564,
  kPositionGap,
  kBf16Metrics,
  kTorchUniformRace,
  kBestOfFiveByLikelihood,
  kAdsNan,
  kAdsStaleState,
  kAdsLikelihoodSign,
  kAdsHessian,
  kAdsMixing,
};

/// The published versions, in the order of their publication.
enum class EntropixVariant : uint8_t {
  kV1,
  kV2Jax,
  kV2Torch,
  kV3_70b,
  kV4Server,
  kAdsE982dd5,
  kAdsF0b8ea6,
  kAdsHead,
};
inline constexpr std::string_view kEntropixVariantNames[] = {
    "v1", "v2_jax", "v2_torch", "v3_70b", "v4_server", "ads_e982dd5", "ads_f0b8ea6", "ads_head"};

/// One row of the table of defects (samplers/README.md holds the same table; a test compares them).
struct DefectEntry {
  Defect defect;
  std::string_view name;
  std::string_view variants;  ///< that have it, separated by spaces
  std::string_view published;
  std::string_view corrected;
  std::string_view evidence;
};
std::span<const DefectEntry> entropix_defects();

bool has_defect(EntropixVariant variant, const DefectEntry& entry);

/// Which defects a sampler is to be without.
class Fixes {
 public:
  Fixes() = default;
  /// Reads `fixes`: a list of defects of the variant, or one in place of a list. "all" stands for
  /// all that it has, "none" for none, "-name" takes one out again: [all, -fixed_key]. A text may
  /// hold several, separated by spaces, so that a sweep can go over settings.
  /// @throws Error(kConfig, kUnknownName)
  Fixes(ParamReader& params, EntropixVariant variant);

  bool has(Defect defect) const { return fixed_.test(static_cast<size_t>(defect)); }

 private:
  std::bitset<32> fixed_;
};

}  // namespace surprisal
