#pragma once

#include <cstdint>
#include <vector>

#include "experiments/sample.h"
#include "samplers/sampler.h"

namespace surprisal {

/// A control that intervenes as often in the answer to each question as another sampler did, and as
/// far apart, but elsewhere. Its schedule is made of the other's finished answer: the same actions
/// in the same order, the gaps between them in random order, the first place drawn uniformly from
/// all that leave the last one, and what it inserted, inside an answer as long as the other's.
///
/// Places are counted in tokens of the answer, inserted ones included. The yoked answer may end
/// before its schedule does, or a place may not allow the action (a budget is spent, there is no
/// fork): such interventions are left out, neither moved nor squeezed in, and results count them.
///
/// @param answer     with its events; of a sampler that does not rewind
/// @param draws_key  of the yoked answer
/// @throws Error(kFormat) when the events do not account for the answer's interventions
std::vector<PlannedIntervention> yoked_schedule(const Sample& answer, uint64_t draws_key);

}  // namespace surprisal
