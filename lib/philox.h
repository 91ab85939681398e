#pragma once

#include <array>
#include <cstdint>

namespace surprisal {

/// Philox4x32-10: four random words that are a pure function of counter and key.
/// Ref: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;
inline constexpr int kPhiloxRounds = 10;
inline constexpr uint32_t kPhiloxMultipliers[] = {0xD2511F53, 0xCD9E8D57};
inline constexpr uint32_t kPhiloxWeyl[] = {0x9E3779B9,
                                           0xBB67AE85};  ///< added to the key each round
PhiloxCounter philox4x32_10(PhiloxCounter counter, PhiloxKey key);

}  // namespace surprisal
